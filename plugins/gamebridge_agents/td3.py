"""`TD3Learner`: TF-Agents' TD3, whose target actions stay within the bounds."""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.agents.td3 import td3_agent  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge.contract import AgentRequest
from gamebridge.tf import replay as replays
from gamebridge_agents import actor_critic, continuous_networks


class BoundedTd3Agent(td3_agent.Td3Agent):
    """TF-Agents' agent but for its target actions.

    Its noise can take a target action out of the bounds, where no action of the replay buffer
    ever was and the critics know nothing; the authors' own code clips it. It is in the units of
    the action, where ours is in those of half its range; and it is drawn from TensorFlow's
    global generator, where ours hangs on `noise_seed`.

    Attributes:
      noise_seed: int32 [2], to be set before each training.
    """

    noise_seed: tf.Tensor

    def critic_loss(
        self,
        time_steps: ts.TimeStep,
        actions: tf.Tensor,
        next_time_steps: ts.TimeStep,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns the summed losses of both critics, a scalar; all rows are [B, ...]."""
        after = (next_time_steps.observation, self._target_actions(next_time_steps))
        values_after = tf.minimum(
            self._target_critic_network_1(after, next_time_steps.step_type)[0],
            self._target_critic_network_2(after, next_time_steps.step_type)[0],
        )
        targets = tf.stop_gradient(
            self._reward_scale_factor * next_time_steps.reward
            + self._gamma * next_time_steps.discount * values_after
        )
        loss = tf.constant(0.0)
        for critic in (self._critic_network_1, self._critic_network_2):
            values, _ = critic(
                (time_steps.observation, actions), time_steps.step_type, training=training
            )
            loss += self._td_errors_loss_fn(targets, values)
        return tf.reduce_mean(loss if weights is None else loss * weights)

    def _target_actions(self, time_steps: ts.TimeStep) -> tf.Tensor:
        action, _ = self._target_actor_network(time_steps.observation, time_steps.step_type)
        _, half = common.spec_means_and_magnitudes(self.action_spec)
        noise = tf.random.stateless_normal(tf.shape(action), self.noise_seed)
        most = self._target_policy_noise_clip
        noise = tf.clip_by_value(noise * self._target_policy_noise, -most, most)
        return common.clip_to_spec(action + half * noise, self.action_spec)


class TD3Learner(actor_critic.ActorCriticLearner):
    """Twin delayed DDPG (Fujimoto et al., 2018)."""

    metric_names = ("loss", "actor_loss", "critic_loss")

    def __init__(self, request: AgentRequest) -> None:
        """Builds networks, agent and optimizers from the request's specs and settings."""
        super().__init__(request)
        settings = self._settings
        critics = self._critic(1), self._critic(2)
        self._agent = BoundedTd3Agent(
            actor_network=self._actor(continuous_networks.DeterministicActor),
            critic_network=critics[0],
            critic_network_2=critics[1],
            actor_update_period=settings.actor_update_period,
            target_update_period=settings.actor_update_period,
            target_policy_noise=settings.target_noise,
            target_policy_noise_clip=settings.target_noise_clip,
            **self._agent_settings(),
        )
        self.policy = self._agent.policy
        self._create_slots(*critics)

    def trackables(self) -> dict[str, Any]:
        """Networks and their targets, optimizers and counters."""
        agent = self._agent
        return {
            "actor": agent._actor_network,
            "target_actor": agent._target_actor_network,
            "critic_1": agent._critic_network_1,
            "critic_2": agent._critic_network_2,
            "target_critic_1": agent._target_critic_network_1,
            "target_critic_2": agent._target_critic_network_2,
            "actor_optimizer": self._actor_optimizer,
            "critic_optimizer": self._critic_optimizer,
            "train_step": self._train_step,
            # Counts the training steps until the targets move.
            "target_update": agent._update_target,
        }

    def train(self, batch: replays.Transition, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step of both critics, and in some of them one of actor and targets."""
        self._agent.noise_seed = seed
        info = self._train_agent(batch)
        return {
            "loss": info.loss,
            "actor_loss": info.extra.actor_loss,
            "critic_loss": info.extra.critic_loss,
        }

    def _explore(self, time_step: ts.TimeStep, seed: tf.Tensor) -> tf.Tensor:
        action, _ = self._agent._actor_network(time_step.observation, time_step.step_type)
        return self._with_noise(action, seed)
