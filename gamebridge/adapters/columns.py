"""Columns: a batch of actions, checked and split into one action a slot."""

from __future__ import annotations

from typing import Any

import numpy as np

from gamebridge.contract import specs
from gamebridge.contract.specs import Array


def split(spec: specs.Spec, action: specs.Nest, num_slots: int, game: str) -> list[Any]:
    """Returns one action a slot: leaves without axes as Python numbers, others as arrays.

    Numbers of the right kind are cast to the spec's dtype; the arrays are copies, since
    an environment may keep or change its action.

    Args:
      spec: the action's spec.
      action: nest of arrays [num_slots, ...] that fit `spec`.
      num_slots: B.
      game: its name, for messages.

    Raises:
      TypeError: floats where the spec has integers, or no numbers at all.
      ValueError: another structure or shape than the spec's, or an integer that the
        spec's dtype cannot hold.
    """
    if isinstance(spec, specs.ArraySpec):
        return _column(spec, action, num_slots, game)
    try:
        columns = specs.map_leaves(
            lambda leaf, value: _column(leaf, value, num_slots, game), spec, action
        )
    except ValueError as error:
        raise ValueError(f"{game}: the action does not fit its spec: {error}") from error
    return [
        specs.map_leaves(lambda _, column, slot=slot: column[slot], spec, columns)
        for slot in range(num_slots)
    ]


def checked(spec: specs.ArraySpec, value: Any, num_slots: int, game: str) -> Array:
    """Returns one leaf of a batch of actions as an array of its spec's dtype; errors as `split`."""
    array = np.asarray(value)
    if array.dtype != spec.dtype:
        if array.dtype.kind not in ("biu" if spec.is_discrete else "biuf"):
            raise TypeError(f"{game}: '{spec.name}' is {array.dtype}, expected {spec.dtype}.")
        cast = array.astype(spec.dtype)
        if spec.is_discrete and not np.array_equal(cast, array):
            raise ValueError(f"{game}: '{spec.name}' has values that {spec.dtype} cannot hold.")
        array = cast
    if array.shape != (num_slots, *spec.shape):
        raise ValueError(
            f"{game}: '{spec.name}' has shape {list(array.shape)}, expected "
            f"{[num_slots, *spec.shape]}: one row a slot."
        )
    return array


def _column(spec: specs.ArraySpec, value: Any, num_slots: int, game: str) -> list[Any]:
    array = checked(spec, value, num_slots, game)
    # A Python int is what a Discrete costs least with.
    return array.tolist() if not spec.shape else list(array.copy())
