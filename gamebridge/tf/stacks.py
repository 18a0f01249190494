"""`Stacks`: frames that were joined along the channels, kept one by one and joined when read.

A stack of four frames is kept in a quarter of its bytes: each step adds one frame, and the
others stand in the steps before. Joining puts the frames' bytes between each other, for which
TensorFlow's own ops have no fast way. Microseconds for 64 stacks of four 84x84 frames out of
20,000, without what it takes to draw them, on a busy machine:

    tf.gather alone, frame by frame                           110
    XLA: gather, widen, shift and join as words of 32 bits    200
    the same, and taken apart to bytes there                  300
    tf.gather; tf.transpose                                 1,700
    tf.gather; tf.stack                                     5,000
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf  # noqa: TID253

from gamebridge.contract import game as games

# The bytes of a word of so many frames of one channel.
_WORDS = {2: tf.uint16, 4: tf.uint32, 8: tf.uint64}


def newest(leaf: tf.Tensor, num_stacked: int) -> tf.Tensor:
    """Returns the last frame [..., channels] of stacks [..., channels * num_stacked]."""
    return leaf[..., leaf.shape[-1] // num_stacked * (num_stacked - 1) :]


class Stacks:
    """Rebuilds the stacks of one leaf.

    Attributes:
      num_stacked: frames of a stack.
      is_word: whether its pixels are words of one channel's frames: `words` and `from_words` are
        for these, and `read` for the others.
    """

    def __init__(self, frames: tf.Variable, num_stacked: int) -> None:
        """Keeps the frames, uint8 [R, height, width, channels]."""
        self._frames = frames
        self.num_stacked = num_stacked
        self.is_word = frames.shape[3] == 1 and num_stacked in _WORDS
        self._shape = [*frames.shape[1:3], frames.shape[3] * num_stacked]

    def read(self, index: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
        """Joins frames, uint8 [*shape, height, width, channels * num_stacked].

        Args:
          index: int64 [num_stacked, N], the rows of `frames`, the oldest first.
          shape: of product N.
        """
        joined = tf.transpose(tf.gather(self._frames, index), [1, 2, 3, 0, 4])
        return tf.reshape(joined, [*shape, *self._shape])

    def words(self, index: tf.Tensor) -> tf.Tensor:
        """Joins frames to integers [N, height * width]; to be compiled by XLA."""
        kind = _WORDS[self.num_stacked]
        flat = tf.reshape(self._frames, [self._frames.shape[0], -1])
        joined = tf.zeros([], kind)
        for place in range(self.num_stacked):
            frame = tf.cast(tf.gather(flat, index[place]), kind)
            # The lowest byte of a word lies first in memory, on all machines that TensorFlow
            # is built for.
            shifted = tf.bitwise.left_shift(frame, tf.constant(8 * place, kind))
            joined = tf.bitwise.bitwise_or(joined, shifted)
        return joined

    def from_words(self, words: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
        """Returns them as `read` returns its frames.

        Not by XLA, which would take each word apart: here they are bytes as they lie.
        """
        return tf.reshape(tf.bitcast(words, tf.uint8), [*shape, *self._shape])


def ages(step_types: tf.Tensor) -> tf.Tensor:
    """Returns how many rows back each frame of a stack is, int64 [num_stacked, N], oldest first.

    The first frame of an episode stands for those before it.

    Args:
      step_types: int32 [N, num_stacked - 1], of the rows 0, 1, 2 ... back.
    """
    goes_on = tf.cast(tf.not_equal(step_types, games.FIRST), tf.int64)
    newest_first = tf.cumsum(tf.math.cumprod(goes_on, 1), 1)
    return tf.pad(tf.reverse(tf.transpose(newest_first), [0]), [[0, 1], [0, 0]])
