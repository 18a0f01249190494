"""What an observation, an action or a telemetry value looks like: specs, numpy only.

A spec is one `ArraySpec`, or a dict or tuple of specs. Specs describe one slot:
there is no batch axis. Dicts are walked in the order of their sorted keys, the
same order in which TensorFlow and dm-tree walk them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Kind = Literal["frame", "array"]
Reduce = Literal["sum", "last", "max"]

# A nest is a leaf, or a dict or tuple of nests; the leaves are specs or arrays.
Nest = Any
Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Spec: TypeAlias = "ArraySpec | dict[str, Any] | tuple[Any, ...]"


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySpec:
    """One array of a fixed shape and dtype, with bounds if it has any.

    Attributes:
      shape: the axes, without the batch axis.
      dtype: a numpy dtype; bool, an integer or a float.
      minimum: the least value allowed, broadcast to `shape`; None for no bound.
      maximum: the greatest value allowed (inclusive); None for no bound.
      name: shown in messages.
      kind: "frame" for a picture, uint8 [height, width, channels]; else "array".
      num_stacked: of how many frames, the newest last, a frame's channels are joined: in each
        step that an episode goes on all move down by one frame and the newest comes in, and
        the first of an episode is there so many times over. 1 for a plain frame. Who keeps
        many of them can so keep the newest frames alone.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    minimum: Array | None = None
    maximum: Array | None = None
    name: str = ""
    kind: Kind = "array"
    num_stacked: int = 1

    def __post_init__(self) -> None:
        """Normalises shape, dtype and bounds.

        Raises:
          ValueError: a negative axis, a dtype that is not a number, bounds that do
            not broadcast to `shape` or cross each other, a frame that is not
            uint8 [height, width, channels], or channels that are no such stack.
        """
        shape = tuple(int(axis) for axis in self.shape)
        dtype = np.dtype(self.dtype)
        label = f"spec '{self.name}'" if self.name else "a spec"
        if any(axis < 0 for axis in shape):
            raise ValueError(f"{label} has shape {shape}: axes must be 0 or more.")
        if dtype.kind not in "biuf":
            raise ValueError(
                f"{label} has dtype {dtype}: expected bool, an integer or a float. "
                "Encode text and objects as numbers, or leave them out."
            )
        if self.kind == "frame" and (dtype != np.uint8 or len(shape) != 3):
            raise ValueError(
                f"{label} is a frame of {dtype} {list(shape)}: a frame is uint8 "
                "[height, width, channels]. Use kind='array' for anything else."
            )
        if self.num_stacked < 1 or (
            self.num_stacked > 1 and (self.kind != "frame" or shape[2] % self.num_stacked)
        ):
            raise ValueError(
                f"{label} is a stack of {self.num_stacked} in {self.kind} {dtype} {list(shape)}: "
                "expected 1, or frames of equally many channels."
            )
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "dtype", dtype)
        for which in ("minimum", "maximum"):
            bound = getattr(self, which)
            if bound is None:
                continue
            try:
                full = np.broadcast_to(np.asarray(bound, dtype), shape).copy()
            except (ValueError, OverflowError) as error:
                raise ValueError(
                    f"{label}: {which} {bound!r} does not fit {dtype} {list(shape)}."
                ) from error
            full.flags.writeable = False
            object.__setattr__(self, which, full)
        if (
            self.minimum is not None
            and self.maximum is not None
            and np.any(self.minimum > self.maximum)
        ):
            raise ValueError(f"{label}: minimum {self.minimum} is above maximum {self.maximum}.")

    def __eq__(self, other: object) -> bool:
        """Equal in shape, dtype, kind and bounds; name and stacking do not count."""
        if not isinstance(other, ArraySpec):
            return NotImplemented
        return (
            self.shape == other.shape
            and self.dtype == other.dtype
            and self.kind == other.kind
            and _same_bound(self.minimum, other.minimum)
            and _same_bound(self.maximum, other.maximum)
        )

    def __hash__(self) -> int:
        """Hashes what `__eq__` compares, but for the bounds."""
        return hash((self.shape, self.dtype, self.kind))

    def __str__(self) -> str:
        """For example `float32 [4] in [-1, 1]`, or `frame uint8 [84, 84, 1]`."""
        text = f"{self.dtype} {list(self.shape)}"
        if self.kind == "frame":
            return f"frame {text}"
        if self.minimum is None and self.maximum is None:
            return text
        return f"{text} in [{_bound_text(self.minimum)}, {_bound_text(self.maximum)}]"

    @property
    def is_discrete(self) -> bool:
        """Whether values are integers or bool."""
        return bool(self.dtype.kind in "biu")

    @property
    def num_values(self) -> int | None:
        """How many values a bounded integer scalar has; None for any other spec."""
        if self.shape or not self.is_discrete:
            return None
        if self.minimum is None or self.maximum is None:
            return None
        return int(self.maximum) - int(self.minimum) + 1

    @property
    def is_bounded(self) -> bool:
        """Whether every value has a finite minimum and maximum."""
        return (
            self.minimum is not None
            and self.maximum is not None
            and bool(np.all(np.isfinite(self.minimum)))
            and bool(np.all(np.isfinite(self.maximum)))
            and bool(np.all(np.abs(self.minimum.astype(np.float64)) < 1e30))
            and bool(np.all(np.abs(self.maximum.astype(np.float64)) < 1e30))
        )


