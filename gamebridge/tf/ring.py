"""`Ring`: the newest time steps of a few slots, in TensorFlow variables.

A row is what a slot saw and did in one step: its observation and step type, its action,
and the reward, discount and step type that came next. An observation is stored once: the
next one is the next row's. LAST steps are rows too, so that a truncated episode's final
observation is there to bootstrap from.

Of a stack of frames the newest alone is stored, and the stack is built when it is sampled
(`stacks`): a row of 84x84 pixels, four deep, takes 7.1 KB in place of 28. What a stack needs of
the rows before the oldest that is drawn stays in the ring for it.

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
from gamebridge.contract.specs import Array
from gamebridge.tf import memory, stacks

LAST = int(ts.StepType.LAST)


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
        leaves = tf.nest.flatten(observation_spec)
        self._num_stacked = list(num_stacked or [1] * len(leaves))
        deepest = max(self._num_stacked, default=1)
        specs = {
            "action": action_spec,
            "discount": tf.TensorSpec((), tf.float32),
            "next_step_type": tf.TensorSpec((), tf.int32),
            "observation": tf.nest.pack_sequence_as(
                observation_spec,
                [_newest(*pair) for pair in zip(leaves, self._num_stacked, strict=True)],
            ),
            "reward": tf.TensorSpec((), tf.float32),
            "step_type": tf.TensorSpec((), tf.int32),
        }
        if deepest > 1:
            specs["next_is_same"] = tf.TensorSpec((), tf.bool)
        # The rows before the oldest that is drawn, which its stack is built of.
        num_older = deepest if deepest > 1 else 0
        self._kept, self.num_bytes = _kept_rows(specs, num_slots, capacity, num_older)
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
                specs,
            )
            self._num_added = tf.Variable(tf.zeros([num_slots], tf.int64), trainable=False)

    @property
    def num_added(self) -> Array:
        """int64 [B]: how many rows of each slot were ever added."""
        return np.array(self._num_added)

    def trackables(self) -> dict[str, Any]:
        """What a checkpoint must hold beside the rows, which it keeps in segments."""
        return {}

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
        newest = [
            stacks.newest(leaf, count) if count > 1 else leaf
            for leaf, count in zip(
                tf.nest.flatten(time_step.observation), self._num_stacked, strict=True
            )
        ]
        row = {
            "action": action,
            "discount": next_time_step.discount,
            "next_step_type": next_time_step.step_type,
            "observation": tf.nest.pack_sequence_as(time_step.observation, newest),
            "reward": next_time_step.reward,
            "step_type": time_step.step_type,
        }
        if "next_is_same" in self._rows:
            row["next_is_same"] = self._is_same(time_step, next_time_step)
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
        last_rows = tf.fill([self.num_slots], LAST)
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
        return {
            f"{name}_{index}": tf.gather(variable, where).numpy()
            for name, nest in self._rows.items()
            for index, variable in enumerate(tf.nest.flatten(nest))
        }

    def restore_rows(self, start: Array, stop: Array, rows: dict[str, Array]) -> None:
        """Writes back what `rows` gave for `start` and `stop`."""
        where = self._places(start, stop)[:, None]
        for name, nest in self._rows.items():
            for index, variable in enumerate(tf.nest.flatten(nest)):
                variable.scatter_nd_update(where, tf.constant(rows[f"{name}_{index}"]))

    def set_num_added(self, num_added: Array) -> None:
        """Sets the counts of rows, int64 [B], after `restore_rows`."""
        self._num_added.assign(num_added)

    def _leaves(self) -> list[tf.Variable]:
        """Returns the observation's variables."""
        return list(tf.nest.flatten(self._rows["observation"]))

    def _is_same(self, time_step: ts.TimeStep, next_time_step: ts.TimeStep) -> tf.Tensor:
        """Returns bool [B]: a LAST whose stacks are those of the step before it."""
        is_last = next_time_step.is_last()

        def compare() -> tf.Tensor:
            same = is_last
            pairs = zip(
                tf.nest.flatten(time_step.observation),
                tf.nest.flatten(next_time_step.observation),
                self._num_stacked,
                strict=True,
            )
            for now, later, count in pairs:
                if count > 1:
                    equal = tf.reduce_all(tf.equal(now, later), list(range(1, len(now.shape))))
                    same = tf.logical_and(same, equal)
            return same

        return tf.cond(tf.reduce_any(is_last), compare, lambda: tf.zeros_like(is_last))

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

    def _one(self, name: str, number: tf.Tensor, slot: tf.Tensor) -> Any:
        place = self._place(number, slot)
        return tf.nest.map_structure(lambda rows: tf.gather(rows, place), self._rows[name])


def _newest(spec: tf.TensorSpec, num_stacked: int) -> tf.TensorSpec:
    if num_stacked == 1:
        return spec
    return tf.TensorSpec([*spec.shape[:-1], spec.shape[-1] // num_stacked], spec.dtype)


def _kept_rows(
    row_specs: Any, num_slots: int, capacity: int | str, num_older: int
) -> tuple[int, int]:
    """Returns how many rows a slot are drawn from, and the bytes that all rows take."""
    bytes_a_row = sum(
        int(np.prod(spec.shape)) * spec.dtype.size for spec in tf.nest.flatten(row_specs)
    )
    # What else a slot's ring holds: what stacks are built of, and what is not to be stored.
    num_more = num_older + 1
    if isinstance(capacity, str):
        kept = memory.parse(capacity) // (bytes_a_row * num_slots) - num_more
        if kept < 2:
            least = bytes_a_row * num_slots * (num_more + 2)
            raise errors.ConfigError(
                f"agent.replay_capacity is {capacity}: that is no room for two steps of "
                f"{bytes_a_row:,} bytes for each of {num_slots} slots. Give it {least:,} B or more."
            )
    else:
        kept = max(2, math.ceil(capacity / num_slots))
    num_bytes = (kept + num_more) * num_slots * bytes_a_row
    limit = memory.limit()
    if num_bytes > 0.8 * limit:
        raise errors.ConfigError(
            f"A replay of {kept * num_slots:,} steps of {bytes_a_row:,} bytes takes "
            f"{num_bytes / 2**30:.1f} GiB; this machine has {limit / 2**30:.1f}. "
            f"Set agent.replay_capacity to {int(0.5 * limit / bytes_a_row):,} or less."
        )
    return kept, num_bytes
