"""What an agent's `make` returns: a learner, on-policy or off-policy.

A learner holds the networks and knows how to act and how to train on one batch. The
drivers of this package own the rest: stepping, storing, counting, checkpoints. `act`
and `train` run inside one `tf.function` without autograph, so they use TensorFlow ops
only, `tf.cond` and `tf.while_loop` instead of `if` and `for` over tensors, and the
stateless seed they are given instead of any random state of their own: a seeded run
can then be repeated and resumed exactly.

A learner that remembers says so in `state_spec` and acts in `act_with_state`; its `act` is
that of a slot without a past. The drivers carry the state of each slot from one of its
steps to the next: a step in which the slot had nothing to say leaves it as it was, an
episode begins with zeros, and a checkpoint, at which all episodes end, needs none of it.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, NamedTuple

import tensorflow as tf  # noqa: TID253
from tf_agents.policies import tf_policy  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import errors
from gamebridge.tf import prioritized


class Rollout(NamedTuple):
    """T steps of B slots, time-major; row t and row t + 1 of a slot follow each other.

    A slot that had nothing to say when row t was taken (an agent that has not asked for a
    decision) still stands where it stood: row t + 1 repeats its row t, which does not count.

    Attributes:
      observation: nest of [T + 1, B, ...].
      step_type: int32 [T + 1, B].
      action: [T, B, ...]; of no meaning where step_type[t] is LAST.
      info: nest of [T, B, ...], what `act` gave beside the action.
      reward: float32 [T, B], what came after the action.
      discount: float32 [T, B], likewise.
      valid: bool [T, B], False where nothing came after the action yet: action, info, reward
        and discount mean nothing there.
    """

    observation: Any
    step_type: tf.Tensor
    action: Any
    info: Any
    reward: tf.Tensor
    discount: tf.Tensor
    valid: tf.Tensor


class Learner(abc.ABC):
    """What both kinds share.

    Attributes:
      policy: the greedy TF-Agents policy, for evaluation.
      metric_names: the names of the scalars that `train` returns.
      state_spec: nest of tensor specs of what it remembers of a slot, no batch axis; () for
        nothing. Of the greedy policy it is `policy.policy_state_spec` that says so.
    """

    policy: tf_policy.TFPolicy
    metric_names: tuple[str, ...] = ("loss",)
    state_spec: Any = ()

    def initial_state(self, num_slots: int) -> Any:
        """Returns what is remembered before an episode's first step: zeros [num_slots, ...]."""
        return tf.nest.map_structure(
            lambda spec: tf.zeros([num_slots, *spec.shape], spec.dtype), self.state_spec
        )

    @abc.abstractmethod
    def trackables(self) -> dict[str, Any]:
        """All that a checkpoint must hold: networks, optimizers, variables, by name."""


class OnPolicyLearner(Learner):
    """Learns from what its present policy just did.

    Attributes:
      rollout_length: T, steps a slot between two trainings.
      info_spec: nest of tensor specs of `act`'s info, no batch axis.
    """

    rollout_length: int
    info_spec: Any = ()

    @abc.abstractmethod
    def act(self, time_step: ts.TimeStep, seed: tf.Tensor) -> tuple[Any, Any]:
        """Returns (action, info) for a batch of time steps [B, ...]; seed int32 [2]."""

    def act_with_state(
        self, time_step: ts.TimeStep, state: Any, seed: tf.Tensor
    ) -> tuple[Any, Any, Any]:
        """Returns (action, info, state); to be overridden where `state_spec` is not empty.

        Args:
          time_step: nest of [B, ...].
          state: what is remembered of each slot, nest of [B, ...]; zeros at FIRST.
          seed: int32 [2].
        """
        action, info = self.act(time_step, seed)
        return action, info, state

    @abc.abstractmethod
    def train(self, rollout: Rollout, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Trains on a rollout once; returns the scalars of `metric_names`."""


@dataclasses.dataclass(frozen=True)
class ReplayUse:
    """How an off-policy learner uses its replay buffer.

    Attributes:
      capacity: time steps kept, all slots together, or the memory they may take: "4GB".
      batch_size: transitions a training step, or sequences.
      num_steps: n of the n-step return; of sequences the learner makes its own returns.
      gamma: discount factor.
      warm_up_steps: time steps before the first training.
      train_interval: time steps (all slots together) for one training step.
      sequence_length: steps of the sequences that it trains on; 0 for transitions.
      priorities: by which it draws transitions; None draws all with equal chances.
    """

    capacity: int | str
    batch_size: int
    num_steps: int
    gamma: float
    warm_up_steps: int
    train_interval: int
    sequence_length: int = 0
    priorities: prioritized.Priorities | None = None

    @property
    def num_rows(self) -> int:
        """How many steps after one must be in the replay buffer before it can be drawn."""
        return self.sequence_length or self.num_steps


class OffPolicyLearner(Learner):
    """Learns from a replay buffer.

    Attributes:
      replay_use: how.
    """

    replay_use: ReplayUse

    @abc.abstractmethod
    def act(self, time_step: ts.TimeStep, num_steps: tf.Tensor, seed: tf.Tensor) -> Any:
        """Returns actions [B, ...] that explore; num_steps int64 is for schedules."""

    def act_with_state(
        self, time_step: ts.TimeStep, state: Any, num_steps: tf.Tensor, seed: tf.Tensor
    ) -> tuple[Any, Any]:
        """Returns (actions, state); to be overridden where `state_spec` is not empty.

        Args:
          time_step: nest of [B, ...].
          state: what is remembered of each slot, nest of [B, ...]; zeros at FIRST.
          num_steps: int64, for schedules.
          seed: int32 [2].
        """
        return self.act(time_step, num_steps, seed), state

    @abc.abstractmethod
    def train(self, batch: Any, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Trains on one batch; returns the scalars of `metric_names`.

        Args:
          batch: a `Transition` of `gamebridge.tf.replay` or, where `replay_use` has a sequence
            length, a `Sequence`.
          seed: int32 [2].
        """

    def train_and_judge(
        self, batch: Any, seed: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Trains on one `Transition` of a prioritised replay, each row by its `weight`.

        Returns:
          What `train` does, and each row's TD error, float32 [N], before the training.

        Raises:
          PluginError: the learner has priorities in its `replay_use`, and no such method.
        """
        raise errors.PluginError(
            f"{type(self).__name__} asks for a prioritised replay buffer, and does not tell TD "
            "errors. Give it a train_and_judge, or leave replay_use.priorities out."
        )
