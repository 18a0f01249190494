"""`Encoder`: what agents of one behaviour have to say, as protobuf bytes.

An agent's `AgentInfoProto` has the same bytes in every message but for its numbers, and all
of those have a fixed size; a whole batch is one array [agents, bytes], filled by columns.
Only PNG files, which vary in length, are put in agent by agent.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from gamebridge_unity import wire as protocol
from gamebridge_unity.player import behaviors, fields, pictures

Array: TypeAlias = "np.ndarray[Any, Any]"
Layout: TypeAlias = Literal["hwc", "chw"]

# Properties of a dimension (`dimension_properties`).
_NONE, _TRANSLATIONAL, _VARIABLE = 1, 2, 4
_SHIFTS = np.arange(fields.PADDED) * 7


@dataclasses.dataclass(frozen=True)
class Wire:
    """How this trainer wants its messages.

    Attributes:
      layout: the order of a frame's axes: "hwc" to mlagents-envs before 1.0, "chw" since.
      can_map: whether it knows channel mappings; frames that need one go uncompressed
        otherwise.
    """

    layout: Layout = "hwc"
    can_map: bool = True


class Numbers(NamedTuple):
    """What an agent has to say beside its observations; each array [agents].

    Attributes:
      ids: int32.
      rewards: float32.
      groups: int32, 0 for none.
      group_rewards: float32.
      allowed: bool [agents, sum(branches)].
      done: bool; the episode is over.
      interrupted: bool; over without an end of its own, by a time limit.
    """

    ids: Array
    rewards: Array
    groups: Array
    group_rewards: Array
    allowed: Array
    done: Array
    interrupted: Array


class Encoder:
    """Turns rows of one behaviour's arrays into the bytes of a `ListAgentInfoProto`."""

    def __init__(self, behavior: behaviors.Behavior, capacity: int, wire: Wire) -> None:
        """Lays a record out.

        Args:
          behavior: what the agents see and do.
          capacity: how many infos there are at most at once.
          wire: how the trainer wants them.
        """
        self._wire = wire
        self._places: dict[str, int] = {}
        # Where float observations go in a record, and after which byte PNG files do.
        self._floats: list[tuple[int, behaviors.Observation]] = []
        self._pngs: list[tuple[int, bytes, behaviors.Frame]] = []
        record = self._lay_out(behavior)
        if not self._pngs:
            # All records are of one length, which goes into the record too.
            head = fields.prefix(1, len(record))
            record = head + record
            self._places = {name: at + len(head) for name, at in self._places.items()}
            self._floats = [(at + len(head), spec) for at, spec in self._floats]
        self._records = np.empty((capacity, len(record)), np.uint8)
        self._records[:] = np.frombuffer(record, np.uint8)

    def encode(self, numbers: Numbers, observations: dict[str, Array]) -> bytes:
        """Returns the infos of some agents, in their order.

        Args:
          numbers: theirs, [agents].
          observations: theirs, by name, each [agents, ...].
        """
        count = len(numbers.ids)
        records = self._records[:count]
        self._write(records, "reward", _bytes_of(numbers.rewards))
        self._write(records, "group_reward", _bytes_of(numbers.group_rewards))
        self._write(records, "done", numbers.done[:, None])
        self._write(records, "interrupted", numbers.interrupted[:, None])
        self._write(records, "id", _varints(numbers.ids))
        self._write(records, "group", _varints(numbers.groups))
        if "mask" in self._places:
            self._write(records, "mask", ~numbers.allowed)
        for at, spec in self._floats:
            values = _bytes_of(self._as_floats(observations[spec.name], spec))
            records[:, at : at + values.shape[1]] = values
        if not self._pngs:
            return records.tobytes()
        parts = []
        for row in range(count):
            body = b"".join(self._with_pictures(records[row].tobytes(), row, observations))
            parts += [fields.prefix(1, len(body)), body]
        return b"".join(parts)

    def _lay_out(self, behavior: behaviors.Behavior) -> bytes:
        """Returns a record whose numbers are 0; notes where they and the pictures go."""
        record = bytearray()
        numbers = [
            ("reward", fields.fixed(7), 4),
            ("done", protocol.number(8, 0), 1),
            ("interrupted", protocol.number(9, 0), 1),
            ("id", fields.padded(10), fields.PADDED),
            ("group", fields.padded(14), fields.PADDED),
            ("group_reward", fields.fixed(15), 4),
        ]
        num_choices = sum(behavior.branches)
        if num_choices:
            numbers.append(("mask", protocol.block(11, bytes(num_choices)), num_choices))
        for name, field, size in numbers:
            record += field
            self._places[name] = len(record) - size
        for spec in sorted(behavior.observations, key=lambda spec: spec.name):
            if is_png(spec, self._wire) and isinstance(spec, behaviors.Frame):
                self._pngs.append((len(record), describe(spec, self._wire), spec))
                continue
            size = 4 * math.prod(spec.shape)
            data = protocol.block(4, protocol.block(1, bytes(size)))
            record += protocol.block(13, describe(spec, self._wire) + data)
            self._floats.append((len(record) - size, spec))
        return bytes(record)

    def _write(self, records: Array, name: str, values: Array) -> None:
        at = self._places[name]
        records[:, at : at + values.shape[1]] = values

    def _as_floats(self, values: Array, spec: behaviors.Observation) -> Array:
        if not isinstance(spec, behaviors.Frame):
            return values
        if spec.is_compressed:  # but the trainer cannot take its PNG files apart
            values = values.astype(np.float32) / 255
        return values.transpose(0, 3, 1, 2) if self._wire.layout == "chw" else values

    def _with_pictures(
        self, record: bytes, row: int, observations: dict[str, Array]
    ) -> Iterator[bytes]:
        start = 0
        for stop, described, spec in self._pngs:
            yield record[start:stop]
            yield protocol.block(
                13,
                described + protocol.block(3, pictures.encode(observations[spec.name][row], spec)),
            )
            start = stop
        yield record[start:]


