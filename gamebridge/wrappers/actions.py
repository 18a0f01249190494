"""Canonical actions: every game's action as one of the four forms that agents know.

    discrete      one integer from 0
    continuous    float32 [n], in [-1, 1] where all of it is bounded
    branches      a tuple of several such integers
    hybrid        a tuple of such integers and, last, one such array of floats

A tuple has a part for each integer of the game's action, in the order of its leaves, and one
for all of its floats.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gamebridge import contract
from gamebridge.contract import specs
from gamebridge.contract.records import Actions
from gamebridge.contract.specs import Array


class Adaptor(contract.Wrapper):
    """Offers the game's action in another form; nothing else changes."""

    @property
    def can_keep_rows(self) -> bool:
        """The game's."""
        return self.game.can_keep_rows


def canonical(game: contract.Game) -> tuple[contract.Game, list[str]]:
    """Wraps a game whose action is in none of the four forms, but can be brought into one.

    One that cannot, such as an integer without bounds, stays as it is: see `form`.

    Returns:
      The game, wrapped where needed, and one line for each thing that was done.
    """
    spec = game.action_spec()
    leaves = specs.leaves(spec)
    if form(spec) is not None and all(_flattened(leaf) == leaf for leaf in parts(spec)):
        return game, []
    if not leaves or not all(is_known(leaf) for leaf in leaves):
        return game, []
    wrapper = Canonical(game)
    return wrapper, [f"action: {shown(spec)} is offered as {shown(wrapper.action_spec())}"]


def form(spec: specs.Spec) -> Actions | None:
    """Returns which of the four forms an action is in; None for none of them."""
    if isinstance(spec, specs.ArraySpec):
        if spec.num_values is not None and spec.dtype.kind in "iu" and spec.minimum == 0:
            return "discrete"
        is_vector = spec.dtype.kind == "f" and len(spec.shape) == 1 and spec.shape[0] > 0
        return "continuous" if is_vector else None
    if not isinstance(spec, tuple) or len(spec) < 2:
        return None
    *firsts, last = [form(part) if isinstance(part, specs.ArraySpec) else None for part in spec]
    if {*firsts} != {"discrete"}:
        return None
    together: dict[Actions | None, Actions] = {"discrete": "branches", "continuous": "hybrid"}
    return together.get(last)


def parts(spec: specs.Spec) -> tuple[specs.ArraySpec, ...]:
    """Returns the parts of a canonical action: itself, where it is only one."""
    return tuple(specs.leaves(spec))


def shown(spec: specs.Spec) -> str:
    """Returns a nest of specs in one line, for people."""
    leaves = list(specs.named_leaves(spec))
    if isinstance(spec, specs.ArraySpec):
        return str(spec)
    return "{" + ", ".join(f"{path}: {leaf}" for path, leaf in leaves) + "}"


class Canonical(Adaptor):
    """Offers an action of any structure in its canonical form.

    What comes out of the scaling of floats is clipped to the game's bounds: rounding, and
    agents that explore beyond their spec, must not put it a hair outside.
    """

    def __init__(self, game: contract.Game) -> None:
        """Allocates the rows.

        Raises:
          TypeError: a leaf has no canonical form.
        """
        super().__init__(game)
        spec = game.action_spec()
        for path, leaf in specs.named_leaves(spec):
            if not is_known(leaf):
                raise TypeError(
                    f"{path or 'the action'} is {leaf}; expected bounded integers or floats."
                )
        leaves = [_leaf(leaf, game.num_slots) for leaf in specs.leaves(spec)]
        rows = iter([leaf.rows for leaf in leaves])
        self._action = specs.map_leaves(lambda _: next(rows), spec)
        self._integers = [leaf for leaf in leaves if isinstance(leaf, _Integers)]
        self._floats = [leaf for leaf in leaves if isinstance(leaf, _Floats)]
        offered = [part for leaf in self._integers for part in leaf.parts]
        if self._floats:
            offered.append(_joined([leaf.part for leaf in self._floats]))
        self._is_tuple = len(offered) != 1
        self._spec: specs.Spec = tuple(offered) if self._is_tuple else offered[0]

    def action_spec(self) -> specs.Spec:
        """One part, or a tuple of parts."""
        return self._spec

    def step(self, action: specs.Nest, active: Array | None = None) -> contract.TimeStep:
        """Steps with the game's own numbers."""
        offered = action if self._is_tuple else (action,)
        start = 0
        for integers in self._integers:
            stop = start + len(integers.parts)
            integers.write(offered[start:stop])
            start = stop
        start = 0
        for floats in self._floats:
            stop = start + floats.part.shape[0]
            floats.write(offered[-1][:, start:stop])
            start = stop
        return self.game.step(self._action, active)

    def undo(self, action: specs.Nest) -> specs.Nest:
        """Returns what an agent gives so that the game is told this: the way back of `step`.

        Args:
          action: nest of arrays [n, ...], the game's own; n may be any number.
        """
        leaves = specs.leaves(self.game.action_spec())
        integers, floats = iter(self._integers), iter(self._floats)
        offered: list[Array] = []
        scaled = []
        for leaf, rows in zip(leaves, specs.leaves(action)):
            if leaf.is_discrete:
                offered += next(integers).read(rows)
            else:
                scaled.append(next(floats).read(rows))
        if scaled:
            offered.append(np.concatenate(scaled, 1))
        return tuple(offered) if self._is_tuple else offered[0]


