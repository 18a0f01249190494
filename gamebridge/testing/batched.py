"""`BatchedGame`: the bookkeeping of a game that steps all its slots at once, in numpy."""

from __future__ import annotations

import abc

import numpy as np

from gamebridge.contract import FIRST, LAST, MID, Game, TimeStep, new_time_step, seeding, specs
from gamebridge.contract.specs import Array


class BatchedGame(Game):
    """Keeps step types, seeds, episode numbers and held slots; a subclass plays.

    Attributes:
      rows: what `reset` and `step` return, written in place.
      elapsed: int64 [B], steps since FIRST.
    """

    def __init__(self, num_slots: int) -> None:
        """Makes the rows. The subclass's specs must work before it calls this.

        Raises:
          ValueError: fewer than one slot.
        """
        if num_slots < 1:
            raise ValueError(f"num_slots is {num_slots}: expected at least 1.")
        self.num_slots = num_slots
        self.rows = new_time_step(self.observation_spec(), num_slots)
        self.elapsed = np.zeros(num_slots, np.int64)
        self._all = np.ones(num_slots, np.bool_)
        self._over = np.ones(num_slots, np.bool_)
        self._slot_seeds = seeding.slot_seeds(0, num_slots)
        self._next_episode = np.zeros(num_slots, np.int64)

    @abc.abstractmethod
    def begin(self, slots: Array, seeds: Array) -> None:
        """Starts an episode.

        Args:
          slots: int64 [n], the slots that start.
          seeds: int64 [n], their episodes' seeds.
        """

    @abc.abstractmethod
    def advance(self, slots: Array, action: specs.Nest) -> tuple[Array, Array, Array]:
        """Plays one step.

        Args:
          slots: int64 [n], the slots that advance.
          action: nest of arrays [B, ...].

        Returns:
          (reward float [n], terminated bool [n], truncated bool [n]).
        """

    @abc.abstractmethod
    def observe(self, slots: Array) -> None:
        """Writes the observations of `slots`, int64 [n], into `rows.observation`."""

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> TimeStep:
        """See `Game`."""
        named = self._all if slots is None else np.asarray(slots)
        if seeds is not None:
            self._slot_seeds[named] = np.asarray(seeds)[named]
            self._next_episode[named] = 0
        self._begin(np.flatnonzero(named))
        return self.rows

    def step(self, action: specs.Nest, active: Array | None = None) -> TimeStep:
        """See `Game`."""
        active = self._all if active is None else np.asarray(active)
        starting = np.flatnonzero(active & self._over)
        moving = np.flatnonzero(active & ~self._over)
        if moving.size:
            self.elapsed[moving] += 1
            reward, terminated, truncated = self.advance(moving, action)
            over = terminated | truncated
            self._over[moving] = over
            self.rows.step_type[moving] = np.where(over, LAST, MID)
            self.rows.reward[moving] = reward
            self.rows.discount[moving] = np.where(terminated, 0.0, 1.0)
            self.observe(moving)
        self._begin(starting)
        return self.rows

    def _begin(self, slots: Array) -> None:
        if not slots.size:
            return
        seeds = seeding.episode_seeds(self._slot_seeds[slots], self._next_episode[slots])
        self._next_episode[slots] += 1
        self._over[slots] = False
        self.elapsed[slots] = 0
        self.rows.step_type[slots] = FIRST
        self.rows.reward[slots] = 0.0
        self.rows.discount[slots] = 1.0
        self.begin(slots, seeds)
        self.observe(slots)
