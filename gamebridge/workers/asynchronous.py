"""`AsynchronousPool`: a pool whose batch is made of the slots that are ready first.

One slow game does not hold up the rest: `send` hands out actions and returns at once,
`recv` returns as soon as enough slots have something to say. A worker is asked as a whole
and answers as a whole, so a game that may be slow wants a worker of its own.

`step` is the same as a Game: it sends the actions of the slots whose rows were valid, and
the rows of the slots that are still busy are invalid. Their actions are ignored, and what
they say comes in a later step. Who stores transitions by slot and passes over invalid rows,
as a replay buffer can, learns from such a game as from any other; the order in which slots
come depends on time, so that no two runs are alike. Who needs every slot in every step (a
rollout of T steps a slot, as PPO's) is served by the door that waits, and gains nothing.
"""

from __future__ import annotations

import numpy as np

from gamebridge.contract import game as games
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.workers import desks, pool, processes, staffs, stations
from gamebridge.workers import layout as layouts

_LOOK_S = 0.2
_LOOK_WHERE_DOWN_S = 0.02


class AsynchronousPool(pool.Pool):
    """Plays a game in worker processes that need not wait for each other; see this module."""

    _is_asynchronous = True

    def __init__(self, order: staffs.Order, ready_slots: int = 1) -> None:
        """Starts the workers; errors are those of `Staff`.

        Args:
          order: what is played, and by how many workers.
          ready_slots: how many slots a step waits for, at most all that are not idle.
        """
        super().__init__(order)
        self._ready_slots = ready_slots
        self._rows = self._new_rows()
        # A slot is idle (its row was handed out), or its action is pending (not given to its
        # worker yet) or asked (given), or it is ready (its new row was not handed out yet).
        self._is_idle = np.ones(self.num_slots, np.bool_)
        self._is_pending = np.zeros(self.num_slots, np.bool_)
        self._is_asked = np.zeros(self.num_slots, np.bool_)
        self._is_ready = np.zeros(self.num_slots, np.bool_)
        # Ready to say LAST, because the worker was lost.
        self._is_ended = np.zeros(self.num_slots, np.bool_)
        # Ready, and put aside because a reset needs the shared rows.
        self._is_aside = np.zeros(self.num_slots, np.bool_)
        self._aside = self._new_rows()

    @property
    def can_keep_rows(self) -> bool:
        """Never: what it hands out are rows of its own, written to at each step."""
        return False

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> games.TimeStep:
        """See `Pool`; what is under way in the slots named is waited for and forgotten."""
        self._check_open()
        named = self._named("slots", slots)
        while self._is_asked.any():
            self._collect(_LOOK_S)
        put_aside = self._is_ready & ~self._is_ended & ~self._is_aside & ~named
        desks.copy_rows(self._layout.sets[0], self._aside, np.flatnonzero(put_aside))
        self._is_aside |= put_aside
        # The pool's own way is the synchronous one, from the rows as they stand.
        desks.copy_rows(self._rows, self._layout.sets[self._turn[1]], slice(None))
        super().reset(seeds, named)
        desks.copy_rows(self._layout.sets[self._turn[1]], self._rows, np.flatnonzero(named))
        for mask in (self._is_pending, self._is_ready, self._is_ended, self._is_aside):
            mask &= ~named
        self._is_idle |= named
        return self._rows.time_step

    def step(self, action: specs.Nest, active: Array | None = None) -> games.TimeStep:
        """Sends the actions of idle slots, and waits for the slots that are ready first.

        The action of a slot whose row was invalid is ignored: it is still busy. See `Pool`
        for the errors.
        """
        self._check_open()
        named = self._named("active", active)
        sent = named & self._is_idle
        self._actions.write(action, sent)
        self._dispatch(sent)
        ready = self._gather(self._ready_slots, named)
        self._rows.time_step.valid[named] = False
        self._take(ready)
        return self._rows.time_step

    def send(self, action: specs.Nest, slots: Array) -> None:
        """Hands actions to slots that `recv` gave, or that were just reset.

        Args:
          action: nest of arrays [n, ...] that fit `action_spec`.
          slots: int [n], the numbers of the slots.

        Raises:
          ValueError: a slot has not answered its last action yet, or shares its worker with
            one that has not.
          TypeError, ValueError: the action does not fit its spec.
        """
        self._check_open()
        slots = np.asarray(slots, np.int64)
        busy = slots[~self._is_idle[slots]]
        if len(busy):
            raise ValueError(
                f"{self.name}: slots {busy.tolist()} have not been heard since their last action. "
                "Send to slots that recv gave."
            )
        self._actions.write_to(action, slots)
        sent = np.zeros(self.num_slots, np.bool_)
        sent[slots] = True
        self._dispatch(sent)

    def recv(self, min_slots: int | None = None) -> tuple[games.TimeStep, Array]:
        """Waits until so many slots are ready, or all that were sent to.

        Args:
          min_slots: by default the pool's `ready_slots`.

        Returns:
          A time step of arrays [n, ...], copies, and the numbers of its slots, int64 [n].

        Raises:
          ValueError: nothing was sent.
          PlayerError: a worker was lost, and no replacement is left in its budget.
        """
        self._check_open()
        if self._is_idle.all():
            raise ValueError(f"{self.name}: every slot waits for an action. Send before recv.")
        ready = self._gather(self._ready_slots if min_slots is None else min_slots, self._all)
        self._take(ready)
        slots = np.flatnonzero(ready)
        step_type, reward, discount, observation, valid = self._rows.time_step
        return (
            games.TimeStep(
                step_type[slots],
                reward[slots],
                discount[slots],
                specs.map_leaves(lambda leaf: leaf[slots], observation),
                valid[slots],
            ),
            slots,
        )

    def telemetry(self) -> dict[str, Array]:
        """The game's, each slot's as of its row."""
        return self._rows.telemetry

    def _dispatch(self, sent: Array) -> None:
        self._num_steps += 1
        self._is_idle &= ~sent
        self._is_pending |= sent
        for station in self._staff.stations:
            self._ask(station)

    def _ask(self, station: stations.Station) -> None:
        """Gives the station the actions that are pending, if it can take them."""
        mine, states, layout = station.slots, self._states, self._layout
        pending = self._is_pending[mine]
        told = pending & states.is_lost[mine]
        self._is_ended[mine] |= told
        self._is_ready[mine] |= told
        states.is_lost[mine] &= ~told
        pending &= ~told
        is_kept = self._is_ready[mine] & ~self._is_ended[mine] & ~self._is_aside[mine]
        is_busy = np.any(self._is_asked[mine] | is_kept)
        if station.stage != "up" or is_busy or not pending.any():
            return
        resets = pending & states.is_fresh[mine]
        layout.resets[mine] = resets
        layout.active[mine] = pending & ~resets
        layout.seeds[mine] = states.seeds[mine]
        command = layouts.RESET | layouts.SEEDED if resets.any() else 0
        if layout.active[mine].any():
            command |= layouts.STEP | layouts.MASKED
        # What was handed out is a copy: one set of rows is enough.
        station.ask(command)
        self._is_asked[mine] = pending
        self._is_pending[mine] = False

    def _collect(self, timeout_s: float) -> None:
        """Waits for any worker to answer, no longer than `timeout_s`, and looks at all."""
        self._layout.any_done.wait_for(timeout_s)
        states, layout = self._states, self._layout
        for station in self._staff.stations:
            mine = station.slots
            asked = self._is_asked[mine]
            if asked.any():
                try:
                    if not station.has_answered():
                        continue
                except processes.Lost as lost:
                    self._is_pending[mine] |= asked
                    self._lose(station, lost, layout.resets, self._rows)
                else:
                    self._is_ready[mine] |= asked
                    states.is_fresh[mine] &= ~layout.resets[mine]
                self._is_asked[mine] = False
            if station.stage != "up":
                self._bring_up(station, 0.0)
            self._ask(station)
        self._raise()

    def _gather(self, min_slots: int, named: Array) -> Array:
        """Waits until so many of the slots named are ready, or all that are not idle."""
        count = min(min_slots, int(np.count_nonzero(named & ~self._is_idle)))
        while True:
            ready = self._is_ready & named
            if np.count_nonzero(ready) >= count:
                return ready
            all_up = all(station.stage == "up" for station in self._staff.stations)
            self._collect(_LOOK_S if all_up else _LOOK_WHERE_DOWN_S)

    def _take(self, ready: Array) -> None:
        """Copies what the slots said into the rows that are handed out; they are idle then."""
        ended = ready & self._is_ended
        aside = ready & self._is_aside
        said = np.flatnonzero(ready & ~ended & ~aside)
        desks.copy_rows(self._layout.sets[0], self._rows, said)
        if aside.any():
            desks.copy_rows(self._aside, self._rows, np.flatnonzero(aside))
        if ended.any():
            desks.truncate_rows(self._rows, self.telemetry_spec(), ended)
        self._is_ended &= ~ended
        self._is_aside &= ~aside
        self._is_ready &= ~ready
        self._is_idle |= ready

    def _new_rows(self) -> layouts.Rows:
        telemetry = {
            name: np.zeros(self.num_slots, spec.dtype)
            for name, spec in self.telemetry_spec().items()
        }
        time_step = games.new_time_step(self.observation_spec(), self.num_slots)
        return layouts.Rows(time_step, telemetry, np.zeros(self.num_slots, np.bool_))
