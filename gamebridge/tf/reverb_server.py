"""`ReverbServer`: a Reverb server in this process with one table, and what writes and draws there.

An item is a run of rows that follow each other in one slot, and a row is one vector of bytes, which
is kept once however many items it is part of. Reverb's own checkpoints are not used: on a
full disk they are cut short and said to be done (seen in 0.14.0).

Whatever draws is closed first and the server last: one that goes before its samplers leaves them
waiting for ever.
"""

from __future__ import annotations

import collections
import importlib.util
import platform
import sys
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge.tf import quiet

_TABLE = "rows"
# A writer waits where so many of its items have not arrived.
_MAX_PENDING = 8
# It keeps a reference to all rows since it began anew.
_MAX_STEPS = 1_000


def check() -> None:
    """Refuses where there is no Reverb.

    Raises:
      ConfigError: says what to install, or that there is none for this machine.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise errors.ConfigError(
            "training.replay_store is 'reverb', which is for Linux on x86-64 only; this is "
            f"{sys.platform} on {platform.machine()}. Leave it at 'memory'."
        )
    if importlib.util.find_spec("reverb") is None:
        raise errors.ConfigError(
            "training.replay_store is 'reverb', which is not installed. "
            "Run `pip install 'gamebridge[reverb]'`, or leave it at 'memory'."
        )


class ReverbServer:
    """A table of items, begun when the first row comes."""

    def __init__(
        self, num_slots: int, max_items: int, item_shape: tuple[int, int], alpha: float | None
    ) -> None:
        """Starts nothing yet.

        Args:
          num_slots: how many streams of rows there are.
          max_items: the oldest go where there are more.
          item_shape: rows of an item, bytes of a row.
          alpha: the exponent of the priorities by which items are drawn; None draws all with
            equal chances.
        """
        self._num_slots = num_slots
        self._max_items = max_items
        self._item_shape = item_shape
        self._alpha = alpha
        self._server: Any = None
        self._client: Any = None
        self._writers: list[_Writer] = []
        self._draws: dict[int, _Draws] = {}

    def append(self, slot: int, row: Array, priority: float | None) -> None:
        """Adds a row of a slot, uint8 [bytes].

        Args:
          slot: whose.
          row: not to be changed any more.
          priority: of the item that ends with it; None where none does.
        """
        if self._server is None:
            self._open()
        self._writers[slot].append(row, priority)

    def draw(self, batch_size: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Draws items; in graph or eager.

        Returns:
          Keys uint64 [N], the chances that they had, float64 [N], and their rows, uint8
          [N, *item_shape].
        """
        if batch_size not in self._draws:
            with tf.init_scope():
                self._draws[batch_size] = _Draws(batch_size, self._item_shape, self._samples)
        return self._draws[batch_size].next()

    def set_priorities(self, keys: Array, priorities: Array) -> None:
        """Sets priorities, of items that are gone too."""
        updates = dict(zip(keys.tolist(), priorities.tolist(), strict=True))
        self._client.mutate_priorities(_TABLE, updates=updates)

    def flush(self) -> None:
        """Waits until all that was written has arrived."""
        for writer in self._writers:
            writer.flush()

    def close(self) -> None:
        """Ends the server; no graph can draw any more."""
        self.clear()
        for draws in self._draws.values():
            draws.delete()
        self._draws = {}

    def clear(self) -> None:
        """Ends the server and forgets all; the next row begins another."""
        with quiet.native_stderr():
            for draws in self._draws.values():
                draws.end()
            for writer in self._writers:
                writer.close()
            self._writers = []
            if self._server is not None:
                self._server.stop()
            self._server = self._client = None

    def _open(self) -> None:
        import reverb

        selectors = reverb.selectors
        table = reverb.Table(
            _TABLE,
            sampler=selectors.Uniform()
            if self._alpha is None
            else selectors.Prioritized(self._alpha),
            remover=selectors.Fifo(),
            max_size=self._max_items,
            rate_limiter=reverb.rate_limiters.MinSize(1),
        )
        with quiet.native_stderr():
            self._server = reverb.Server([table])
        self._client = self._server.localhost_client()
        self._writers = [_Writer(self._client, *self._item_shape) for _ in range(self._num_slots)]

    def _samples(self, batch_size: int) -> tf.data.Dataset:
        import reverb

        self.flush()
        samples = reverb.TrajectoryDataset(
            f"localhost:{self._server.port}",
            _TABLE,
            dtypes=(tf.uint8,),
            shapes=(tf.TensorShape(self._item_shape),),
            # So many are drawn before they are asked for: more are no faster, and older.
            max_in_flight_samples_per_worker=max(1, batch_size // 4),
            num_workers_per_iterator=1,
        )
        parts = samples.map(lambda one: (one.info.key, one.info.probability, one.data[0]))
        return parts.batch(batch_size, drop_remainder=True)


class _Writer:
    """Writes the rows of one slot."""

    def __init__(self, client: Any, num_rows: int, num_bytes: int) -> None:
        self._num_rows = num_rows
        self._writer = client.trajectory_writer(num_keep_alive_refs=num_rows)
        self._writer.configure((), num_keep_alive_refs=num_rows, max_chunk_length=1)
        self._tail: collections.deque[Array] = collections.deque(maxlen=num_rows)
        # What comes before a slot's first row means nothing.
        for _ in range(num_rows):
            self.append(np.zeros(num_bytes, np.uint8), None)

    def append(self, row: Array, priority: float | None) -> None:
        if self._writer.episode_steps >= _MAX_STEPS + self._num_rows:
            self._writer.end_episode()
            for kept in self._tail:
                self._writer.append(kept)
        self._writer.append(row)
        self._tail.append(row)
        if priority is not None:
            self._writer.create_item(_TABLE, priority, self._writer.history[-self._num_rows :])
            self._writer.flush(block_until_num_items=_MAX_PENDING)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Draws:
    """An iterator that outlives servers: what was traced with it draws from the next one."""

    def __init__(self, batch_size: int, item_shape: tuple[int, int], samples: Any) -> None:
        self._batch_size = batch_size
        self._samples = samples
        self._types = [tf.uint64, tf.float64, tf.uint8]
        self._shapes = [[batch_size], [batch_size], [batch_size, *item_shape]]
        self._iterator: tf.Tensor | None = tf.raw_ops.AnonymousIteratorV3(
            output_types=self._types, output_shapes=self._shapes
        )
        self._has_begun = tf.Variable(False, trainable=False)

    def next(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        # Samplers draw at once when they are made: not before there is all that the first batch is
        # to be drawn from.
        begun = tf.cond(
            self._has_begun,
            lambda: tf.constant(True),
            lambda: tf.numpy_function(self._begin, [], tf.bool),
        )
        with tf.control_dependencies([self._has_begun.assign(begun)]):
            drawn: tuple[tf.Tensor, tf.Tensor, tf.Tensor] = tf.raw_ops.IteratorGetNext(
                iterator=self._iterator, output_types=self._types, output_shapes=self._shapes
            )
        return drawn

    def _begin(self) -> np.bool_:
        with quiet.native_stderr():
            self._make(self._samples(self._batch_size))
        return np.bool_(True)

    def end(self) -> None:
        """Ends the samplers."""
        leaves = zip(self._shapes, self._types, strict=True)
        none = tf.data.Dataset.from_tensors(tuple(tf.zeros(*leaf) for leaf in leaves)).take(0)
        self._make(none)
        self._has_begun.assign(False)

    def delete(self) -> None:
        """Lets the iterator go, which has threads, with the graphs that have it."""
        # TensorFlow keeps what it was given to call, and so this object, until the process ends.
        self._iterator = None

    def _make(self, dataset: tf.data.Dataset) -> None:
        variant = tf.data.experimental.to_variant(dataset)
        tf.raw_ops.MakeIterator(dataset=variant, iterator=self._iterator)
