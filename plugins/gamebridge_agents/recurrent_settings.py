"""Typed settings of the agents that remember: `dqn-rnn` and `ppo-rnn`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from gamebridge_agents import checks, settings

Cell = Literal["gru", "lstm"]


@dataclasses.dataclass(frozen=True)
class DQNRNNSettings(settings.DQNSettings):
    """Settings of `dqn-rnn`: those of `dqn`, and what it remembers with.

    Hausknecht and Stone, "Deep recurrent Q-learning for partially observable MDPs" (2015),
    learn from sequences of 10 steps that begin anywhere in an episode, with nothing
    remembered; Kapturowski et al., "Recurrent experience replay in distributed reinforcement
    learning" (R2D2, 2019), let the first part of a sequence only fill the memory, and take
    returns of several steps and double Q-learning.

    Attributes:
      batch_size: sequences a training step.
      sequence_length: steps of a sequence that are learned from.
      burn_in_length: steps before these that only fill the memory.
      cell: "gru" or "lstm".
      memory_units: numbers that the cell remembers.
    """

    learning_rate: float = 1e-3
    num_steps: int = 5
    batch_size: int = 32
    train_interval: int = 2
    target_update_tau: float = 0.01
    units: tuple[int, ...] = (128, 128)
    sequence_length: int = 10
    burn_in_length: int = 5
    cell: Cell = "gru"
    memory_units: int = 64

    def __post_init__(self) -> None:
        """Refuses values with which no training could work."""
        super().__post_init__()
        checks.positive(self, "sequence_length", "memory_units")
        checks.not_negative(self, "burn_in_length")


@dataclasses.dataclass(frozen=True)
class PPORNNSettings(settings.PPOSettings):
    """Settings of `ppo-rnn`: those of `ppo`, and what it remembers with.

    Attributes:
      minibatch_size: steps a gradient, in whole sequences.
      sequence_length: steps over which a gradient goes back; the memory begins as it was
        when they were played.
      cell: "gru" or "lstm".
      memory_units: numbers that the cell remembers, of actor and critic each.
    """

    sequence_length: int = 16
    cell: Cell = "gru"
    units: tuple[int, ...] = (64,)
    memory_units: int = 64

    def __post_init__(self) -> None:
        """Refuses values with which no training could work."""
        super().__post_init__()
        checks.positive(self, "sequence_length", "memory_units")
        if self.rollout_length % self.sequence_length:
            raise ValueError(
                f"rollout_length is {self.rollout_length}; expected a multiple of "
                f"sequence_length, {self.sequence_length}."
            )


DQN_RNN_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "image": {
        "batch_size": 16,
        "replay_capacity": 20_000,
        "train_interval": 8,
        "target_update_tau": 0.02,
    },
}

PPO_RNN_PRESETS: Mapping[str, Mapping[str, Any]] = {"image": settings.PPO_PRESETS["image"]}
