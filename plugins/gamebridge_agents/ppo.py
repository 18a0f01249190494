"""`PPOLearner`: TF-Agents' clipped PPO, in minibatches, with advantages that are right.

TF-Agents' own preprocessing takes V(s[T-1]) for the value after the last step
(tensorflow/agents issue 953) and treats a truncated episode as a terminated one. Here
the value of every observation is there, LAST ones included: an episode that was
truncated, or cut by the end of the rollout, bootstraps from where it stands, and one
that terminated does not. Networks, policies and the loss are TF-Agents' `PPOClipAgent`.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.agents import tf_agent  # noqa: TID253
from tf_agents.agents.ppo import ppo_clip_agent, ppo_utils  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge.contract import AgentRequest
from gamebridge.tf import networks, normalizers, optimizers, recurrent
from gamebridge.training import learners
from gamebridge_agents import exploration

_LAST = int(ts.StepType.LAST)


class PPOLearner(learners.OnPolicyLearner):
    """Proximal policy optimisation (Schulman et al., 2017)."""

    # Steps of what minibatches are drawn from.
    _steps_drawn = 1
    metric_names = ("loss", "policy_loss", "value_loss", "entropy", "clip_fraction", "approx_kl")

    def __init__(self, request: AgentRequest) -> None:
        """Builds networks, agent and optimizer from the request's specs and settings."""
        self._settings = request.settings
        self.rollout_length = self._settings.rollout_length
        self._action_spec = request.action_spec
        self._num_slots = request.num_slots
        observation_spec = request.time_step_spec.observation
        shape = {
            "units": self._settings.units,
            "conv_filters": self._settings.conv_filters,
            "activation": self._settings.activation,
            "memory": self._memory_settings(),
        }
        self._actor = networks.ActorNetwork(
            observation_spec,
            request.action_spec,
            seed=request.seed % 2**31,
            initial_std=self._settings.initial_std,
            **shape,
        )
        self._critic = networks.ValueNetwork(
            observation_spec, seed=(request.seed + 1_000_003) % 2**31, **shape
        )
        self._normalizes = self._settings.normalize_observations and normalizers.has_floats(
            observation_spec
        )
        self._learning_rate = tf.Variable(self._settings.learning_rate, trainable=False)
        self._steps_trained = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._optimizer = optimizers.adam(self._learning_rate, epsilon=1e-5)
        self._agent = ppo_clip_agent.PPOClipAgent(
            request.time_step_spec,
            request.action_spec,
            optimizer=self._optimizer,
            actor_net=self._actor,
            value_net=self._critic,
            importance_ratio_clipping=self._settings.clip_ratio,
            discount_factor=self._settings.gamma,
            entropy_regularization=self._settings.entropy_weight,
            value_pred_loss_coef=self._settings.value_weight,
            num_epochs=1,
            # A constant reward has no variance, and normalised becomes +10 each step.
            normalize_rewards=False,
            normalize_observations=False,
            compute_value_and_advantage_in_train=True,
            update_normalizers_in_train=False,
            aggregate_losses_across_replicas=False,
            train_step_counter=tf.Variable(0, dtype=tf.int64, trainable=False),
        )
        if self._normalizes:
            self._normalizer = normalizers.FloatsNormalizer(observation_spec)
            normalizers.install(self._agent, self._normalizer)
        self.policy = self._agent.policy
        self._collect_policy = self._agent.collect_policy
        self.info_spec = self._collect_policy.info_spec
        self._variables = [*self._actor.trainable_weights, *self._critic.trainable_weights]
        optimizers.create_slots(self._optimizer, self._variables)

    def trackables(self) -> dict[str, Any]:
        """Networks, normaliser, optimizer and counters."""
        parts = {
            "actor": self._actor,
            "critic": self._critic,
            "optimizer": self._optimizer,
            "learning_rate": self._learning_rate,
            "steps_trained": self._steps_trained,
        }
        if self._normalizes:
            variables = tf.nest.flatten(self._normalizer.variables)
            parts["normalizer"] = {str(index): part for index, part in enumerate(variables)}
        return parts

    def act(self, time_step: ts.TimeStep, seed: tf.Tensor) -> tuple[Any, Any]:
        """Samples from the policy; the info is the distribution's parameters."""
        step = self._collect_policy.distribution(time_step)
        return exploration.sample(step.action, seed), step.info

    def train(self, rollout: learners.Rollout, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Some epochs of minibatches over one rollout."""
        settings = self._settings
        rollout = self._prepared(rollout)
        values = self._values(rollout)
        advantages, returns = advantages_and_returns(
            rollout.reward * settings.reward_scale,
            rollout.discount,
            rollout.step_type,
            values,
            rollout.valid,
            settings.gamma,
            settings.gae_lambda,
        )
        now = tf.nest.map_structure(
            lambda rows: rows[:-1], (rollout.observation, rollout.step_type)
        )
        # The action at a LAST step was ignored by the game: nothing to learn from it.
        used = tf.logical_and(rollout.valid, now[1] != _LAST)
        dist_params = rollout.info["dist_params"]
        parts = (*now, rollout.action, dist_params, advantages, returns, used)
        self._decay(tf.reduce_sum(tf.cast(used, tf.int64)))
        metrics = self._epochs(self._drawn_from(parts, rollout), seed)
        if self._normalizes:
            # Only now: the whole rollout was collected and learned from with the old one.
            self._agent.update_observation_normalizer(rollout.observation)
        return metrics

    def _memory_settings(self) -> recurrent.MemorySettings | None:
        """Returns what actor and critic remember with; None for nothing."""
        return None

    def _prepared(self, rollout: learners.Rollout) -> learners.Rollout:
        """Returns the rollout as the networks can see it."""
        return rollout

    def _drawn_from(self, parts: Any, rollout: learners.Rollout) -> Any:
        """Turns parts [T, B, ...] into what minibatches are drawn from.

        Returns:
          The arguments of `_minibatch`, each with one axis of things to draw, [N, ...].
        """
        rows = tf.nest.map_structure(
            lambda part: tf.ensure_shape(
                tf.reshape(part, tf.concat([[-1], tf.shape(part)[2:]], 0)), [None, *part.shape[2:]]
            ),
            parts,
        )
        return (*rows, ())

    def _values(self, rollout: learners.Rollout) -> tf.Tensor:
        values, _ = self._collect_policy.apply_value_network(rollout.observation, rollout.step_type)
        return tf.stop_gradient(values)

    def _decay(self, taken: tf.Tensor) -> None:
        self._steps_trained.assign_add(taken)
        decay_steps = self._settings.learning_rate_decay_steps
        if decay_steps:
            share = tf.minimum(tf.cast(self._steps_trained, tf.float32) / decay_steps, 1.0)
            self._learning_rate.assign(self._settings.learning_rate * (1.0 - 0.9 * share))

    def _epochs(self, rows: Any, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        count = self.rollout_length * self._num_slots // self._steps_drawn
        size = max(1, min(self._settings.minibatch_size // self._steps_drawn, count))
        per_epoch = count // size

        def minibatch(index: tf.Tensor, sums: dict[str, tf.Tensor]) -> tuple[Any, Any]:
            epoch, part = index // per_epoch, index % per_epoch
            order = tf.random.experimental.stateless_shuffle(
                tf.range(count), tf.random.experimental.stateless_fold_in(seed, epoch)
            )
            chosen = tf.gather(order, tf.range(size) + part * size)
            batch = tf.nest.map_structure(lambda part: tf.gather(part, chosen), rows)
            metrics = self._minibatch(*batch)
            return index + 1, {name: sums[name] + metrics[name] for name in sums}

        total = per_epoch * self._settings.num_epochs
        zeros = {name: tf.constant(0.0) for name in self.metric_names}
        _, sums = tf.while_loop(
            lambda index, sums: index < total,
            minibatch,
            (tf.constant(0), zeros),
            parallel_iterations=1,
        )
        return {name: value / total for name, value in sums.items()}

    def _minibatch(
        self,
        observation: Any,
        step_type: tf.Tensor,
        action: Any,
        dist_params: Any,
        advantage: tf.Tensor,
        returns: tf.Tensor,
        is_used: tf.Tensor,
        state: Any,
    ) -> dict[str, tf.Tensor]:
        used = tf.cast(is_used, tf.float32)
        num_used = tf.maximum(tf.reduce_sum(used), 1.0)
        normalized, weights = normalized_and_weights(advantage, used)
        old = ppo_utils.distribution_from_spec(
            self._agent._action_distribution_spec, dist_params, legacy_distribution_network=False
        )
        old_log_prob = common.log_probability(old, action, self._action_spec)
        time_steps = ts.TimeStep(
            step_type, tf.zeros_like(returns), tf.ones_like(returns), observation
        )
        entropy = common.entropy(old, self._action_spec, len(used.shape))
        with tf.GradientTape() as tape:
            info = self._loss(
                state,
                time_steps,
                action,
                old_log_prob,
                returns,
                normalized,
                dist_params,
                weights,
            )
        gradients = tape.gradient(info.loss, self._variables)
        gradients, _ = tf.clip_by_global_norm(gradients, self._settings.gradient_clip)
        self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))
        new = self._collect_policy.distribution(time_steps, self._actor_state(state)).action
        new_log_prob = common.log_probability(new, action, self._action_spec)
        return {
            "loss": info.loss,
            "policy_loss": info.extra.policy_gradient_loss,
            "value_loss": info.extra.value_estimation_loss,
            "entropy": tf.reduce_sum(entropy * used) / num_used,
            "clip_fraction": info.extra.clip_fraction,
            "approx_kl": tf.reduce_sum((old_log_prob - new_log_prob) * used) / num_used,
        }

    def _loss(
        self,
        state: Any,
        time_steps: ts.TimeStep,
        action: Any,
        old_log_prob: tf.Tensor,
        returns: tf.Tensor,
        advantages: tf.Tensor,
        dist_params: Any,
        weights: tf.Tensor,
    ) -> tf_agent.LossInfo:
        """Returns TF-Agents' loss; see `PPOAgent.get_loss`."""
        return self._agent.get_loss(
            time_steps,
            action,
            old_log_prob,
            returns,
            advantages,
            dist_params,
            weights,
            self._agent.train_step_counter,
            False,
            training=True,
        )

    def _actor_state(self, state: Any) -> Any:
        """Returns the policy state of the collect policy."""
        return ()


def normalized_and_weights(advantage: tf.Tensor, used: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Brings the advantages that are used to mean 0 and variance 1; all are float32 [N, ...].

    Args:
      advantage: any.
      used: 1 where a row is learned from, else 0.

    Returns:
      The advantages, and weights for losses that divide by all rows: so that those which are
      skipped do not make them smaller.
    """
    count = tf.maximum(tf.reduce_sum(used), 1.0)
    mean = tf.reduce_sum(advantage * used) / count
    variance = tf.reduce_sum(tf.square(advantage - mean) * used) / count
    normalized = (advantage - mean) * tf.math.rsqrt(variance + 1e-8)
    return normalized, used * (tf.cast(tf.size(used), tf.float32) / count)


def advantages_and_returns(
    reward: tf.Tensor,
    discount: tf.Tensor,
    step_type: tf.Tensor,
    values: tf.Tensor,
    valid: tf.Tensor,
    gamma: float,
    gae_lambda: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Generalised advantage estimation (Schulman et al., 2016) that knows truncation.

    A[t] = delta[t] + gamma * lambda * A[t + 1] while the episode goes on, with
    delta[t] = reward[t] + gamma * discount[t] * V[t + 1] - V[t]. The discount is 0 where
    the game terminated, so the value after it does not count; where it was truncated the
    value of its LAST observation does.

    Args:
      reward: float32 [T, B], what came after the action at t.
      discount: float32 [T, B], likewise.
      step_type: int32 [T + 1, B].
      values: float32 [T + 1, B].
      valid: bool [T, B]; a row that is not hands on what comes after it.
      gamma: discount factor.
      gae_lambda: the estimator's lambda.

    Returns:
      Advantages and returns, float32 [T, B]; of no meaning where step_type[t] is LAST or the
      row is not valid.
    """
    factor = gamma * discount
    delta = reward + factor * values[1:] - values[:-1]
    goes_on = tf.cast(step_type[1:] != _LAST, tf.float32)
    weight = tf.where(valid, gae_lambda * factor * goes_on, 1.0)
    delta = tf.where(valid, delta, 0.0)
    advantages = tf.scan(
        lambda later, row: row[0] + row[1] * later,
        (delta, weight),
        initializer=tf.zeros_like(delta[0]),
        reverse=True,
    )
    return advantages, advantages + values[:-1]
