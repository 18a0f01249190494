"""The check of one leaf: shape and dtype, NaN and Inf, bounds.

It is made to be cheap where nothing is wrong: it looks at all rows at once, in buffers
of its own, and leaves it to a second look to tell which element is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gamebridge.contract import specs
from gamebridge.contract.specs import Array

# Up to so many elements it costs least to compare a buffer as bytes; so many numbers are
# as quickly looked up in a set as they are compared twice.
_FEW_ELEMENTS = 4096
FEW_SLOTS = 16
_FEW_VALUES = 1024


class LeafCheck:
    """Checks arrays [B, ...] against the spec of one leaf.

    Attributes:
      label: how messages call the leaf.
      clipped: where `clip` puts its array; None where the spec has no bounds to keep (an
        integer leaf may use the whole range of its dtype, as frames do).
    """

    def __init__(self, label: str, spec: specs.ArraySpec, num_slots: int) -> None:
        """Allocates the buffers that the bounds need."""
        self.label = label
        self._spec = spec
        self._shape = (num_slots, *spec.shape)
        self._dtype = spec.dtype
        self._is_float = spec.dtype.kind == "f"
        # Whatever a game shows, agents see float32.
        kind = min(spec.dtype, np.dtype(np.float32)) if self._is_float else np.dtype(np.float32)
        self._most = float(np.finfo(kind).max)
        # Of the full shape: broadcasting would double the cost of a small leaf.
        self._low = self._bound(spec.minimum, np.greater)
        self._high = self._bound(spec.maximum, np.less)
        bounded = self._low is not None or self._high is not None
        self.clipped = np.zeros(self._shape, self._dtype) if bounded else None
        self._seen: Array | None = None
        self._allowed: frozenset[int] | None = None
        num_values = spec.num_values
        if bounded and num_values and max(num_values / _FEW_VALUES, num_slots / FEW_SLOTS) <= 1:
            least = int(spec.minimum or 0)
            self._allowed = frozenset(range(least, least + num_values))
        self._tests = self._tests_of_all()
        self._passed = np.ones(self._shape, np.bool_)
        few = self._passed.size <= _FEW_ELEMENTS
        self._all_passed = self._passed.tobytes() if few else None

    def form_fault(self, array: Array) -> str | None:
        """Says how shape or dtype differ from the spec; None where they do not."""
        if array is self._seen:
            return None
        if not isinstance(array, np.ndarray):
            found = f"a {type(array).__name__}"
        elif array.shape != self._shape or array.dtype != self._dtype:
            found = f"{array.dtype} {list(array.shape)}"
        else:
            self._seen = array
            return None
        return f"{self.label} is {found}; expected {self._dtype} {list(self._shape)}."

    def is_suspect(self, array: Array) -> bool:
        """Whether any element of any row is not finite or out of bounds."""
        if self._allowed is not None:
            return not self._allowed.issuperset(array.tolist())
        for test, *bound in self._tests:
            test(array, *bound, self._passed)
            if self._all_passed is None:
                if not self._passed.all():
                    return True
            elif self._passed.tobytes() != self._all_passed:
                return True
        return False

    def clip(self, array: Array) -> None:
        """Puts the array into its bounds, in `clipped`."""
        if self._low is not None:
            array = np.maximum(array, self._low, out=self.clipped)
        if self._high is not None:
            np.minimum(array, self._high, out=self.clipped)

    def first_not_finite(self, array: Array, rows: Array) -> tuple[int, str] | None:
        """Returns slot and description of the first NaN or Inf in `rows`, bool [B]."""
        if not self._is_float:
            return None
        # NaN is not less than anything.
        index = _first(~(np.abs(array) <= self._most), rows)
        if index is None:
            return None
        wanted = "a finite number" + (" that float32 can hold" if self._dtype.itemsize > 4 else "")
        return index[0], f"{self._name(index)} is {array[index]}; expected {wanted}."

    def first_out_of_bounds(self, array: Array, rows: Array) -> tuple[int, str] | None:
        """Returns slot and description of the first value out of bounds in `rows`, bool [B]."""
        wrong = np.zeros(self._shape, np.bool_)
        if self._low is not None:
            wrong |= array < self._low
        if self._high is not None:
            wrong |= array > self._high
        index = _first(wrong, rows)
        if index is None:
            return None
        low = "-inf" if self._low is None else self._low[index]
        high = "inf" if self._high is None else self._high[index]
        return index[0], f"{self._name(index)} is {array[index]}; expected [{low}, {high}]."

    def _name(self, index: tuple[int, ...]) -> str:
        element = ", ".join(str(axis) for axis in index[1:])
        return f"{self.label}[{element}]" if element else self.label

    def _tests_of_all(self) -> list[tuple[Any, ...]]:
        """Returns ufuncs, with what to compare with, that are true for all that is right."""
        low, high = self._low, self._high
        if self._is_float:
            if low is None and high is None and self._dtype.itemsize <= 4:
                return [(np.isfinite,)]
            # NaN fails both, and so does Inf where infinite bounds are made finite ones.
            low = np.maximum(-np.inf if low is None else low, np.full(self._shape, -self._most))
            high = np.minimum(np.inf if high is None else high, np.full(self._shape, self._most))
            low, high = low.astype(self._dtype), high.astype(self._dtype)
        tests = ((np.greater_equal, low), (np.less_equal, high))
        return [(test, bound) for test, bound in tests if bound is not None]

    def _bound(self, bound: Array | None, is_tighter: np.ufunc) -> Array | None:
        if bound is None or self._dtype.kind == "b":
            return None
        if self._is_float:
            loosest = -np.inf if is_tighter is np.greater else np.inf
        else:
            info = np.iinfo(self._dtype)
            loosest = info.min if is_tighter is np.greater else info.max
        if not is_tighter(bound, loosest).any():
            return None
        return np.broadcast_to(bound, self._shape).copy()


def _first(wrong: Array, rows: Array) -> tuple[int, ...] | None:
    wrong = wrong & rows.reshape(-1, *[1] * (wrong.ndim - 1))
    if not wrong.any():
        return None
    return tuple(int(axis) for axis in np.argwhere(wrong)[0])
