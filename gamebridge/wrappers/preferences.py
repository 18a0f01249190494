"""`Preferences`: choices for agents that give floats."""

from __future__ import annotations

from typing import Any

import numpy as np

from gamebridge import contract
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.wrappers import actions, choices


class Preferences(actions.Adaptor):
    """Offers each choice as a number in [-1, 1] for each of its values; the greatest is taken.

    Of a choice with a mask only values that are allowed are taken. Floats follow as they are.
    Numbers beyond the bounds are preferences as well: what explores may add to them, see
    `Game.preferences`.
    """

    def __init__(self, game: contract.Game) -> None:
        """Allocates the rows; the game's action is canonical.

        Raises:
          TypeError: it has floats without bounds.
        """
        super().__init__(game)
        spec = game.action_spec()
        self._parts = actions.parts(spec)
        self._is_tuple = isinstance(spec, tuple)
        self._blocks = []
        start = 0
        for part in self._parts:
            if not part.is_discrete and not part.is_bounded:
                raise TypeError(f"the action has {part}; expected bounded floats.")
            width = part.num_values or part.shape[0]
            self._blocks.append((start, width))
            start += width
        self._spec = specs.box((start,), -1.0, 1.0)
        self.preferences = tuple(
            block for block, part in zip(self._blocks, self._parts) if part.is_discrete
        )
        self._rows = [np.zeros((game.num_slots, *part.shape), part.dtype) for part in self._parts]
        self._has_masks = choices.mask_specs(game.observation_spec()) is not None
        self._masks: list[Array] = []

    def action_spec(self) -> specs.ArraySpec:
        """float32 [n] in [-1, 1]."""
        return self._spec

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> contract.TimeStep:
        """Resets the game."""
        return self._heard(self.game.reset(seeds, slots))

    def step(self, action: Array, active: Array | None = None) -> contract.TimeStep:
        """Steps with what is preferred most."""
        masks = iter(self._masks)
        for rows, part, (start, width) in zip(self._rows, self._parts, self._blocks):
            block = action[:, start : start + width]
            if part.is_discrete:
                mask = next(masks, None)
                rows[...] = np.argmax(block if mask is None else _allowed(block, mask), axis=1)
            else:
                np.clip(block, -1.0, 1.0, out=rows)
        inner: Any = tuple(self._rows) if self._is_tuple else self._rows[0]
        return self._heard(self.game.step(inner, active))

    def _heard(self, time_step: contract.TimeStep) -> contract.TimeStep:
        if self._has_masks:
            # Rows stay as they are until the next step, which is when these are looked at.
            self._masks = specs.leaves(time_step.observation["action_mask"])
        return time_step


def _allowed(block: Array, mask: Array) -> Array:
    """Returns the preferences, minus infinity where forbidden, unless all of a slot are."""
    allowed = mask != 0
    return np.where(allowed | ~allowed.any(1, keepdims=True), block, -np.inf)
