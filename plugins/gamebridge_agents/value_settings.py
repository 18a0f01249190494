"""Typed settings of the agents that learn values beside `dqn`: `ddqn`, `c51`, `q-learning`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gamebridge_agents import checks, settings


@dataclasses.dataclass(frozen=True)
class DDQNSettings(settings.DQNSettings):
    """Settings of `ddqn`, with the names and the defaults of `dqn`.

    Van Hasselt et al., "Deep Reinforcement Learning with Double Q-learning" (2016), change
    nothing but the target, and keep the settings of DQN.
    """


@dataclasses.dataclass(frozen=True)
class C51Settings(settings.DQNSettings):
    """Settings of `c51`: those of `dqn`, and the support of the returns.

    Bellemare et al., "A Distributional Perspective on Reinforcement Learning" (2017), take
    51 atoms from -10 to 10 for rewards that are clipped to [-1, 1]: the preset for frames.
    The defaults here are those of CleanRL's c51.py for games of any reward. A support that
    does not hold the returns spoils them: the metric `outside` tells, and `reward_scale`
    brings large rewards into it.

    Attributes:
      num_atoms: returns that are told apart, from the least to the greatest.
      min_value: the least discounted return, after `reward_scale`.
      max_value: the greatest.
    """

    num_atoms: int = 101
    min_value: float = -100.0
    max_value: float = 100.0

    def __post_init__(self) -> None:
        """Refuses values with which no training could work."""
        super().__post_init__()
        if self.num_atoms < 2:
            raise ValueError(f"num_atoms is {self.num_atoms}; expected 2 or more.")
        if not self.min_value < self.max_value:
            raise ValueError(
                f"min_value is {self.min_value} and max_value {self.max_value}; expected the "
                "least return below the greatest."
            )


@dataclasses.dataclass(frozen=True)
class QLearningSettings:
    """Settings of `q-learning`.

    Watkins and Dayan, "Q-learning" (1992), over the tiles of Sutton and Barto,
    "Reinforcement Learning: An Introduction" (2nd edition, 2018), section 9.5.4, whose
    examples take 8 tilings of 8 tiles a side; learned from a replay buffer (Lin,
    "Self-improving reactive agents", 1992). Gamma, replay and exploration are those of
    `dqn`. The step sizes are no paper's: with twice these CartPole was solved later and less
    steadily, with each of three seeds.

    Attributes:
      bins: tiles a side of each part of a float observation; fewer, two at least, where the
        table would be too large. Parts that are integers of few values have a tile for each.
      num_tilings: tilings, each displaced against the others; with 1, observations that
        share a tile are one state.
      learning_rate: share of the error that one update takes away, at first.
      learning_rate_end: in the end.
      learning_rate_steps: steps over which it falls linearly.
      gamma: discount factor.
      num_steps: n of the n-step return.
      batch_size: transitions a training step.
      replay_capacity: time steps kept, or the memory they may take, such as "4GB".
      warm_up_steps: random steps before the first training, in which the range of each
        part without bounds is measured.
      train_interval: steps of the game for one training step.
      epsilon_start: share of random actions at first.
      epsilon_end: share of random actions in the end.
      epsilon_steps: steps over which the share falls linearly.
      initial_value: what every action is thought to be worth at first; above what it can be
        worth it makes the agent try all of them.
      reward_scale: multiplies rewards while training.
    """

    bins: int = 8
    num_tilings: int = 8
    learning_rate: float = 0.1
    learning_rate_end: float = 0.01
    learning_rate_steps: int = 50_000
    gamma: float = 0.99
    num_steps: int = 1
    batch_size: int = 32
    replay_capacity: int | str = 50_000
    warm_up_steps: int = 1_000
    train_interval: int = 1
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_steps: int = 5_000
    initial_value: float = 0.0
    reward_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuses values with which no training could work."""
        checks.positive(
            self,
            "bins", "num_tilings", "num_steps", "batch_size",
            "train_interval", "reward_scale",
        )  # fmt: skip
        checks.not_negative(self, "learning_rate_steps", "warm_up_steps", "epsilon_steps")
        checks.fraction(
            self, "learning_rate", "learning_rate_end", "gamma", "epsilon_start", "epsilon_end"
        )
        checks.can_begin(self)


C51_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "image": {
        **settings.DQN_PRESETS["image"],
        "num_atoms": 51,
        "min_value": -10.0,
        "max_value": 10.0,
    },
}
