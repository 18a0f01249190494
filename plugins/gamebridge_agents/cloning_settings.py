"""Typed settings of `bc`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gamebridge_agents import checks
from gamebridge_agents.settings import Activation


@dataclasses.dataclass(frozen=True)
class BCSettings:
    """Settings of `bc`.

    Rate, batch and network are the defaults of d3rlpy's BC and DiscreteBC (Seno and Imai,
    "d3rlpy: an offline deep reinforcement learning library", 2022).

    Attributes:
      episodes: folder of the episodes to learn from, made by `evaluate --save-episodes`.
      holdout: share of the episodes that is not learned from, but gives `validation_loss`;
        one at least where it is not 0.
      learning_rate: of Adam.
      batch_size: rows a training step. A row is a step of a saved episode, and what `steps` counts.
      gradient_clip: greatest norm of each variable's gradient.
      initial_std: first standard deviation of continuous actions, in units of half the
        action's range.
      block_mb: MiB of the episodes that are in memory and shuffled at a time.
      units: sizes of the fully connected layers.
      conv_filters: filters of the three convolutions over frames.
      activation: of the fully connected layers.
    """

    episodes: str = ""
    holdout: float = 0.1
    learning_rate: float = 1e-3
    batch_size: int = 100
    gradient_clip: float = 10.0
    initial_std: float = 1.0
    block_mb: int = 256
    units: tuple[int, ...] = (256, 256)
    conv_filters: tuple[int, int, int] = (16, 32, 32)
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        """Refuses values with which no training could work."""
        checks.positive(
            self, "learning_rate", "batch_size", "gradient_clip", "initial_std", "block_mb"
        )
        checks.fraction(self, "holdout")
        checks.sizes(self, "units", "conv_filters")
        if self.holdout == 1:
            raise ValueError("holdout is 1; expected less, so that something can be learned.")


BC_PRESETS: Mapping[str, Mapping[str, Any]] = {"image": {"units": (128,)}}
