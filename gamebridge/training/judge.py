"""`Judge`: validates what is learned while a session trains, and keeps the best of it.

It plays in the training game, whose episodes end at a checkpoint anyway: a second Unity player
or simulator would take memory for nothing. Or it leaves that to an `Evaluator` beside the
training and reads what that one writes.
"""

from __future__ import annotations

import logging
import pathlib
import time
from typing import Any

from gamebridge.contract import seeding
from gamebridge.evaluation import rollout
from gamebridge.training import checkpoints, metrics, signals
from gamebridge.training import curve as curves
from gamebridge.training import evaluator as evaluators
from gamebridge.training import settings as training_settings
from gamebridge.wrappers import episodes as episode_logs

_LOG = logging.getLogger(__name__)

# An evaluator that was not heard of for so many checkpoints keeps no best.
_MANY_PASSED = 10


class Judge:
    """Judges the policy of one run.

    Attributes:
      best: the best validation return so far; None before the first.
      newest: the newest validation return; None before the first.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        game: episode_logs.EpisodeLog,
        policy: rollout.GraphPolicy,
        settings: training_settings.TrainingSettings,
        saved: checkpoints.Checkpoints,
        evaluator: evaluators.Evaluator | None,
    ) -> None:
        """Plays nothing yet.

        Args:
          folder: the run folder.
          game: the training game.
          policy: what is judged.
          settings: how many episodes are played, and how long they may be.
          saved: keeps the best.
          evaluator: what judges beside the training; None for this process.
        """
        self._game = game
        self._policy = policy
        self._settings = settings
        self._checkpoints = saved
        self._evaluator = evaluator
        self._curve = curves.Curve(folder)
        self._num_heard = 0
        self._num_passed = 0
        self.best: float | None = None
        self.newest: float | None = None

    @property
    def is_beside(self) -> bool:
        """Whether an evaluator judges beside the training."""
        return self._evaluator is not None

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to what `judge` returned."""
        self.best = state.get("best")
        self.newest = state.get("validation")

    def begin(self, step: int) -> None:
        """Takes up the curve as it was at a step."""
        self._curve.mend(step)
        points = self._curve.points()
        self._num_heard = len(points)
        if self._evaluator is not None:  # the checkpoint was saved before it was judged
            for point in points:
                self._note(point)

    def start(self) -> None:
        """Starts the evaluator, if there is one."""
        if self._evaluator is not None:
            self._evaluator.start()

    def tend(self, step: int, log: metrics.Metrics) -> None:
        """Keeps the evaluator alive and reports what it found, as of `step`; called often."""
        if self._evaluator is not None:
            self._evaluator.tend()
            self._hear(step, log)

    def close(self) -> None:
        """Ends the evaluator. May be called twice."""
        if self._evaluator is not None:
            self._evaluator.close()
            self._evaluator = None
            self._checkpoints.sweep()  # of what it held, if it had to be killed

    def judge(self, step: int, stop: signals.StopRequest, log: metrics.Metrics) -> dict[str, Any]:
        """Validates what was learned and keeps it if it is the best; returns a checkpoint's state.

        It is the best one that is saved first: a process killed in between must not leave a
        checkpoint that tells of a best one that was never saved.
        """
        is_here = self._evaluator is None or self._evaluator.is_lost
        if not is_here:
            self._num_passed += 1
            if self._num_passed == _MANY_PASSED:
                _LOG.warning(
                    "the evaluator judged none of the last %d checkpoints: it takes what others "
                    "leave of the processor. The last one is judged at the end; with "
                    "--no-evaluator each is, and training waits for it",
                    _MANY_PASSED,
                )
        point = None
        if is_here and stop.signal_number is None and self._settings.validation_episodes:
            point = self._validate(step, stop)
        is_best = self.best is None or (point is not None and point.return_mean >= self.best)
        if point is not None:
            self._note(point)
        state = {
            "best": self.best,
            "validation": self.newest,
            "episodes": log.recent_episodes(),
        }
        if is_here and (is_best or not self._settings.validation_episodes):
            self._checkpoints.save_best(step, state)
        if point is not None:
            self._curve.add(point)
            self._hear(step, log)
        return state

    def judge_last(self, step: int, stop: signals.StopRequest, log: metrics.Metrics) -> None:
        """Validates the last checkpoint here, where the evaluator was not so far.

        Nothing is trained any more, and an evaluator takes what others leave of the processor.
        """
        self.close()
        self._hear(step, log)
        points = self._curve.points()
        if self._settings.validation_episodes and (not points or points[-1].step < step):
            self.judge(step, stop, log)

    def _validate(self, step: int, stop: signals.StopRequest) -> curves.Point | None:
        seeds = seeding.slot_seeds(0, self._settings.validation_episodes, seeding.Domain.VALIDATION)
        began_s = time.monotonic()
        played = rollout.play(
            self._game,
            self._policy,
            seeds.tolist(),
            max_steps=self._settings.validation_max_steps,
            should_stop=lambda: stop.signal_number is not None,
        )
        self._game.take()
        if len(played) < len(seeds):
            return None
        returns = [episode.episode_return for episode in played]
        return curves.point(step, returns, time.monotonic() - began_s)

    def _note(self, point: curves.Point) -> None:
        self.newest = point.return_mean
        if self.best is None or point.return_mean >= self.best:
            self.best = point.return_mean

    def _hear(self, step: int, log: metrics.Metrics) -> None:
        """Reports what is new in the curve, as of now: steps never go back in a run's metrics."""
        points = self._curve.points()
        for point in points[self._num_heard :]:
            self._num_passed = 0
            self._note(point)
            values = {"validation_return": point.return_mean, "validation_step": point.step}
            log.report(step, {**values, **metrics.restarts(self._game)})
        self._num_heard = len(points)
