"""Typed settings of `reinforce`, each with the source of its default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gamebridge_agents import checks
from gamebridge_agents.settings import Activation


@dataclasses.dataclass(frozen=True)
class ReinforceSettings:
    """Settings of `reinforce`.

    Williams, "Simple statistical gradient-following algorithms for connectionist
    reinforcement learning" (1992), with the baseline of Sutton and Barto, "Reinforcement
    Learning: An Introduction" (2nd edition, 2018), section 13.4.

    Attributes:
      learning_rate: of Adam, of the policy.
      rollout_length: steps a slot between two trainings.
      gamma: discount factor.
      has_baseline: whether what a state is worth is learned and taken off the returns, and
        stands in for what an episode would still have given where it was cut.
      baseline_learning_rate: of Adam, of the baseline.
      baseline_updates: gradient steps of the baseline a rollout.
      entropy_weight: of the entropy bonus.
      reward_scale: multiplies rewards while training.
      units: sizes of the fully connected layers, of policy and baseline alike.
      conv_filters: filters of the three convolutions over frames.
      activation: of the fully connected layers.
      initial_std: first standard deviation of continuous actions, in units of half the
        action's range.
    """

    learning_rate: float = 3e-3
    rollout_length: int = 128
    gamma: float = 0.99
    has_baseline: bool = True
    baseline_learning_rate: float = 1e-3
    baseline_updates: int = 20
    entropy_weight: float = 0.0
    reward_scale: float = 1.0
    units: tuple[int, ...] = (64, 64)
    conv_filters: tuple[int, int, int] = (16, 32, 32)
    activation: Activation = "tanh"
    initial_std: float = 1.0

    def __post_init__(self) -> None:
        """Refuses values with which no training could work."""
        checks.positive(
            self,
            "learning_rate", "rollout_length", "baseline_learning_rate", "baseline_updates",
            "reward_scale", "initial_std",
        )  # fmt: skip
        checks.not_negative(self, "entropy_weight")
        checks.fraction(self, "gamma")
        checks.sizes(self, "units", "conv_filters")


REINFORCE_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "image": {
        "learning_rate": 1e-3,
        "entropy_weight": 0.01,
        "units": (128,),
        "activation": "relu",
    },
}
