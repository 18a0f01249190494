"""`BCLearner`: TF-Agents' behavioural cloning, with the likelihood of what was done as its goal.

TF-Agents' own loss for floats is the squared distance to a *sample* of the policy, drawn from
a generator that no checkpoint holds, and leaves its standard deviation without a meaning; for
several actions it has none. One loss serves all kinds here: minus the logarithm of the
probability that the policy gives to what the teacher did. For integers that is the
cross-entropy.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.agents.behavioral_cloning import behavioral_cloning_agent  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253
from tf_agents.trajectories import trajectory  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge.contract import AgentRequest
from gamebridge.tf import masks, networks, optimizers
from gamebridge.training import offline

_MID = int(ts.StepType.MID)


class BCLearner(offline.OfflineLearner):
    """Behavioural cloning (Pomerleau, "ALVINN", 1989): imitates saved episodes."""

    metric_names = ("loss",)

    def __init__(self, request: AgentRequest) -> None:
        """Builds network, agent and optimizer from the request's specs and settings."""
        settings = request.settings
        self.episode_use = offline.EpisodeUse(
            folder=settings.episodes,
            batch_size=settings.batch_size,
            holdout=settings.holdout,
            block_mb=settings.block_mb,
        )
        self._action_spec = request.action_spec
        self._actor = networks.ActorNetwork(
            request.time_step_spec.observation,
            request.action_spec,
            seed=request.seed % 2**31,
            units=settings.units,
            conv_filters=settings.conv_filters,
            activation=settings.activation,
            initial_std=settings.initial_std,
        )
        self._optimizer = optimizers.adam(settings.learning_rate)
        self._agent = behavioral_cloning_agent.BehavioralCloningAgent(
            request.time_step_spec,
            request.action_spec,
            cloning_network=self._actor,
            optimizer=self._optimizer,
            num_outer_dims=1,
            loss_fn=self._unlikelihood,
            gradient_clipping=settings.gradient_clip,
            train_step_counter=tf.Variable(0, dtype=tf.int64, trainable=False),
        )
        self.policy = self._agent.policy
        optimizers.create_slots(self._optimizer, self._actor.trainable_weights)

    def trackables(self) -> dict[str, Any]:
        """Network and optimizer."""
        return {"actor": self._actor, "optimizer": self._optimizer}

    def train(self, lesson: offline.Lesson, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step of gradient descent."""
        weight = self._weight(lesson)
        # TF-Agents divides by the batch: so that skipped rows do not make the loss smaller.
        count = tf.cast(tf.size(weight), tf.float32)
        weight *= count / tf.maximum(tf.reduce_sum(weight), 1.0)
        info = self._agent.train(self._experience(lesson), weight)
        return {"loss": info.loss}

    def measure(self, lesson: offline.Lesson) -> tuple[tf.Tensor, tf.Tensor]:
        """The sum of the rows' losses, and their number."""
        weight = self._weight(lesson)
        losses = self._unlikelihood(self._experience(lesson))
        return tf.reduce_sum(losses * weight), tf.reduce_sum(weight)

    def _unlikelihood(self, experience: trajectory.Trajectory, training: bool = False) -> tf.Tensor:
        """Minus the logarithm of the probability of each row's action, float32 [B]."""
        distribution, _ = self._actor(
            experience.observation, step_type=experience.step_type, training=training
        )
        return -common.log_probability(distribution, experience.action, self._action_spec)

    def _weight(self, lesson: offline.Lesson) -> tf.Tensor:
        """The lesson's weight, without rows whose action the game did not allow."""
        weight = lesson.weight
        allowed = masks.by_leaf(masks.allowed(lesson.observation), self._action_spec)
        for may, action in zip(allowed, tf.nest.flatten(lesson.action), strict=True):
            if may is not None:
                is_allowed = tf.gather(may, action, axis=1, batch_dims=1)
                weight *= tf.cast(is_allowed, tf.float32)
        return weight

    def _experience(self, lesson: offline.Lesson) -> trajectory.Trajectory:
        steps = tf.fill(tf.shape(lesson.weight), _MID)
        nothing = tf.zeros_like(lesson.weight)
        return trajectory.Trajectory(
            step_type=steps,
            observation=lesson.observation,
            action=lesson.action,
            policy_info=(),
            next_step_type=steps,
            reward=nothing,
            discount=nothing + 1.0,
        )
