"""`Packing`: a nest of tensors as one vector of bytes a row, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253


class Packing:
    """Joins the leaves of rows into bytes.

    Attributes:
      num_bytes: what a row takes.
    """

    def __init__(self, specs: Any) -> None:
        """Takes what rows are: a nest of tensor specs, no batch axis."""
        self._specs = specs
        self._sizes = [
            int(np.prod(spec.shape)) * spec.dtype.size for spec in tf.nest.flatten(specs)
        ]
        self.num_bytes = sum(self._sizes)

    def pack(self, rows: Any) -> tf.Tensor:
        """Returns uint8 [N, num_bytes] for a nest of [N, ...]; in graph or eager."""
        tf.nest.assert_same_structure(rows, self._specs)
        leaves = [
            tf.reshape(_to_bytes(leaf), [tf.shape(leaf)[0], size])
            for leaf, size in zip(tf.nest.flatten(rows), self._sizes, strict=True)
        ]
        return tf.concat(leaves, 1)

    def unpack(self, packed: tf.Tensor) -> Any:
        """Returns the nest of [N, ...] that was packed as uint8 [N, num_bytes]."""
        parts = tf.split(packed, self._sizes, 1)
        leaves = [
            _from_bytes(part, spec)
            for part, spec in zip(parts, tf.nest.flatten(self._specs), strict=True)
        ]
        return tf.nest.pack_sequence_as(self._specs, leaves)


def _to_bytes(leaf: tf.Tensor) -> tf.Tensor:
    # TensorFlow has no bitcast of truth values.
    return tf.cast(leaf, tf.uint8) if leaf.dtype == tf.bool else tf.bitcast(leaf, tf.uint8)


def _from_bytes(part: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    size = spec.dtype.size
    shape = [tf.shape(part)[0] if part.shape[0] is None else part.shape[0], *spec.shape]
    if spec.dtype == tf.bool:
        return tf.reshape(tf.cast(part, tf.bool), shape)
    if size > 1:
        return tf.bitcast(tf.reshape(part, [*shape, size]), spec.dtype)
    return tf.bitcast(tf.reshape(part, shape), spec.dtype)
