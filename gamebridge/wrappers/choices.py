"""Fewer forms of action: floats become choices, and several choices become one.

Observations may say which choices are allowed: {"observation": ..., "action_mask": ...}, a
bool array [n] for a choice of n, or a tuple of them, one for each choice of the game. The
masks are offered in the form of the action.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gamebridge import contract
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.wrappers import actions

_MASK = "action_mask"


def mask_specs(observation_spec: specs.Spec) -> list[specs.ArraySpec] | None:
    """Returns the specs of an observation's masks, in the order of the choices; None without."""
    if isinstance(observation_spec, dict) and set(observation_spec) == {"observation", _MASK}:
        return specs.leaves(observation_spec[_MASK])
    return None


def sizes(spec: specs.Spec) -> list[int]:
    """Returns how many values each choice of a canonical action has."""
    return [part.num_values for part in actions.parts(spec) if part.num_values is not None]


class _Masked(actions.Adaptor):
    """Changes the masks of an observation along with the action."""

    def __init__(self, game: contract.Game) -> None:
        super().__init__(game)
        spec = game.observation_spec()
        self._is_masked = mask_specs(spec) is not None
        self._mask: Any = None
        self._observation_spec = spec
        if self._is_masked:
            mask_spec, self._mask = self._offered_masks()
            self._observation_spec = {**spec, _MASK: mask_spec}  # type: ignore[dict-item]

    @property
    def can_keep_rows(self) -> bool:
        """The game's, unless masks are made here."""
        return not self._is_masked and super().can_keep_rows

    def observation_spec(self) -> specs.Spec:
        """The game's, with masks of the offered form."""
        return self._observation_spec

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> contract.TimeStep:
        """Resets the game."""
        return self._with_masks(self.game.reset(seeds, slots))

    def _with_masks(self, time_step: contract.TimeStep) -> contract.TimeStep:
        if not self._is_masked:
            return time_step
        self._write_masks(specs.leaves(time_step.observation[_MASK]))
        observation = {**time_step.observation, _MASK: self._mask}
        return time_step._replace(observation=observation)

    @abc.abstractmethod
    def _offered_masks(self) -> tuple[specs.Spec, Any]:
        """Returns the spec of the masks, and arrays for them."""

    @abc.abstractmethod
    def _write_masks(self, masks: list[Array]) -> None:
        """Writes what the game's masks, each [B, n], come to."""


class Binned(_Masked):
    """Offers each float of an action as a choice of evenly spaced values, its bounds included."""

    def __init__(self, game: contract.Game, num_bins: Sequence[int]) -> None:
        """Allocates the rows.

        Args:
          game: whose action is canonical, with bounded floats.
          num_bins: values of each of its floats, 2 or more.
        """
        self._parts = actions.parts(game.action_spec())
        self._bins = [np.linspace(-1.0, 1.0, count, dtype=np.float32) for count in num_bins]
        super().__init__(game)
        self._is_tuple = isinstance(game.action_spec(), tuple)
        self._rows = [np.zeros((game.num_slots, *part.shape), part.dtype) for part in self._parts]
        # The floats' index among the choices offered, None for one that stays.
        self._widths = [None if part.is_discrete else part.shape[0] for part in self._parts]
        counts = iter(num_bins)
        self._spec = tuple(
            choice
            for part, width in zip(self._parts, self._widths)
            for choice in (
                [part] if width is None else [specs.discrete(next(counts)) for _ in range(width)]
            )
        )

    def action_spec(self) -> specs.Spec:
        """A tuple of integers."""
        return self._spec

    def step(self, action: specs.Nest, active: Array | None = None) -> contract.TimeStep:
        """Steps with the values that were chosen."""
        start, taken, bins = 0, [], iter(self._bins)
        for rows, width in zip(self._rows, self._widths):
            if width is None:
                taken.append(action[start])
            else:
                for column in range(width):
                    rows[:, column] = next(bins)[action[start + column]]
                taken.append(rows)
            start += width or 1
        inner = tuple(taken) if self._is_tuple else taken[0]
        return self._with_masks(self.game.step(inner, active))

    def _offered_masks(self) -> tuple[specs.Spec, Any]:
        offered: list[specs.ArraySpec] = []
        arrays: list[Array] = []
        theirs = iter(mask_specs(self.game.observation_spec()) or ())
        self._copied = []
        bins = iter(self._bins)
        for part in self._parts:
            if part.is_discrete:
                self._copied.append(len(offered))
                offered.append(next(theirs))
                arrays.append(np.ones((self.num_slots, *offered[-1].shape), offered[-1].dtype))
            else:
                for _ in range(part.shape[0]):
                    offered.append(specs.box((len(next(bins)),), dtype=np.bool_))
                    # Every value of a float is allowed.
                    arrays.append(np.ones((self.num_slots, *offered[-1].shape), np.bool_))
        return tuple(offered), tuple(arrays)

    def _write_masks(self, masks: list[Array]) -> None:
        for index, mask in zip(self._copied, masks):
            self._mask[index][...] = mask


class Combined(_Masked):
    """Offers several choices as one: each combination is a choice, the first varies slowest."""

    def __init__(self, game: contract.Game) -> None:
        """Takes the sizes; the game's action is a tuple of choices."""
        self._sizes = sizes(game.action_spec())
        super().__init__(game)
        dtypes = [part.dtype for part in actions.parts(game.action_spec())]
        self._rows = [np.zeros(game.num_slots, dtype) for dtype in dtypes]
        self._spec = specs.discrete(_product(self._sizes))

    def action_spec(self) -> specs.Spec:
        """One integer."""
        return self._spec

    def step(self, action: specs.Nest, active: Array | None = None) -> contract.TimeStep:
        """Steps with the choices that make up the combination."""
        rest = action
        for rows, size in zip(self._rows[::-1], self._sizes[::-1]):
            rest, rows[...] = np.divmod(rest, size)
        return self._with_masks(self.game.step(tuple(self._rows), active))

    def _offered_masks(self) -> tuple[specs.Spec, Any]:
        spec = specs.box((_product(self._sizes),), dtype=np.bool_)
        return spec, np.ones((self.num_slots, *spec.shape), np.bool_)

    def _write_masks(self, masks: list[Array]) -> None:
        allowed: Array = np.ones((self.num_slots, 1), np.bool_)
        for mask in masks:
            pairs = allowed[:, :, None] & (mask != 0)[:, None, :]
            allowed = pairs.reshape(self.num_slots, -1)
        self._mask[...] = allowed


def _product(numbers: Iterable[int]) -> int:
    result = 1
    for number in numbers:
        result *= number
    return result
