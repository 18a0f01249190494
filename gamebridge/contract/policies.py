"""`Policy`: what a trained run does, for games in which others play beside those who learn."""

from __future__ import annotations

import abc

from gamebridge.contract import specs


class Policy(abc.ABC):
    """Chooses actions, numpy in and numpy out, and remembers nothing from call to call.

    It may be called from several threads.
    """

    @abc.abstractmethod
    def observation_spec(self) -> specs.Spec:
        """The spec of what it is shown, no batch axis; without the bounds of floats."""

    @abc.abstractmethod
    def action_spec(self) -> specs.Spec:
        """The spec of its actions, no batch axis: those of the game that it was trained on."""

    @abc.abstractmethod
    def act(self, observation: specs.Nest) -> specs.Nest:
        """Returns the actions of any number of agents.

        Args:
          observation: nest of arrays [n, ...]; n may be another one in each call.

        Returns:
          Nest of arrays [n, ...], which are the caller's.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Lets go of what it holds. May be called twice."""
