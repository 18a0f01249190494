"""`Replay`: a ring of time steps in TensorFlow variables, to be sampled.

A row is what a slot saw and did in one step: its observation and step type, its action,
and the reward, discount and step type that came next. An observation is stored once: the
next one is the next row's. LAST steps are rows too, so that a truncated episode's final
observation is there to bootstrap from.

Each slot has a ring and a count of its own, since a slot that had nothing to say in a step
adds no row: a row and the next are always two valid steps of one slot that follow each
other, whatever the others did meanwhile. They are sampled as n-step transitions, or as
sequences of rows for an agent that remembers.

An n-step return stops at its episode's end, whatever the discount there: TF-Agents'
own goes on into the next episode where one was truncated (tensorflow/agents issue 939).
"""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import errors
from gamebridge.contract.specs import Array

_LAST = int(ts.StepType.LAST)


class Transition(NamedTuple):
    """A batch of n-step transitions, each [N, ...].

    Attributes:
      observation: where it began.
      action: what was done there.
      reward: float32, the discounted sum of up to n rewards.
      discount: float32, what to multiply the value of `next_observation` by, one
        factor gamma already taken out as in a one-step transition.
      next_observation: where it ended: n steps later, or at the episode's end.
      weight: float32, 0 where the row cannot be learned from.
    """

    observation: Any
    action: Any
    reward: tf.Tensor
    discount: tf.Tensor
    next_observation: Any
    weight: tf.Tensor


class Sequence(NamedTuple):
    """A batch of sequences: row t and row t + 1 of one are two steps that follow each other.

    They go on from an episode's LAST step to the next one's FIRST: what a network remembers
    ends there, and the action at LAST was ignored by the game.

    Attributes:
      observation: nest of [N, T + 1, ...].
      step_type: int32 [N, T + 1].
      action: nest of [N, T, ...]; of no meaning where step_type is LAST.
      reward: float32 [N, T], what came after the action.
      discount: float32 [N, T], likewise.
    """

    observation: Any
    step_type: tf.Tensor
    action: Any
    reward: tf.Tensor
    discount: tf.Tensor


