"""`DDQNLearner`: TF-Agents' double DQN, trained as `dqn` is."""

from __future__ import annotations

from gamebridge_agents import dqn


class DDQNLearner(dqn.DQNLearner):
    """Double Q-learning with networks (van Hasselt et al., 2016).

    The network says which action is best in the next state and the target network what it
    is worth, so that what one of them overrates by chance is not what is learned.
    """

    _is_double = True
