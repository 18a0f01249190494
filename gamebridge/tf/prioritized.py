"""`PrioritizedReplay`: draws transitions the oftener, the more there seems to be learned from them.

Schaul et al., "Prioritized Experience Replay" (2016), the proportional variant: a transition is
drawn with a chance proportional to (|TD error| + 1e-6) ** alpha, as it was when it was last
drawn, and a new one as the largest that was ever seen. That it is drawn so often is set right
by its weight, (1 / chance) ** beta over the largest of the batch. A batch is drawn in strata: the
sum of all is cut into as many equal parts, and one transition drawn out of each.

A row has a place in the tree where its n steps are there, and none at LAST.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge.contract import game as games
from gamebridge.tf import replay, sum_tree

# The paper's epsilon: what has no error now is still drawn again.
LEAST_ERROR = 1e-6


@dataclasses.dataclass(frozen=True)
class Priorities:
    """How a prioritised replay draws.

    Attributes:
      alpha: how much errors count; 0 draws uniformly.
      beta: how much weights set right what that changes, at first.
      beta_steps: steps of the game over which beta rises linearly to 1.
    """

    alpha: float
    beta: float
    beta_steps: int

    def weights(self, chance: tf.Tensor, num_game_steps: tf.Tensor) -> tf.Tensor:
        """Returns what rows count that were drawn with such chances, the most of them 1.

        Args:
          chance: float64 [N], up to a factor.
          num_game_steps: int64 scalar, for the schedule of beta.
        """
        share = tf.cast(num_game_steps, tf.float64) / max(self.beta_steps, 1)
        beta = self.beta + (1.0 - self.beta) * tf.minimum(share, 1.0)
        return tf.cast((tf.reduce_min(chance) / chance) ** beta, tf.float32)


class PrioritizedReplay(replay.Replay):
    """A `Replay` that draws by priorities; for one number of steps of the return."""

    def __init__(
        self,
        observation_spec: Any,
        action_spec: Any,
        num_slots: int,
        capacity: int | str,
        num_stacked: list[int] | None = None,
        *,
        num_steps: int,
        priorities: Priorities,
    ) -> None:
        """Allocates rings and tree; see `Replay`.

        Args:
          observation_spec: see `Replay`, as the next four.
          action_spec: see there.
          num_slots: see there.
          capacity: see there; the tree is not counted, 8 bytes a step.
          num_stacked: see there.
          num_steps: n of the n-step return.
          priorities: how to draw.
        """
        super().__init__(observation_spec, action_spec, num_slots, capacity, num_stacked)
        self._num_steps = num_steps
        self._priorities = priorities
        self._tree = sum_tree.SumTree((self.length + 1) * num_slots)
        # As alpha has made it.
        self._greatest = tf.Variable(1.0, trainable=False, dtype=tf.float64)

    def trackables(self) -> dict[str, Any]:
        """The tree and the greatest priority."""
        return {"priorities": self._tree, "greatest_priority": self._greatest}

    def clear(self) -> None:
        """Forgets all rows and their priorities."""
        super().clear()
        self._tree.clear()
        self._greatest.assign(1.0)

    def add(
        self,
        time_step: ts.TimeStep,
        action: Any,
        next_time_step: ts.TimeStep,
        stored: tf.Tensor | None = None,
    ) -> None:
        """See `Replay`: gives a priority to the row whose n steps are there now."""
        number = tf.identity(self._num_added)
        super().add(time_step, action, next_time_step, stored)
        is_stored = tf.ones([self.num_slots], tf.bool) if stored is None else stored
        slot = tf.range(self.num_slots, dtype=tf.int64)
        begun, gone = number - self._num_steps, number - self._kept
        is_played = tf.not_equal(self._reader.one("step_type", begun, slot), games.LAST)
        is_new = tf.logical_and(is_stored, begun >= 0)
        nowhere = self.length * self.num_slots + slot
        self._tree.set(
            tf.concat(
                [
                    # Whose row is overwritten, or is all that stacks are built of from now on.
                    tf.where(
                        tf.logical_and(is_stored, gone >= 0), self._place(gone, slot), nowhere
                    ),
                    tf.where(is_new, self._place(begun, slot), nowhere),
                ],
                0,
            ),
            tf.concat(
                [
                    tf.zeros([self.num_slots], tf.float64),
                    tf.where(tf.logical_and(is_new, is_played), self._greatest.read_value(), 0.0),
                ],
                0,
            ),
        )

    def num_transitions(self, num_steps: int) -> tf.Tensor:
        """int64 scalar: see `Replay`; 0 where all that is there begins at a LAST."""
        return tf.where(self._tree.total > 0.0, super().num_transitions(num_steps), 0)

    def draw(
        self, batch_size: int, gamma: float, num_game_steps: tf.Tensor, seed: tf.Tensor
    ) -> tuple[replay.Transition, tf.Tensor]:
        """Draws transitions by their priorities; `num_transitions` must be above 0.

        Args:
          batch_size: N.
          gamma: the agent's discount factor.
          num_game_steps: int64 scalar, for the schedule of beta.
          seed: int32 [2], a stateless seed.

        Returns:
          The transitions, and where they lie, int64 [N], for `judge`.
        """
        part = self._tree.total / batch_size
        within = tf.random.stateless_uniform([batch_size], seed, dtype=tf.float64)
        place = self._tree.find((tf.range(batch_size, dtype=tf.float64) + within) * part)
        row, slot = place // self.num_slots, place % self.num_slots
        newest = tf.gather(self._num_added, slot) - 1
        start = newest - (newest - row) % self.length
        batch = self._reader.transitions(start, slot, self._num_steps, gamma)
        weight = self._priorities.weights(self._tree.get(place), num_game_steps)
        return batch._replace(weight=batch.weight * weight), place

    def judge(self, place: tf.Tensor, td_errors: tf.Tensor) -> None:
        """Sets the priorities of what was drawn.

        Args:
          place: int64 [N], as `draw` gave it; nothing may have been added since.
          td_errors: float32 [N], of any sign.
        """
        errors = tf.abs(tf.cast(td_errors, tf.float64)) + LEAST_ERROR
        priority = errors**self._priorities.alpha
        self._tree.set(place, priority)
        self._greatest.assign(tf.maximum(self._greatest, tf.reduce_max(priority)))
