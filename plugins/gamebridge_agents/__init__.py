"""The agents that come with gamebridge."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from gamebridge.contract import AgentNeeds, AgentRecord, AgentRequest, hookimpl
from gamebridge_agents import (
    baseline_settings,
    cloning_settings,
    continuous_settings,
    objections,
    recurrent_settings,
    reinforce_settings,
    settings,
    value_settings,
)


def _maker(module: str, learner: str) -> Callable[[AgentRequest], Any]:
    """Returns a `make` that imports its module, and TensorFlow with it, when it is called."""

    def make(request: AgentRequest) -> Any:
        return getattr(importlib.import_module(f"gamebridge_agents.{module}"), learner)(request)

    return make


def _make_sac(request: AgentRequest) -> Any:
    if request.action_spec.dtype.is_floating:
        return _maker("sac", "SACLearner")(request)
    return _maker("sac_discrete", "SACDiscreteLearner")(request)


@hookimpl
def gamebridge_agents() -> Iterator[AgentRecord]:
    """Yields the agents; docs/agents.md has a section for each."""
    yield AgentRecord(
        id="ppo",
        summary="Proximal policy optimisation: any action, any observation.",
        make=_maker("ppo", "PPOLearner"),
        needs=AgentNeeds(("discrete", "continuous", "branches", "hybrid")),
        settings=settings.PPOSettings,
        presets=settings.PPO_PRESETS,
        num_slots=8,
    )
    yield AgentRecord(
        id="dqn",
        summary="Deep Q-network with n-step returns: one integer or several, any observation.",
        make=_maker("dqn", "DQNLearner"),
        needs=AgentNeeds(("discrete", "branches")),
        settings=settings.DQNSettings,
        presets=settings.DQN_PRESETS,
        num_slots=4,
    )
    yield AgentRecord(
        id="sac",
        summary="Soft actor-critic: continuous or discrete actions, any observation.",
        make=_make_sac,
        needs=AgentNeeds(("discrete", "continuous")),
        settings=continuous_settings.SACSettings,
        presets=continuous_settings.SAC_PRESETS,
        num_slots=4,
        objection=objections.to_squashing,
    )
    yield AgentRecord(
        id="td3",
        summary="Twin delayed DDPG: continuous actions, any observation.",
        make=_maker("td3", "TD3Learner"),
        needs=AgentNeeds(("continuous",)),
        settings=continuous_settings.TD3Settings,
        presets=continuous_settings.DDPG_PRESETS,
        num_slots=4,
        objection=objections.to_squashing,
    )
    yield AgentRecord(
        id="ddpg",
        summary="Deep deterministic policy gradient: continuous actions, any observation.",
        make=_maker("ddpg", "DDPGLearner"),
        needs=AgentNeeds(("continuous",)),
        settings=continuous_settings.DDPGSettings,
        presets=continuous_settings.DDPG_PRESETS,
        num_slots=4,
        objection=objections.to_squashing,
    )
    yield AgentRecord(
        id="ddqn",
        summary="DQN whose target does not overrate (double Q-learning): discrete actions.",
        make=_maker("ddqn", "DDQNLearner"),
        needs=AgentNeeds(("discrete", "branches")),
        settings=value_settings.DDQNSettings,
        presets=settings.DQN_PRESETS,
        num_slots=4,
    )
    yield AgentRecord(
        id="dqn-rnn",
        summary="Double DQN that remembers what it saw: one integer or several, any observation.",
        make=_maker("dqn_rnn", "DQNRNNLearner"),
        needs=AgentNeeds(("discrete", "branches")),
        settings=recurrent_settings.DQNRNNSettings,
        presets=recurrent_settings.DQN_RNN_PRESETS,
        num_slots=4,
    )
    yield AgentRecord(
        id="ppo-rnn",
        summary="PPO that remembers what it saw: any action, any observation.",
        make=_maker("ppo_rnn", "PPORNNLearner"),
        needs=AgentNeeds(("discrete", "continuous", "branches", "hybrid")),
        settings=recurrent_settings.PPORNNSettings,
        presets=recurrent_settings.PPO_RNN_PRESETS,
        num_slots=8,
    )
    yield AgentRecord(
        id="c51",
        summary="DQN that learns the distribution of returns: discrete actions, any observation.",
        make=_maker("c51", "C51Learner"),
        needs=AgentNeeds(("discrete",)),
        settings=value_settings.C51Settings,
        presets=value_settings.C51_PRESETS,
        num_slots=4,
    )
    yield AgentRecord(
        id="reinforce",
        summary="Policy gradient by whole returns: any action, any observation.",
        make=_maker("reinforce", "ReinforceLearner"),
        needs=AgentNeeds(("discrete", "continuous", "branches", "hybrid")),
        settings=reinforce_settings.ReinforceSettings,
        presets=reinforce_settings.REINFORCE_PRESETS,
        num_slots=8,
    )
    yield AgentRecord(
        id="q-learning",
        summary="Q-learning in a table over tiles: discrete actions, a few numbers to see.",
        make=_maker("q_learning", "QLearner"),
        needs=AgentNeeds(("discrete",)),
        settings=value_settings.QLearningSettings,
        num_slots=4,
        objection=objections.to_table,
    )
    yield AgentRecord(
        id="bc",
        summary="Behavioural cloning: imitates saved episodes; any action, any observation.",
        make=_maker("bc", "BCLearner"),
        needs=AgentNeeds(("discrete", "continuous", "branches", "hybrid")),
        settings=cloning_settings.BCSettings,
        presets=cloning_settings.BC_PRESETS,
        num_slots=8,
    )
    yield AgentRecord(
        id="random",
        summary="Learns nothing: random actions, to compare others with.",
        make=_maker("baselines", "RandomLearner"),
        needs=AgentNeeds(("discrete", "continuous", "branches", "hybrid")),
    )
    yield AgentRecord(
        id="repeat",
        summary="Learns nothing: one action again and again, to compare others with.",
        make=_maker("baselines", "RepeatLearner"),
        needs=AgentNeeds(("discrete", "continuous", "branches", "hybrid")),
        settings=baseline_settings.RepeatSettings,
    )
