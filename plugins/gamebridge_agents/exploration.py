"""Exploration by schedule: how the agents that learn values draw their actions."""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253


def linear(num_steps: tf.Tensor, start: float, end: float, steps: int) -> tf.Tensor:
    """Returns what has gone linearly from `start` to `end` after `steps` steps, and then stays."""
    share = tf.minimum(tf.cast(num_steps, tf.float32) / max(steps, 1), 1.0)
    return start + share * (end - start)


def epsilon_greedy(
    values: tf.Tensor, epsilon: tf.Tensor, action_spec: Any, seed: tf.Tensor
) -> tf.Tensor:
    """Returns the best action or, with a chance of `epsilon`, any; each slot draws for itself.

    Args:
      values: float32 [B, num_actions].
      epsilon: float32 scalar.
      action_spec: of the actions, integers from 0 up.
      seed: int32 [2], a stateless seed.
    """
    num_slots, num_actions = values.shape
    seeds = tf.random.split(seed, 2)
    explores = tf.random.stateless_uniform([num_slots], seeds[0]) < epsilon
    random = tf.random.stateless_uniform([num_slots], seeds[1], 0, num_actions, tf.int64)
    # Drawn as int64: TensorFlow neither draws nor finds narrower integers.
    return tf.cast(tf.where(explores, random, tf.argmax(values, -1)), action_spec.dtype)
