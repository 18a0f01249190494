"""The actions in a trainer's message, handed to the agents that asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from gamebridge_unity.player import agents


def take(crowd: agents.Agents, sent: Any) -> agents.Array:
    """Hands actions to those who asked; returns their rows.

    Args:
      crowd: of one behaviour.
      sent: `UnityRLInputProto.agent_actions`, by behaviour.

    Raises:
      ValueError: there are more or fewer than asked, or of another size.
    """
    asked, name = crowd.num_asked, crowd.behavior.name
    listed = sent[name].value if name in sent else ()
    # Nothing at all is zeros for all, as in Unity.
    if listed and len(listed) != asked:
        raise ValueError(
            f"The trainer sent {len(listed)} actions for '{name}'; {asked} agents asked. It must "
            "answer each in the order of the infos."
        )
    return crowd.act(
        _rows((each.continuous_actions for each in listed), len(listed), crowd.continuous),
        _rows((each.discrete_actions for each in listed), len(listed), crowd.discrete),
    )


def _rows(sent: Iterator[Any], count: int, like: agents.Array) -> agents.Array:
    """Returns an array [count, width] of `like`'s width and dtype."""
    values = np.fromiter(itertools.chain.from_iterable(sent), like.dtype)
    if values.size != count * like.shape[1]:
        raise ValueError(
            f"The trainer sent {values.size} numbers for {count} agents; expected "
            f"{like.shape[1]} each."
        )
    return values.reshape(count, like.shape[1])
