"""`Pool`: a Game whose slots are played by worker processes, all together at each step.

A step writes the actions into shared memory, wakes every worker once and waits for each
once; the rows that it hands out are those the workers wrote. Nothing is pickled.

A worker that is lost (it died, hung, raised or broke its specs) is replaced within its
budget. Its slots give LAST, truncated, with their last observation; invalid rows while
there is no game; then FIRST of an episode that they have not played before. The other
slots go on as if nothing had happened.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from gamebridge import errors
from gamebridge.contract import game as games
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.workers import desks, processes, semaphores, staffs, stations, turns
from gamebridge.workers import layout as layouts

# How long a step waits where all that it was asked for is being replaced.
_PATIENCE_S = 0.1

# What the next step finds: all slots in play; something to be seen to; a step broken off.
_CALM, _ODD, _PLAYING = range(3)


class Pool(games.Game):
    """Plays a game in worker processes; see this module.

    Attributes:
      images_are_left: see `Staff`.
    """

    _is_asynchronous = False

    def __init__(self, order: staffs.Order) -> None:
        """Starts the workers; errors are those of `Staff`."""
        self._staff = staff = staffs.Staff(order, is_asynchronous=self._is_asynchronous)
        self._supervision = order.supervision
        self.name = order.origin.game_id
        self.num_slots = order.num_slots
        self.can_hold = staff.can_hold
        self.steps_per_s = staff.steps_per_s
        self.images_are_left = staff.images_are_left
        self._layout = staff.layout
        self._actions = desks.ActionDesk(staff.action_spec, staff.layout.action, self.name)
        self._states = desks.SlotStates(self.num_slots)
        # Of the last order: its number, the set of rows that it writes, the set before. All at
        # once, so that Ctrl-C finds them as they belong together.
        self._turn = (0, 0, 0)
        self._turns = turns.Turns([rows.time_step.observation for rows in staff.layout.sets])
        self._num_steps = 0
        self._phase = _ODD
        self._deadline = semaphores.Deadline(_PATIENCE_S)
        self._is_closed = False
        self._error: errors.Error | None = None
        self._sets = [rows.time_step for rows in staff.layout.sets]
        self._all = np.ones(self.num_slots, np.bool_)
        self._none = np.zeros(self.num_slots, np.bool_)
        self._controls = [station.control for station in staff.stations]

    @property
    def num_restarts(self) -> int:
        """How many workers were replaced."""
        return sum(station.num_restarts for station in self._staff.stations)

    @property
    def pids(self) -> list[int | None]:
        """The workers' process ids; None where one is about to be started."""
        return [station.pid for station in self._staff.stations]

    @property
    def is_whole(self) -> bool:
        """Whether all workers are up and all slots in play."""
        return self._phase == _CALM

    def observation_spec(self) -> specs.Spec:
        """The game's."""
        return self._staff.observation_spec

    def action_spec(self) -> specs.Spec:
        """The game's."""
        return self._staff.action_spec

    def telemetry_spec(self) -> dict[str, specs.TelemetrySpec]:
        """The game's."""
        return self._staff.telemetry_spec

    @property
    def can_keep_rows(self) -> bool:
        """See `Game`."""
        return self._turns.can_keep(self._turn[1])

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> games.TimeStep:
        """See `Game`. Waits until a worker that is being replaced is there again.

        Raises:
          ValueError: `seeds` is not int [B] or `slots` not bool [B].
          PlayerError: a worker was lost, and no replacement is left in its budget.
          GameError: the game raised, where `supervision.on_error` is "stop".
        """
        self._check_open()
        named = self._named("slots", slots)
        if seeds is not None:
            self._states.reseed(desks.checked_seeds(seeds, self.num_slots, self.name), named)
        # Those that were played go on with their next episode; the others have seeds of their own.
        played = named & ~self._states.is_fresh
        self._states.is_lost[named] = False
        self._await_stations(named)
        if played.any():
            self._play(played, is_reset=True)
        # Of a worker that was lost on the way, another one is asked.
        while (named & self._states.is_fresh).any():
            fresh = named & self._states.is_fresh
            self._states.is_lost[fresh] = False
            self._await_stations(fresh)
            self._play(fresh, is_reset=True)
        return self._sets[self._turn[1]]

    def step(self, action: specs.Nest, active: Array | None = None) -> games.TimeStep:
        """See `Game`.

        Raises:
          TypeError, ValueError: the action does not fit its spec, or `active` is not bool [B].
          PlayerError: a worker was lost, and no replacement is left in its budget.
          GameError: the game raised, where `supervision.on_error` is "stop".
        """
        if self._is_closed or self._phase == _PLAYING:
            self._check_open()
            self._finish_interrupted()
        self._actions.write(action)
        self._num_steps += 1
        if self._phase or active is not None:
            self._play(self._named("active", active), is_reset=False)
            return self._sets[self._turn[1]]
        # All is well: everybody is woken up once and waited for once.
        now_s = time.monotonic()
        deadline = self._deadline
        deadline.refresh(now_s)
        self._phase = _PLAYING
        number, before, _ = self._turn
        index = self._turns.after(before)
        self._turn = (number + 1, index, before)
        order = number + 1 << layouts.NUMBER_SHIFT | index << layouts.SET_SHIFT | layouts.STEP
        for words, go, _ in self._controls:
            words[layouts.ORDER] = order
            go.post()
        for words, _, done in self._controls:
            if not done.wait_until(deadline) or words[layouts.ANSWER] != order:
                for station in self._staff.stations:
                    station.since_s = now_s
                self._settle(self._staff.stations, self._all, self._none)
                break
        else:
            self._phase = _CALM
        return self._sets[index]

    def telemetry(self) -> dict[str, Array]:
        """The game's."""
        return self._layout.sets[self._turn[1]].telemetry

    def render(self, slot: int = 0) -> Array | None:
        """See `Game`; None, too, while the slot's worker is being replaced.

        Raises:
          ValueError: there is no such slot.
          PlayerError, GameError: see `step`.
        """
        self._check_open()
        if not 0 <= slot < self.num_slots:
            raise ValueError(f"{self.name}: slot is {slot}, expected 0 to {self.num_slots - 1}.")
        self._finish_interrupted()
        for station in self._staff.stations:
            if station.slots.start <= slot < station.slots.stop and station.stage == "up":
                number, present, before = self._turn
                self._turn = (number + 1, present, before)
                self._phase = self._phase or _ODD
                try:
                    picture: Array | None = station.picture(slot - station.slots.start, number + 1)
                    self._look_around()
                    return picture
                except processes.Lost as lost:
                    if lost.report is not None:  # the next worker could not draw it either
                        self._error = station.stop(lost, f"step {self._num_steps}")
                        self._raise()
                    self._lose(station, lost, self._none, self._layout.sets[present])
        self._raise()
        return None

    def close(self) -> None:
        """Ends all workers. May be called twice."""
        self._is_closed = True
        self._staff.close()

    def _play(self, named: Array, *, is_reset: bool) -> None:
        """Resets or steps the slots named, whatever the state of their stations."""
        self._finish_interrupted()
        layout, states = self._layout, self._states
        wanted = named & ~states.is_lost
        is_hopeless = not np.any(named & states.is_lost) and not np.any(wanted & self._are_up())
        for station in self._staff.stations:
            if station.stage != "up":
                self._bring_up(station, _PATIENCE_S if is_hopeless else 0.0)
        due = wanted & states.is_fresh
        resets = wanted if is_reset else due
        layout.resets[...] = resets
        layout.active[...] = wanted & ~resets
        layout.seeds[...] = states.seeds
        self._phase = _PLAYING
        last, before, _ = self._turn
        index = self._turns.after(before)
        numbers = [station.number for station in self._staff.stations if station.stage == "up"]
        number = max(last, *numbers, 0) + 1
        self._turn = (number, index, before)
        asked = []
        for station in self._staff.stations:
            mine = station.slots
            command = 0
            if resets[mine].any():
                command |= layouts.RESET | (layouts.SEEDED if due[mine].any() else 0)
            if layout.active[mine].any():
                command |= layouts.STEP | layouts.MASKED
            if station.stage == "up" and command:
                asked.append(station)
                station.give(number, index, command)
            else:
                desks.copy_rows(layout.sets[before], layout.sets[index], mine)
        self._settle(asked, named, resets)

    def _settle(self, asked: Sequence[stations.Station], named: Array, resets: Array) -> None:
        """Waits for the stations that were asked, and sets right the rows that are not theirs."""
        states = self._states
        _, index, last = self._turn
        before, after = self._layout.sets[last], self._layout.sets[index]
        is_kept = ~named | states.is_lost
        for station in asked:
            mine = station.slots
            try:
                station.wait()
            except processes.Lost as lost:
                self._lose(station, lost, resets, before)
                desks.copy_rows(before, after, mine)
                continue
            states.is_fresh[mine] &= ~resets[mine]
            if is_kept[mine].any():
                desks.copy_rows(before, after, mine.start + np.flatnonzero(is_kept[mine]))
        ended = named & states.is_lost
        if ended.any():
            desks.truncate_rows(after, self.telemetry_spec(), ended)
            states.is_lost[ended] = False
        after.time_step.valid[named & ~ended & ~self._are_up()] = False
        self._look_around()
        self._raise()

    def _look_around(self) -> None:
        """Finds out whether the next step needs more than waking everybody up."""
        is_odd = (
            self._states.is_fresh.any()
            or self._states.is_lost.any()
            or any(station.stage != "up" for station in self._staff.stations)
        )
        self._phase = _ODD if is_odd else _CALM

    def _lose(
        self,
        station: stations.Station,
        lost: processes.Lost,
        resets: Array,
        before: layouts.Rows,
    ) -> None:
        """Takes note of a lost worker; the error that ends all is raised later, by `_raise`."""
        mine = station.slots
        # An episode that was being left by a reset is not missed.
        is_running = before.is_running[mine] & ~resets[mine]
        self._states.lose(mine, is_running, station.num_restarts)
        self._phase = self._phase or _ODD
        moment = f"step {self._num_steps}"
        is_ours = lost.report is not None and lost.report["ours"] == "ActionError"
        if is_ours or (lost.report is not None and self._supervision.on_error == "stop"):
            error: errors.Error | None = station.stop(lost, moment)
        else:
            error = station.fail(lost, moment)
        self._error = self._error or error

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            self.close()
            raise error

    def _bring_up(self, station: stations.Station, timeout_s: float) -> None:
        try:
            station.advance(timeout_s)
        except processes.Lost as lost:
            self._error = self._error or station.fail(lost, f"step {self._num_steps}")
        self._raise()

    def _await_stations(self, named: Array) -> None:
        for station in self._staff.stations:
            while named[station.slots].any() and station.stage != "up":
                self._bring_up(station, _PATIENCE_S)

    def _finish_interrupted(self) -> None:
        """Waits for answers to an order that an exception, such as Ctrl-C, broke off."""
        if self._phase == _CALM:
            return
        number, index, last = self._turn
        after, before = self._layout.sets[index], self._layout.sets[last]
        for station in self._staff.stations:
            if station.stage == "up":
                try:
                    if not station.has_answered():
                        station.give_again()
                    station.wait()
                except processes.Lost as lost:
                    self._lose(station, lost, self._none, before)
            # Some of them may not have been asked yet.
            is_played = station.stage == "up" and station.number == number
            if self._phase == _PLAYING and not is_played:
                desks.copy_rows(before, after, station.slots)
        self._phase = _ODD
        self._raise()

    def _are_up(self) -> Array:
        up = np.zeros(self.num_slots, np.bool_)
        for station in self._staff.stations:
            up[station.slots] = station.stage == "up"
        return up

    def _named(self, argument: str, mask: Array | None) -> Array:
        if mask is None:
            return self._all
        return desks.checked_mask(argument, mask, self.num_slots, self.name)

    def _check_open(self) -> None:
        if self._is_closed:
            raise ValueError(f"{self.name} is closed: make it anew to play on.")