def is_png(spec: behaviors.Observation, wire: Wire) -> bool:
    """Whether an observation travels as PNG files to this trainer."""
    if not isinstance(spec, behaviors.Frame) or not spec.is_compressed:
        return False
    return wire.can_map or not pictures.mapping(spec)


def describe(spec: behaviors.Observation, wire: Wire) -> bytes:
    """Returns the fields of an `ObservationProto` but for its data."""
    shape, properties = list(spec.shape), [_NONE]
    if isinstance(spec, behaviors.Buffer):
        properties = [_VARIABLE, _NONE]
    elif isinstance(spec, behaviors.Frame):
        properties = [_TRANSLATIONAL, _TRANSLATIONAL, _NONE]
        if wire.layout == "chw":
            shape, properties = shape[-1:] + shape[:-1], properties[-1:] + properties[:-1]
    described = fields.packed(1, shape)
    if is_png(spec, wire) and isinstance(spec, behaviors.Frame):
        described += protocol.number(2, 1)
        channels = pictures.mapping(spec)
        described += fields.packed(5, channels) if channels else b""
    described += fields.packed(6, properties)
    if isinstance(spec, behaviors.Vector) and spec.is_goal:
        described += protocol.number(7, 1)
    return described + protocol.block(8, spec.name.encode())


def _bytes_of(values: Array) -> Array:
    """Returns uint8 [agents, 4 * values]: float32, least byte first."""
    flat: Array = np.ascontiguousarray(values, "<f4").reshape(len(values), -1)
    return flat.view(np.uint8)


def _varints(values: Array) -> Array:
    """Returns uint8 [agents, PADDED]: seven bits a byte, all but the last marked."""
    bits = values.astype(np.int64)[:, None] >> _SHIFTS
    bits &= 0x7F
    bits[:, :-1] |= 0x80
    return bits.astype(np.uint8)
