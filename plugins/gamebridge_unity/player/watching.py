"""`Watch`: who is told of all that passes between a scene and its trainer."""

from __future__ import annotations

from typing import Protocol

from gamebridge_unity.player import agents


class Watch(Protocol):
    """Is told of all that passes, such as a log of transitions."""

    def reset(self) -> None:
        """The trainer reset the scene."""

    def sends(self) -> None:
        """What is said next goes in another message."""

    def said(self, spoke: agents.Agents, said: agents.Said) -> None:
        """Agents' infos go to the trainer."""

    def acted(self, acting: agents.Agents, rows: agents.Array) -> None:
        """Actions came, which are in the columns of these agents."""

    def close(self) -> None:
        """The player goes."""
