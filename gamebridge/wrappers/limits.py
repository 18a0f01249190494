"""Episode limit: an episode that goes on too long is cut short, as a truncation."""

from __future__ import annotations

import numpy as np

from gamebridge import contract, errors
from gamebridge.contract import specs
from gamebridge.contract.specs import Array


class EpisodeLimit(contract.Wrapper):
    """Makes the row of step `max_steps` of an episode LAST; its discount stays the game's.

    In its next step such a slot is reset, with its action ignored, while the others are
    stepped: it starts its next episode just as if the game had ended the last one.
    Where the game ends an episode in that very step, the ending is the game's.
    """

    def __init__(self, game: contract.Game, max_steps: int) -> None:
        """Allocates the counters.

        Raises:
          ValueError: `max_steps` is less than 1.
          GameError: the game cannot restart one slot while others are held back.
        """
        if max_steps < 1:
            raise ValueError(f"max_steps is {max_steps}: expected at least 1.")
        if not game.can_hold and game.num_slots > 1:
            raise errors.GameError(
                f"{game.name} moves all its {game.num_slots} slots at once (can_hold is False): "
                "one of them cannot be restarted alone. Leave wrappers.episode_limit unset and "
                "limit the episode inside the game."
            )
        super().__init__(game)
        self._max_steps = max_steps
        self._num_steps = np.zeros(game.num_slots, np.int64)
        # No slot reaches its limit in fewer steps than this.
        self._least_left = 0
        self._cut = np.zeros(game.num_slots, np.bool_)
        self._any_cut = False
        self._step_type = np.zeros(game.num_slots, np.int32)
        self._all_mid = np.full(game.num_slots, contract.MID, np.int32).tobytes()

    def lend(self, observation: specs.Nest) -> bool:
        """Lends them to the game."""
        return self.game.lend(observation)

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> contract.TimeStep:
        """Resets the game; the slots named count from 0."""
        return self._count(self.game.reset(seeds, slots), slots)

    def step(self, action: specs.Nest, active: Array | None = None) -> contract.TimeStep:
        """Steps the game, but resets the slots that were cut short."""
        if self._any_cut:
            cut = self._cut if active is None else self._cut & active
            if cut.any():
                return self._count(self._restart(cut, action, active), active)
        time_step = self.game.step(action, active)
        self._least_left -= 1
        if (
            self._least_left > 0
            and active is None
            and time_step.step_type.tobytes() == self._all_mid
            and np.count_nonzero(time_step.valid) == self.num_slots
        ):
            np.add(self._num_steps, 1, out=self._num_steps)
            return time_step
        return self._count(time_step, active)

    def _restart(self, cut: Array, action: specs.Nest, active: Array | None) -> contract.TimeStep:
        going = ~cut if active is None else active & ~cut
        if not going.any():
            return self.game.reset(slots=None if cut.all() else cut)
        self.game.reset(slots=cut)
        # Rows of held slots stay as they were, so this time step holds both.
        return self.game.step(action, going)

    def _count(self, time_step: contract.TimeStep, named: Array | None) -> contract.TimeStep:
        step_type, valid = time_step.step_type, time_step.valid
        heard = valid if named is None else valid & named
        np.add(self._num_steps, heard, out=self._num_steps)
        np.copyto(self._num_steps, 0, where=heard & (step_type == contract.FIRST))
        reached = heard & (self._num_steps >= self._max_steps) & (step_type == contract.MID)
        np.copyto(self._cut, reached, where=True if named is None else named)
        self._any_cut = bool(self._cut.any())
        self._least_left = self._max_steps - int(self._num_steps.max())
        if not self._any_cut:
            return time_step
        np.copyto(self._step_type, step_type)
        self._step_type[self._cut] = contract.LAST
        return time_step._replace(step_type=self._step_type)
