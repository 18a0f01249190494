"""`Ring`: the newest time steps of a few slots, in TensorFlow variables.

What a row is, `rows` tells; what a stack needs of the rows before the oldest that is drawn stays in
the ring for it.

Each slot has a ring and a count of its own, since a slot that had nothing to say in a step
adds no row: a row and the next are always two valid steps of one slot that follow each
other, whatever the others did meanwhile.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import errors
from gamebridge.contract import game as games
from gamebridge.contract.specs import Array
from gamebridge.tf import memory
from gamebridge.tf import rows as row_layouts


class Ring(tf.Module):
    """A ring of the newest `capacity` time steps, one B-th of it for each of B slots.

    Attributes:
      capacity: time steps out of which is drawn, all slots together.
      length: rows of a slot's ring.
      num_slots: B.
      num_bytes: what all of it takes.
    """

    def __init__(
        self,
        observation_spec: Any,
        action_spec: Any,
        num_slots: int,
        capacity: int | str,
        num_stacked: list[int] | None = None,
    ) -> None:
        """Allocates the rings.

        Args:
          observation_spec: nest of tensor specs, no batch axis.
          action_spec: likewise.
          num_slots: B.
          capacity: time steps, or the memory that they may take, such as "4GB".
          num_stacked: for each leaf of the observation how many frames it is a stack of; see
            `ArraySpec`. None: all are stored whole.

        Raises:
          ConfigError: it would take more than 80 % of the memory that there is, or a size in
            bytes has no room for two steps a slot.
        """
        super().__init__(name="replay")
        self.num_slots = num_slots
        self._layout = row_layouts.RowLayout(observation_spec, action_spec, num_stacked)
        # The rows before the oldest that is drawn, which its stack is built of.
        num_older = self._layout.num_older
        self._kept, self.num_bytes = _kept_rows(self._layout, num_slots, capacity)
        self.capacity = self._kept * num_slots
        self.length = self._kept + num_older
        with tf.device("cpu:0"):
            self._rows = tf.nest.map_structure(
                lambda spec: tf.Variable(
                    # What is not to be stored goes into a row more: sorting it out would
                    # copy the rest.
                    tf.zeros([(self.length + 1) * num_slots, *spec.shape], spec.dtype),
                    trainable=False,
                ),
                self._layout.specs,
            )
            self._num_added = tf.Variable(tf.zeros([num_slots], tf.int64), trainable=False)

    @property
    def num_added(self) -> Array:
        """int64 [B]: how many rows of each slot were ever added."""
        return np.array(self._num_added)

    def trackables(self) -> dict[str, Any]:
        """What a checkpoint must hold beside the rows, which it keeps in segments."""
        return {}

    def close(self) -> None:
        """Does nothing: the memory goes with the last reference."""

    def clear(self) -> None:
        """Forgets all rows."""
        self._num_added.assign(tf.zeros_like(self._num_added))

    def add(
        self,
        time_step: ts.TimeStep,
        action: Any,
        next_time_step: ts.TimeStep,
        stored: tf.Tensor | None = None,
    ) -> None:
        """Adds one row a slot; in graph or eager.

        Args:
          time_step: nest of [B, ...], as are the next two.
          action: what was done there.
          next_time_step: what came of it.
          stored: bool [B], the slots of which a row is added; None means all.
        """
        row = self._layout.row(time_step, action, next_time_step)
        self._write(self._rows, row, self._num_added, stored)
        self._num_added.assign_add(
            tf.ones([self.num_slots], tf.int64) if stored is None else tf.cast(stored, tf.int64)
        )

    def cut(self, time_step: ts.TimeStep, slots: tf.Tensor | None = None) -> None:
        """Ends all running episodes as truncated, `time_step` being where they stand.

        To be called before the environment is restarted in mid-episode, so that no
        transition joins the steps before with those after.

        Args:
          time_step: nest of [B, ...].
          slots: bool [B], those of which an episode is running; None means all.
        """
        running = self._num_added > 0
        if slots is not None:
            running = tf.logical_and(running, slots)
        last_rows = tf.fill([self.num_slots], games.LAST)
        name = "next_step_type"
        self._write(self._rows[name], last_rows, self._num_added - 1, running)
        last = time_step._replace(step_type=last_rows)
        action = tf.nest.map_structure(
            lambda rows: tf.zeros([self.num_slots, *rows.shape[1:]], rows.dtype),
            self._rows["action"],
        )
        self.add(last, action, last, running)

    def size(self) -> tf.Tensor:
        """int64 [B]: how many rows of each slot are there now."""
        return tf.minimum(self._num_added, self._kept)

    def num_rows(self) -> tf.Tensor:
        """int64 scalar: how many rows were added since it was empty, all slots together."""
        return tf.reduce_sum(self._num_added)

    def rows(self, start: Array, stop: Array) -> dict[str, Array]:
        """Copies rows out of the rings: of each slot those from number `start` to `stop`.

        Args:
          start: int64 [B], as counted by `num_added`.
          stop: int64 [B].

        Returns:
          Arrays [sum(stop - start), ...]: the first slot's rows, then the second's ...
        """
        where = self._places(start, stop)
        named = self._layout.named(self._rows)
        return {name: tf.gather(variable, where).numpy() for name, variable in named.items()}

    def restore_rows(self, start: Array, stop: Array, rows: dict[str, Array]) -> None:
        """Writes back what `rows` gave for `start` and `stop`."""
        where = self._places(start, stop)[:, None]
        for name, variable in self._layout.named(self._rows).items():
            variable.scatter_nd_update(where, tf.constant(rows[name]))

    def set_num_added(self, num_added: Array) -> None:
        """Sets the counts of rows, int64 [B], after `restore_rows`."""
        self._num_added.assign(num_added)

    def _places(self, start: Array, stop: Array) -> Array:
        numbers = [np.arange(*ends) % self.length for ends in zip(start, stop, strict=True)]
        slots = np.repeat(np.arange(self.num_slots), [len(part) for part in numbers])
        return np.concatenate(numbers) * self.num_slots + slots

    def _write(
        self, variables: Any, values: Any, number: tf.Tensor, written: tf.Tensor | None
    ) -> None:
        """Writes values [B, ...] as each slot's row number `number`, where `written`."""
        row = number % self.length
        if written is not None:
            row = tf.where(written, row, self.length)
        where = (row * self.num_slots + tf.range(self.num_slots, dtype=tf.int64))[:, None]
        tf.nest.map_structure(
            lambda variable, value: variable.scatter_nd_update(where, value), variables, values
        )

    def _place(self, number: tf.Tensor, slot: tf.Tensor) -> tf.Tensor:
        """Returns where row `number` of slot `slot` lies among all rows."""
        return number % self.length * self.num_slots + slot


def _kept_rows(
    layout: row_layouts.RowLayout, num_slots: int, capacity: int | str
) -> tuple[int, int]:
    """Returns how many rows a slot are drawn from, and the bytes that all rows take."""
    # What else a slot's ring holds: what stacks are built of, and what is not to be stored.
    num_more = layout.num_older + 1
    if isinstance(capacity, str):
        kept = memory.parse(capacity) // (layout.num_bytes * num_slots) - num_more
        if kept < 2:
            least = layout.num_bytes * num_slots * (num_more + 2)
            raise errors.ConfigError(
                f"agent.replay_capacity is {capacity}: that is no room for two steps of "
                f"{layout.num_bytes:,} bytes for each of {num_slots} slots. Give it {least:,} B or "
                "more."
            )
    else:
        kept = max(2, math.ceil(capacity / num_slots))
    num_bytes = (kept + num_more) * num_slots * layout.num_bytes
    layout.check_room(kept * num_slots, num_bytes)
    return kept, num_bytes
