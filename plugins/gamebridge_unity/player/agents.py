"""`Agents`: the agents of one behaviour as columns; a scene writes and reads whole arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gamebridge_unity.player import behaviors, records, telemetry

Array: TypeAlias = "np.ndarray[Any, Any]"
# Rows of agents: bool [agents], or their numbers; None for all that are in the scene.
Rows: TypeAlias = "Array | Sequence[int] | None"


class Said(NamedTuple):
    """Infos that wait for the next message, of some agents at one moment.

    Attributes:
      data: for the message.
      rows: whose.
      numbers: theirs.
      observations: theirs, by name.
      telemetry: float32 [agents, fields].
    """

    data: bytes
    rows: Array
    numbers: records.Numbers
    observations: dict[str, Array]
    telemetry: Array


class Agents:
    """Agents of one behaviour; each is a row of every array.

    A scene writes what its agents see and earn into the arrays, then says `request` where
    an agent is to decide and `end` where its episode is over. Both take down what the arrays
    hold at that moment. Before the scene's next step the actions of those that were asked
    for a decision are there.

    Attributes:
      behavior: what they see and do.
      ids: int32 [agents]; -1 in a row where no agent is in the scene.
      rewards: float32 [agents], earned since the agent last said something; a scene adds.
      groups: int32 [agents], 0 for none; `Scene.new_group` gives numbers.
      group_rewards: float32 [agents], like `rewards`, of the whole group.
      observations: by name; each [agents, ...], uint8 for compressed frames, else float32.
      allowed: bool [agents, sum(branches)], which choices a discrete agent has.
      continuous: float32 [agents, num_continuous], the last actions, as the trainer sent them.
      discrete: int32 [agents, branches], the last actions.
      telemetry: by name; float32 [agents], what evaluations are told beside observations.
    """

    def __init__(
        self,
        behavior: behaviors.Behavior,
        count: int,
        next_id: Callable[[], int],
        fields: Sequence[telemetry.Field] = (),
        *,
        present: bool = True,
    ) -> None:
        """Makes the columns; a scene's `add` calls this.

        Args:
          behavior: what they see and do.
          count: how many rows.
          next_id: gives an agent an id that no other ever had.
          fields: what telemetry there is.
          present: whether all are in the scene from the start; else `enter` brings them.
        """
        self.behavior = behavior
        self.fields = tuple(fields)
        self.ids = np.full(count, -1, np.int32)
        self.rewards = np.zeros(count, np.float32)
        self.groups = np.zeros(count, np.int32)
        self.group_rewards = np.zeros(count, np.float32)
        self.observations = {
            seen.name: np.zeros((count, *seen.shape), seen.dtype) for seen in behavior.observations
        }
        self.allowed = np.ones((count, sum(behavior.branches)), np.bool_)
        self.continuous = np.zeros((count, behavior.num_continuous), np.float32)
        self.discrete = np.zeros((count, len(behavior.branches)), np.int32)
        self.telemetry = {field.name: np.zeros(count, np.float32) for field in fields}
        self._next_id = next_id
        self._said: list[Said] = []
        self._asked: list[Array] = []
        # Whose episode is over for the trainer: no decision was asked for since.
        self._is_over = np.zeros(count, np.bool_)
        self._encoder: records.Encoder | None = None
        self._wire = records.Wire()
        if present:
            self.enter()

    def __len__(self) -> int:
        """How many rows."""
        return len(self.ids)

    @property
    def present(self) -> Array:
        """Bool [agents]: rows with an agent in the scene."""
        is_present: Array = self.ids >= 0
        return is_present

    def enter(self, rows: Rows = None) -> None:
        """Puts agents into rows that have none, each with an id of its own; None for all."""
        empty = ~self.present
        for row in self._numbers_of(np.ones(len(self), np.bool_) if rows is None else rows):
            if empty[row]:
                self.ids[row] = self._next_id()
                self._is_over[row] = False

    def leave(self, rows: Rows = None) -> None:
        """Ends the episodes of agents and takes them out of the scene."""
        gone = self._numbers_of(rows)
        self.end(gone)
        self.ids[gone] = -1
        self.groups[gone] = 0

    def request(self, rows: Rows = None) -> None:
        """Asks for decisions: the trainer is told what these agents see and earned.

        Once a message for an agent: asking again before the next step is the scene's mistake.
        """
        asked = self._numbers_of(rows)
        if len(asked):
            self._asked.append(asked)
            self._is_over[asked] = False
            over = np.zeros(len(asked), np.bool_)
            self._say(asked, over, over)

    def end(self, rows: Rows = None, interrupted: bool | Array = False) -> None:
        """Ends episodes: the trainer is told what these agents see last, and earned.

        What the arrays hold afterwards is of the next episode. As in Unity, a second end is
        not told where no decision was asked for since the first.

        Args:
          rows: whose.
          interrupted: whether a limit ended it rather than what happened, for all or
            [agents].
        """
        ended = self._numbers_of(rows)
        self.rewards[ended[self._is_over[ended]]] = 0
        self.group_rewards[ended[self._is_over[ended]]] = 0
        ended = ended[~self._is_over[ended]]
        if len(ended):
            self._is_over[ended] = True
            every = np.broadcast_to(np.asarray(interrupted, np.bool_), len(self))
            self._say(ended, np.ones(len(ended), np.bool_), every[ended])
            self.continuous[ended] = 0
            self.discrete[ended] = 0

    # What follows is for the session that serves the scene.

    @property
    def has_said(self) -> bool:
        """Whether something waits for the next message."""
        return bool(self._said)

    def take(self) -> Iterator[Said]:
        """Yields what waits for the next message, in its order, and forgets it."""
        said, self._said = self._said, []
        yield from said

    def act(self, continuous: Array, discrete: Array) -> Array:
        """Takes the actions of those that were asked, in that order; returns their rows.

        Args:
          continuous: float32 [asked, num_continuous], or of no rows for zeros.
          discrete: int32 [asked, branches], or of no rows for zeros.
        """
        asked = np.concatenate(self._asked) if self._asked else np.zeros(0, np.intp)
        self._asked.clear()
        self.continuous[asked] = continuous if len(continuous) else 0
        self.discrete[asked] = discrete if len(discrete) else 0
        return asked

    @property
    def num_asked(self) -> int:
        """How many wait for a decision."""
        return sum(map(len, self._asked))

    def forget(self) -> None:
        """Begins anew, as at a reset: nobody waits, nothing was earned or said."""
        self._asked.clear()
        self._said.clear()
        self._is_over[:] = False
        for column in (self.rewards, self.group_rewards, self.continuous, self.discrete):
            column[:] = 0

    def use(self, wire: records.Wire) -> None:
        """Says how the trainer wants its messages."""
        self._wire = wire
        self._encoder = None

    def _say(self, rows: Array, done: Array, interrupted: Array) -> None:
        if self._encoder is None:
            self._encoder = records.Encoder(self.behavior, len(self), self._wire)
        numbers = records.Numbers(
            self.ids[rows],
            self.rewards[rows],
            self.groups[rows],
            self.group_rewards[rows],
            self.allowed[rows],
            done,
            interrupted,
        )
        seen = {name: values[rows] for name, values in self.observations.items()}
        values = np.zeros((len(rows), len(self.fields)), np.float32)
        for column, field in enumerate(self.fields):
            values[:, column] = self.telemetry[field.name][rows]
        data = self._encoder.encode(numbers, seen)
        self._said.append(Said(data, rows, numbers, seen, values))
        self.rewards[rows] = 0
        self.group_rewards[rows] = 0

    def _numbers_of(self, rows: Rows) -> Array:
        if rows is None:
            return np.flatnonzero(self.present)
        chosen = np.asarray(rows)
        numbers: Array = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        return numbers
