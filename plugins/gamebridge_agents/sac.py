"""`SACLearner`: TF-Agents' SAC, whose samples hang on a seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.agents.sac import sac_agent  # noqa: TID253
from tf_agents.policies import greedy_policy  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge.contract import AgentRequest
from gamebridge.tf import optimizers
from gamebridge.tf import replay as replays
from gamebridge_agents import actor_critic, continuous_networks


class SeededSacAgent(sac_agent.SacAgent):
    """TF-Agents' agent but for the generator that its actions are drawn from.

    Attributes:
      seeds: of the losses of critic, actor and temperature in one training step, each
        int32 [2]; to be set before.
    """

    seeds: Iterator[tf.Tensor]

    def _actions_and_log_probs(
        self, time_steps: ts.TimeStep, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        distribution = self._train_policy.distribution(time_steps).action
        actions = distribution.sample(seed=next(self.seeds))
        return actions, common.log_probability(distribution, actions, self.action_spec)


class SACLearner(actor_critic.ActorCriticLearner):
    """Soft actor-critic with a learned temperature (Haarnoja et al., 2018)."""

    metric_names = ("loss", "actor_loss", "critic_loss", "alpha_loss", "alpha")

    def __init__(self, request: AgentRequest) -> None:
        """Builds networks, agent and optimizers from the request's specs and settings."""
        super().__init__(request)
        settings = self._settings
        critics = self._critic(1), self._critic(2)
        self._alpha_optimizer = optimizers.adam(settings.learning_rate)
        self._agent = SeededSacAgent(
            actor_network=self._actor(continuous_networks.GaussianActor),
            critic_network=critics[0],
            critic_network_2=critics[1],
            alpha_optimizer=self._alpha_optimizer,
            initial_log_alpha=float(tf.math.log(settings.initial_alpha)),
            target_entropy=settings.target_entropy * int(request.action_spec.shape[0]),
            **self._agent_settings(),
        )
        self.policy = greedy_policy.GreedyPolicy(self._agent.policy)
        self._create_slots(*critics)
        optimizers.create_slots(self._alpha_optimizer, [self._agent._log_alpha])

    def trackables(self) -> dict[str, Any]:
        """Networks and their targets, temperature, optimizers and counter."""
        agent = self._agent
        return {
            "actor": agent._actor_network,
            "critic_1": agent._critic_network_1,
            "critic_2": agent._critic_network_2,
            "target_critic_1": agent._target_critic_network_1,
            "target_critic_2": agent._target_critic_network_2,
            "log_alpha": agent._log_alpha,
            "actor_optimizer": self._actor_optimizer,
            "critic_optimizer": self._critic_optimizer,
            "alpha_optimizer": self._alpha_optimizer,
            "train_step": self._train_step,
        }

    def train(self, batch: replays.Transition, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step of both critics, of the actor and of the temperature."""
        self._agent.seeds = iter(tf.unstack(tf.random.split(seed, 3)))
        info = self._train_agent(batch)
        return {
            "loss": info.loss,
            "actor_loss": info.extra.actor_loss,
            "critic_loss": info.extra.critic_loss,
            "alpha_loss": info.extra.alpha_loss,
            "alpha": tf.exp(self._agent._log_alpha),
        }

    def _explore(self, time_step: ts.TimeStep, seed: tf.Tensor) -> tf.Tensor:
        return self._agent.collect_policy.distribution(time_step).action.sample(seed=seed)
