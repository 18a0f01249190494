"""How agents draw their actions: by schedule where they learn values, or from distributions."""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253

from gamebridge.tf import masks


def linear(num_steps: tf.Tensor, start: float, end: float, steps: int) -> tf.Tensor:
    """Returns what has gone linearly from `start` to `end` after `steps` steps, and then stays."""
    share = tf.minimum(tf.cast(num_steps, tf.float32) / max(steps, 1), 1.0)
    return start + share * (end - start)


def sample(distribution: Any, seed: tf.Tensor) -> Any:
    """Draws from each distribution of a nest; `seed` is int32 [2], a stateless seed."""
    parts = tf.nest.flatten(distribution)
    seeds = [seed] if len(parts) == 1 else tf.unstack(tf.random.split(seed, len(parts)))
    drawn = [part.sample(seed=one) for part, one in zip(parts, seeds, strict=True)]
    return tf.nest.pack_sequence_as(distribution, drawn)


def any_integer(
    shape: Any, num_values: int, seed: tf.Tensor, allowed: tf.Tensor | None = None
) -> tf.Tensor:
    """Draws integers from 0 up, all that are allowed with equal chances: int64 [...].

    Args:
      shape: of what is drawn.
      num_values: how many values there are.
      seed: int32 [2], a stateless seed.
      allowed: bool [..., num_values], or None for all; in each row one or more.
    """
    # Drawn as int64: TensorFlow neither draws nor finds narrower integers.
    if allowed is None:
        return tf.random.stateless_uniform(shape, seed, 0, num_values, tf.int64)
    noise = tf.random.stateless_uniform(tf.concat([shape, [num_values]], 0), seed)
    return tf.argmax(masks.masked(noise, allowed), -1)


def epsilon_greedy(
    values: Any, epsilon: tf.Tensor, action_spec: Any, seed: tf.Tensor, allowed: Any = None
) -> Any:
    """Returns the best action or, with a chance of `epsilon`, any.

    Each slot draws for itself and, where there are several branches, each branch.

    Args:
      values: nest of float32 [B, num_actions].
      epsilon: float32 scalar.
      action_spec: of the actions, a nest of integers from 0 up.
      seed: int32 [2], a stateless seed.
      allowed: nest of bool [B, num_actions], or None for all.
    """
    flat = tf.nest.flatten(values)
    seeds = tf.random.split(seed, 2 * len(flat))
    actions = []
    for index, (branch, spec, may) in enumerate(
        zip(flat, tf.nest.flatten(action_spec), masks.by_leaf(allowed, action_spec), strict=True)
    ):
        num_slots, num_actions = branch.shape
        explores = tf.random.stateless_uniform([num_slots], seeds[2 * index]) < epsilon
        random = any_integer([num_slots], num_actions, seeds[2 * index + 1], may)
        best = tf.argmax(masks.masked(branch, may), -1)
        actions.append(tf.cast(tf.where(explores, random, best), spec.dtype))
    return tf.nest.pack_sequence_as(action_spec, actions)
