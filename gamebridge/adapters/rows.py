"""Rows: one slot's values, checked against their spec and written into the batch in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gamebridge.contract import specs
from gamebridge.contract.specs import Array, ArraySpec


class BadValue(Exception):
    """A value that breaks its spec; `SlotGame` adds the game, slot and step to the message."""


def write(spec: specs.Spec, rows: specs.Nest, slot: int, value: Any, path: str = "") -> None:
    """Writes one slot's observation into its row of every leaf.

    A leaf without axes takes a Python or numpy number that fits; any other must be an
    array of exactly the spec's shape and dtype. Nothing is cast or broadcast.

    Args:
      spec: the observation's spec.
      rows: nest of arrays [B, ...] that fit `spec`.
      slot: the row to write.
      value: one observation, no batch axis.
      path: where `spec` is in the whole observation.

    Raises:
      BadValue: a key is missing or too many, or a leaf's shape or dtype is wrong.
    """
    if isinstance(spec, dict):
        if not isinstance(value, Mapping) or value.keys() != spec.keys():
            raise BadValue(f"{label(path)} has {_keys(value)}, expected the keys {sorted(spec)}")
        for key, part in spec.items():
            write(part, rows[key], slot, value[key], f"{path}/{key}" if path else key)
    elif isinstance(spec, tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(spec):
            found = f"{len(value)}" if isinstance(value, (tuple, list)) else type(value).__name__
            raise BadValue(f"{label(path)} has parts: {found}, expected {len(spec)}")
        for index, part in enumerate(spec):
            where = f"{path}/{index}" if path else str(index)
            write(part, rows[index], slot, value[index], where)
    elif (
        isinstance(value, np.ndarray) and value.dtype == spec.dtype and value.shape == spec.shape
    ) or (spec.shape == () and _fits(value, spec.dtype)):
        rows[slot] = value
    else:
        raise BadValue(f"{label(path)} is {describe(value)}, expected {_expected(spec)}")


def number(what: str, value: Any) -> float:
    """Returns a reward or discount as a float.

    Raises:
      BadValue: it is not one number.
    """
    if isinstance(value, (bool, int, float)):
        return float(value)
    if (
        isinstance(value, (np.generic, np.ndarray))
        and value.size == 1
        and value.dtype.kind in "biuf"
    ):
        return float(value.item())
    raise BadValue(f"{what} is {describe(value)}, expected one number")


def describe(value: Any) -> str:
    """Says what a value is, for messages: `float64 [3]`, `int 7`, `str`."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    if isinstance(value, (bool, int, float, np.generic)):
        text = str(value)
        return f"{type(value).__name__} {text if len(text) <= 30 else text[:30] + '...'}"
    return "None" if value is None else type(value).__name__


def label(path: str) -> str:
    """Names an observation's leaf in messages."""
    return f"observation '{path}'" if path else "the observation"


def picture(value: Any, shape: tuple[int, ...] | None) -> Array:
    """Returns a rendered picture as it must be: uint8 [height, width, 3].

    Args:
      value: what the environment rendered.
      shape: the shape of the pictures before this one; None for the first.

    Raises:
      BadValue: another type or dtype, or another size than before.
    """
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.ndim != 3:
        raise BadValue(f"the picture is {describe(value)}, expected uint8 [height, width, 3]")
    if value.shape[2] != 3 or (shape is not None and value.shape != shape):
        expected = "[height, width, 3]" if shape is None else f"{list(shape)} as before"
        raise BadValue(f"the picture is {describe(value)}, expected uint8 {expected}")
    return np.ascontiguousarray(value)


def _fits(value: Any, dtype: np.dtype[Any]) -> bool:
    if isinstance(value, np.ndarray):
        if value.ndim:
            return False
        value = value[()]
    if not isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)):
        return False
    if dtype.kind == "f":
        largest = float(np.finfo(dtype).max)
        return not np.isfinite(float(value)) or abs(float(value)) <= largest
    if isinstance(value, (float, np.floating)):
        return False
    if dtype.kind == "b":
        return value in (0, 1)
    bounds = np.iinfo(dtype)
    return bool(bounds.min <= int(value) <= bounds.max)


def _keys(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"no keys ({describe(value)})"
    return f"the keys {sorted(map(str, value))}"


def _expected(spec: ArraySpec) -> str:
    return f"{spec.dtype} {list(spec.shape)}" if spec.shape else f"one {spec.dtype} number"
