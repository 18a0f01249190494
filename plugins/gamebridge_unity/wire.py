"""The ML-Agents communication protocol 1.5.0 on the wire: constants, message classes, bytes.

The player calls one method, `Exchange`, and the reply to a call is the next order. Message
classes are those of mlagents_envs (`messages()`). Where speed counts the bytes themselves
are read and written: a protocol buffer is a row of fields, each a tag and a value.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

from gamebridge_unity import descriptors

SERVICE = "communicator_objects.UnityToExternalProto"
METHOD = "Exchange"
PATH = f"/{SERVICE}/{METHOD}"

COMMUNICATION_VERSION = "1.5.0"
# What we are to a player. One that can send pictures either way chooses by it: before
# 1.0.0 the channels come last.
PACKAGE_VERSION = "0.28.0"

# header.status
NORMAL = 200
CLOSING = 400
# UnityRLInputProto.command
STEP, RESET, QUIT = 0, 1, 2
# ObservationProto.compression_type
UNCOMPRESSED, PNG = 0, 1
# ObservationProto.dimension_properties, bit flags
NO_PROPERTY, TRANSLATIONAL, VARIABLE_SIZE = 1, 2, 4
# ObservationProto.observation_type
GOAL_SIGNAL = 1

# Wire types of protocol buffers.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Capabilities(NamedTuple):
    """What one side can do, UnityRLCapabilitiesProto; all false where it says nothing."""

    base: bool = False
    concatenated_png: bool = False
    channel_mapping: bool = False
    hybrid_actions: bool = False
    training_analytics: bool = False
    variable_length: bool = False
    groups: bool = False


# The names on the wire, in the order of `Capabilities`.
CAPABILITY_NAMES = (
    "baseRLCapabilities",
    "concatenatedPngObservations",
    "compressedChannelMapping",
    "hybridActions",
    "trainingAnalytics",
    "variableLengthObservation",
    "multiAgentGroups",
)


@functools.cache
def messages() -> types.SimpleNamespace:
    """Returns the message classes by name: `messages().UnityMessageProto`, and so on."""
    descriptors.install()
    from mlagents_envs.communicator_objects import (
        agent_action_pb2,
        agent_info_pb2,
        brain_parameters_pb2,
        capabilities_pb2,
        observation_pb2,
        unity_message_pb2,
        unity_rl_initialization_input_pb2,
        unity_rl_initialization_output_pb2,
        unity_rl_input_pb2,
        unity_rl_output_pb2,
    )

    found: dict[str, Any] = {}
    for module in (
        agent_action_pb2,
        agent_info_pb2,
        brain_parameters_pb2,
        capabilities_pb2,
        observation_pb2,
        unity_message_pb2,
        unity_rl_initialization_input_pb2,
        unity_rl_initialization_output_pb2,
        unity_rl_input_pb2,
        unity_rl_output_pb2,
    ):
        names = module.DESCRIPTOR.message_types_by_name
        found.update((name, getattr(module, name)) for name in names)
    return types.SimpleNamespace(**found)


def capabilities_of(message: Any) -> Capabilities:
    """Reads a UnityRLCapabilitiesProto."""
    return Capabilities(*(getattr(message, name) for name in CAPABILITY_NAMES))


def major(version: str) -> int | None:
    """Returns the first number of a version like "1.5.0" or "3.0.0-exp.1"; None if none."""
    first = version.strip().split(".")[0]
    return int(first) if first.isascii() and first.isdigit() and len(first) < 10 else None


class Malformed(Exception):
    """These bytes are no protocol buffer."""


class Field(NamedTuple):
    """One field of a message.

    Attributes:
      number: its number.
      kind: its wire type.
      value: of a VARINT the number; else where its bytes begin.
      end: where its bytes end; the next field begins here.
    """

    number: int
    kind: int
    value: int
    end: int


def fields(raw: bytes, at: int, end: int) -> Iterator[Field]:
    """Yields the fields of the message that lies in `raw[at:end]`.

    Raises:
      Malformed: it is cut short, or uses what proto3 does not have.
    """
    try:
        while at < end:
            tag, at = read_varint(raw, at)
            number, kind = tag >> 3, tag & 7
            if kind == VARINT:
                value, at = read_varint(raw, at)
            elif kind == BYTES:
                length, value = read_varint(raw, at)
                at = value + length
            elif kind in (FIXED32, FIXED64):
                value, at = at, at + (4 if kind == FIXED32 else 8)
            else:
                raise Malformed(f"field {number} has wire type {kind}")
            if at > end:
                raise Malformed(f"field {number} ends {at - end} bytes too late")
            yield Field(number, kind, value, at)
    except IndexError as error:
        raise Malformed("it is cut short") from error


def read_varint(raw: bytes, at: int) -> tuple[int, int]:
    """Returns the number at `at`, and where what follows it begins."""
    value = raw[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    for shift in range(7, 70, 7):
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Malformed("a number of more than ten bytes")


def varint(value: int) -> bytes:
    """Returns the bytes of a number; it must not be negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """Returns a field that holds a number."""
    return varint(field << 3 | VARINT) + varint(value)


def block(field: int, content: bytes) -> bytes:
    """Returns a field that holds bytes, text or a message."""
    return varint(field << 3 | BYTES) + varint(len(content)) + content
