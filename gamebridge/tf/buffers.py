"""`Buffers`: where rows are kept that TensorFlow reads in place.

`numpy_function` hands TensorFlow an alias of an array that begins at a multiple of 64
bytes, and copies any other. A fresh copy of the game's rows is therefore copied once more,
and large ones are mapped and unmapped as they come and go. Buffers that begin where
TensorFlow wants them are taken as they are, and used again once TensorFlow let go: it
holds a reference to the array for as long as any tensor reads it.
"""

from __future__ import annotations

import sys

import numpy as np

from gamebridge.contract.specs import Array

_ALIGNMENT = 64
# A plain copy of less is faster than looking for a free buffer.
_SMALL_BYTES = 16_384
# A loop holds two or three: the newest step, the one before, and one about to be let go.
_MAX_BUFFERS = 4
# What holds a free buffer: the list, the loop's variable and getrefcount's own argument.
_FREE = 3


class Buffers:
    """Hands out copies of one leaf's rows; a handed out array is never written to again."""

    def __init__(self) -> None:
        """Makes no buffer yet."""
        self._buffers: list[Array] = []

    def __len__(self) -> int:
        """How many buffers were made."""
        return len(self._buffers)

    def copy(self, rows: Array) -> Array:
        """Returns the rows in an array that nobody else holds; always of one shape and dtype."""
        if rows.nbytes < _SMALL_BYTES:
            return rows.copy()
        for buffer in self._buffers:
            if sys.getrefcount(buffer) <= _FREE:
                np.copyto(buffer, rows)
                return buffer
        if len(self._buffers) >= _MAX_BUFFERS:
            return rows.copy()
        fresh = _aligned(rows)
        self._buffers.append(fresh)
        np.copyto(fresh, rows)
        return fresh


def _aligned(like: Array) -> Array:
    memory = np.empty(like.nbytes + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    return memory[begin : begin + like.nbytes].view(like.dtype).reshape(like.shape)
