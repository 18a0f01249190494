"""`QLearner`: Q-learning in a table over tiles, from a replay buffer.

TF-Agents has no tabular agent; its policies take the table as the network that it is.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.policies import greedy_policy, q_policy  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge.contract import AgentRequest
from gamebridge.tf import masks
from gamebridge.tf import replay as replays
from gamebridge.training import learners
from gamebridge_agents import exploration, replaying, tiles


class QLearner(learners.OffPolicyLearner):
    """Q-learning (Watkins, 1989) over tiles (Sutton and Barto, 2018)."""

    metric_names = ("loss", "epsilon", "learning_rate")

    def __init__(self, request: AgentRequest) -> None:
        """Allocates the table.

        Raises:
          FitError: the observation has frames, or too many parts for a table.
        """
        settings = request.settings
        self._settings = settings
        self._num_slots = request.num_slots
        self._action_spec = request.action_spec
        self.replay_use = replaying.replay_use(settings)
        observation_spec = request.time_step_spec.observation
        seen_spec, _ = masks.split(observation_spec)
        self._network = tiles.TileNetwork(
            seen_spec,
            request.action_spec,
            bins=settings.bins,
            num_tilings=settings.num_tilings,
            initial_value=settings.initial_value,
        )
        self.policy = greedy_policy.GreedyPolicy(
            q_policy.QPolicy(
                request.time_step_spec,
                request.action_spec,
                self._network,
                observation_and_action_constraint_splitter=masks.splitter(observation_spec),
            )
        )
        self._epsilon = tf.Variable(settings.epsilon_start, trainable=False)
        self._learning_rate = tf.Variable(settings.learning_rate, trainable=False)

    def trackables(self) -> dict[str, Any]:
        """The table, the ranges that were measured, and the schedules."""
        return {
            "table": self._network.table,
            "low": self._network.low,
            "high": self._network.high,
            "epsilon": self._epsilon,
            "learning_rate": self._learning_rate,
        }

    def act(self, time_step: ts.TimeStep, num_steps: tf.Tensor, seed: tf.Tensor) -> Any:
        """Epsilon-greedy; all actions are random while the ranges are measured."""
        settings = self._settings
        seen, _ = masks.split(time_step.observation)
        is_warm = num_steps >= settings.warm_up_steps

        def measure() -> tf.Tensor:
            self._network.measure(seen)
            return tf.constant(1.0)

        def scheduled() -> tf.Tensor:
            return exploration.linear(
                num_steps, settings.epsilon_start, settings.epsilon_end, settings.epsilon_steps
            )

        epsilon = tf.cond(is_warm, scheduled, measure)
        self._epsilon.assign(epsilon)
        self._learning_rate.assign(
            exploration.linear(
                num_steps,
                settings.learning_rate,
                settings.learning_rate_end,
                settings.learning_rate_steps,
            )
        )
        values, _ = self._network(seen, time_step.step_type)
        values = tf.ensure_shape(values, [self._num_slots, None])
        allowed = masks.allowed(time_step.observation)
        return exploration.epsilon_greedy(values, epsilon, self._action_spec, seed, allowed)

    def train(self, batch: replays.Transition, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """One update of all tiles that the batch met, each by the mean of what it is told."""
        settings, network = self._settings, self._network
        (seen, _), (next_seen, _) = map(masks.split, (batch.observation, batch.next_observation))
        rows = network.tiles(seen)
        action = tf.cast(batch.action, tf.int64)
        found = tf.gather(network.values(rows), action, batch_dims=1)
        next_values = network.values(network.tiles(next_seen))
        after = tf.reduce_max(masks.masked(next_values, masks.allowed(batch.next_observation)), -1)
        target = settings.reward_scale * batch.reward + settings.gamma * batch.discount * after
        error = batch.weight * (target - found)

        num_tilings = settings.num_tilings
        column = tf.repeat(action[:, None], num_tilings, 1)
        cells = tf.reshape(rows * network.table.shape[1] + column, [-1])
        weight = tf.repeat(batch.weight, num_tilings)
        _, group, count = tf.unique_with_counts(cells)
        told = tf.maximum(tf.math.unsorted_segment_sum(weight, group, tf.size(count)), 1.0)
        share = tf.repeat(error, num_tilings) / tf.gather(told, group)
        where = tf.reshape(tf.stack([rows, column], -1), [-1, 2])
        network.table.scatter_nd_add(where, self._learning_rate / num_tilings * share)
        return {
            "loss": tf.reduce_mean(tf.square(error)),
            "epsilon": self._epsilon.read_value(),
            "learning_rate": self._learning_rate.read_value(),
        }
