"""`DDQNLearner`: TF-Agents' double DQN, trained as `dqn` is."""

from __future__ import annotations

from typing import Any

from tf_agents.agents.dqn import dqn_agent  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge_agents import dqn


class DDQNLearner(dqn.DQNLearner):
    """Double Q-learning with networks (van Hasselt et al., 2016).

    The network says which action is best in the next state and the target network what it
    is worth, so that what one of them overrates by chance is not what is learned.
    """

    def _make_agent(self, *arguments: Any, **settings: Any) -> dqn_agent.DqnAgent:
        return dqn_agent.DdqnAgent(
            *arguments, td_errors_loss_fn=common.element_wise_huber_loss, **settings
        )
