"""`Layout`: where in an agent's bytes everything lies, found once and used for all like it.

Agents of one behaviour send messages that differ in their numbers only: the same tags,
names and shapes at the same places, as long as the same fields are present. A layout is
made from one agent's bytes, knows which of them are numbers, and claims other agents only
if all the rest is byte for byte the same. So hundreds of agents are read by a few copies.
What no layout claims is parsed as a protocol buffer, at leisure.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_unity import behaviors, wire

# AgentInfoProto
_REWARD, _DONE, _INTERRUPTED, _ID, _MASK = 7, 8, 9, 10, 11
_OBSERVATIONS, _GROUP, _GROUP_REWARD = 13, 14, 15
# ObservationProto, and the only field of its FloatData
_SHAPE, _COMPRESSION, _FLOATS, _MAPPING, _PROPERTIES, _TYPE, _NAME = 1, 2, 4, 5, 6, 7, 8
_DATA = 1
FLOAT32, BYTE = np.dtype("<f4"), np.dtype(np.uint8)
_CONSTANT = {_SHAPE, _COMPRESSION, _MAPPING, _PROPERTIES, _TYPE, _NAME}
# A number of more bytes is negative or nonsense.
_MAX_ID_BYTES = 4


class Even(NamedTuple):
    """Where agents begin that are equally far from each other."""

    first: int
    step: int
    size: int

    def array(self) -> Array:
        """Returns int64 [n], all of them."""
        return np.arange(self.first, self.first + self.step * self.size, self.step)


# Where agents begin: int64 [n], or as `Even`, which is read without a copy between.
Starts: TypeAlias = "Array | Even"


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where everything lies in the bytes of one agent; -1 for what is not there.

    Attributes:
      is_terminal: whether such agents' episodes have ended.
      is_interrupted: whether they were interrupted.
      reward_at: of a float32.
      group_reward_at: of a float32.
      id_at: of a number, and how many bytes it has.
      group_at: of a number, and how many bytes it has.
      mask_at: of the forbidden actions, a byte each.
      payloads: of each observation where its float32s are, in the behaviour's order.
      places: int64 [p], the bytes that must be the same.
      bits: uint8 [p], which of their bits.
      expected: uint8 [p], what those are.
    """

    is_terminal: bool
    is_interrupted: bool
    reward_at: int
    group_reward_at: int
    id_at: tuple[int, int]
    group_at: tuple[int, int]
    mask_at: int
    payloads: tuple[int, ...]
    places: Array
    bits: Array
    expected: Array

    def claims(self, raw: bytes, starts: Starts) -> Array:
        """Returns bool [n]: which agents are like this.

        Args:
          raw: the message.
          starts: of agents of this length.
        """
        if isinstance(starts, Even):
            found = gather(raw, starts, 0, BYTE, int(self.places[-1]) + 1)[:, self.places]
        else:
            found = np.frombuffer(raw, np.uint8).take(starts[:, None] + self.places)
        found &= self.bits
        return (found == self.expected).all(1)


def make(raw: bytes, behavior: behaviors.Behavior) -> Layout | None:
    """Finds the layout of one agent's bytes; None if it is not one that can be relied on.

    Args:
      raw: an AgentInfoProto that was parsed and found to fit the behaviour.
      behavior: the agent's.
    """
    offsets = dict.fromkeys((_REWARD, _GROUP_REWARD, _MASK), -1)
    numbers = dict.fromkeys((_ID, _GROUP), (-1, 0))
    flags = dict.fromkeys((_DONE, _INTERRUPTED), False)
    payloads: list[int] = []
    # One byte each: which of its bits are the same with all agents of this layout.
    bits = np.full(len(raw), 0xFF, np.uint8)
    seen = set()
    at = 0
    for number, kind, value, end in wire.fields(raw, 0, len(raw)):
        begin, at = at, end
        if raw[begin] != (number << 3 | kind) or (number in seen and number != _OBSERVATIONS):
            return None
        seen.add(number)
        if number in offsets and kind == wire.FIXED32 and number != _MASK:
            offsets[number] = value
            bits[value:end] = 0
        elif number in numbers and kind == wire.VARINT:
            size = end - begin - 1
            if size > _MAX_ID_BYTES:
                return None
            numbers[number] = begin + 1, size
            bits[begin + 1 : end] = 0x80
        elif number in flags and kind == wire.VARINT:
            flags[number] = bool(value)
        elif number == _MASK and kind == wire.BYTES and end - value == behavior.num_choices:
            offsets[_MASK] = value
            bits[value:end] = 0x01 ^ 0xFF
        elif (
            number == _OBSERVATIONS
            and kind == wire.BYTES
            and len(payloads) < len(behavior.observations)
        ):
            expected = 4 * behavior.observations[len(payloads)].num_values
            payload = _payload(raw, value, end, expected)
            if payload is None:
                return None
            payloads.append(payload)
            bits[payload : payload + expected] = 0
        else:
            return None
    if len(payloads) != len(behavior.observations):
        return None
    places = np.flatnonzero(bits)
    return Layout(
        is_terminal=flags[_DONE],
        is_interrupted=flags[_INTERRUPTED],
        reward_at=offsets[_REWARD],
        group_reward_at=offsets[_GROUP_REWARD],
        id_at=numbers[_ID],
        group_at=numbers[_GROUP],
        mask_at=offsets[_MASK],
        payloads=tuple(payloads),
        places=places,
        bits=bits[places],
        expected=np.frombuffer(raw, np.uint8)[places] & bits[places],
    )


def gather(raw: bytes, starts: Starts, at: int, dtype: np.dtype[Any], width: int) -> Array:
    """Returns [n, width] numbers that lie `at` bytes after each start; not to be written."""
    size = dtype.itemsize
    if isinstance(starts, Even):
        strides = (starts.step, size)
        return np.ndarray((starts.size, width), dtype, raw, starts.first + at, strides)
    windows: Array = np.ndarray(
        (len(raw) - size * width + 1, width), dtype, raw, 0, strides=(1, size)
    )
    return windows[starts + at]


def gather_floats(raw: bytes, starts: Starts, at: int) -> Array | float:
    """Returns float32 [n]: the number `at` bytes after each start; 0 where it is left out."""
    return 0.0 if at < 0 else gather(raw, starts, at, FLOAT32, 1)[:, 0]


def gather_numbers(raw: bytes, starts: Starts, at: int, size: int) -> Array | int:
    """Returns int32 [n]: the number of `size` bytes `at` bytes after each start, or 0."""
    if at < 0:
        return 0
    parts = gather(raw, starts, at, BYTE, size)
    if size == 1:
        return parts[:, 0]
    values = parts.astype(np.int32)
    values &= 0x7F
    for place in range(1, size):
        values[:, 0] |= values[:, place] << (7 * place)
    return values[:, 0]


def _payload(raw: bytes, at: int, end: int, expected: int) -> int | None:
    """Where an observation's floats are, if it has nothing but what is the same for all."""
    found = None
    for field in wire.fields(raw, at, end):
        if field.number in _CONSTANT:
            continue
        if field.number != _FLOATS or field.kind != wire.BYTES or found is not None:
            return None
        inside = list(wire.fields(raw, field.value, field.end))
        if len(inside) != 1 or inside[0].number != _DATA or inside[0].kind != wire.BYTES:
            return None
        if inside[0].end - inside[0].value != expected:
            return None
        found = inside[0].value
    return found
