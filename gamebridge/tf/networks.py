"""Networks for any observation: its encoder, a memory where asked for, and the head of an agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253
import tensorflow_probability as tfp
from tf_agents.networks import network  # noqa: TID253
from tf_agents.networks import utils as network_utils  # noqa: TID253
from tf_agents.specs import tensor_spec  # noqa: TID253
from tf_agents.utils import nest_utils  # noqa: TID253

from gamebridge.tf import encoders, masks, recurrent


class Observing(network.Network):
    """A network whose input may hold integers of any width.

    TF-Agents draws an input from its spec to build a network, and TensorFlow draws no int8.
    """

    _input_tensor_spec: Any

    def create_variables(self, input_tensor_spec: Any = None, **settings: Any) -> Any:
        """Builds the network; see TF-Agents."""
        spec = self._input_tensor_spec
        self._input_tensor_spec = tf.nest.map_structure(_drawable, spec)
        try:
            return super().create_variables(input_tensor_spec, **settings)
        finally:
            self._input_tensor_spec = spec


class Headed(Observing):
    """A network of one encoder and one head, for any number of outer axes; to be subclassed.

    With a memory between the two, the outer axes are [B], one step of each slot, or [B, T].
    """

    def __init__(
        self,
        observation_spec: Any,
        seed: int,
        units: Sequence[int],
        conv_filters: Sequence[int],
        activation: str,
        name: str,
        memory: recurrent.MemorySettings | None = None,
    ) -> None:
        """Builds the encoder and, where it is asked for, the memory."""
        state_spec = () if memory is None else memory.state_spec()
        super().__init__(observation_spec, state_spec=state_spec, name=name)
        self._encoder = encoders.Encoder(observation_spec, seed, units, conv_filters, activation)
        self._memory = None if memory is None else recurrent.Memory(memory, seed + 500)

    def encode(self, observation: Any) -> tuple[tf.Tensor, network_utils.BatchSquash]:
        """Returns float32 [N, features], and what folds the outer axes into N and back."""
        outer_rank = nest_utils.get_outer_rank(observation, self.input_tensor_spec)
        squash = network_utils.BatchSquash(outer_rank)
        flat = tf.nest.map_structure(squash.flatten, observation)
        return self._encoder(flat), squash

    def remember(
        self, observation: Any, step_type: Any, state: Any
    ) -> tuple[tf.Tensor, network_utils.BatchSquash, Any]:
        """Encodes, and remembers where there is a memory.

        What is seen now goes past the memory too. A head that had only what is remembered
        drove the memory into its bounds, where large values were to be learned.

        Returns:
          float32 [N, features], what folds the outer axes into N and back, and the state.
        """
        encoded, squash = self.encode(observation)
        if self._memory is None:
            return encoded, squash, state
        features = squash.unflatten(encoded)
        if len(features.shape) == 3:
            remembered, state = self._memory(features, step_type, state)
        else:
            step_type = None if step_type is None else step_type[:, None]
            remembered, state = self._memory(features[:, None], step_type, state)
            remembered = tf.squeeze(remembered, 1)
        return tf.concat([encoded, squash.flatten(remembered)], -1), squash, state


class QNetwork(Headed):
    """Values of each action: observation [B, ...] to float32 [B, num_actions]."""

    def __init__(
        self,
        observation_spec: Any,
        action_spec: Any,
        seed: int = 0,
        units: Sequence[int] = (128, 128),
        conv_filters: Sequence[int] = (16, 32, 32),
        activation: str = "relu",
        name: str = "QNetwork",
        memory: recurrent.MemorySettings | None = None,
    ) -> None:
        """Builds the network; `action_spec` is one integer from 0 up."""
        super().__init__(observation_spec, seed, units, conv_filters, activation, name, memory)
        num_actions = int(action_spec.maximum) + 1
        self._head = tf.keras.layers.Dense(
            num_actions,
            kernel_initializer=tf.keras.initializers.RandomUniform(-0.03, 0.03, seed=seed - 1),
        )

    def call(
        self,
        observation: Any,
        step_type: Any = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, Any]:
        """Returns the values and the state of the memory."""
        encoded, squash, network_state = self.remember(observation, step_type, network_state)
        return squash.unflatten(self._head(encoded)), network_state


class ValueNetwork(Headed):
    """Value of a state: observation [B, ...] to float32 [B]."""

    def __init__(
        self,
        observation_spec: Any,
        seed: int = 0,
        units: Sequence[int] = (64, 64),
        conv_filters: Sequence[int] = (16, 32, 32),
        activation: str = "tanh",
        name: str = "ValueNetwork",
        memory: recurrent.MemorySettings | None = None,
    ) -> None:
        """Builds the network."""
        super().__init__(observation_spec, seed, units, conv_filters, activation, name, memory)
        self._head = tf.keras.layers.Dense(
            1, kernel_initializer=tf.keras.initializers.Orthogonal(1.0, seed=seed - 1)
        )

    def call(
        self,
        observation: Any,
        step_type: Any = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, Any]:
        """Returns the values and the state of the memory."""
        encoded, squash, network_state = self.remember(observation, step_type, network_state)
        return squash.unflatten(tf.squeeze(self._head(encoded), -1)), network_state


class ActorNetwork(Headed):
    """A distribution over actions: Categorical, or Normal with an un-squashed mean.

    An action of several parts has a distribution a part, and a head for each. What a mask
    forbids is not drawn, and counts in no entropy.

    TF-Agents' own actor passes the mean through tanh; PPO then did not learn Pendulum,
    and did with the mean left as it is and a first standard deviation of 1.
    """

    def __init__(
        self,
        observation_spec: Any,
        action_spec: Any,
        seed: int = 0,
        units: Sequence[int] = (64, 64),
        conv_filters: Sequence[int] = (16, 32, 32),
        activation: str = "tanh",
        initial_std: float = 1.0,
        name: str = "ActorNetwork",
        memory: recurrent.MemorySettings | None = None,
    ) -> None:
        """Builds the network; `action_spec` is a nest of integers from 0 up and float vectors."""
        super().__init__(observation_spec, seed, units, conv_filters, activation, name, memory)
        self._action_spec = action_spec
        self._heads = []
        self._log_stds: list[tf.Variable | None] = []
        for index, spec in enumerate(tf.nest.flatten(action_spec)):
            is_discrete = tensor_spec.is_discrete(spec)
            size = int(spec.maximum) + 1 if is_discrete else int(spec.shape[0])
            # A small last layer makes the first policy nearly uniform (Andrychowicz et al.,
            # "What matters in on-policy reinforcement learning", 2020, section 3.2).
            initializer = tf.keras.initializers.Orthogonal(0.01, seed=seed - 1 - index)
            self._heads.append(tf.keras.layers.Dense(size, kernel_initializer=initializer))
            log_std = np.full(size, np.log(initial_std), np.float32)
            self._log_stds.append(None if is_discrete else tf.Variable(log_std, name="log_std"))

    def call(
        self,
        observation: Any,
        step_type: Any = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[Any, Any]:
        """Returns the distribution, in a nest like the action, and the state of the memory."""
        encoded, squash, network_state = self.remember(observation, step_type, network_state)
        allowed = masks.by_leaf(masks.allowed(observation), self._action_spec)
        distributions = []
        for head, log_std, spec, may in zip(
            self._heads, self._log_stds, tf.nest.flatten(self._action_spec), allowed, strict=True
        ):
            x = squash.unflatten(head(encoded))
            if log_std is None:
                logits = masks.masked(x, may)
                distributions.append(tfp.distributions.Categorical(logits, dtype=spec.dtype))
            else:
                std = tf.exp(tf.clip_by_value(log_std, -5.0, 2.0)) * tf.ones_like(x)
                distributions.append(tfp.distributions.MultivariateNormalDiag(x, std))
        return tf.nest.pack_sequence_as(self._action_spec, distributions), network_state


def _drawable(spec: tf.TensorSpec) -> tf.TensorSpec:
    """Returns a spec of the same shape that TensorFlow can draw from."""
    if spec.dtype not in (tf.int8, tf.int16, tf.uint16, tf.uint32, tf.uint64, tf.float16):
        return spec
    # No values, only shapes come of what is drawn.
    return tensor_spec.BoundedTensorSpec(spec.shape, tf.int32, 0, 1, spec.name)
