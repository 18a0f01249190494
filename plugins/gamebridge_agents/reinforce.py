"""`ReinforceLearner`: TF-Agents' REINFORCE on rollouts, whose episodes may be cut anywhere.

TF-Agents' agent learns of whole episodes alone: it stops where a batch has no end of one,
drops what comes after the last end, and takes a truncated episode for a terminated one. Here a
rollout may begin and end in mid-episode. With a baseline, what an episode would still have
given where it was cut or truncated is what the baseline says of the place. Without one nobody
can say that: a truncated episode counts as far as it went, and steps whose episode goes on
after the rollout teach nothing. The losses and policies are TF-Agents'.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.agents.reinforce import reinforce_agent  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge.contract import AgentRequest
from gamebridge.tf import networks, optimizers
from gamebridge.training import learners
from gamebridge_agents import actor_critic, exploration, ppo

_LAST = int(ts.StepType.LAST)


class ReinforceLearner(learners.OnPolicyLearner):
    """REINFORCE (Williams, 1992), with a learned baseline unless it is switched off."""

    metric_names = ("loss", "policy_loss", "value_loss", "entropy")

    def __init__(self, request: AgentRequest) -> None:
        """Builds networks, agent and optimizers from the request's specs and settings."""
        settings = request.settings
        self._settings = settings
        self.rollout_length = settings.rollout_length
        observation_spec = request.time_step_spec.observation
        self._actor = networks.ActorNetwork(
            observation_spec,
            request.action_spec,
            initial_std=settings.initial_std,
            **actor_critic.network_settings(request, 0),
        )
        self._baseline = None
        if settings.has_baseline:
            self._baseline = networks.ValueNetwork(
                observation_spec, **actor_critic.network_settings(request, 1)
            )
        self._actor_optimizer = optimizers.adam(settings.learning_rate)
        self._baseline_optimizer = optimizers.adam(settings.baseline_learning_rate)
        self._agent = reinforce_agent.ReinforceAgent(
            request.time_step_spec,
            request.action_spec,
            self._actor,
            self._actor_optimizer,
            value_network=self._baseline,
            value_estimation_loss_coef=1.0,
            gamma=settings.gamma,
            entropy_regularization=settings.entropy_weight,
            train_step_counter=tf.Variable(0, dtype=tf.int64, trainable=False),
        )
        self.policy = self._agent.policy
        optimizers.create_slots(self._actor_optimizer, self._actor.trainable_weights)
        if self._baseline:
            optimizers.create_slots(self._baseline_optimizer, self._baseline.trainable_weights)

    def trackables(self) -> dict[str, Any]:
        """Networks and optimizers."""
        parts = {"actor": self._actor, "actor_optimizer": self._actor_optimizer}
        if self._baseline:
            parts["baseline"] = self._baseline
            parts["baseline_optimizer"] = self._baseline_optimizer
        return parts

    def act(self, time_step: ts.TimeStep, seed: tf.Tensor) -> tuple[Any, Any]:
        """Samples from the policy."""
        distribution = self._agent.collect_policy.distribution(time_step).action
        return exploration.sample(distribution, seed), ()

    def train(self, rollout: learners.Rollout, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step of the policy over one rollout, then some of the baseline."""
        settings = self._settings
        values = self._values(rollout)
        # With lambda 1 these are the discounted rewards to go, until a value stands in.
        advantages, returns = ppo.advantages_and_returns(
            rollout.reward * settings.reward_scale,
            rollout.discount,
            rollout.step_type,
            values,
            rollout.valid,
            settings.gamma,
            1.0,
        )
        # The action at a LAST step was ignored by the game: nothing to learn from it.
        used = tf.logical_and(rollout.valid, rollout.step_type[:-1] != _LAST)
        if not self._baseline:
            used = tf.logical_and(used, ends_later(rollout.step_type))
        now = tf.nest.map_structure(
            lambda rows: rows[:-1], (rollout.observation, rollout.step_type)
        )
        parts = *now, rollout.action, advantages, returns, tf.cast(used, tf.float32)
        observation, step_type, action, advantages, returns, weights = tf.nest.map_structure(
            _in_one_row, parts
        )
        metrics = self._train_actor(observation, step_type, action, advantages, weights)
        metrics["value_loss"] = tf.constant(0.0)
        if self._baseline:
            metrics["value_loss"] = self._train_baseline(
                self._baseline, observation, step_type, returns, weights
            )
        return metrics

    def _values(self, rollout: learners.Rollout) -> tf.Tensor:
        if not self._baseline:
            return tf.zeros(tf.shape(rollout.step_type))
        values, _ = self._baseline(rollout.observation, rollout.step_type)
        return tf.stop_gradient(values)

    def _train_actor(
        self,
        observation: Any,
        step_type: tf.Tensor,
        action: Any,
        advantage: tf.Tensor,
        used: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        count = tf.maximum(tf.reduce_sum(used), 1.0)
        normalized, weights = ppo.normalized_and_weights(advantage, used)
        time_steps = ts.TimeStep(
            step_type, tf.zeros_like(advantage), tf.ones_like(advantage), observation
        )
        variables = self._actor.trainable_weights
        with tf.GradientTape() as tape:
            distribution = self._agent.collect_policy.distribution(time_steps).action
            # A mean over steps: how many episodes a rollout holds parts of says nothing.
            policy_loss = self._agent.policy_gradient_loss(
                distribution, action, used == 0, normalized, count, used
            )
            loss = policy_loss + self._agent.entropy_regularization_loss(distribution, weights)
        gradients = tape.gradient(loss, variables)
        self._actor_optimizer.apply_gradients(zip(gradients, variables, strict=True))
        entropy = common.entropy(distribution, self._agent.action_spec, 1)
        return {
            "loss": loss,
            "policy_loss": policy_loss,
            "entropy": tf.reduce_sum(entropy * used) / count,
        }

    def _train_baseline(
        self,
        baseline: networks.ValueNetwork,
        observation: Any,
        step_type: tf.Tensor,
        returns: tf.Tensor,
        used: tf.Tensor,
    ) -> tf.Tensor:
        """Returns the mean squared error before the first of its steps."""
        count = tf.maximum(tf.reduce_sum(used), 1.0)
        variables = baseline.trainable_weights

        def step(index: tf.Tensor, first: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                values, _ = baseline(observation, step_type)
                loss = self._agent.value_estimation_loss(values, returns, count, used)
            gradients = tape.gradient(loss, variables)
            self._baseline_optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return index + 1, tf.where(index == 0, loss, first)

        _, loss = tf.while_loop(
            lambda index, _: index < self._settings.baseline_updates,
            step,
            (tf.constant(0), tf.constant(0.0)),
            parallel_iterations=1,
        )
        return loss


def ends_later(step_type: tf.Tensor) -> tf.Tensor:
    """Returns of each step whether its episode's end is in the rollout: [T + 1, B] to [T, B]."""
    is_end = tf.cast(step_type[1:] == _LAST, tf.int32)
    return tf.cumsum(is_end, 0, reverse=True) > 0


def _in_one_row(part: tf.Tensor) -> tf.Tensor:
    """Joins the axes of time and slots: [T, B, ...] to [T * B, ...]."""
    return tf.reshape(part, [-1, *part.shape[2:]])
