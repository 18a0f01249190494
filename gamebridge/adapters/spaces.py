"""Spaces of gymnasium and gym, told by the names of their classes: neither is imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from gamebridge.adapters import conversion, limits
from gamebridge.contract import specs
from gamebridge.contract.specs import Array, ArraySpec

_ROOTS = ("gymnasium", "gym")
_KINDS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict", "Tuple")


class Spaces(conversion.Dialect):
    """The spaces that gymnasium and gym share; see `conversion.Dialect`."""

    def split(self, node: Any) -> dict[str, Any] | tuple[Any, ...] | None:
        """Dict and Tuple have parts."""
        kind = _kind(node)
        if kind == "Dict":
            return dict(node.spaces)
        return tuple(node.spaces) if kind == "Tuple" else None

    def leaf(self, node: Any, label: str, name: str, *, is_action: bool) -> ArraySpec | None:
        """Box, Discrete, MultiDiscrete and MultiBinary are numbers."""
        kind = _kind(node)
        if kind == "Box":
            return _box(node, label, name)
        if kind == "Discrete":
            if is_action:
                limits.check_actions(label, node.n)
            return specs.discrete(int(node.n), start=int(getattr(node, "start", 0)), name=name)
        if kind == "MultiDiscrete":
            limits.check_shape(label, node.nvec.shape)
            if is_action:
                limits.check_actions(label, int(node.nvec.sum()))
            start = np.asarray(getattr(node, "start", 0), np.int64)
            last = start + node.nvec.astype(np.int64) - 1
            return specs.box(node.nvec.shape, start, last, dtype=node.dtype, name=name)
        if kind == "MultiBinary":
            return specs.box(limits.check_shape(label, node.shape), 0, 1, dtype=np.int8, name=name)
        return None

    def writer(self, node: Any) -> conversion.Function | None:
        """Only a Box without axes differs: it takes an array where we have a number."""
        if _kind(node) == "Box" and node.shape == ():
            return lambda value: np.asarray(value, node.dtype)
        return None


def _kind(space: Any) -> str | None:
    for base in type(space).__mro__:
        if base.__name__ in _KINDS and base.__module__.partition(".")[0] in _ROOTS:
            return base.__name__
    return None


def _box(space: Any, label: str, name: str) -> ArraySpec | None:
    dtype = np.dtype(space.dtype)
    if dtype.kind not in "biuf":
        return None
    shape = limits.check_shape(label, space.shape)
    low, high = np.asarray(space.low), np.asarray(space.high)
    if (
        dtype == np.uint8
        and len(shape) == 3
        and shape[2] in (1, 3, 4)
        and np.all(low == 0)
        and np.all(high == 255)
    ):
        return specs.frame(*shape, name=name)
    return specs.box(shape, _bound(low), _bound(high), dtype=dtype, name=name)


def _bound(bound: Array) -> Array | None:
    # Where only some of the values are unbounded the infinities stay, to say which.
    return None if np.all(np.isinf(bound)) else bound
