"""Replies to a player: actions, commands and side channels as bytes.

The actions of agents of one behaviour are equally long, so all of them are written into
one array of bytes at once.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_unity import behaviors, wire

# UnityMessageProto, UnityInputProto, UnityRLInputProto, its map's entries.
_HEADER, _INPUT = 1, 3
_STATUS = 1
_RL_INPUT, _INITIALIZATION = 1, 2
_AGENT_ACTIONS, _COMMAND, _SIDE_CHANNEL = 1, 4, 5
_KEY, _VALUE = 1, 2
# ListAgentActionProto's only field; AgentActionProto.
_ACTION = 1
_OLDER, _CONTINUOUS, _DISCRETE = 1, 6, 7
_NORMAL_HEADER = wire.block(_HEADER, wire.number(_STATUS, wire.NORMAL))
GOODBYE = wire.block(_HEADER, wire.number(_STATUS, wire.CLOSING))


class Actions(NamedTuple):
    """What the agents of a behaviour do, in the order in which they asked.

    Attributes:
      continuous: float32 [n, number of continuous actions]; None without any.
      discrete: int32 [n, number of branches], the choice of each; None without any.
    """

    continuous: Array | None = None
    discrete: Array | None = None


def initialization(seed: int, num_areas: int) -> bytes:
    """Returns the reply to a player's first call."""
    messages = wire.messages()
    everything = dict.fromkeys(wire.CAPABILITY_NAMES, True)
    said = messages.UnityRLInitializationInputProto(
        seed=seed,
        communication_version=wire.COMMUNICATION_VERSION,
        package_version=wire.PACKAGE_VERSION,
        capabilities=messages.UnityRLCapabilitiesProto(**everything),
        num_areas=num_areas,
    )
    content = wire.block(_INITIALIZATION, said.SerializeToString())
    return _NORMAL_HEADER + wire.block(_INPUT, content)


def order(command: int, actions: Mapping[str, bytes], side_channel: bytes) -> bytes:
    """Returns a reply that says what comes next.

    Args:
      command: wire.STEP or wire.RESET.
      actions: by behaviour, what `rows` returned.
      side_channel: what is to be said there.
    """
    content = [
        wire.block(_AGENT_ACTIONS, wire.block(_KEY, name.encode()) + wire.block(_VALUE, listed))
        for name, listed in actions.items()
    ]
    if command:
        content.append(wire.number(_COMMAND, command))
    if side_channel:
        content.append(wire.block(_SIDE_CHANNEL, side_channel))
    return _NORMAL_HEADER + wire.block(_INPUT, wire.block(_RL_INPUT, b"".join(content)))


def rows(behavior: behaviors.Behavior, actions: Actions, num_agents: int, *, hybrid: bool) -> bytes:
    """Returns a ListAgentActionProto: the actions of all agents of a behaviour.

    Args:
      behavior: theirs.
      actions: of each of them.
      num_agents: how many asked.
      hybrid: whether the player reads continuous and discrete actions from fields of their
        own; one that does not gets them in the older field as well.

    Raises:
      ValueError: there are not as many actions as that, or a choice is negative.
    """
    continuous = _checked(behavior, actions.continuous, num_agents, behavior.num_continuous, "<f4")
    discrete = _checked(behavior, actions.discrete, num_agents, len(behavior.branches), "<i4")
    parts: list[tuple[int, Array]] = []
    if not hybrid:
        older = np.concatenate([continuous, discrete.astype("<f4")], axis=1)
        parts.append((_OLDER, older.view(np.uint8)))
    if behavior.num_continuous:
        parts.append((_CONTINUOUS, continuous.view(np.uint8)))
    if discrete.size:
        if discrete.min() < 0:
            raise ValueError(f"{behavior.name}: choice {discrete.min()}: expected 0 or more.")
        parts.append((_DISCRETE, _varints(discrete, len(wire.varint(int(discrete.max()))))))
    template, places = _template(tuple((field, part.shape[1]) for field, part in parts))
    out = np.empty((num_agents, len(template)), np.uint8)
    out[:] = template
    for place, (_, part) in zip(places, parts, strict=True):
        out[:, place : place + part.shape[1]] = part
    return out.tobytes()


@functools.lru_cache(maxsize=256)
def _template(sizes: tuple[tuple[int, int], ...]) -> tuple[Array, tuple[int, ...]]:
    """An agent's bytes without its numbers, and where those of each field belong."""
    body = b"".join(wire.block(field, bytes(size)) for field, size in sizes if size)
    entry = wire.block(_ACTION, body)
    places = []
    at = len(entry) - len(body)
    for field, size in sizes:
        at += len(wire.block(field, bytes(size))) if size else 0
        places.append(at - size)
    return np.frombuffer(entry, np.uint8), tuple(places)


def _varints(values: Array, size: int) -> Array:
    """Each number in `size` bytes, the shorter ones with bits of nothing behind them."""
    out = np.empty((*values.shape, size), np.uint8)
    for place in range(size):
        out[..., place] = values >> (7 * place) & 0x7F
    out[..., : size - 1] |= 0x80
    return out.reshape(len(values), values.shape[1] * size)


def _checked(
    behavior: behaviors.Behavior, values: Array | None, num_agents: int, width: int, dtype: str
) -> Array:
    if values is None:
        values = np.zeros((num_agents, 0), dtype)
    if values.shape != (num_agents, width):
        raise ValueError(
            f"{behavior.name}: actions of shape {list(values.shape)}: expected "
            f"{[num_agents, width]}, one row for each agent that asked, in the same order."
        )
    return np.ascontiguousarray(values, dtype)
