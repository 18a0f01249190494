"""The agents that come with gamebridge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gamebridge.contract import AgentNeeds, AgentRecord, AgentRequest, hookimpl
from gamebridge_agents import (
    baseline_settings,
    continuous_settings,
    settings,
    value_settings,
)


def _make_ppo(request: AgentRequest) -> Any:
    from gamebridge_agents import ppo

    return ppo.PPOLearner(request)


def _make_dqn(request: AgentRequest) -> Any:
    from gamebridge_agents import dqn

    return dqn.DQNLearner(request)


def _make_ddpg(request: AgentRequest) -> Any:
    from gamebridge_agents import ddpg

    return ddpg.DDPGLearner(request)


def _make_td3(request: AgentRequest) -> Any:
    from gamebridge_agents import td3

    return td3.TD3Learner(request)


def _make_sac(request: AgentRequest) -> Any:
    from gamebridge_agents import sac

    return sac.SACLearner(request)


def _make_ddqn(request: AgentRequest) -> Any:
    from gamebridge_agents import ddqn

    return ddqn.DDQNLearner(request)


def _make_c51(request: AgentRequest) -> Any:
    from gamebridge_agents import c51

    return c51.C51Learner(request)


def _make_q_learning(request: AgentRequest) -> Any:
    from gamebridge_agents import q_learning

    return q_learning.QLearner(request)


def _make_random(request: AgentRequest) -> Any:
    from gamebridge_agents import baselines

    return baselines.RandomLearner(request)


def _make_repeat(request: AgentRequest) -> Any:
    from gamebridge_agents import baselines

    return baselines.RepeatLearner(request)


@hookimpl
def gamebridge_agents() -> Iterator[AgentRecord]:
    """Yields the agents; docs/agents.md has a section for each."""
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
    yield AgentRecord(
        id="sac",
        summary="Soft actor-critic: continuous actions, any observation.",
        make=_make_sac,
        needs=AgentNeeds(("continuous",)),
        settings=continuous_settings.SACSettings,
        presets=continuous_settings.CONTINUOUS_PRESETS,
        num_slots=4,
    )
    yield AgentRecord(
        id="td3",
        summary="Twin delayed DDPG: continuous actions, any observation.",
        make=_make_td3,
        needs=AgentNeeds(("continuous",)),
        settings=continuous_settings.TD3Settings,
        presets=continuous_settings.CONTINUOUS_PRESETS,
        num_slots=4,
    )
    yield AgentRecord(
        id="ddpg",
        summary="Deep deterministic policy gradient: continuous actions, any observation.",
        make=_make_ddpg,
        needs=AgentNeeds(("continuous",)),
        settings=continuous_settings.DDPGSettings,
        presets=continuous_settings.CONTINUOUS_PRESETS,
        num_slots=4,
    )
    yield AgentRecord(
        id="ddqn",
        summary="DQN whose target does not overrate (double Q-learning): discrete actions.",
        make=_make_ddqn,
        needs=AgentNeeds(("discrete",)),
        settings=value_settings.DDQNSettings,
        presets=settings.DQN_PRESETS,
        num_slots=4,
    )
    yield AgentRecord(
        id="c51",
        summary="DQN that learns the distribution of returns: discrete actions, any observation.",
        make=_make_c51,
        needs=AgentNeeds(("discrete",)),
        settings=value_settings.C51Settings,
        presets=value_settings.C51_PRESETS,
        num_slots=4,
    )
    yield AgentRecord(
        id="q-learning",
        summary="Q-learning in a table over tiles: discrete actions, a few numbers to see.",
        make=_make_q_learning,
        needs=AgentNeeds(("discrete",)),
        settings=value_settings.QLearningSettings,
        num_slots=4,
    )
    yield AgentRecord(
        id="random",
        summary="Learns nothing: random actions, to compare others with.",
        make=_make_random,
    )
    yield AgentRecord(
        id="repeat",
        summary="Learns nothing: one action again and again, to compare others with.",
        make=_make_repeat,
        settings=baseline_settings.RepeatSettings,
    )