class _Integers:
    """A leaf of bounded integers or bool: a part for each of them.

    Attributes:
      parts: their specs.
      rows: what the game is told, [B, ...].
    """

    def __init__(self, spec: specs.ArraySpec, num_slots: int) -> None:
        self.rows = np.zeros((num_slots, *spec.shape), spec.dtype)
        self._flat = self.rows.reshape(num_slots, -1)
        low, high = _integer_bounds(spec)
        dtype = spec.dtype if spec.dtype == np.int32 else np.int64
        names = [""] * len(low) if spec.shape else [spec.name]
        self.parts = [
            specs.discrete(int(size), name=name, dtype=dtype)
            for size, name in zip((high - low + 1).tolist(), names)
        ]
        self._low = low
        # Summed in int64, so that a narrow dtype cannot overflow on the way.
        self._sums = np.zeros((num_slots, len(low)), np.int64)

    def write(self, action: Sequence[Array]) -> None:
        """Takes an array [B] for each part."""
        for column, part in enumerate(action):
            np.add(part, self._low[column], out=self._sums[:, column])
        np.copyto(self._flat, self._sums, casting="unsafe")

    def read(self, rows: Array) -> list[Array]:
        """Returns an array [n] for each part; `rows` are the game's, [n, ...]."""
        columns = rows.reshape(len(rows), -1).astype(np.int64) - self._low
        return [columns[:, index].astype(part.dtype) for index, part in enumerate(self.parts)]


class _Floats:
    """A leaf of floats, scaled to [-1, 1] if bounded.

    Attributes:
      part: what is offered for it.
      rows: what the game is told, [B, ...].
    """

    def __init__(self, spec: specs.ArraySpec, num_slots: int) -> None:
        self.part = _flattened(spec)
        self.rows = np.zeros((num_slots, *spec.shape), spec.dtype)
        self._flat = self.rows.reshape(num_slots, self.part.shape[0])
        low = None if spec.minimum is None else spec.minimum.reshape(-1)
        high = None if spec.maximum is None else spec.maximum.reshape(-1)
        self._low, self._high = low, high
        self._scale: tuple[Array, Array] | None = None
        if spec.is_bounded and low is not None and high is not None:
            # Halved before they are added: the sum of wide bounds could overflow.
            self._scale = (high / 2 - low / 2, high / 2 + low / 2)

    def write(self, part: Array) -> None:
        """Takes float32 [B, n]."""
        flat = self._flat
        if self._scale is None:
            np.copyto(flat, part, casting="same_kind")
        else:
            half, middle = self._scale
            np.multiply(part, half, out=flat, casting="same_kind")
            np.add(flat, middle, out=flat)
        if self._low is not None:
            np.maximum(flat, self._low, out=flat)
        if self._high is not None:
            np.minimum(flat, self._high, out=flat)

    def read(self, rows: Array) -> Array:
        """Returns float32 [n, k]; `rows` are the game's, [n, ...]."""
        flat = rows.reshape(len(rows), -1)
        if self._scale is not None:
            half, middle = self._scale
            # What has one value only is 0, the middle.
            flat = np.clip((flat - middle) / np.where(half == 0, 1, half), -1, 1)
        return flat.astype(np.float32)


def _leaf(spec: specs.ArraySpec, num_slots: int) -> _Integers | _Floats:
    return _Integers(spec, num_slots) if spec.is_discrete else _Floats(spec, num_slots)


def is_known(spec: specs.ArraySpec) -> bool:
    """Whether there is a canonical form for a leaf: integers need bounds, anything a size."""
    if not np.prod(spec.shape, dtype=np.int64):
        return False
    is_bounded = spec.minimum is not None and spec.maximum is not None
    return spec.dtype.kind in "bf" or is_bounded


def _integer_bounds(spec: specs.ArraySpec) -> tuple[Array, Array]:
    """Returns int64 [n] least and greatest values of a leaf of n integers or bool."""
    if spec.dtype.kind == "b":
        size = int(np.prod(spec.shape, dtype=np.int64))
        return np.zeros(size, np.int64), np.ones(size, np.int64)
    assert spec.minimum is not None and spec.maximum is not None  # noqa: S101 - see `is_known`
    low, high = (bound.reshape(-1).astype(np.int64) for bound in (spec.minimum, spec.maximum))
    return low, high


def _flattened(spec: specs.ArraySpec) -> specs.ArraySpec:
    """Returns the canonical part of a leaf of floats; integers stay as they are."""
    if spec.dtype.kind != "f":
        return spec
    size = int(np.prod(spec.shape, dtype=np.int64))
    if spec.is_bounded:
        return specs.box((size,), -1.0, 1.0, name=spec.name)
    return specs.box((size,), _as_float32(spec.minimum), _as_float32(spec.maximum), name=spec.name)


def _joined(floats: Sequence[specs.ArraySpec]) -> specs.ArraySpec:
    """Returns one part for several."""
    if len(floats) == 1:
        return floats[0]

    def joined(bounds: list[Array | None], otherwise: float) -> Array | None:
        if all(bound is None for bound in bounds):
            return None
        return np.concatenate(
            [
                np.full(part.shape, otherwise) if bound is None else bound
                for part, bound in zip(floats, bounds)
            ]
        )

    return specs.box(
        (sum(part.shape[0] for part in floats),),
        joined([part.minimum for part in floats], -np.inf),
        joined([part.maximum for part in floats], np.inf),
    )


def _as_float32(bound: Array | None) -> Array | None:
    if bound is None:
        return None
    most = np.finfo(np.float32).max
    return np.where(np.isfinite(bound), np.clip(bound, -most, most), bound).reshape(-1)
