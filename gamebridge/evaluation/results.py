"""`Evaluation`: what greedy episodes brought, as a person and as a program reads it."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from gamebridge import errors, files
from gamebridge.evaluation import rollout

_RESAMPLES = 2_000


@dataclasses.dataclass(frozen=True)
class Video:
    """A recorded episode.

    Attributes:
      path: the MP4.
      episode: its number in `Evaluation.episodes`.
      num_frames: frames in it, one a step.
    """

    path: str
    episode: int
    num_frames: int


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `evaluate` returns and writes to evaluation.json.

    Attributes:
      game: the game's id.
      agent: the agent's id.
      checkpoint_step: steps the policy had been trained for.
      episodes: in the order of their seeds.
      videos: of the recorded ones.
      saved: the folder in which the episodes were saved; "" for none.
    """

    game: str
    agent: str
    checkpoint_step: int
    episodes: tuple[rollout.PlayedEpisode, ...]
    videos: tuple[Video, ...] = ()
    saved: str = ""

    @property
    def return_mean(self) -> float:
        """Mean return of the episodes."""
        return float(np.mean([episode.episode_return for episode in self.episodes]))

    @property
    def return_std(self) -> float:
        """Standard deviation of the returns."""
        return float(np.std([episode.episode_return for episode in self.episodes]))

    def confidence_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Of the mean return; see the function of that name."""
        return confidence_interval([episode.episode_return for episode in self.episodes], level)

    def telemetry_means(self) -> dict[str, float]:
        """Mean over the episodes of each telemetry value."""
        names: Sequence[str] = list(self.episodes[0].telemetry)
        return {
            name: float(np.mean([episode.telemetry[name] for episode in self.episodes]))
            for name in names
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns what evaluation.json holds."""
        low, high = self.confidence_interval()
        return {
            "game": self.game,
            "agent": self.agent,
            "checkpoint_step": self.checkpoint_step,
            "num_episodes": len(self.episodes),
            "return_mean": self.return_mean,
            "return_std": self.return_std,
            "return_interval_95": [low, high],
            "telemetry_mean": self.telemetry_means(),
            "episodes": [
                {
                    "seed": episode.seed,
                    "return": episode.episode_return,
                    "length": episode.length,
                    "ended": episode.ended,
                    "telemetry": episode.telemetry,
                }
                for episode in self.episodes
            ],
            "videos": [dataclasses.asdict(video) for video in self.videos],
            "saved_episodes": self.saved,
        }

    def write(self, folder: pathlib.Path) -> pathlib.Path:
        """Writes evaluation.json into `folder` and returns its path.

        Raises:
          StorageError: the folder cannot be written.
        """
        path = folder / "evaluation.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files.write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")
        except OSError as error:
            raise errors.StorageError(
                f"Cannot write {path}: {error}. Free space or make the folder writable."
            ) from error
        return path


def confidence_interval(returns: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap of the mean of `returns` (Efron, 1979), with a seed of its own."""
    generator = np.random.default_rng(0)
    means = generator.choice(np.asarray(returns), (_RESAMPLES, len(returns))).mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
