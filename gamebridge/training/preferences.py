"""Choices drawn by preferences, for agents that give floats; see `Game.preferences`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf  # noqa: TID253

# Preferences of 1 and -1 make a choice e^8 times likelier than another. Measured: with the
# greatest always taken, TD3 did not learn CartPole; by these chances it did in 13,000 steps.
SHARPNESS = 4.0


def drawn(action: tf.Tensor, blocks: Iterable[tuple[int, int]], seed: tf.Tensor) -> tf.Tensor:
    """Returns the action with noise in its blocks, by which the greatest becomes a draw.

    What is greatest after Gumbel noise is a sample of softmax(SHARPNESS * preferences)
    (Gumbel, 1954; Maddison et al., 2014).

    Args:
      action: float32 [B, n], preferences in [-1, 1].
      blocks: (start, size) of those numbers that are preferences.
      seed: int32 [2], a stateless seed.
    """
    is_preference = np.zeros(action.shape[-1], np.float32)
    for start, size in blocks:
        is_preference[start : start + size] = 1.0
    tiny = np.finfo(np.float32).tiny
    uniform = tf.random.stateless_uniform(tf.shape(action), seed, tiny, 1.0)
    return action - tf.math.log(-tf.math.log(uniform)) * (is_preference / SHARPNESS)
