"""Typed settings of `ddpg`, `td3` and `sac`, each with the source of its default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gamebridge_agents import checks
from gamebridge_agents.settings import Activation


@dataclasses.dataclass(frozen=True)
class DDPGSettings:
    """Settings of `ddpg`.

    Defaults are those of "our DDPG" in Fujimoto et al., "Addressing Function Approximation
    Error in Actor-Critic Methods" (2018), appendix C, which its authors found better than
    those of Lillicrap et al. (2016), unless said otherwise.

    Attributes:
      learning_rate: of Adam, of actor and critic alike.
      gamma: discount factor.
      num_steps: n of the n-step return.
      batch_size: transitions a training step.
      replay_capacity: time steps kept, or the memory they may take, such as "4GB"; RL Zoo's
        200,000 of Pendulum-v1.
      warm_up_steps: steps of uniformly random actions before the first training; the
        paper's for small games (its 10,000 for the large ones).
      train_interval: steps of the game for one training step.
      target_update_tau: share by which the target networks follow at each update.
      exploration_noise: standard deviation of the noise on actions while training, in
        units of half the action's range.
      gradient_clip: greatest norm of each variable's gradient; 0 does not clip.
      reward_scale: multiplies rewards while training.
      units: sizes of the fully connected layers, of actor and critic alike; those of the
        paper's code as later revised, and of CleanRL.
      conv_filters: filters of the three convolutions over frames.
      num_features: width of the normalised layer between convolutions and the rest; 0
        leaves it out.
      activation: of the fully connected layers.
    """

    learning_rate: float = 1e-3
    gamma: float = 0.99
    num_steps: int = 1
    batch_size: int = 100
    replay_capacity: int | str = 200_000
    warm_up_steps: int = 1_000
    train_interval: int = 1
    target_update_tau: float = 0.005
    exploration_noise: float = 0.1
    gradient_clip: float = 0.0
    reward_scale: float = 1.0
    units: tuple[int, ...] = (256, 256)
    conv_filters: tuple[int, int, int] = (16, 32, 32)
    num_features: int = 0
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        """Refuses values with which no training could work."""
        _check(self)
        checks.not_negative(self, "exploration_noise")


@dataclasses.dataclass(frozen=True)
class TD3Settings(DDPGSettings):
    """Settings of `td3`: those of `ddpg`, of the same source, and its own.

    Fujimoto et al. (2018), section 6.1.

    Attributes:
      actor_update_period: training steps for one of the actor and of the targets.
      target_noise: standard deviation of the noise on target actions, in units of half the
        action's range.
      target_noise_clip: how far that noise may go, in the same units.
    """

    actor_update_period: int = 2
    target_noise: float = 0.2
    target_noise_clip: float = 0.5

    def __post_init__(self) -> None:
        """Refuses values with which no training could work."""
        super().__post_init__()
        checks.positive(self, "actor_update_period")
        checks.not_negative(self, "target_noise", "target_noise_clip")


@dataclasses.dataclass(frozen=True)
class SACSettings:
    """Settings of `sac`.

    Defaults are those of Haarnoja et al., "Soft Actor-Critic Algorithms and Applications"
    (2018), appendix D, unless said otherwise.

    Attributes:
      learning_rate: of Adam, of actor, critics and temperature alike; RL Zoo's for
        Pendulum-v1 and CleanRL's for its critics (the paper has 3e-4).
      gamma: discount factor.
      num_steps: n of the n-step return.
      batch_size: transitions a training step.
      replay_capacity: time steps kept, or the memory they may take, such as "4GB"; the
        paper's million takes memory that most games need not.
      warm_up_steps: steps of uniformly random actions before the first training; those of
        the authors' code, softlearning.
      train_interval: steps of the game for one training step.
      target_update_tau: share by which the target networks follow at each training step.
      initial_alpha: first temperature, the weight of the entropy; Stable-Baselines3's.
      target_entropy: entropy to which the temperature is steered, in nats for each number
        of the action; of continuous actions only.
      target_entropy_share: entropy to which the temperature is steered, as a share of that
        of equal chances; of discrete actions only.
      gradient_clip: greatest norm of each variable's gradient; 0 does not clip.
      reward_scale: multiplies rewards while training.
      units: sizes of the fully connected layers, of actor and critics alike.
      conv_filters: filters of the three convolutions over frames.
      num_features: width of the normalised layer between convolutions and the rest; 0
        leaves it out.
      activation: of the fully connected layers.
    """

    learning_rate: float = 1e-3
    gamma: float = 0.99
    num_steps: int = 1
    batch_size: int = 256
    replay_capacity: int | str = 200_000
    warm_up_steps: int = 1_000
    train_interval: int = 1
    target_update_tau: float = 0.005
    initial_alpha: float = 1.0
    target_entropy: float = -1.0
    target_entropy_share: float = 0.1
    gradient_clip: float = 0.0
    reward_scale: float = 1.0
    units: tuple[int, ...] = (256, 256)
    conv_filters: tuple[int, int, int] = (16, 32, 32)
    num_features: int = 0
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        """Refuses values with which no training could work."""
        _check(self)
        checks.positive(self, "initial_alpha")
        checks.fraction(self, "target_entropy_share")


# A narrow normalised layer of 50 is that of Yarats et al. (2019). Theirs are 32 filters,
# 1,024 units and a million steps in the buffer, for a GPU: these are for a few cores.
_IMAGE: Mapping[str, Any] = {
    "learning_rate": 5e-4,
    "batch_size": 64,
    "replay_capacity": 20_000,
    "train_interval": 4,
    "target_update_tau": 0.01,
    "num_features": 50,
}

CONTINUOUS_PRESETS: Mapping[str, Mapping[str, Any]] = {"image": _IMAGE}

# No paper's: CartPole, given by preferences, was learned slower with each of the defaults.
DDPG_PRESETS: Mapping[str, Mapping[str, Any]] = {
    **CONTINUOUS_PRESETS,
    "preferences": {
        "learning_rate": 5e-4,
        "num_steps": 5,
        "exploration_noise": 0.3,
        "units": (64, 64),
    },
}

SAC_PRESETS: Mapping[str, Mapping[str, Any]] = {
    **CONTINUOUS_PRESETS,
    "discrete": {
        "learning_rate": 5e-4,
        "num_steps": 3,
        "batch_size": 64,
        "units": (128, 128),
    },
}


def _check(settings: Any) -> None:
    checks.positive(
        settings,
        "learning_rate", "num_steps", "batch_size", "train_interval",
        "target_update_tau", "reward_scale",
    )  # fmt: skip
    checks.not_negative(settings, "warm_up_steps", "gradient_clip", "num_features")
    checks.fraction(settings, "gamma", "target_update_tau")
    checks.sizes(settings, "units", "conv_filters")
    checks.can_begin(settings)
