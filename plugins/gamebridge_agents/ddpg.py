"""`DDPGLearner`: TF-Agents' DDPG, explored with Gaussian noise.

TF-Agents' own exploration is an Ornstein-Uhlenbeck process in variables that no checkpoint
holds and that no end of an episode resets. Fujimoto et al. (2018, section 6.1) found it to be
of no use over plain Gaussian noise, which is what RL Zoo and CleanRL take as well.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.agents.ddpg import ddpg_agent  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge.contract import AgentRequest
from gamebridge.tf import replay as replays
from gamebridge_agents import actor_critic, continuous_networks


class RowwiseDdpgAgent(ddpg_agent.DdpgAgent):
    """TF-Agents' agent but for the actor's loss, in which a row's weight is that of its row.

    TF-Agents multiplies squared gradients [B, n] by weights [B]: with n = 1 each row gets the
    mean weight of all, and with most other n it fails.
    """

    def actor_loss(
        self, time_steps: ts.TimeStep, weights: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """Returns minus the mean value of the actor's actions, a scalar; rows are [B, ...]."""
        actions, _ = self._actor_network(
            time_steps.observation, time_steps.step_type, training=training
        )
        values, _ = self._critic_network((time_steps.observation, actions), time_steps.step_type)
        return -tf.reduce_mean(values if weights is None else values * weights)


class DDPGLearner(actor_critic.ActorCriticLearner):
    """Deep deterministic policy gradient (Lillicrap et al., 2016)."""

    metric_names = ("loss", "actor_loss", "critic_loss")

    def __init__(self, request: AgentRequest) -> None:
        """Builds networks, agent and optimizers from the request's specs and settings."""
        super().__init__(request)
        critic = self._critic(1)
        self._agent = RowwiseDdpgAgent(
            actor_network=self._actor(continuous_networks.DeterministicActor),
            critic_network=critic,
            **self._agent_settings(),
        )
        self.policy = self._agent.policy
        self._create_slots(critic)

    def trackables(self) -> dict[str, Any]:
        """Networks and their targets, optimizers and counter."""
        agent = self._agent
        return {
            "actor": agent._actor_network,
            "target_actor": agent._target_actor_network,
            "critic": agent._critic_network,
            "target_critic": agent._target_critic_network,
            "actor_optimizer": self._actor_optimizer,
            "critic_optimizer": self._critic_optimizer,
            "train_step": self._train_step,
        }

    def train(self, batch: replays.Transition, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step of critic and actor."""
        info = self._train_agent(batch)
        return {
            "loss": info.loss,
            "actor_loss": info.extra.actor_loss,
            "critic_loss": info.extra.critic_loss,
        }

    def _explore(self, time_step: ts.TimeStep, seed: tf.Tensor) -> tf.Tensor:
        action, _ = self._agent._actor_network(time_step.observation, time_step.step_type)
        return self._with_noise(action, seed)
