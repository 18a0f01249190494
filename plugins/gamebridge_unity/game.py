"""`UnityGame`: the agents of one or several players as the slots of one game.

Every player plays an equal share of the slots, player 0 the first ones. What agents have to
say becomes rows as `slots` tells: an episode's end and the next one's beginning are two rows,
and while the one is told, agents beside it may have nothing to say. A player goes on when all
its agents have their actions, and all players do so together.

Seeds that a reset brings are told to players as `scene_seeds` says; a reset without goes on with
whatever the game draws next.

A reset of some slots of a player cannot begin their episodes anew, since the scene moves all
agents at once: their running episodes go on as new ones, FIRST at the decision that is at hand
or at the next one. `step(active=...)` holds slots back by letting their player wait, with all
its agents; `can_hold` is False, for a wrapper would wait for ever.

A player that is lost (it died, hung, broke the connection, or said what it must not) is
replaced within its budget, while the others play on. Its slots give LAST, truncated, with
their last observation; invalid rows while there is no player; then FIRST.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gamebridge import contract, errors
from gamebridge.contract import seeding, specs
from gamebridge.contract.specs import Array
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge_unity import crew, encoding, frozen, scene_seeds, schedules, sheets, squad
from gamebridge_unity.settings import UnitySettings


class UnityGame(contract.Game):
    """Plays a build; see this module."""

    can_hold = False

    def __init__(
        self,
        name: str,
        num_slots: int,
        settings: UnitySettings,
        limits: SupervisionSettings,
        members: Sequence[squad.Member],
        *,
        graphics: str = "none",
        picture: Callable[[UnityGame, int], Array | None] | None = None,
        free: Callable[[bool], None] = lambda _: None,
        steps_per_s: float | None = None,
    ) -> None:
        """Waits until all players are up and, but for `late_agents`, all slots have an agent.

        Args:
          name: the game's id.
          num_slots: B.
          settings: the game's.
          limits: of its supervision.
          members: whose players are starting, with an equal share of the slots each.
          graphics: how players are started, for messages.
          picture: what `render` shows of a slot; None for nothing.
          free: called once all players have ended, with whether any was lost.
          steps_per_s: decisions of an agent in a second of the game's own time.

        Raises:
          ConfigError: the settings do not suit the scene.
          GameError: the scene cannot be learnt, or does not show its agents.
          PlayerError: no player could be started.
        """
        self.name = name
        self.num_slots = num_slots
        self.steps_per_s = steps_per_s
        self._settings = settings
        self._members = members
        self._crew = crew.Crew(members)
        self._picture = picture
        # Called by `close`, or with the last reference, or when the interpreter exits.
        self._end = weakref.finalize(self, _end, members, limits.close_timeout_s, free)
        self._num_steps = self._num_valid = 0
        self._schedule = schedules.Schedule(settings.parameters)
        self._is_evaluation = False
        self._slot_seeds = seeding.slot_seeds(settings.seed, num_slots)
        self._all = np.ones(num_slots, np.bool_)
        try:
            self._tell_parameters()
            self._crew.wait(members, "start")
            self._sheet = sheet = self._make_sheet()
            if not settings.late_agents:
                self._crew.fill(settings.agents_timeout_s)
        except BaseException:
            self.close()
            raise
        self._parts = [sheet.part(member.dialogue.where) for member in members]
        self._watch = frozen.Watch(name, sheet.frames(), settings.frozen_after, graphics)

    @property
    def num_restarts(self) -> int:
        """How many players took the place of one that was lost."""
        return sum(member.num_restarts for member in self._members)

    @property
    def pids(self) -> list[int | None]:
        """The players' process ids; None where one is about to be started."""
        return [member.pid for member in self._members]

    def observation_spec(self) -> specs.Spec:
        """What an agent observes; see `fields`."""
        return self._sheet.fields.observation_spec

    def action_spec(self) -> specs.Spec:
        """What an agent does; see `fields`."""
        return self._sheet.fields.action_spec

    def telemetry_spec(self) -> dict[str, specs.TelemetrySpec]:
        """What the game's agents report, and `group_reward` and `forbidden_action` if any."""
        return dict(self._sheet.telemetry_spec)

    def telemetry(self) -> dict[str, Array]:
        """The values of this step."""
        return self._sheet.telemetry

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> contract.TimeStep:
        """See `Game`, and this module for what a scene cannot do of it.

        Raises:
          ValueError: `seeds` is not int [B] or `slots` not bool [B].
          PlayerError: a player was lost, and no replacement is left in its budget.
          GameError: the game breaks its spec, where `supervision.on_error` is "stop".
        """
        self._check_open()
        named = self._mask("slots", slots)
        if seeds is not None:
            self._reseed(seeds, named)
        partly = [member for member in self._members if named[member.dialogue.where].any()]
        whole = [
            member
            for member in partly
            if named[member.dialogue.where].all()
            and (seeds is not None or not member.dialogue.is_fresh)
        ]
        with _closing_on_error(self):
            self._crew.wait(partly, "reset")
            self._tell_parameters()
            if seeds is not None:
                for member in whole:
                    member.dialogue.seed(self._slot_seeds[member.dialogue.where])
            self._crew.begin_anew(whole, self._sheet.chosen)
        for member in partly:
            member.dialogue.slots.restart(named[member.dialogue.where])
        return self._hand_out(named)

    def step(self, action: specs.Nest, active: Array | None = None) -> contract.TimeStep:
        """See `Game`.

        Raises:
          TypeError, ValueError: the action does not fit its spec, or `active` is not bool [B].
          PlayerError: a player was lost, and no replacement is left in its budget.
          GameError: the game breaks its spec, where `supervision.on_error` is "stop"; or it
            has drawn nothing from the start.
        """
        self._check_open()
        named = self._all if active is None else self._mask("active", active)
        actions = self._sheet.fields.actions(action, self.num_slots, self.name)
        self._num_steps += 1
        self._tell_parameters()
        self._store(actions, named)
        moment = f"step {self._num_steps}"
        with _closing_on_error(self):
            self._crew.bring_up(moment)
            self._crew.go_on(self._sheet.chosen, moment)
            self._crew.raise_error()
            rows = self._hand_out(named)
            self._watch.look(rows.valid)
        self._num_valid += int(np.count_nonzero(rows.valid & named))
        return rows

    def render(self, slot: int = 0) -> Array | None:
        """See `Game`; None, too, while the player whose window is wanted is being replaced.

        Raises:
          ValueError: there is no such slot.
        """
        self._check_open()
        if not 0 <= slot < self.num_slots:
            raise ValueError(f"{self.name}: slot is {slot}, expected 0 to {self.num_slots - 1}.")
        return None if self._picture is None else self._picture(self, slot)

    def note_progress(self, num_steps: int) -> None:
        """Makes curricula go on from there."""
        self._num_valid = num_steps

    def take_stats(self) -> dict[str, float]:
        """Returns what players told over the stats channel since the last call, by name.

        It is told of a player, not of a slot: the mean of all players that told it.
        """
        told: dict[str, list[float]] = {}
        for member in self._members:
            for name, value in member.dialogue.channels.take_stats().items():
                told.setdefault(name, []).append(value)
        return {name: float(np.mean(values)) for name, values in sorted(told.items())}

    def close(self) -> None:
        """Ends all players, at once where they do not end in time. May be called twice."""
        self._end()

    def frames(self) -> dict[str, Array]:
        """Returns the newest frames of all slots, [B, height, width, channels], by name."""
        return self._sheet.frames()

    def player_of(self, slot: int) -> int:
        """Returns which player plays a slot."""
        return slot * len(self._members) // self.num_slots

    def _make_sheet(self) -> sheets.Sheet:
        first = self._members[0]
        behavior = first.dialogue.client.behaviors[first.dialogue.behavior]
        for member in self._members[1:]:
            theirs = member.dialogue.client.behaviors[member.dialogue.behavior]
            if member.dialogue.behavior != first.dialogue.behavior or behavior.differs_from(theirs):
                raise errors.GameError(
                    f"{self.name}: players differ: {first.label} plays {behavior}; {member.label} "
                    f"plays {theirs}. Expected one behaviour of all (behavior)."
                )
        return sheets.Sheet(
            behavior,
            self.num_slots,
            first.dialogue.telemetry.specs(first.dialogue.behavior),
            [member.dialogue.batch for member in self._members],
            masks=self._settings.action_mask,
        )

    def _reseed(self, seeds: Array, named: Array) -> None:
        seeds = np.asarray(seeds)
        if seeds.shape != (self.num_slots,) or seeds.dtype.kind not in "iu":
            raise ValueError(
                f"{self.name}: seeds is {seeds.dtype} {list(seeds.shape)}, expected int64 "
                f"[{self.num_slots}]: one seed a slot."
            )
        self._slot_seeds[named] = seeds[named]
        self._is_evaluation = scene_seeds.are_of_evaluation(self._slot_seeds)

    def _tell_parameters(self) -> None:
        num_steps = np.inf if self._is_evaluation else self._num_valid
        for name, value in self._schedule.news(num_steps).items():
            for member in self._members:
                member.dialogue.channels.set_parameter(name, value)

    def _store(self, actions: encoding.Actions, named: Array) -> None:
        """Takes the actions of the slots whose decision is at hand."""
        self._sheet.clear_forbidden(named)
        for member in self._members:
            waiting = member.dialogue.slots.is_waiting
            answered = np.flatnonzero(waiting & named[member.dialogue.where])
            if len(answered):
                rows = member.dialogue.slots.decision_rows[answered]
                self._sheet.store(
                    actions, member.dialogue.where, answered, rows, member.dialogue.batch.masks
                )
                waiting[answered] = False

    def _hand_out(self, named: Array) -> contract.TimeStep:
        sheet = self._sheet
        for member, part in zip(self._members, self._parts, strict=True):
            member.dialogue.slots.hand_out(named[member.dialogue.where], part, sheet.fields)
        return sheet.time_step

    def _mask(self, argument: str, mask: Array | None) -> Array:
        if mask is None:
            return self._all
        mask = np.asarray(mask)
        if mask.shape != (self.num_slots,) or mask.dtype != np.bool_:
            raise ValueError(
                f"{self.name}: {argument} is {mask.dtype} {list(mask.shape)}, expected bool "
                f"[{self.num_slots}]: True where a slot is meant."
            )
        return mask

    def _check_open(self) -> None:
        if not self._end.alive:
            raise ValueError(f"{self.name} is closed: make it anew to play on.")


def _end(members: Sequence[squad.Member], timeout_s: float, free: Callable[[bool], None]) -> None:
    until_s = time.monotonic() + timeout_s
    try:
        for member in members:
            member.part()
    finally:
        for member in members:
            member.close(max(0.0, until_s - time.monotonic()))
        free(any(member.has_lost for member in members))


@contextlib.contextmanager
def _closing_on_error(game: UnityGame) -> Iterator[None]:
    """Closes the game where an error of ours ends it; a Ctrl-C may be gone on after."""
    try:
        yield
    except errors.Error:
        game.close()
        raise
