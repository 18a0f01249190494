"""`Replay`: a ring of time steps, to be sampled.

They are sampled as n-step transitions, or as sequences of rows for an agent that remembers.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253

from gamebridge.tf import ring, samples

# What a replay buffer gives to a learner.
Transition = samples.Transition
Sequence = samples.Sequence


class Replay(ring.Ring):
    """A ring out of which is drawn; see `Ring`."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        """Allocates the rings, given what `Ring` is given."""
        super().__init__(*arguments, **settings)
        self._reader = samples.Reader(self._layout, self._rows, self._place)
        self._drawn = self._reader.compiled(self._draw_transitions)

    def num_transitions(self, num_steps: int) -> tf.Tensor:
        """int64 scalar: out of how many transitions `sample` draws; LAST steps count too."""
        return tf.reduce_sum(tf.maximum(self.size() - num_steps, 0))

    def sample(self, batch_size: int, num_steps: int, gamma: float, seed: tf.Tensor) -> Transition:
        """Draws transitions, all with equal chances; `num_transitions` must be above 0.

        Args:
          batch_size: N.
          num_steps: n of the n-step return.
          gamma: the agent's discount factor.
          seed: int32 [2], a stateless seed.
        """
        return self._reader.transition(*self._drawn(batch_size, num_steps, gamma, seed))

    def sample_sequences(self, batch_size: int, length: int, seed: tf.Tensor) -> Sequence:
        """Draws sequences, all with equal chances; `num_transitions(length)` must be above 0.

        Args:
          batch_size: N.
          length: T, transitions in a sequence, the ways between two episodes counted.
          seed: int32 [2], a stateless seed.
        """
        start, slot = self._draw(batch_size, length, seed)
        return self._reader.sequences(start, slot, length)

    def _draw_transitions(
        self, batch_size: int, num_steps: int, gamma: float, seed: tf.Tensor
    ) -> tuple[dict[str, Any], Any]:
        return self._reader.find(*self._draw(batch_size, num_steps, seed), num_steps, gamma)

    def _draw(
        self, batch_size: int, num_after: int, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws (row's number, slot), int64 [N] each, with so many rows of the slot after it."""
        size = self.size()
        counts = tf.maximum(size - num_after, 0)
        ends = tf.cumsum(counts)
        number = tf.random.stateless_uniform([batch_size], seed, 0, ends[-1], tf.int64)
        slot = tf.searchsorted(ends, number, side="right", out_type=tf.int64)
        # What is to be added to a number to find its row in its slot's ring.
        return number + tf.gather(self._num_added - size - ends + counts, slot), slot
