"""`SumTree`: numbers of which one is drawn by its share of the sum, in time that hardly grows.

Each number's row of 64 has its sum one level further up, so that a million numbers take four
levels. A sum is always taken anew of its whole row: it neither drifts nor hangs on the order of
what was set, and what is restored from a checkpoint goes on exactly.
"""

from __future__ import annotations

import tensorflow as tf  # noqa: TID253

_WIDTH = 64


class SumTree(tf.Module):
    """Numbers of 0 and more, all 0 at first."""

    def __init__(self, size: int) -> None:
        """Allocates `size` numbers."""
        super().__init__(name="sum_tree")
        self._levels: list[tf.Variable] = []
        with tf.device("cpu:0"):
            while not self._levels or size > 1:
                size = -(-size // _WIDTH)
                zeros = tf.zeros([size, _WIDTH], tf.float64)
                self._levels.append(tf.Variable(zeros, trainable=False))

    @property
    def total(self) -> tf.Tensor:
        """float64 scalar: the sum of all."""
        return tf.reduce_sum(self._levels[-1])

    def get(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the numbers at `index`: float64 [N], for int64 [N]."""
        return tf.gather_nd(self._levels[0], _cells(index))

    def set(self, index: tf.Tensor, values: tf.Tensor) -> None:
        """Sets the numbers at `index`, int64 [N], to `values`, float64 [N]; in graph or eager.

        Of those that are named twice, the last value stays.
        """
        for level in self._levels:
            level.scatter_nd_update(_cells(index), values)
            index = index // _WIDTH
            values = tf.reduce_sum(tf.gather(level, index), 1)

    def find(self, reached: tf.Tensor) -> tf.Tensor:
        """Returns whose share of the sum each of `reached` lies in; never one that is 0.

        Args:
          reached: float64 [N], from 0 up and below `total`, which must be above 0.

        Returns:
          int64 [N].
        """
        index = tf.zeros(reached.shape, tf.int64)
        for level in reversed(self._levels):
            row = tf.gather(level, index)
            ends = tf.cumsum(row, 1)
            # The row's sum and the last of the running ones may differ in the last bit.
            reached = tf.minimum(reached, tf.math.nextafter(ends[:, -1], tf.zeros([], ends.dtype)))
            column = tf.reduce_sum(tf.cast(ends <= reached[:, None], tf.int64), 1)
            column = tf.minimum(column, _WIDTH - 1)
            begin = tf.gather(ends, column, batch_dims=1) - tf.gather(row, column, batch_dims=1)
            reached = tf.maximum(reached - begin, 0.0)
            index = index * _WIDTH + column
        return index

    def clear(self) -> None:
        """Sets all numbers to 0."""
        for level in self._levels:
            level.assign(tf.zeros_like(level))


def _cells(index: tf.Tensor) -> tf.Tensor:
    return tf.stack([index // _WIDTH, index % _WIDTH], -1)
