"""`FloatsNormalizer`: the mean and the variance of what is seen, of floats only.

TF-Agents' normaliser casts what it gives back to the dtype that came in, which turns a uint8
picture into 0, 1 and 255, and takes masks for numbers (tensorflow/agents issue 922).
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.utils import tensor_normalizer  # noqa: TID253

from gamebridge.tf import encoders


def has_floats(observation_spec: Any) -> bool:
    """Whether there is anything to normalise: floats that are no picture."""
    return bool(_places(observation_spec))


class FloatsNormalizer(tensor_normalizer.StreamingTensorNormalizer):
    """TF-Agents' normaliser of some leaves of an observation; others pass as they are.

    Pictures, integers, bools and masks are none of its business.
    """

    def __init__(self, observation_spec: Any) -> None:
        """Makes the statistics of each leaf of floats."""
        self._places = _places(observation_spec)
        flat = tf.nest.flatten(observation_spec)
        super().__init__([flat[place] for place in self._places], "normalize_observations")

    def update(self, tensor: Any, outer_dims: Any = (0,)) -> tf.Operation:
        """Takes observations [..., ...] into account."""
        return super().update(self._floats(tensor), outer_dims)

    def normalize(self, tensor: Any, **settings: Any) -> Any:
        """Returns the observations [..., ...] with their floats normalised."""
        flat = tf.nest.flatten(tensor)
        found = super().normalize(self._floats(tensor), **settings)
        for place, leaf in zip(self._places, found, strict=True):
            flat[place] = leaf
        return tf.nest.pack_sequence_as(tensor, flat)

    def _floats(self, observation: Any) -> list[tf.Tensor]:
        flat = tf.nest.flatten(observation)
        return [flat[place] for place in self._places]


def install(agent: Any, normalizer: FloatsNormalizer) -> None:
    """Makes a `PPOAgent` that was built without a normaliser, and its policies, take this one."""
    agent._observation_normalizer = normalizer
    for policy in (agent.collect_policy, agent.policy.wrapped_policy):
        policy._observation_normalizer = normalizer


def _places(observation_spec: Any) -> list[int]:
    return [
        place
        for place, spec in enumerate(tf.nest.flatten(observation_spec))
        if spec.dtype.is_floating and not encoders.is_frame(spec)
    ]
