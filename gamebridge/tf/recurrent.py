"""`Memory`: a recurrent layer between what a network sees and what it says.

Its state is a nest of float32 [N, units]: one tensor of a GRU, two of an LSTM. It is zero
before the first step of every episode: where a step type is FIRST nothing is left of what
came before, in the middle of a sequence too.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import tensorflow as tf  # noqa: TID253
from tf_agents.keras_layers import dynamic_unroll_layer  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

Cell = Literal["gru", "lstm"]


@dataclasses.dataclass(frozen=True)
class MemorySettings:
    """What a memory is made of.

    Attributes:
      cell: "gru" (Cho et al., 2014) or "lstm" (Hochreiter and Schmidhuber, 1997).
      units: numbers that it remembers, of each of its tensors.
    """

    cell: Cell
    units: int

    def state_spec(self) -> tuple[tf.TensorSpec, ...]:
        """Returns the specs of the state, without batch axis."""
        spec = tf.TensorSpec((self.units,), tf.float32)
        return (spec, spec) if self.cell == "lstm" else (spec,)


class Memory(tf.keras.layers.Layer):
    """Unrolls a cell over steps, in the graph."""

    def __init__(self, settings: MemorySettings, seed: int) -> None:
        """Builds the cell; `seed` fixes its first weights."""
        super().__init__()
        initializers = tf.keras.initializers
        kind = tf.keras.layers.LSTMCell if settings.cell == "lstm" else tf.keras.layers.GRUCell
        self._is_lstm = settings.cell == "lstm"
        self._unroll = dynamic_unroll_layer.DynamicUnroll(
            kind(
                settings.units,
                kernel_initializer=initializers.GlorotUniform(seed),
                recurrent_initializer=initializers.Orthogonal(seed=seed + 1),
            ),
            dtype=tf.float32,
        )

    def call(self, features: tf.Tensor, step_type: Any, state: Any) -> tuple[tf.Tensor, Any]:
        """Remembers one step after the other.

        Args:
          features: float32 [N, T, features].
          step_type: int32 [N, T]; None means that no episode begins.
          state: what is remembered from before; () for nothing.

        Returns:
          float32 [N, T, units], and the state after the last step.
        """
        begins = None if step_type is None else tf.equal(step_type, int(ts.StepType.FIRST))
        before = None
        if state:
            before = list(state) if self._is_lstm else state[0]
        outputs, after = self._unroll(features, before, begins)
        return outputs, tuple(tf.nest.flatten(after))
