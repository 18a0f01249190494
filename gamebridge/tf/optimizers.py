"""Adam as the agents use it: one fused kernel a variable, slots made before any graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf  # noqa: TID253


def adam(learning_rate: Any, epsilon: float = 1e-7) -> Any:
    """Returns Adam; `learning_rate` may be a variable.

    Keras 2.15's newer class spells the update out in small ops; the legacy one calls
    TensorFlow's fused kernel, which is what a small network's training step is made of.
    """
    return tf.keras.optimizers.legacy.Adam(learning_rate, epsilon=epsilon)


def create_slots(optimizer: Any, variables: Sequence[tf.Variable]) -> None:
    """Makes the optimizer's slots now, so that no graph has to be traced twice for them."""
    # Zero gradients leave weights and moments as they are; only the count must go back.
    optimizer.apply_gradients([(tf.zeros_like(variable), variable) for variable in variables])
    optimizer.iterations.assign(0)
