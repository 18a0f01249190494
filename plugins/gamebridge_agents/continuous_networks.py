"""Networks of the agents that give floats: two kinds of actor, and a critic of (state, action).

All see any observation through the same encoder, one part a leaf. Convolutions give thousands
of numbers, among which an action of a few would be lost: where `num_features` is set they pass
through a narrow layer first, normalised and squashed (Yarats et al., "Improving sample
efficiency in model-free reinforcement learning from images", 2019, section 4).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253
import tensorflow_probability as tfp
from tf_agents.distributions import utils as distributions  # noqa: TID253
from tf_agents.networks import utils as network_utils  # noqa: TID253
from tf_agents.utils import common, nest_utils  # noqa: TID253

from gamebridge.tf import encoders, networks

# Haarnoja's own code and Stable-Baselines3 hold the logarithm of a deviation to these.
_MIN_LOG_STD, _MAX_LOG_STD = -20.0, 2.0


class _Seeing(networks.Observing):
    """What all three have: an encoder, layers on top of it, any number of outer axes."""

    def __init__(
        self,
        input_spec: Any,
        observation_spec: Any,
        seed: int,
        units: Sequence[int],
        conv_filters: Sequence[int],
        num_features: int,
        activation: str,
        name: str,
    ) -> None:
        super().__init__(input_spec, state_spec=(), name=name)
        self._encoder = encoders.Encoder(observation_spec, seed, (), conv_filters, activation)
        seeds = itertools.count(seed + 1_000)
        self._narrow = []
        if num_features:
            self._narrow = [
                tf.keras.layers.Dense(
                    num_features, kernel_initializer=encoders.orthogonal(seeds, 1.0)
                ),
                tf.keras.layers.LayerNormalization(),
                tf.keras.layers.Activation("tanh"),
            ]
        gain = float(np.sqrt(2.0))
        self._dense = [
            tf.keras.layers.Dense(
                size, activation, kernel_initializer=encoders.orthogonal(seeds, gain)
            )
            for size in units
        ]

    def _squash(self, inputs: Any) -> tuple[Any, network_utils.BatchSquash]:
        squash = network_utils.BatchSquash(
            nest_utils.get_outer_rank(inputs, self.input_tensor_spec)
        )
        return tf.nest.map_structure(squash.flatten, inputs), squash

    def _see(self, observation: Any, *beside: tf.Tensor) -> tf.Tensor:
        x = self._encoder(observation)
        for layer in self._narrow:
            x = layer(x)
        x = tf.concat([x, *beside], -1) if beside else x
        for layer in self._dense:
            x = layer(x)
        return x


class DeterministicActor(_Seeing):
    """One action a state, squashed to its bounds: observation [B, ...] to float32 [B, n]."""

    def __init__(
        self,
        observation_spec: Any,
        action_spec: Any,
        seed: int = 0,
        units: Sequence[int] = (256, 256),
        conv_filters: Sequence[int] = (16, 32, 32),
        num_features: int = 0,
        activation: str = "relu",
        name: str = "DeterministicActor",
    ) -> None:
        """Builds the network; `action_spec` is one bounded float vector."""
        super().__init__(
            observation_spec, observation_spec, seed, units, conv_filters, num_features,
            activation, name,
        )  # fmt: skip
        self._middle, self._half = common.spec_means_and_magnitudes(action_spec)
        self._head = _small_head(int(action_spec.shape[0]), seed + 2_000)

    def call(
        self,
        observation: Any,
        step_type: Any = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, Any]:
        """Returns the actions and the (empty) state."""
        flat, squash = self._squash(observation)
        action = self._middle + self._half * tf.tanh(self._head(self._see(flat)))
        return squash.unflatten(action), network_state


class GaussianActor(_Seeing):
    """A Gaussian a state, squashed by tanh to the action's bounds (Haarnoja et al., 2018)."""

    def __init__(
        self,
        observation_spec: Any,
        action_spec: Any,
        seed: int = 0,
        units: Sequence[int] = (256, 256),
        conv_filters: Sequence[int] = (16, 32, 32),
        num_features: int = 0,
        activation: str = "relu",
        name: str = "GaussianActor",
    ) -> None:
        """Builds the network; `action_spec` is one bounded float vector."""
        super().__init__(
            observation_spec, observation_spec, seed, units, conv_filters, num_features,
            activation, name,
        )  # fmt: skip
        self._action_spec = action_spec
        self._head = _small_head(2 * int(action_spec.shape[0]), seed + 2_000)

    def call(
        self,
        observation: Any,
        step_type: Any = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[tfp.distributions.Distribution, Any]:
        """Returns the distribution and the (empty) state."""
        flat, squash = self._squash(observation)
        mean, log_std = tf.split(squash.unflatten(self._head(self._see(flat))), 2, -1)
        std = tf.exp(tf.clip_by_value(log_std, _MIN_LOG_STD, _MAX_LOG_STD))
        normal = tfp.distributions.MultivariateNormalDiag(mean, std)
        return distributions.SquashToSpecNormal(normal, self._action_spec), network_state


class Critic(_Seeing):
    """Value of an action: (observation [B, ...], action [B, n]) to float32 [B]."""

    def __init__(
        self,
        input_spec: Any,
        seed: int = 0,
        units: Sequence[int] = (256, 256),
        conv_filters: Sequence[int] = (16, 32, 32),
        num_features: int = 0,
        activation: str = "relu",
        name: str = "Critic",
    ) -> None:
        """Builds the network; `input_spec` is (observation spec, action spec)."""
        observation_spec, action_spec = input_spec
        super().__init__(
            input_spec, observation_spec, seed, units, conv_filters, num_features,
            activation, name,
        )  # fmt: skip
        self._middle, self._half = common.spec_means_and_magnitudes(action_spec)
        self._head = _small_head(1, seed + 2_000)

    def call(
        self,
        inputs: Any,
        step_type: Any = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, Any]:
        """Returns the values and the (empty) state."""
        (observation, action), squash = self._squash(inputs)
        # Seen in units of half its range, whatever the game's own are.
        scaled = (action - self._middle) / self._half
        value = tf.squeeze(self._head(self._see(observation, scaled)), -1)
        return squash.unflatten(value), network_state


def _small_head(size: int, seed: int) -> tf.keras.layers.Dense:
    """Returns a last layer that begins near 0 (Lillicrap et al., 2016, section 7)."""
    return tf.keras.layers.Dense(
        size, kernel_initializer=tf.keras.initializers.RandomUniform(-3e-3, 3e-3, seed)
    )
