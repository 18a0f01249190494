"""`read`: a player's message taken apart where it lies, without copying what agents saw."""

from __future__ import annotations

from typing import NamedTuple

from gamebridge_unity import wire

# UnityMessageProto, UnityOutputProto, UnityRLOutputProto, its map's entries.
_HEADER, _OUTPUT = 1, 2
_STATUS = 1
_RL_OUTPUT, _INITIALIZATION = 1, 2
_AGENT_INFOS, _SIDE_CHANNEL = 2, 3
_KEY, _VALUE = 1, 2
# ListAgentInfoProto's only field, as tag.
_INFO_TAG = 1 << 3 | wire.BYTES
_FEW = 16


class Infos(NamedTuple):
    """The agents of one behaviour in one message.

    Attributes:
      begin: where their ListAgentInfoProto begins.
      end: where it ends.
      starts: where each AgentInfoProto begins.
      lengths: of each, in bytes.
    """

    begin: int
    end: int
    starts: list[int]
    lengths: list[int]


class Incoming(NamedTuple):
    """A message of a player.

    Attributes:
      raw: its bytes.
      status: of its header; 0 where it has none.
      has_output: whether it says anything at all; the second of a connection does not.
      initialization: a UnityRLInitializationOutputProto's bytes, or None.
      infos: by behaviour.
      side_channel: what came for the side channels.
    """

    raw: bytes
    status: int
    has_output: bool
    initialization: bytes | None
    infos: dict[str, Infos]
    side_channel: bytes


def read(raw: bytes) -> Incoming:
    """Takes a message apart.

    Raises:
      wire.Malformed: it is no message.
    """
    status = 0
    has_output = False
    initialization = None
    infos: dict[str, Infos] = {}
    side_channel = b""
    for number, kind, at, end in wire.fields(raw, 0, len(raw)):
        if kind != wire.BYTES:
            continue
        if number == _HEADER:
            for field in wire.fields(raw, at, end):
                if field.number == _STATUS and field.kind == wire.VARINT:
                    status = field.value
        elif number == _OUTPUT:
            has_output = True
            for field in wire.fields(raw, at, end):
                if field.kind != wire.BYTES:
                    continue
                if field.number == _INITIALIZATION:
                    initialization = raw[field.value : field.end]
                elif field.number == _RL_OUTPUT:
                    side_channel = _read_output(raw, field.value, field.end, infos)
    return Incoming(raw, status, has_output, initialization, infos, side_channel)


def _read_output(raw: bytes, at: int, end: int, infos: dict[str, Infos]) -> bytes:
    side_channel = b""
    for field in wire.fields(raw, at, end):
        if field.kind != wire.BYTES:
            continue
        if field.number == _SIDE_CHANNEL:
            side_channel = raw[field.value : field.end]
        elif field.number == _AGENT_INFOS:
            key, where = b"", (0, 0)
            for part in wire.fields(raw, field.value, field.end):
                if part.kind == wire.BYTES and part.number == _KEY:
                    key = raw[part.value : part.end]
                elif part.kind == wire.BYTES and part.number == _VALUE:
                    where = part.value, part.end
            infos[key.decode("utf-8", "replace")] = _read_infos(raw, *where)
    return side_channel


def _read_infos(raw: bytes, at: int, end: int) -> Infos:
    begin = at
    starts: list[int] = []
    lengths: list[int] = []
    before = -1
    try:
        while at < end:
            first = at
            if raw[at] != _INFO_TAG:
                raise wire.Malformed("a list of agents holds something else")
            length = raw[at + 1]
            at += 2
            if length > 0x7F:
                length, at = wire.read_varint(raw, at - 1)
            starts.append(at)
            lengths.append(length)
            head = raw[first:at]
            at += length
            if length == before and at < end:
                count = _count_same(raw, at, end, head, length)
                size = at - first
                starts.extend(range(at + len(head), at + len(head) + count * size, size))
                lengths.extend([length] * count)
                at += count * size
            before = length
    except IndexError as error:
        raise wire.Malformed("a list of agents is cut short") from error
    if at != end:
        raise wire.Malformed("a list of agents is cut short")
    return Infos(begin, end, starts, lengths)


def _count_same(raw: bytes, at: int, end: int, head: bytes, length: int) -> int:
    """How many agents follow that begin with the same bytes, and so are as long."""
    size = len(head) + length
    most = (end - at) // size
    # Twice as many each time that all were the same: little is looked at in vain.
    tried = min(_FEW, most)
    while True:
        same = tried
        for place, byte in enumerate(head):
            column = raw[at + place : at + tried * size : size]
            same = min(same, len(column) - len(column.lstrip(bytes((byte,)))))
        if same < tried or tried == most:
            return same
        tried = min(2 * tried, most)