class Replay(tf.Module):
    """A ring of the newest `capacity` time steps, one B-th of it for each of B slots."""

    def __init__(
        self, observation_spec: Any, action_spec: Any, num_slots: int, capacity: int
    ) -> None:
        """Allocates the rings.

        Raises:
          ConfigError: it would take more than 80 % of the machine's memory.
        """
        super().__init__(name="replay")
        self.length = max(2, math.ceil(capacity / num_slots))
        self.num_slots = num_slots
        specs = {
            "action": action_spec,
            "discount": tf.TensorSpec((), tf.float32),
            "next_step_type": tf.TensorSpec((), tf.int32),
            "observation": observation_spec,
            "reward": tf.TensorSpec((), tf.float32),
            "step_type": tf.TensorSpec((), tf.int32),
        }
        _refuse_if_too_large(specs, self.length * num_slots)
        with tf.device("cpu:0"):
            self._rows = tf.nest.map_structure(
                lambda spec: tf.Variable(
                    # What is not to be stored goes into a row more: sorting it out would
                    # copy the rest.
                    tf.zeros([self.length + 1, num_slots, *spec.shape], spec.dtype),
                    trainable=False,
                ),
                specs,
            )
            self._num_added = tf.Variable(tf.zeros([num_slots], tf.int64), trainable=False)

    @property
    def num_added(self) -> Array:
        """int64 [B]: how many rows of each slot were ever added."""
        return np.array(self._num_added)

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
        row = {
            "action": action,
            "discount": next_time_step.discount,
            "next_step_type": next_time_step.step_type,
            "observation": time_step.observation,
            "reward": next_time_step.reward,
            "step_type": time_step.step_type,
        }
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
        last_rows = tf.fill([self.num_slots], _LAST)
        name = "next_step_type"
        self._write(self._rows[name], last_rows, self._num_added - 1, running)
        last = time_step._replace(step_type=last_rows)
        action = tf.nest.map_structure(lambda rows: tf.zeros_like(rows[0]), self._rows["action"])
        self.add(last, action, last, running)

    def size(self) -> tf.Tensor:
        """int64 [B]: how many rows of each slot are there now."""
        return tf.minimum(self._num_added, self.length)

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
        start, slot = self._draw(batch_size, num_steps, seed)
        rewards = self._at("reward", start, slot, num_steps)
        discounts = self._at("discount", start, slot, num_steps)
        over = tf.equal(self._at("next_step_type", start, slot, num_steps), _LAST)
        # alive[:, k]: the episode had not ended before step k of the n.
        alive = tf.cast(tf.math.cumsum(tf.cast(over, tf.int32), 1, exclusive=True) == 0, tf.float32)
        powers = tf.constant([gamma**k for k in range(num_steps)], tf.float32)
        steps_discount = tf.where(alive > 0, discounts, 1.0)
        reached = tf.math.cumprod(steps_discount, 1, exclusive=True) * powers * alive
        num_taken = tf.reduce_sum(alive, 1)
        return Transition(
            observation=self._one("observation", start, slot),
            action=self._one("action", start, slot),
            reward=tf.reduce_sum(rewards * reached, 1),
            discount=tf.reduce_prod(steps_discount, 1) * tf.pow(gamma, num_taken - 1.0),
            next_observation=self._one("observation", start + tf.cast(num_taken, tf.int64), slot),
            weight=tf.cast(tf.not_equal(self._one("step_type", start, slot), _LAST), tf.float32),
        )

    def sample_sequences(self, batch_size: int, length: int, seed: tf.Tensor) -> Sequence:
        """Draws sequences, all with equal chances; `num_transitions(length)` must be above 0.

        Args:
          batch_size: N.
          length: T, transitions in a sequence, the ways between two episodes counted.
          seed: int32 [2], a stateless seed.
        """
        start, slot = self._draw(batch_size, length, seed)
        return Sequence(
            observation=self._at("observation", start, slot, length + 1),
            step_type=self._at("step_type", start, slot, length + 1),
            action=self._at("action", start, slot, length),
            reward=self._at("reward", start, slot, length),
            discount=self._at("discount", start, slot, length),
        )

    def rows(self, start: Array, stop: Array) -> dict[str, Array]:
        """Copies rows out of the rings: of each slot those from number `start` to `stop`.

        Args:
          start: int64 [B], as counted by `num_added`.
          stop: int64 [B].

        Returns:
          Arrays [sum(stop - start), ...]: the first slot's rows, then the second's ...
        """
        where = self._where(start, stop)
        return {
            f"{name}_{index}": tf.gather_nd(variable, where).numpy()
            for name, nest in self._rows.items()
            for index, variable in enumerate(tf.nest.flatten(nest))
        }

    def restore_rows(self, start: Array, stop: Array, rows: dict[str, Array]) -> None:
        """Writes back what `rows` gave for `start` and `stop`."""
        where = self._where(start, stop)
        for name, nest in self._rows.items():
            for index, variable in enumerate(tf.nest.flatten(nest)):
                variable.scatter_nd_update(where, tf.constant(rows[f"{name}_{index}"]))

    def set_num_added(self, num_added: Array) -> None:
        """Sets the counts of rows, int64 [B], after `restore_rows`."""
        self._num_added.assign(num_added)

    def _where(self, start: Array, stop: Array) -> Array:
        numbers = [np.arange(*ends) % self.length for ends in zip(start, stop, strict=True)]
        slots = np.repeat(np.arange(self.num_slots), [len(part) for part in numbers])
        return np.stack([np.concatenate(numbers), slots], -1)

    def _write(
        self, variables: Any, values: Any, number: tf.Tensor, written: tf.Tensor | None
    ) -> None:
        """Writes values [B, ...] as each slot's row number `number`, where `written`."""
        index = number % self.length
        if written is not None:
            index = tf.where(written, index, self.length)
        where = tf.stack([index, tf.range(self.num_slots, dtype=tf.int64)], -1)
        tf.nest.map_structure(
            lambda variable, value: variable.scatter_nd_update(where, value), variables, values
        )

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

    def _one(self, name: str, number: tf.Tensor, slot: tf.Tensor) -> Any:
        where = tf.stack([number % self.length, slot], -1)
        return tf.nest.map_structure(lambda rows: tf.gather_nd(rows, where), self._rows[name])

    def _at(self, name: str, start: tf.Tensor, slot: tf.Tensor, num_steps: int) -> Any:
        numbers = start[:, None] + tf.range(num_steps, dtype=tf.int64)[None]
        slots = tf.repeat(slot[:, None], num_steps, 1)
        where = tf.stack([numbers % self.length, slots], -1)
        return tf.nest.map_structure(lambda rows: tf.gather_nd(rows, where), self._rows[name])


def _refuse_if_too_large(row_specs: Any, num_rows: int) -> None:
    bytes_a_row = sum(
        int(np.prod(spec.shape)) * spec.dtype.size for spec in tf.nest.flatten(row_specs)
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if num_rows * bytes_a_row > 0.8 * memory:
        raise errors.ConfigError(
            f"A replay of {num_rows:,} steps of {bytes_a_row:,} bytes takes "
            f"{num_rows * bytes_a_row / 2**30:.1f} GiB; this machine has {memory / 2**30:.1f}. "
            f"Set agent.replay_capacity to {int(0.5 * memory / bytes_a_row):,} or less."
        )
