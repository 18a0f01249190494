"""`Scene`: what a game writes to be played by a trainer."""

from __future__ import annotations

import abc
import dataclasses
import itertools
from collections.abc import Sequence

from gamebridge_unity.player import agents, behaviors, channels, records, telemetry


@dataclasses.dataclass(frozen=True)
class Trainer:
    """What the trainer said when it was met.

    Attributes:
      seed: fixes the scene.
      num_areas: how many copies of the scene's area it wants; 1 unless said otherwise.
      version: of its mlagents-envs, such as "0.28.0".
      no_graphics: whether it started the player with `-nographics`.
    """

    seed: int = 0
    num_areas: int = 1
    version: str = ""
    no_graphics: bool = False


class Scene(abc.ABC):
    """A game as a trainer sees it: agents, and steps between their decisions.

    A subclass calls `add` for each behaviour, in its constructor or later, and writes `reset`
    and `step`. See `serve` for what is called when.

    Attributes:
      agents: what `add` returned, in that order.
      channels: the side channels.
    """

    def __init__(self) -> None:
        """Starts without agents."""
        self.agents: list[agents.Agents] = []
        self.channels = channels.Channels()
        self._ids, self._groups = itertools.count(), itertools.count(1)
        self._wire = records.Wire()

    def add(
        self,
        behavior: behaviors.Behavior,
        count: int,
        fields: Sequence[telemetry.Field] = (),
        *,
        present: bool = True,
    ) -> agents.Agents:
        """Adds agents of one behaviour.

        Args:
          behavior: what they see and do.
          count: how many at most.
          fields: what telemetry they have.
          present: whether all are there at once; else `Agents.enter` brings them.
        """
        added = agents.Agents(behavior, count, self._ids.__next__, fields, present=present)
        added.use(self._wire)
        self.agents.append(added)
        return added

    def new_group(self) -> int:
        """Returns a number for a group of agents that no other group had."""
        return next(self._groups)

    def begin(self, trainer: Trainer) -> None:  # noqa: B027 - many scenes need not know
        """Is told of the trainer, once, before the first reset."""

    @abc.abstractmethod
    def reset(self) -> None:
        """Begins an episode for every agent.

        Nothing is said of the episodes that this breaks off, and agents keep their ids.
        Usually ends in `Agents.request`.
        """

    @abc.abstractmethod
    def step(self) -> None:
        """Moves everything by one step, by the actions that are in the columns.

        Says `Agents.end` where an episode is over and `Agents.request` where an agent is to
        decide; where it says neither, the next step follows at once.
        """

    def close(self) -> None:  # noqa: B027 - most scenes hold nothing
        """Frees what the scene holds."""

    # What follows is for the session that serves the scene.

    def use(self, wire: records.Wire) -> None:
        """Says how the trainer wants its messages."""
        self._wire = wire
        for added in self.agents:
            added.use(wire)
