"""The agents that come with gamebridge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gamebridge.contract import AgentNeeds, AgentRecord, AgentRequest, hookimpl
from gamebridge_agents import settings


def _make_ppo(request: AgentRequest) -> Any:
    from gamebridge_agents import ppo

    return ppo.PPOLearner(request)


def _make_dqn(request: AgentRequest) -> Any:
    from gamebridge_agents import dqn

    return dqn.DQNLearner(request)


@hookimpl
def gamebridge_agents() -> Iterator[AgentRecord]:
    """Yields `ppo` and `dqn`."""
    yield AgentRecord(
        id="ppo",
        summary="Proximal policy optimisation: discrete or continuous actions, any observation.",
        make=_make_ppo,
        needs=AgentNeeds(("discrete", "continuous")),
        settings=settings.PPOSettings,
        presets=settings.PPO_PRESETS,
        num_slots=8,
    )
    yield AgentRecord(
        id="dqn",
        summary="Deep Q-network with n-step returns: discrete actions, any observation.",
        make=_make_dqn,
        needs=AgentNeeds(("discrete",)),
        settings=settings.DQNSettings,
        presets=settings.DQN_PRESETS,
        num_slots=4,
    )
