"""Protobuf's wire format, as far as a player writes it by hand.

A message of a thousand agents holds the same few bytes a thousand times, but for numbers of
fixed size. Written as columns of one array it costs less than building one object an agent.
(Protocol Buffers, "Encoding": a field is its number and wire type, then its value; a value
of wire type 2 begins with its length.)
"""

from __future__ import annotations

from collections.abc import Iterable

from gamebridge_unity import wire

# A varint of 32 bits in its longest form: seven bits a byte, all but the last marked.
PADDED = 5


def padded(field: int) -> bytes:
    """Returns a field of an integer 0 in `PADDED` bytes: any int32 of 0 or more fits later."""
    return wire.varint(field << 3 | wire.VARINT) + b"\x80" * (PADDED - 1) + b"\0"


def fixed(field: int) -> bytes:
    """Returns a field of a float 0."""
    return wire.varint(field << 3 | wire.FIXED32) + bytes(4)


def prefix(field: int, length: int) -> bytes:
    """Returns what goes before `length` bytes of a text, a message or a packed list."""
    return wire.varint(field << 3 | wire.BYTES) + wire.varint(length)


def packed(field: int, values: Iterable[int]) -> bytes:
    """Returns a list of integers; one below 0 takes ten bytes, as protobuf writes it."""
    return wire.block(
        field, b"".join(wire.varint(value & 0xFFFF_FFFF_FFFF_FFFF) for value in values)
    )


class Pieces:
    """Bytes in pieces, put together once: nested messages need no copy a level."""

    def __init__(self) -> None:
        """Starts empty."""
        self.pieces: list[bytes] = []
        self.length = 0

    def add(self, piece: bytes) -> None:
        """Adds bytes at the end."""
        self.pieces.append(piece)
        self.length += len(piece)

    def nest(self, field: int, inner: Pieces) -> None:
        """Adds a field whose value is other pieces."""
        self.add(prefix(field, inner.length))
        self.pieces += inner.pieces
        self.length += inner.length

    def join(self) -> bytes:
        """Returns all of it."""
        return b"".join(self.pieces)
