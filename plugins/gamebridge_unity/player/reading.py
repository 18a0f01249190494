"""`Reader`: the values in a side channel's message, one after the other."""

from __future__ import annotations

import struct
from typing import Any


class Reader:
    """Reads a message from its front; what is missing at the end reads as 0, as in Unity."""

    def __init__(self, message: bytes) -> None:
        """Starts at the front."""
        self._message, self._at = message, 0

    def int32(self) -> int:
        """Returns an integer."""
        return int(self._one("<i", 0))

    def float32(self) -> float:
        """Returns a number."""
        return float(self._one("<f", 0.0))

    def text(self) -> str:
        """Returns a text: UTF-8, for names are not ASCII everywhere.

        Raises:
          ValueError: it is longer than the message, or no UTF-8.
        """
        length = self._fitting(self.int32(), 1)
        start, self._at = self._at, self._at + length
        return self._message[start : self._at].decode()

    def floats(self) -> list[float]:
        """Returns a list of numbers.

        Raises:
          ValueError: it is longer than the message.
        """
        return [self.float32() for _ in range(self._fitting(self.int32(), 4))]

    def _fitting(self, count: int, size: int) -> int:
        left = (len(self._message) - self._at) // size
        if not 0 <= count <= left:
            raise ValueError(f"{count} values are claimed; {left} are left.")
        return count

    def _one(self, form: str, default: Any) -> Any:
        if self._at + 4 > len(self._message):
            return default
        (value,) = struct.unpack_from(form, self._message, self._at)
        self._at += 4
        return value
