"""`RowLayout`: what a replay buffer keeps of a slot's step.

A row is what a slot saw and did in one step: its observation and step type, its action,
and the reward, discount and step type that came next. An observation is stored once: the
next one is the next row's. LAST steps are rows too, so that a truncated episode's final
observation is there to bootstrap from.

Of a stack of frames the newest alone is stored, and the stack is built when it is sampled
(`stacks`): a row of 84x84 pixels, four deep, takes 7.1 KB in place of 28.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import errors
from gamebridge.tf import memory, stacks


class RowLayout:
    """The parts of a row, and how they are made of a step.

    Attributes:
      specs: nest of tensor specs of a row, no batch axis.
      num_stacked: for each leaf of the observation how many frames it is a stack of.
      num_older: how many rows before one its stacks are built of.
      num_bytes: what a row takes.
    """

    def __init__(
        self, observation_spec: Any, action_spec: Any, num_stacked: list[int] | None = None
    ) -> None:
        """Lays out rows.

        Args:
          observation_spec: nest of tensor specs, no batch axis.
          action_spec: likewise.
          num_stacked: see `ArraySpec`. None: all leaves are stored whole.
        """
        leaves = tf.nest.flatten(observation_spec)
        self.num_stacked = list(num_stacked or [1] * len(leaves))
        deepest = max(self.num_stacked, default=1)
        self.num_older = deepest if deepest > 1 else 0
        self.specs = {
            "action": action_spec,
            "discount": tf.TensorSpec((), tf.float32),
            "next_step_type": tf.TensorSpec((), tf.int32),
            "observation": tf.nest.pack_sequence_as(
                observation_spec,
                [_newest(*pair) for pair in zip(leaves, self.num_stacked, strict=True)],
            ),
            "reward": tf.TensorSpec((), tf.float32),
            "step_type": tf.TensorSpec((), tf.int32),
        }
        if self.num_older:
            self.specs["next_is_same"] = tf.TensorSpec((), tf.bool)
        self.num_bytes = sum(
            int(np.prod(spec.shape)) * spec.dtype.size for spec in tf.nest.flatten(self.specs)
        )

    def row(self, time_step: ts.TimeStep, action: Any, next_time_step: ts.TimeStep) -> Any:
        """Returns the rows of a step, a nest of [B, ...]; in graph or eager.

        Args:
          time_step: nest of [B, ...], as are the next two.
          action: what was done there.
          next_time_step: what came of it.
        """
        leaves = tf.nest.flatten(time_step.observation)
        newest = [
            stacks.newest(leaf, count) if count > 1 else leaf
            for leaf, count in zip(leaves, self.num_stacked, strict=True)
        ]
        row = {
            "action": action,
            "discount": next_time_step.discount,
            "next_step_type": next_time_step.step_type,
            "observation": tf.nest.pack_sequence_as(time_step.observation, newest),
            "reward": next_time_step.reward,
            "step_type": time_step.step_type,
        }
        if self.num_older:
            row["next_is_same"] = self._is_same(time_step, next_time_step)
        return row

    def named(self, rows: Any) -> dict[str, Any]:
        """Returns the leaves of rows by names of one word."""
        return {
            f"{name}_{index}": leaf
            for name in self.specs
            for index, leaf in enumerate(tf.nest.flatten(rows[name]))
        }

    def nest(self, named: dict[str, Any]) -> Any:
        """Returns the rows whose leaves were named."""
        return {
            name: tf.nest.pack_sequence_as(
                spec, [named[f"{name}_{index}"] for index in range(len(tf.nest.flatten(spec)))]
            )
            for name, spec in self.specs.items()
        }

    def check_room(self, num_steps: int, num_bytes: int) -> None:
        """Refuses a replay buffer of so many steps that take so many bytes.

        Raises:
          ConfigError: that is more than 80 % of the memory that there is.
        """
        limit = memory.limit()
        if num_bytes > 0.8 * limit:
            fitting = int(0.5 * limit / num_bytes * num_steps)
            raise errors.ConfigError(
                f"A replay of {num_steps:,} steps of {self.num_bytes:,} bytes takes "
                f"{num_bytes / 2**30:.1f} GiB; this machine has {limit / 2**30:.1f}. "
                f"Set agent.replay_capacity to {fitting:,} or less."
            )

    def _is_same(self, time_step: ts.TimeStep, next_time_step: ts.TimeStep) -> tf.Tensor:
        """Returns bool [B]: a LAST whose stacks are those of the step before it."""
        is_last = next_time_step.is_last()

        def compare() -> tf.Tensor:
            same = is_last
            pairs = zip(
                tf.nest.flatten(time_step.observation),
                tf.nest.flatten(next_time_step.observation),
                self.num_stacked,
                strict=True,
            )
            for now, later, count in pairs:
                if count > 1:
                    equal = tf.reduce_all(tf.equal(now, later), list(range(1, len(now.shape))))
                    same = tf.logical_and(same, equal)
            return same

        return tf.cond(tf.reduce_any(is_last), compare, lambda: tf.zeros_like(is_last))


def _newest(spec: tf.TensorSpec, num_stacked: int) -> tf.TensorSpec:
    if num_stacked == 1:
        return spec
    return tf.TensorSpec([*spec.shape[:-1], spec.shape[-1] // num_stacked], spec.dtype)
