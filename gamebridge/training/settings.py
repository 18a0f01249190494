"""Typed settings of a training run, beside those of its game, wrappers and agent."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Settings in the table [training].

    Attributes:
      checkpoint_interval_steps: steps between two checkpoints. All episodes restart at
        each one, also in a run that is never interrupted: raise it where an episode takes
        longer than this divided by the number of slots.
      keep_checkpoints: how many to keep besides the best.
      save_replay: whether a checkpoint holds the replay buffer. Without it checkpoints are
        small and soon written, and a run that is resumed begins with an empty one: it plays
        the agent's warm-up steps again before it trains on, and is not what it would have
        been unbroken.
      replay_store: "memory" keeps the replay buffer in this process's memory, "reverb" in a Reverb
        server in this process (the extra `reverb`): what it draws does not hang on the seed.
      validation_episodes: greedy episodes played at each checkpoint to find the best one;
        0 plays none, and the newest checkpoint counts as the best.
      validation_max_steps: an episode of validation is cut after so many steps.
      evaluator: whether a process of its own, of a low priority, plays the episodes of
        validation while training goes on, in a game of its own: for the newest checkpoint
        whenever it is done with the one before. Else they are played in the training game at
        each checkpoint, and the training waits for them; so is the last one. What is learned
        is the same either way. None: where it gains, unless a seed was asked for; run.toml
        holds what was chosen.
      evaluator_niceness: 19 takes only what all others leave of the processor, 0 as much as
        the trainer: lower it where an evaluation never comes to its end on a busy machine.
      log_interval_s: seconds between two lines of metrics.jsonl.
      overlap: whether to train while the game plays its next step; a training step then
        does not see the transition that is being played. A run repeats exactly with and
        without, but not with what it was without. None: where it gains, unless a seed was
        asked for; run.toml holds what was chosen. Of off-policy agents only: others
        learn from what their present policy did, and are never overlapped.
    """

    checkpoint_interval_steps: int = 10_000
    keep_checkpoints: int = 3
    save_replay: bool = True
    replay_store: Literal["memory", "reverb"] = "memory"
    validation_episodes: int = 10
    validation_max_steps: int = 10_000
    evaluator: bool | None = None
    evaluator_niceness: int = 19
    log_interval_s: float = 1.0
    overlap: bool | None = None

    def __post_init__(self) -> None:
        """Refuses values with which no run could work."""
        for name in ("checkpoint_interval_steps", "keep_checkpoints", "validation_max_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 1 or more.")
        for name in ("validation_episodes", "log_interval_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 or more.")
        if not 0 <= self.evaluator_niceness <= 19:
            raise ValueError(f"evaluator_niceness is {self.evaluator_niceness}; expected 0 to 19.")
        if self.evaluator and not self.validation_episodes:
            raise ValueError(
                "evaluator is true, but validation_episodes is 0; expected 1 or more to play."
            )
