"""Limits of what a foreign spec may ask for, checked before a byte is allocated for it."""

from __future__ import annotations

import math

from gamebridge import errors

# 2**26 elements are a frame of 8192 x 8192, four axes a stack of frames; 2**20 actions
# are more than any output layer here can hold.
MAX_ELEMENTS = 2**26
MAX_AXES = 4
MAX_ACTIONS = 2**20
MAX_NAME_CHARS = 1000


def check_name(label: str, name: object) -> str:
    """Returns `name`, a key or a spec's name.

    Raises:
      GameError: it is not text, or longer than `MAX_NAME_CHARS`.
    """
    if not isinstance(name, str):
        raise errors.GameError(
            f"{label} has the key {str(name)[:50]!r} of type {type(name).__name__}: "
            "expected text. Rename the key."
        )
    if len(name) > MAX_NAME_CHARS:
        raise errors.GameError(
            f"{label} has a name of {len(name)} characters, '{name[:30]}...': expected at "
            f"most {MAX_NAME_CHARS}. Shorten it."
        )
    return name


def check_shape(label: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns `shape` as a tuple of ints.

    Raises:
      GameError: more than `MAX_AXES` axes or `MAX_ELEMENTS` elements, or a negative axis.
    """
    if len(shape) > MAX_AXES:
        raise errors.GameError(
            f"{label} has {len(shape)} axes: expected at most {MAX_AXES}. "
            "Flatten it, or split it into parts."
        )
    axes = tuple(int(axis) for axis in shape)
    if any(axis < 0 for axis in axes):
        raise errors.GameError(f"{label} has shape {list(axes)}: axes must be 0 or more.")
    if math.prod(axes) > MAX_ELEMENTS:
        raise errors.GameError(
            f"{label} has shape {list(axes)}, {math.prod(axes)} elements: expected at most "
            f"{MAX_ELEMENTS}. Shrink it in the game."
        )
    return axes


def check_actions(label: str, num_values: int) -> int:
    """Returns `num_values`, the number of choices of a discrete action.

    Raises:
      GameError: more than `MAX_ACTIONS`.
    """
    if num_values > MAX_ACTIONS:
        raise errors.GameError(
            f"{label} has {num_values} values: expected at most {MAX_ACTIONS}. "
            "Split it into several smaller actions."
        )
    return int(num_values)
