"""Numbers an agent reports beside its observations, over a side channel of their own.

Evaluations judge driving by wall contacts and lap times, agent by agent; the protocol has no
place for such numbers but side channels. Both ends use this module. The channel's id is
`CHANNEL`; all numbers are little-endian, a text is an int32 length and as many bytes of UTF-8.

A trainer that wants telemetry sends one message of a single byte, `SUBSCRIBE`, before its
first reset. Others never hear of it: the stock client warns of every record of a channel that
it does not know. The player then sends messages that begin with a byte for their kind:

    0  what there is, once, in the first message that has infos of the behaviour:
       text behaviour; int32 count; then a field each: text name, text unit,
       text reduce ("sum", "last" or "max": how an episode's values become one), text summary
    1  the values, in every message that has infos of the behaviour:
       text behaviour; int32 rows; int32 count; int32 ids [rows]; uint8 done [rows];
       float32 values [rows, count]

The rows of a message are the `AgentInfoProto`s that the behaviour has in the same message, in
their order: a row that is done holds the last values of the episode that ended, even where
the same id begins another in the same message.
"""

from __future__ import annotations

import dataclasses
import struct
import uuid
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

CHANNEL = uuid.UUID("5d3f6f0e-6b5a-4d0c-9c53-6d7c1a9be1f4")
SUBSCRIBE = b"\x01"

Array: TypeAlias = "np.ndarray[Any, Any]"
Reduce: TypeAlias = Literal["sum", "last", "max"]
_FIELDS, _VALUES = 0, 1


@dataclasses.dataclass(frozen=True)
class Field:
    """One number an agent reports.

    Attributes:
      name: such as "speed_m_s".
      unit: for people, such as "m/s".
      reduce: how the values of an episode become one.
      summary: what it tells, in a few words.
    """

    name: str
    unit: str = ""
    reduce: Reduce = "sum"
    summary: str = ""


class Fields(NamedTuple):
    """What a behaviour's agents report."""

    behavior: str
    fields: tuple[Field, ...]


class Values(NamedTuple):
    """What some agents report.

    Attributes:
      behavior: whose.
      ids: int32 [rows].
      done: bool [rows]; whether the values are of an episode that ended.
      values: float32 [rows, fields].
    """

    behavior: str
    ids: Array
    done: Array
    values: Array


def write_fields(behavior: str, fields: Sequence[Field]) -> bytes:
    """Returns a message that tells what there is."""
    parts = [bytes([_FIELDS]), _text(behavior), struct.pack("<i", len(fields))]
    for field in fields:
        parts += map(_text, (field.name, field.unit, field.reduce, field.summary))
    return b"".join(parts)


def write_values(behavior: str, ids: Array, done: Array, values: Array) -> bytes:
    """Returns a message with values; see `Values`."""
    head = bytes([_VALUES]) + _text(behavior) + struct.pack("<ii", *values.shape)
    return b"".join((
        head,
        ids.astype("<i4").tobytes(),
        done.astype(np.uint8).tobytes(),
        values.astype("<f4").tobytes(),
    ))  # fmt: skip


def read(message: bytes) -> Fields | Values:
    """Reads a player's message.

    Raises:
      ValueError: it is none of this format; says where it broke.
    """
    try:
        kind, (behavior, at) = message[0], _read_text(message, 1)
        if kind == _FIELDS:
            return Fields(behavior, _read_fields(message, at))
        if kind == _VALUES:
            return _read_values(behavior, message, at)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"A telemetry message of {len(message)} bytes breaks off.") from error
    raise ValueError(f"A telemetry message is of kind {kind}; expected {_FIELDS} or {_VALUES}.")


def _read_fields(message: bytes, at: int) -> tuple[Field, ...]:
    (count,) = struct.unpack_from("<i", message, at)
    at += 4
    fields = []
    for _ in range(count):
        words = []
        for _ in range(4):
            word, at = _read_text(message, at)
            words.append(word)
        name, unit, reduce, summary = words
        if reduce not in ("sum", "last", "max"):
            raise ValueError(f"Telemetry '{name}' has reduce '{reduce}'; expected sum, last, max.")
        fields.append(Field(name, unit, reduce, summary))  # type: ignore[arg-type]
    return tuple(fields)


def _read_values(behavior: str, message: bytes, at: int) -> Values:
    rows, count = struct.unpack_from("<ii", message, at)
    at += 8
    expected = at + rows * (5 + 4 * count)
    if rows < 0 or count < 0 or len(message) != expected:
        raise ValueError(
            f"A telemetry message for {rows} agents of {count} values has {len(message)} bytes; "
            f"expected {expected}."
        )
    return Values(
        behavior,
        np.frombuffer(message, "<i4", rows, at),
        np.frombuffer(message, np.uint8, rows, at + 4 * rows) != 0,
        np.frombuffer(message, "<f4", rows * count, at + 5 * rows).reshape(rows, count),
    )


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<i", len(data)) + data


def _read_text(message: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<i", message, at)
    start, stop = at + 4, at + 4 + length
    if length < 0 or stop > len(message):
        raise struct.error("a text breaks off")
    return message[start:stop].decode(), stop
