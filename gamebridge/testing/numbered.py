"""A game that numbers its steps, and a `Ledger` that proves by them that no transition is wrong."""

from __future__ import annotations

import numpy as np

from gamebridge.contract import FIRST, LAST, TelemetrySpec, TimeStep, specs
from gamebridge.contract.specs import Array
from gamebridge.testing import playing
from gamebridge.testing.batched import BatchedGame

__all__ = ["Ledger", "Numbered"]

# Columns of the observation.
_SEED, _STEP, _ACTION = range(3)
_NUM_ACTIONS = 1000
# The chance that two of them have the same seed is below 1 %.
_MANY_EPISODES = 2_000


class Numbered(BatchedGame):
    """Says its episode's seed, the number of the step and the action before, and pays the number.

    An episode of seed s terminates after `length(s)` steps.
    """

    name = "testing/numbered"

    def __init__(self, num_slots: int = 1) -> None:
        """Makes the columns."""
        super().__init__(num_slots)
        self._lengths = np.zeros(num_slots, np.int64)
        self._steps = np.zeros(num_slots, np.int64)

    @staticmethod
    def length(seeds: Array) -> Array:
        """Returns how many steps episodes of these seeds have, 5 to 34."""
        return 5 + np.asarray(seeds) % 30

    def observation_spec(self) -> specs.ArraySpec:
        """Int64 [3]: seed, step and action; -1 for the action where there was none."""
        return specs.box((3,), -1, dtype=np.int64, name="numbers")

    def action_spec(self) -> specs.ArraySpec:
        """Any number, which comes back."""
        return specs.discrete(_NUM_ACTIONS, name="number")

    def telemetry_spec(self) -> dict[str, TelemetrySpec]:
        """The number of the step, once more."""
        return {"step": TelemetrySpec(reduce="last", dtype=np.int64, summary="steps since FIRST")}

    def telemetry(self) -> dict[str, Array]:
        """The number of the step."""
        return {"step": self._steps}

    def begin(self, slots: Array, seeds: Array) -> None:
        """Takes the seeds."""
        self.rows.observation[slots, _SEED] = seeds
        self.rows.observation[slots, _ACTION] = -1
        self._lengths[slots] = self.length(seeds)

    def advance(self, slots: Array, action: Array) -> tuple[Array, Array, Array]:
        """Pays the number of the step."""
        self.rows.observation[slots, _ACTION] = np.asarray(action)[slots]
        is_over = self.elapsed[slots] >= self._lengths[slots]
        return self.elapsed[slots], is_over, np.zeros_like(is_over)

    def observe(self, slots: Array) -> None:
        """Writes the number of the step."""
        self._steps[slots] = self.elapsed[slots]
        self.rows.observation[slots, _STEP] = self.elapsed[slots]


class Ledger:
    """Checks every step of a `Numbered` game, wherever it is played.

    Attributes:
      num_transitions: how many were checked.
      num_lost: how many episodes were cut short because their game was lost.
      num_episodes: how many began.
    """

    def __init__(self, num_slots: int) -> None:
        """Starts before the first reset."""
        self.num_transitions = self.num_lost = self.num_episodes = 0
        self._rows: list[tuple[int, list[int]] | None] = [None] * num_slots
        self._seeds: set[int] = set()
        self._was_repeated = [False] * num_slots

    def forget(self) -> None:
        """Lets seeds come again, as after a reset with the same ones."""
        self._seeds.clear()

    def note(self, action: Array | None, time_step: TimeStep, named: Array | None = None) -> None:
        """Checks what a step or reset gave.

        Args:
          action: [B], what was asked for; None where it was a reset.
          time_step: what was given.
          named: bool [B], the slots that were to advance; None means all.

        Raises:
          AssertionError: a transition is wrong; says which slot, and both rows.
        """
        kept = playing.copy(time_step)
        for slot, before in enumerate(self._rows):
            if not kept.valid[slot]:
                # A game that is lost in mid-episode says LAST before it says nothing.
                self._check(slot, before is None or before[0] == LAST, before, kept)
                continue
            row = (int(kept.step_type[slot]), kept.observation[slot].tolist())
            if named is not None and not named[slot]:
                self._check(slot, row == before, before, kept)
                continue
            asked = None if action is None else int(action[slot])
            self._rows[slot] = row
            self._check(slot, self._is_right(slot, before, asked, kept), before, kept)

    def _is_right(
        self, slot: int, before: tuple[int, list[int]] | None, action: int | None, now: TimeStep
    ) -> bool:
        step_type, numbers = int(now.step_type[slot]), now.observation[slot].tolist()
        paid = (float(now.reward[slot]), float(now.discount[slot]))
        seed, step, echo = numbers
        if step_type == FIRST:
            is_new = self._is_new(slot, seed)
            self.num_episodes += 1
            is_due = action is None or before is None or before[0] == LAST
            return is_new and is_due and (step, echo) == (0, -1) and paid == (0, 1)
        if action is None or before is None or before[0] == LAST:
            return False
        if step_type == LAST and numbers == before[1]:
            self.num_lost += 1
            return paid == (0, 1)
        self.num_transitions += 1
        is_over = step == int(Numbered.length(np.asarray(seed)))
        return (
            numbers == [before[1][_SEED], before[1][_STEP] + 1, action]
            and (step_type == LAST) == is_over
            and paid == (step, 0 if is_over else 1)
        )

    def _is_new(self, slot: int, seed: int) -> bool:
        """Whether the slot begins an episode that was not played before."""
        is_repeated = seed in self._seeds
        self._seeds.add(seed)
        # Seeds are hashes of 29 bits: among so many episodes two of one seed are due. A game
        # that begins its episodes over again repeats two in a row.
        is_due = len(self._seeds) > _MANY_EPISODES and not self._was_repeated[slot]
        self._was_repeated[slot] = is_repeated
        return not is_repeated or is_due

    def _check(
        self, slot: int, is_right: bool, before: tuple[int, list[int]] | None, now: TimeStep
    ) -> None:
        if not is_right:
            raise AssertionError(
                f"slot {slot}: after {before} came step type {now.step_type[slot]}, "
                f"{now.observation[slot].tolist()}, reward {now.reward[slot]}, discount "
                f"{now.discount[slot]}, valid {now.valid[slot]}."
            )
