"""Episode log: the return, length, ending and telemetry of every finished episode."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from gamebridge import contract
from gamebridge.contract import seeding, specs
from gamebridge.contract.specs import Array


@dataclasses.dataclass(frozen=True)
class Episode:
    """One finished episode.

    Attributes:
      slot: which slot played it.
      episode_return: the sum of its rewards, not discounted.
      length: its number of steps after FIRST.
      ended: "terminated" (discount 0) or "truncated".
      telemetry: one number a name, reduced over the episode as its spec says.
      seed: the episode's seed; None where the slot was never given one through the log, and
        from when a process of the game was replaced until slots are given new ones.
    """

    slot: int
    episode_return: float
    length: int
    ended: Literal["terminated", "truncated"]
    telemetry: dict[str, float]
    seed: int | None = None


class EpisodeLog(contract.Wrapper):
    """Changes nothing and keeps a record of every episode that ends.

    An episode counts if the log saw its FIRST and its LAST: one that is cut off by a
    reset is dropped, and so is one that was lost with the process that played it. What the
    game itself truncates in the step of such a loss cannot be told from it. Invalid rows, and
    rows of slots that did not advance, do not count.
    """

    def __init__(self, game: contract.Game) -> None:
        """Starts with no episode."""
        super().__init__(game)
        num_slots = game.num_slots
        # float64: a float32 sum loses rewards of 0.001 once it is past some thousands.
        self._returns = np.zeros(num_slots)
        self._lengths = np.zeros(num_slots, np.int64)
        self._seen_first = np.zeros(num_slots, np.bool_)
        self._totals = [
            (name, spec.reduce, np.zeros(num_slots)) for name, spec in game.telemetry_spec().items()
        ]
        self._slot_seeds = np.full(num_slots, -1, np.int64)
        self._num_restarts = 0
        self._numbers = np.full(num_slots, -1, np.int64)
        self._all_mid = np.full(num_slots, contract.MID, np.int32).tobytes()
        self._episodes: list[Episode] = []

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> contract.TimeStep:
        """Resets the game and drops the unfinished episodes of the slots named."""
        time_step = self.game.reset(seeds, slots)
        named = np.ones(self.num_slots, np.bool_) if slots is None else slots
        if seeds is not None:
            self._slot_seeds[named] = np.asarray(seeds)[named]
            self._numbers[named] = -1
        self._watch(time_step, named)
        return time_step

    @property
    def can_keep_rows(self) -> bool:
        """The game's."""
        return self.game.can_keep_rows

    def step(self, action: specs.Nest, active: Array | None = None) -> contract.TimeStep:
        """Steps the game and notes what it says."""
        time_step = self.game.step(action, active)
        everyone = active is None and np.count_nonzero(time_step.valid) == self.num_slots
        if everyone and time_step.step_type.tobytes() == self._all_mid:
            self._add(time_step, None)
        else:
            self._watch(time_step, active)
        return time_step

    def take(self) -> list[Episode]:
        """Hands over the episodes that have ended since the last call, in order of time."""
        taken, self._episodes = self._episodes, []
        return taken

    def _watch(self, time_step: contract.TimeStep, advanced: Array | None) -> None:
        heard = time_step.valid if advanced is None else time_step.valid & advanced
        if self.game.num_restarts != self._num_restarts:
            lost = heard & time_step.is_last() & (time_step.discount == 1)
            self._seen_first[lost] = False
            # The slots of the process that was lost go on with seeds that only the pool knows.
            self._num_restarts = self.game.num_restarts
            self._slot_seeds[...] = -1
        first = heard & time_step.is_first()
        if first.any():
            self._begin(first)
        self._add(time_step, heard)
        for slot in np.flatnonzero(heard & self._seen_first & time_step.is_last()).tolist():
            self._end(slot, float(time_step.discount[slot]))

    def _begin(self, slots: Array) -> None:
        self._seen_first[slots] = True
        self._returns[slots] = 0
        # FIRST is itself added below, and is not a step.
        self._lengths[slots] = -1
        self._numbers[slots] += 1
        for _, reduce, total in self._totals:
            total[slots] = -np.inf if reduce == "max" else 0

    def _add(self, time_step: contract.TimeStep, heard: Array | None) -> None:
        where: Any = True if heard is None else heard
        np.add(self._returns, time_step.reward, out=self._returns, where=where)
        np.add(self._lengths, 1, out=self._lengths, where=where)
        if not self._totals:
            return
        values = self.game.telemetry()
        for name, reduce, total in self._totals:
            if reduce == "sum":
                np.add(total, values[name], out=total, where=where)
            elif reduce == "max":
                np.maximum(total, values[name], out=total, where=where)
            else:
                np.copyto(total, values[name], where=where)

    def _end(self, slot: int, discount: float) -> None:
        self._seen_first[slot] = False
        seed = None
        if self._slot_seeds[slot] >= 0:
            mine = slice(slot, slot + 1)
            seed = int(seeding.episode_seeds(self._slot_seeds[mine], self._numbers[mine])[0])
        self._episodes.append(
            Episode(
                slot=slot,
                episode_return=float(self._returns[slot]),
                length=int(self._lengths[slot]),
                ended="terminated" if discount == 0 else "truncated",
                telemetry={name: float(total[slot]) for name, _, total in self._totals},
                seed=seed,
            )
        )
