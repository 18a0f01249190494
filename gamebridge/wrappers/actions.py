"""Actions as agents like them: integers from 0, and flat float32 boxes in [-1, 1]."""

from __future__ import annotations

import numpy as np

from gamebridge import contract
from gamebridge.contract import specs
from gamebridge.contract.specs import Array


def canonical(game: contract.Game) -> tuple[contract.Game, list[str]]:
    """Wraps a game so that its action is one of the few kinds that agents know.

    A bounded integer that does not start at 0 is made to; a float array becomes float32
    of rank 1, and if it is bounded also scaled to [-1, 1]. Any other action, nests among
    them, stays as it is: an agent that cannot give it says so itself.

    Returns:
      The game, wrapped where needed, and one line for each thing that was done.
    """
    spec = game.action_spec()
    wrapper: contract.Game
    if not isinstance(spec, specs.ArraySpec):
        return game, []
    if spec.num_values is not None and spec.dtype.kind in "iu" and spec.minimum != 0:
        wrapper = FromZero(game)
    elif spec.dtype.kind == "f" and _flattened(spec) != spec:
        wrapper = FlatBox(game)
    else:
        return game, []
    return wrapper, [f"action: {spec} is offered as {wrapper.action_spec()}"]


class FromZero(contract.Wrapper):
    """Offers a bounded integer action that starts elsewhere as one that starts at 0."""

    def __init__(self, game: contract.Game) -> None:
        """Allocates the rows.

        Raises:
          TypeError: the game's action is not one bounded integer.
        """
        super().__init__(game)
        spec = _only_leaf(game)
        if spec.num_values is None or spec.minimum is None:
            raise TypeError(f"the action is {spec}; expected a bounded integer scalar.")
        dtype = spec.dtype if spec.dtype == np.int32 else np.int64
        self._spec = specs.discrete(spec.num_values, name=spec.name, dtype=dtype)
        self._start = int(spec.minimum)
        # Summed in int64, so that a narrow dtype cannot overflow on the way.
        self._sum = np.zeros(game.num_slots, np.int64)
        self._action = np.zeros(game.num_slots, spec.dtype)

    @property
    def can_keep_rows(self) -> bool:
        """The game's."""
        return self.game.can_keep_rows

    def action_spec(self) -> specs.ArraySpec:
        """Integers from 0, int32 or int64."""
        return self._spec

    def step(self, action: Array, active: Array | None = None) -> contract.TimeStep:
        """Steps with the game's own number."""
        np.add(action, self._start, out=self._sum)
        np.copyto(self._action, self._sum, casting="unsafe")
        return self.game.step(self._action, active)


class FlatBox(contract.Wrapper):
    """Offers a float array action as float32 of rank 1: [-1, 1] if bounded, else unscaled.

    What comes out of the scaling is clipped to the game's bounds: rounding, and agents
    that explore beyond their spec, must not put it a hair outside.
    """

    def __init__(self, game: contract.Game) -> None:
        """Allocates the rows.

        Raises:
          TypeError: the game's action is not one array.
        """
        super().__init__(game)
        spec = _only_leaf(game)
        self._spec = _flattened(spec)
        self._action = np.zeros((game.num_slots, *spec.shape), spec.dtype)
        self._flat = self._action.reshape(game.num_slots, self._spec.shape[0])
        low = None if spec.minimum is None else spec.minimum.reshape(-1)
        high = None if spec.maximum is None else spec.maximum.reshape(-1)
        self._low, self._high = low, high
        self._scale: tuple[Array, Array] | None = None
        if spec.is_bounded and low is not None and high is not None:
            # Halved before they are added: the sum of wide bounds could overflow.
            self._scale = (high / 2 - low / 2, high / 2 + low / 2)

    @property
    def can_keep_rows(self) -> bool:
        """The game's."""
        return self.game.can_keep_rows

    def action_spec(self) -> specs.ArraySpec:
        """float32 [n]."""
        return self._spec

    def step(self, action: Array, active: Array | None = None) -> contract.TimeStep:
        """Steps with the action scaled to the game's bounds, dtype and shape."""
        flat = self._flat
        if self._scale is None:
            np.copyto(flat, action, casting="same_kind")
        else:
            half, middle = self._scale
            np.multiply(action, half, out=flat, casting="same_kind")
            np.add(flat, middle, out=flat)
        if self._low is not None:
            np.maximum(flat, self._low, out=flat)
        if self._high is not None:
            np.minimum(flat, self._high, out=flat)
        return self.game.step(self._action, active)


def _only_leaf(game: contract.Game) -> specs.ArraySpec:
    spec = game.action_spec()
    if not isinstance(spec, specs.ArraySpec):
        raise TypeError(f"the action is a {type(spec).__name__} of arrays; expected one array.")
    return spec


def _flattened(spec: specs.ArraySpec) -> specs.ArraySpec:
    size = int(np.prod(spec.shape, dtype=np.int64))
    if spec.is_bounded:
        return specs.box((size,), -1.0, 1.0, name=spec.name)
    return specs.box((size,), _as_float32(spec.minimum), _as_float32(spec.maximum), name=spec.name)


def _as_float32(bound: Array | None) -> Array | None:
    if bound is None:
        return None
    most = np.finfo(np.float32).max
    return np.where(np.isfinite(bound), np.clip(bound, -most, most), bound).reshape(-1)
