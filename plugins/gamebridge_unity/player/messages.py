"""The player's messages as bytes: `UnityMessageProto` in all the forms a player sends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gamebridge_unity import wire
from gamebridge_unity.player import behaviors, fields

PACKAGE_VERSION = "2.3.0"
_NAME = "AcademySingleton"
_NUM_CAPABILITIES = len(wire.CAPABILITY_NAMES)


def header(status: int = wire.NORMAL) -> bytes:
    """Returns a message that says nothing but its status."""
    return wire.block(1, wire.number(1, status))


def hello(version: str = wire.COMMUNICATION_VERSION, package: str = PACKAGE_VERSION) -> bytes:
    """Returns the first message: who is there and what it can do."""
    able = b"".join(wire.number(number + 1, 1) for number in range(_NUM_CAPABILITIES))
    start = (
        wire.block(1, _NAME.encode())
        + wire.block(2, version.encode())
        + wire.block(7, package.encode())
        + wire.block(8, able)
    )
    return header() + wire.block(2, wire.block(2, start))


def news(
    infos: Mapping[str, Sequence[bytes]],
    introduced: Iterable[behaviors.Behavior],
    side_channels: bytes,
) -> bytes:
    """Returns a message of what the agents say.

    Args:
      infos: by behaviour, pieces of `ListAgentInfoProto`; none where nobody has news.
      introduced: behaviours that the trainer has not heard of.
      side_channels: what goes with it.
    """
    output = fields.Pieces()
    for name, pieces in infos.items():
        listed = fields.Pieces()
        for piece in pieces:
            listed.add(piece)
        entry = fields.Pieces()
        entry.add(wire.block(1, name.encode()))
        entry.nest(2, listed)
        output.nest(2, entry)
    if side_channels:
        output.add(wire.block(3, side_channels))
    outer = fields.Pieces()
    outer.nest(1, output)
    parameters = b"".join(wire.block(5, parameters_of(behavior)) for behavior in introduced)
    if parameters:
        outer.add(wire.block(2, parameters))
    message = fields.Pieces()
    message.add(header())
    message.nest(2, outer)
    return message.join()


def parameters_of(behavior: behaviors.Behavior) -> bytes:
    """Returns the `BrainParametersProto` of a behaviour."""
    actions = (
        wire.number(1, behavior.num_continuous)
        + wire.number(2, len(behavior.branches))
        + fields.packed(3, behavior.branches)
    )
    return wire.block(7, behavior.name.encode()) + wire.number(8, 1) + wire.block(9, actions)