@dataclasses.dataclass(frozen=True)
class TelemetrySpec:
    """One number a game reports beside its observation, once a slot and step.

    Attributes:
      unit: for people, such as "m", "m/s" or "" for a count.
      reduce: how an episode's values become one: "sum", "last" or "max".
      dtype: a numpy dtype.
      summary: what it tells, in a few words.
    """

    unit: str = ""
    reduce: Reduce = "sum"
    dtype: Any = np.float32
    summary: str = ""


def discrete(
    num_values: int, *, start: int = 0, name: str = "", dtype: Any = np.int64
) -> ArraySpec:
    """Returns the spec of one integer out of start ... start + num_values - 1.

    Raises:
      ValueError: fewer than one value.
    """
    if num_values < 1:
        raise ValueError(f"discrete spec '{name}' has {num_values} values: expected at least 1.")
    return ArraySpec(
        (), np.dtype(dtype), np.asarray(start), np.asarray(start + num_values - 1), name
    )


def box(
    shape: tuple[int, ...],
    minimum: Any = None,
    maximum: Any = None,
    *,
    dtype: Any = np.float32,
    name: str = "",
) -> ArraySpec:
    """Returns the spec of an array of numbers with optional bounds."""
    return ArraySpec(shape, np.dtype(dtype), minimum, maximum, name)


def frame(
    height: int, width: int, channels: int = 3, *, name: str = "", num_stacked: int = 1
) -> ArraySpec:
    """Returns the spec of a picture: uint8 [height, width, channels]."""
    shape, low, high = (height, width, channels), np.asarray(0), np.asarray(255)
    return ArraySpec(shape, np.dtype(np.uint8), low, high, name, "frame", num_stacked)


def leaves(nest: Nest) -> list[Any]:
    """Returns the leaves of a dict or tuple nest, dicts in the order of their sorted keys."""
    return [leaf for _, leaf in named_leaves(nest)]


def named_leaves(nest: Nest, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (path, leaf); a path is like `camera/0`, and "" for a nest of one leaf."""
    if isinstance(nest, dict):
        for key in sorted(nest):
            yield from named_leaves(nest[key], f"{path}/{key}" if path else str(key))
    elif isinstance(nest, tuple):
        for index, part in enumerate(nest):
            yield from named_leaves(part, f"{path}/{index}" if path else str(index))
    else:
        yield path, nest


def map_leaves(function: Callable[..., Any], nest: Nest, *others: Nest) -> Nest:
    """Applies `function` leaf by leaf to nests of one structure.

    Raises:
      ValueError: a nest lacks a key of the first one, or has another number of parts.
    """
    if isinstance(nest, dict):
        for other in others:
            if not isinstance(other, dict) or set(other) != set(nest):
                found = str(sorted(other)) if isinstance(other, dict) else type(other).__name__
                raise ValueError(f"expected the keys {sorted(nest)}, got {found}.")
        return {
            key: map_leaves(function, nest[key], *(o[key] for o in others)) for key in sorted(nest)
        }
    if isinstance(nest, tuple):
        for other in others:
            if not isinstance(other, (tuple, list)) or len(other) != len(nest):
                found = (
                    str(len(other)) if isinstance(other, (tuple, list)) else type(other).__name__
                )
                raise ValueError(f"expected a tuple of {len(nest)} parts, got {found}.")
        return tuple(map_leaves(function, part, *parts) for part, *parts in zip(nest, *others))
    return function(nest, *others)


def zeros(spec: Spec, num_slots: int) -> Nest:
    """Returns one zeroed array [num_slots, ...] a leaf of `spec`."""
    return map_leaves(lambda leaf: np.zeros((num_slots, *leaf.shape), leaf.dtype), spec)


def first_difference(ours: Spec, theirs: Spec) -> str | None:
    """Names the first leaf in which two specs differ; None where they are the same."""
    left, right = dict(named_leaves(ours)), dict(named_leaves(theirs))
    for path in [*left, *(path for path in right if path not in left)]:
        label = f"'{path}'" if path else "the only leaf"
        if path not in right:
            return f"{label} is {left[path]} in one and missing in the other"
        if path not in left:
            return f"{label} is missing in one and {right[path]} in the other"
        if left[path] != right[path]:
            return f"{label} is {left[path]} in one and {right[path]} in the other"
    return None


def _same_bound(left: Array | None, right: Array | None) -> bool:
    if left is None or right is None:
        return left is right
    return bool(np.array_equal(left, right))


def _bound_text(bound: Array | None) -> str:
    if bound is None:
        return "-"
    if bound.size and np.all(bound == bound.flat[0]):
        return f"{bound.flat[0]:g}"
    return np.array2string(bound, precision=4, threshold=8, separator=",").replace("\n", "")
