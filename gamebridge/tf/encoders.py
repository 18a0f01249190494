"""Encoders: every kind of observation becomes one vector of floats, one encoder a leaf.

Every leaf is made float32 inside the network, so that frames stay uint8 up to here:

    picture (uint8, or bounded floats)  scaled to [0, 1], convolutions
    one integer out of at most 1,024    one-hot
    integers with few values each       one-hot each
    any other bounded integers          scaled to [-1, 1]
    floats                              as they are

A picture is [H, W, C], or [C, H, W] of at most 4 channels, with 8 pixels a side or more. A mask
of actions (see `masks`) is not encoded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253
from tf_agents.specs import tensor_spec  # noqa: TID253

from gamebridge.tf import masks

MAX_ONE_HOT = 1024
LEAST_PIXELS = 8
# Of a picture whose first axis is that of its channels: colours with transparency.
MAX_CHANNELS = 4


def is_frame(spec: tf.TensorSpec) -> bool:
    """Whether a leaf is a picture: uint8 or bounded floats, 8 pixels a side or more."""
    if spec.shape.rank != 3 or min(_size(spec)) < LEAST_PIXELS:
        return False
    return spec.dtype == tf.uint8 or (spec.dtype.is_floating and _is_bounded(spec))


def is_channels_first(spec: tf.TensorSpec) -> bool:
    """Whether a leaf of three axes is [C, H, W] and not [H, W, C]."""
    return bool(spec.shape[0] <= MAX_CHANNELS < spec.shape[2])


def has_frames(observation_spec: Any) -> bool:
    """Whether any leaf of a nest of tensor specs is a picture."""
    return any(is_frame(spec) for spec in tf.nest.flatten(observation_spec))


def orthogonal(seeds: Iterator[int], gain: float) -> Any:
    """Returns an orthogonal initializer with a seed of its own."""
    return tf.keras.initializers.Orthogonal(gain, seed=next(seeds))


class Encoder(tf.keras.layers.Layer):
    """Turns a nest of observations [N, ...] into one float32 vector [N, features].

    Convolutions follow the frame's size: 8x8/4, 4x4/2, 3x3/1 (Mnih et al., Nature 2015)
    from 36 pixels up, three 3x3 layers of stride 2 below.
    """

    def __init__(
        self,
        observation_spec: Any,
        seed: int,
        units: Sequence[int],
        conv_filters: Sequence[int],
        activation: str,
    ) -> None:
        """Builds the layers.

        Args:
          observation_spec: nest of tensor specs without batch axis.
          seed: fixes the first weights.
          units: sizes of the fully connected layers after the leaves are joined.
          conv_filters: filters of the three convolutions.
          activation: of the fully connected layers; convolutions use relu.
        """
        super().__init__()
        seeds = itertools.count(seed)
        seen_spec, _ = masks.split(observation_spec)
        self._specs = tf.nest.flatten(seen_spec)
        self._convolutions = {
            str(index): _convolutions(spec, seeds, conv_filters)
            for index, spec in enumerate(self._specs)
            if is_frame(spec)
        }
        gain = float(np.sqrt(2.0))
        self._dense = [
            tf.keras.layers.Dense(size, activation, kernel_initializer=orthogonal(seeds, gain))
            for size in units
        ]

    def call(self, observation: Any) -> tf.Tensor:
        """Encodes a batch: nest of [N, ...] to float32 [N, features]."""
        parts = []
        seen, _ = masks.split(observation)
        for index, (leaf, spec) in enumerate(zip(tf.nest.flatten(seen), self._specs, strict=True)):
            if is_frame(spec):
                x = _as_picture(leaf, spec)
                for layer in self._convolutions[str(index)]:
                    x = layer(x)
            else:
                x = _as_floats(leaf, spec)
            parts.append(tf.reshape(x, [tf.shape(x)[0], int(np.prod(x.shape[1:]))]))
        x = parts[0] if len(parts) == 1 else tf.concat(parts, -1)
        for layer in self._dense:
            x = layer(x)
        return x


def _convolutions(
    spec: tf.TensorSpec, seeds: Iterator[int], filters: Sequence[int]
) -> list[tf.keras.layers.Layer]:
    kernels = ((8, 4), (4, 2), (3, 1)) if min(_size(spec)) >= 36 else ((3, 2), (3, 2), (3, 2))
    gain = float(np.sqrt(2.0))
    return [
        tf.keras.layers.Conv2D(
            count,
            kernel,
            stride,
            padding="valid" if kernel > 3 else "same",
            activation="relu",
            kernel_initializer=orthogonal(seeds, gain),
        )
        for count, (kernel, stride) in zip(filters, kernels, strict=True)
    ]


def _size(spec: tf.TensorSpec) -> tuple[int, int]:
    """Returns height and width of a leaf of three axes."""
    height, width = spec.shape[1:] if is_channels_first(spec) else spec.shape[:2]
    return height, width


def _is_bounded(spec: tf.TensorSpec) -> bool:
    if not isinstance(spec, tensor_spec.BoundedTensorSpec):
        return False
    # Games say 3.4e38 where they mean no bound.
    bounds = np.concatenate([np.ravel(spec.minimum), np.ravel(spec.maximum)]).astype(np.float64)
    return bool((np.abs(bounds) < 1e30).all())


def _as_picture(leaf: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    """Returns float32 [N, height, width, channels] in [0, 1]."""
    x = tf.cast(leaf, tf.float32)
    if spec.dtype == tf.uint8:
        x = x / 255.0
    else:
        low, high = np.float32(spec.minimum), np.float32(spec.maximum)
        x = (x - low) / np.maximum(high - low, np.float32(1e-6))
    return tf.transpose(x, [0, 2, 3, 1]) if is_channels_first(spec) else x


def _as_floats(leaf: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    if spec.dtype.is_floating or spec.dtype == tf.bool:
        return tf.cast(leaf, tf.float32)
    if not isinstance(spec, tensor_spec.BoundedTensorSpec):
        return tf.cast(leaf, tf.float32)
    low = np.broadcast_to(spec.minimum, spec.shape).astype(np.float64)
    high = np.broadcast_to(spec.maximum, spec.shape).astype(np.float64)
    count = high - low + 1
    if count.size and count.size * count.max() <= MAX_ONE_HOT and spec.shape.rank <= 1:
        shifted = tf.cast(leaf, tf.int64) - low.astype(np.int64)
        return tf.one_hot(shifted, int(count.max()), dtype=tf.float32)
    span = np.maximum(high - low, 1.0)
    return (tf.cast(leaf, tf.float32) - low.astype(np.float32)) * (2.0 / span).astype(
        np.float32
    ) - 1.0
