"""`Batch`: what one message says of the agents of one behaviour, as arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_unity import behaviors


class Ended(NamedTuple):
    """The agents whose episodes ended, in the order of the message.

    Attributes:
      ids: int32 [n].
      rewards: float32 [n], since what was last said of the agent.
      group_ids: int32 [n], 0 for none.
      group_rewards: float32 [n].
      interrupted: bool [n], whether it was a truncation.
      observations: each [n, ...], the last of the episode.
    """

    ids: Array
    rewards: Array
    group_ids: Array
    group_rewards: Array
    interrupted: Array
    observations: tuple[Array, ...]


class Batch(NamedTuple):
    """The agents that ask for an action, in the order of the message; and those that ended.

    Attributes:
      ids: int32 [n].
      rewards: float32 [n], since what was last said of the agent.
      group_ids: int32 [n], 0 for none.
      group_rewards: float32 [n].
      observations: each [n, ...]: uint8 [n, height, width, channels] if it is a frame, else
        float32.
      masks: bool [n, choices of all branches], True = allowed; None without branches.
      ended: the agents whose episodes ended.
      behavior: what the agents are.
    """

    ids: Array
    rewards: Array
    group_ids: Array
    group_rewards: Array
    observations: tuple[Array, ...]
    masks: Array | None
    ended: Ended
    behavior: behaviors.Behavior


class Rows:
    """Arrays with room for some agents."""

    def __init__(self, behavior: behaviors.Behavior) -> None:
        """Makes room for one."""
        self._behavior = behavior
        self._room = 0
        self.reserve(1)

    def reserve(self, num_rows: int) -> bool:
        """Makes room; returns whether these are other arrays than before."""
        if num_rows <= self._room:
            return False
        self._room = room = num_rows if num_rows < 4 else num_rows + num_rows // 4
        self.ids = np.zeros(room, np.int32)
        self.rewards = np.zeros(room, np.float32)
        self.group_ids = np.zeros(room, np.int32)
        self.group_rewards = np.zeros(room, np.float32)
        self.interrupted = np.zeros(room, np.bool_)
        self.observations = tuple(
            np.zeros((room, *part.shape), part.dtype) for part in self._behavior.observations
        )
        width = self._behavior.num_choices
        self.masks = np.ones((room, width), np.bool_) if width else None
        return True


def first_bad(batch: Batch) -> str | None:
    """Names the first number that is not finite: what it is, whose, and its value."""
    name = behaviors.shown(batch.behavior.name)
    both: tuple[Batch | Ended, ...] = (batch, batch.ended)
    for rows in both:
        named = [("reward", rows.rewards), ("group reward", rows.group_rewards)]
        for part, values in zip(batch.behavior.observations, rows.observations, strict=True):
            if not part.is_frame:
                named.append((f"observation {behaviors.shown(part.name)}", values))
        for label, values in named:
            finite = np.isfinite(values)
            if not finite.all():
                row, *place = (int(axis) for axis in np.argwhere(~finite)[0])
                where = f" at {place}" if place else ""
                value = values[(row, *place)]
                return f"{name}, agent {rows.ids[row]}: {label} is {value:g}{where}"
    return None
