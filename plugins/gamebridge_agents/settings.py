"""Typed settings of the bundled agents, each with the source of its default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from gamebridge_agents import checks

Activation = Literal["tanh", "relu", "elu"]


@dataclasses.dataclass(frozen=True)
class PPOSettings:
    """Settings of `ppo`.

    Defaults are those of Schulman et al., "Proximal Policy Optimization Algorithms"
    (2017), table 3, and Andrychowicz et al., "What matters in on-policy reinforcement
    learning" (2020), unless said otherwise.

    Attributes:
      learning_rate: of Adam, whose epsilon is 1e-5.
      learning_rate_decay_steps: steps after which the rate has fallen linearly to a
        tenth; 0 keeps it. In steps of the game and not in a share of the run, so that a
        run that is resumed for longer equals a longer run.
      rollout_length: steps a slot between two trainings.
      num_epochs: passes over a rollout.
      minibatch_size: steps a gradient.
      gamma: discount factor.
      gae_lambda: of generalised advantage estimation (Schulman et al., 2016).
      clip_ratio: how far the probability of an action may move in one training.
      entropy_weight: of the entropy bonus.
      value_weight: of the value loss.
      gradient_clip: greatest global norm of a gradient.
      normalize_observations: by running mean and variance; floats that are no picture only.
      reward_scale: multiplies rewards while training.
      units: sizes of the fully connected layers, of actor and critic alike.
      conv_filters: filters of the three convolutions over frames.
      activation: of the fully connected layers.
      initial_std: first standard deviation of continuous actions, in units of half the
        action's range.
    """

    learning_rate: float = 1e-3
    learning_rate_decay_steps: int = 0
    rollout_length: int = 128
    num_epochs: int = 10
    minibatch_size: int = 128
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_ratio: float = 0.2
    entropy_weight: float = 0.0
    value_weight: float = 0.5
    gradient_clip: float = 0.5
    normalize_observations: bool = True
    reward_scale: float = 1.0
    units: tuple[int, ...] = (64, 64)
    conv_filters: tuple[int, int, int] = (16, 32, 32)
    activation: Activation = "tanh"
    initial_std: float = 1.0

    def __post_init__(self) -> None:
        """Refuses values with which no training could work."""
        checks.positive(
            self,
            "learning_rate", "rollout_length", "num_epochs", "minibatch_size", "clip_ratio",
            "gradient_clip", "reward_scale", "initial_std",
        )  # fmt: skip
        checks.not_negative(self, "learning_rate_decay_steps", "entropy_weight", "value_weight")
        checks.fraction(self, "gamma", "gae_lambda")
        checks.sizes(self, "units", "conv_filters")


@dataclasses.dataclass(frozen=True)
class DQNSettings:
    """Settings of `dqn`.

    Mnih et al., "Human-level control through deep reinforcement learning" (2015), with
    n-step returns and a softly updated target network (Hessel et al., "Rainbow", 2018;
    Lillicrap et al., 2016), which measured best here on CartPole.

    Attributes:
      learning_rate: of Adam.
      learning_rate_decay_steps: steps after which the rate has fallen linearly to a
        tenth; 0 keeps it. In steps of the game, as `epsilon_steps`.
      gamma: discount factor.
      num_steps: n of the n-step return.
      batch_size: transitions a training step.
      replay_capacity: time steps kept, or the memory they may take, such as "4GB".
      replay: "prioritized" draws those transitions oftener whose values were learned worst
        (Schaul et al., "Prioritized Experience Replay", 2016), "uniform" all alike.
      priority_alpha: how much that counts; the paper's, as the next (proportional variant).
      priority_beta: how much less an update counts where a transition is drawn oftener, at
        first.
      priority_beta_steps: steps over which that rises linearly to 1. The paper's is the run's
        length, here steps, so that a run that is resumed for longer equals a longer run.
      warm_up_steps: random steps before the first training.
      train_interval: steps of the game for one training step.
      target_update_tau: share by which the target network follows at each update.
      target_update_period: training steps between two updates of the target network.
      epsilon_start: share of random actions at first.
      epsilon_end: share of random actions in the end.
      epsilon_steps: steps over which the share falls linearly.
      gradient_clip: greatest norm of each variable's gradient.
      reward_scale: multiplies rewards while training.
      units: sizes of the fully connected layers.
      conv_filters: filters of the three convolutions over frames.
      activation: of the fully connected layers.
    """

    learning_rate: float = 5e-4
    learning_rate_decay_steps: int = 0
    gamma: float = 0.99
    num_steps: int = 3
    batch_size: int = 64
    replay_capacity: int | str = 50_000
    replay: Literal["uniform", "prioritized"] = "uniform"
    priority_alpha: float = 0.6
    priority_beta: float = 0.4
    priority_beta_steps: int = 50_000
    warm_up_steps: int = 1_000
    train_interval: int = 1
    target_update_tau: float = 0.005
    target_update_period: int = 1
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_steps: int = 5_000
    gradient_clip: float = 10.0
    reward_scale: float = 1.0
    units: tuple[int, ...] = (256, 256)
    conv_filters: tuple[int, int, int] = (16, 32, 32)
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        """Refuses values with which no training could work."""
        checks.positive(
            self,
            "learning_rate", "num_steps", "batch_size", "train_interval",
            "target_update_tau", "target_update_period", "gradient_clip", "reward_scale",
        )  # fmt: skip
        checks.not_negative(
            self,
            "learning_rate_decay_steps", "warm_up_steps", "epsilon_steps", "priority_alpha",
            "priority_beta_steps",
        )  # fmt: skip
        checks.fraction(
            self, "gamma", "target_update_tau", "epsilon_start", "epsilon_end", "priority_beta"
        )
        checks.sizes(self, "units", "conv_filters")
        checks.can_begin(self)


PPO_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "image": {
        "learning_rate": 5e-4,
        "num_epochs": 4,
        "minibatch_size": 256,
        "entropy_weight": 0.01,
        "units": (128,),
        "activation": "relu",
    },
}

DQN_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "image": {
        "learning_rate": 5e-4,
        "batch_size": 32,
        "replay_capacity": 20_000,
        "train_interval": 4,
        "target_update_tau": 0.02,
        "units": (128,),
    },
}
