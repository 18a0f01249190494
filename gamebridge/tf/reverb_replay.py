"""`ReverbReplay`: a replay buffer in a Reverb server of this process, in place of a `Replay`.

It is written to and drawn from inside the graph as a `Replay` is, by transitions or by sequences,
with equal chances or by priority, and checkpoints keep its rows in the same segments: those that
were not saved yet are held here until they are. What differs: the newest transitions of all slots
together are kept, not those of each slot; batches are drawn by Reverb, whatever the seed, one or
two ahead; and priorities are not saved.
"""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import errors
from gamebridge.contract import game as games
from gamebridge.contract.specs import Array
from gamebridge.tf import packing, prioritized, reverb_server, samples
from gamebridge.tf import rows as row_layouts

# What the server takes for a row and its item beside the row's bytes, about.
_MORE_BYTES = 1_700


class ReverbReplay:
    """The newest `capacity` transitions or sequences of B slots.

    Attributes:
      capacity: how many are drawn from at most, all slots together.
      length: rows of a slot that a checkpoint holds at least.
      num_slots: B.
      num_bytes: what all of it takes, about, if nothing can be compressed.
    """

    def __init__(
        self,
        observation_spec: Any,
        action_spec: Any,
        num_slots: int,
        capacity: int | str,
        num_stacked: list[int] | None = None,
        *,
        num_steps: int = 1,
        sequence_length: int = 0,
        priorities: prioritized.Priorities | None = None,
        is_saved: bool = True,
    ) -> None:
        """Checks what was asked for; the server begins with the first row.

        Args:
          observation_spec: see `Replay`, as the next two.
          action_spec: see there.
          num_slots: see there.
          capacity: time steps.
          num_stacked: see `Replay`.
          num_steps: n of the n-step return.
          sequence_length: T of the sequences that it is for; 0 for transitions.
          priorities: how to draw; None draws with equal chances.
          is_saved: whether rows are to be held until `rows` was asked for later ones.

        Raises:
          ConfigError: there is no Reverb, the capacity is a size in bytes, or would take more
            than 80 % of the memory that there is.
        """
        reverb_server.check()
        if isinstance(capacity, str):
            raise errors.ConfigError(
                f"agent.replay_capacity is {capacity}, and training.replay_store is 'reverb', "
                "which counts and compresses what it keeps. Give a number of steps."
            )
        self.num_slots = num_slots
        self.length = max(2, -(-capacity // num_slots))
        self.capacity = self.length * num_slots
        self._layout = row_layouts.RowLayout(observation_spec, action_spec, num_stacked)
        self._packing = packing.Packing(self._layout.specs)
        self.num_bytes = self.capacity * (self._layout.num_bytes + _MORE_BYTES)
        self._layout.check_room(self.capacity, self.num_bytes)
        self._num_after = sequence_length or num_steps
        self._is_of_sequences = sequence_length > 0
        self._priorities = priorities
        self._is_saved = is_saved
        self._num_rows = self._layout.num_older + self._num_after + 1
        self._server = reverb_server.ReverbServer(
            num_slots,
            self.capacity,
            (self._num_rows, self._packing.num_bytes),
            None if priorities is None else priorities.alpha,
        )
        # Of rows and of items, all slots together.
        self._counts = tf.Variable([0, 0], dtype=tf.int64, trainable=False)
        self._forget()

    @property
    def num_added(self) -> Array:
        """int64 [B]: how many rows of each slot were ever added."""
        return self._num_added.copy()

    def trackables(self) -> dict[str, Any]:
        """See `Replay`."""
        return {}

    def close(self) -> None:
        """Ends the server; what it held is gone, and no graph can draw any more."""
        self._server.close()
        self._forget()

    def clear(self) -> None:
        """Forgets all rows."""
        self._server.clear()
        self._forget()

    def add(
        self,
        time_step: ts.TimeStep,
        action: Any,
        next_time_step: ts.TimeStep,
        stored: tf.Tensor | None = None,
    ) -> None:
        """Adds one row a slot; see `Replay`."""
        if stored is None:
            stored = tf.ones([self.num_slots], tf.bool)
        packed = self._packing.pack(self._layout.row(time_step, action, next_time_step))
        added = [packed, time_step.is_last(), stored]
        counts = tf.numpy_function(self._append_all, added, tf.int64)
        self._counts.assign(tf.ensure_shape(counts, [2]))

    def cut(self, time_step: ts.TimeStep, slots: tf.Tensor | None = None) -> None:
        """Ends all running episodes as truncated; see `Replay`. Not in a graph."""
        running = tf.constant(self._num_added > 0)
        if slots is not None:
            running = tf.logical_and(running, slots)
        last = time_step._replace(step_type=tf.fill([self.num_slots], games.LAST))
        action = tf.nest.map_structure(
            lambda spec: tf.zeros([self.num_slots, *spec.shape], spec.dtype),
            self._layout.specs["action"],
        )
        self.add(last, action, last, running)

    def num_rows(self) -> tf.Tensor:
        """int64 scalar: how many rows were added since it was empty, all slots together."""
        return self._counts[0]

    def num_transitions(self, num_steps: int) -> tf.Tensor:
        """int64 scalar: out of how many transitions or sequences is drawn.

        Args:
          num_steps: as it was made for.
        """
        self._check_steps(num_steps)
        return tf.minimum(self._counts[1], self.capacity)

    def sample(
        self, batch_size: int, num_steps: int, gamma: float, seed: tf.Tensor
    ) -> samples.Transition:
        """Draws transitions; see `Replay`. The seed is not heard."""
        self._check_steps(num_steps)
        return self._drawn(batch_size, gamma)[0]

    def sample_sequences(self, batch_size: int, length: int, seed: tf.Tensor) -> samples.Sequence:
        """Draws sequences; see `Replay`. The seed is not heard."""
        self._check_steps(length)
        _, _, packed = self._server.draw(batch_size)
        return self._reader(packed).sequences(*self._starts(batch_size), length)

    def draw(
        self, batch_size: int, gamma: float, num_game_steps: tf.Tensor, seed: tf.Tensor
    ) -> tuple[samples.Transition, tf.Tensor]:
        """Draws transitions by their priorities; see `PrioritizedReplay`. The seed is not heard.

        Returns:
          The transitions, and their keys, uint64 [N], for `judge`.
        """
        if self._priorities is None:
            raise ValueError("It draws with equal chances: sample from it.")
        batch, keys, chance = self._drawn(batch_size, gamma)
        weight = self._priorities.weights(chance, num_game_steps)
        return batch._replace(weight=batch.weight * weight), keys

    def judge(self, place: tf.Tensor, td_errors: tf.Tensor) -> None:
        """Sets the priorities of what was drawn; see `PrioritizedReplay`.

        Args:
          place: uint64 [N], as `draw` gave it.
          td_errors: float32 [N], of any sign.
        """
        tf.numpy_function(self._judge, [place, td_errors], [])

    def rows(self, start: Array, stop: Array) -> dict[str, Array]:
        """Copies rows that were not saved yet; see `Replay`. Those before are held no longer."""
        parts = []
        for slot, (first, end) in enumerate(zip(start, stop, strict=True)):
            unsaved = self._unsaved[slot]
            while len(unsaved) > self._num_added[slot] - first:
                unsaved.popleft()
            parts.append(self._unpacked(list(unsaved)[: end - first]))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def restore_rows(self, start: Array, stop: Array, rows: dict[str, Array]) -> None:
        """Adds what `rows` gave for `start` and `stop`."""
        nest = self._layout.nest({name: tf.constant(array) for name, array in rows.items()})
        packed, is_last = self._packing.pack(nest).numpy(), nest["step_type"].numpy() == games.LAST
        index = 0
        for slot, (first, end) in enumerate(zip(start, stop, strict=True)):
            self._num_added[slot] = first
            for _ in range(first, end):
                self._append(slot, packed[index], is_last[index])
                index += 1

    def set_num_added(self, num_added: Array) -> None:
        """Takes note of what was restored; of nothing, all is forgotten."""
        if not np.any(num_added):
            self.clear()
        self._counts.assign([self._num_added.sum(), self._num_items])

    def _forget(self) -> None:
        self._num_added = np.zeros(self.num_slots, np.int64)
        self._num_items = 0
        self._greatest = 1.0
        # Whether a slot's newest rows are LAST, as many as an item has.
        self._is_last = [
            collections.deque[bool](maxlen=self._num_after + 1) for _ in range(self.num_slots)
        ]
        self._unsaved = [
            collections.deque[Array](maxlen=self.length if self._is_saved else 0)
            for _ in range(self.num_slots)
        ]
        self._counts.assign([0, 0])

    def _append_all(self, packed: Array, is_last: Array, stored: Array) -> Array:
        for slot in np.flatnonzero(stored):
            row = packed[slot].copy()
            self._append(slot, row, is_last[slot])
            self._unsaved[slot].append(row)
        return np.array([self._num_added.sum(), self._num_items])

    def _append(self, slot: int, row: Array, is_last: np.bool_) -> None:
        newest = self._is_last[slot]
        newest.append(bool(is_last))
        # Nothing is played at LAST: such an item could not be learned from.
        ends_item = len(newest) > self._num_after and (self._is_of_sequences or not newest[0])
        self._server.append(slot, row, self._greatest if ends_item else None)
        self._num_items += ends_item
        self._num_added[slot] += 1

    def _judge(self, keys: Array, td_errors: Array) -> None:
        # One that is not finite is found where the losses are.
        is_finite = np.isfinite(td_errors)
        priorities = prioritized.LEAST_ERROR + np.abs(td_errors[is_finite].astype(np.float64))
        self._server.set_priorities(keys[is_finite], priorities)
        self._greatest = max([self._greatest, *priorities.tolist()])

    def _drawn(
        self, batch_size: int, gamma: float
    ) -> tuple[samples.Transition, tf.Tensor, tf.Tensor]:
        keys, chance, packed = self._server.draw(batch_size)
        reader, starts = self._reader(packed), self._starts(batch_size)
        return reader.transitions(*starts, self._num_after, gamma), keys, chance

    def _reader(self, packed: tf.Tensor) -> samples.Reader:
        """Returns what reads items, uint8 [N, rows, bytes], as if they were slots."""
        rows = self._packing.unpack(tf.reshape(packed, [-1, self._packing.num_bytes]))
        # A row that was cut did not know yet what came next.
        kinds = tf.reshape(rows["step_type"], [-1, self._num_rows])
        rows["next_step_type"] = tf.reshape(tf.roll(kinds, -1, 1), [-1])
        return samples.Reader(self._layout, rows, lambda row, item: item * self._num_rows + row)

    def _starts(self, batch_size: int) -> tuple[tf.Tensor, tf.Tensor]:
        first = tf.fill([batch_size], tf.constant(self._layout.num_older, tf.int64))
        return first, tf.range(batch_size, dtype=tf.int64)

    def _unpacked(self, rows: list[Array]) -> dict[str, Array]:
        """Returns the rows of a slot by the names of their parts."""
        packed = np.stack(rows) if rows else np.zeros([0, self._packing.num_bytes], np.uint8)
        nest = self._packing.unpack(tf.constant(packed))
        kinds = nest["step_type"]
        nest["next_step_type"] = tf.concat([kinds[1:], nest["next_step_type"][-1:]], 0)
        return {name: leaf.numpy() for name, leaf in self._layout.named(nest).items()}

    def _check_steps(self, num_steps: int) -> None:
        if num_steps != self._num_after:
            raise ValueError(f"It was made for {self._num_after} steps, not for {num_steps}.")
