"""`Session`: one sitting of training a run, from a checkpoint (or nothing) to a number of steps.

A checkpoint is taken whenever the steps pass a multiple of the interval, and when the
run ends or is stopped. At each one all episodes end and restart, reseeded from (seed,
step), in an unbroken run too; so a run that was stopped there and resumed goes on
exactly as one that was not. Validation plays in the training game meanwhile, or is left
to an `Evaluator` that plays beside the training.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shlex
import signal
import time
from collections.abc import Callable
from typing import Any

from gamebridge import errors
from gamebridge.evaluation import rollout
from gamebridge.tf import environment as environments
from gamebridge.training import (
    checkpoints,
    drivers,
    learners,
    metrics,
    off_policy,
    offline,
    on_policy,
    runs,
    signals,
    stores,
)
from gamebridge.training import evaluator as evaluators
from gamebridge.training import judge as judges
from gamebridge.training import settings as training_settings
from gamebridge.workers import choice
from gamebridge.wrappers import episodes as episode_logs

_LOG = logging.getLogger(__name__)

# One call into the graph lasts about so long: a signal is heard between two calls.
_CALL_S = 0.4


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a watcher of a session is told, a few times a second.

    Attributes:
      step: steps so far, all slots together.
      target: steps at which the session ends.
      steps_per_s: over this session, validation and checkpoints included.
      mean_return: of the last 100 training episodes; None before the first.
      validation_return: of the newest validation; None before the first.
      note: what just happened, such as a saved checkpoint; "" for nothing.
      num_restarts: how often a process that played the game was lost and replaced, in this
        session.
    """

    step: int
    target: int
    steps_per_s: float
    mean_return: float | None
    validation_return: float | None
    note: str = ""
    num_restarts: int = 0


def make_driver(
    environment: environments.GameTFEnvironment,
    learner: Any,
    seed: int,
    *,
    overlaps: bool = False,
    make_replay: stores.MakeReplay = stores.in_memory,
) -> drivers.Driver:
    """Returns the driver for a learner.

    Args:
      environment: what is played.
      learner: what acts and trains.
      seed: fixes all that is drawn.
      overlaps: whether to train while the game plays; of off-policy learners only.
      make_replay: where an off-policy learner's replay buffer is kept.

    Raises:
      ConfigError: another learner was to overlap, or an offline one has no episodes.
      StorageError: an offline learner's episodes are damaged.
      FitError: they are of a game with other specs.
      PluginError: the agent's `make` returned something that is no learner.
    """
    if isinstance(learner, learners.OnPolicyLearner):
        if overlaps:
            raise errors.ConfigError(
                "training.overlap is true, but the agent is on-policy: what its present policy "
                "does must be played before it is trained on. Leave training.overlap out."
            )
        return on_policy.OnPolicyDriver(environment, learner, seed)
    if isinstance(learner, learners.OffPolicyLearner):
        return off_policy.OffPolicyDriver(
            environment, learner, seed, overlaps=overlaps, make_replay=make_replay
        )
    if isinstance(learner, offline.OfflineLearner):
        if overlaps:
            raise errors.ConfigError(
                "training.overlap is true, but the agent learns from saved episodes: no game is "
                "played meanwhile. Leave training.overlap out."
            )
        return offline.OfflineDriver(environment, learner, seed)
    raise errors.PluginError(
        f"The agent's make returned a {type(learner).__name__}; expected an OnPolicyLearner or "
        "OffPolicyLearner of gamebridge.training.learners, or an OfflineLearner of "
        "gamebridge.training.offline."
    )


class Session:
    """Trains in a run folder that is locked by the caller."""

    def __init__(
        self,
        run: runs.Run,
        log: episode_logs.EpisodeLog,
        learner: learners.Learner,
        seed: int,
        settings: training_settings.TrainingSettings,
        watch: Callable[[Progress], None] | None = None,
        evaluator: evaluators.Evaluator | None = None,
        *,
        is_seeded: bool = True,
    ) -> None:
        """Builds driver and checkpoints; nothing is restored or stepped yet.

        Args:
          run: where the run is kept.
          log: the game.
          learner: what acts and trains.
          seed: fixes all that is drawn.
          settings: when to save and what to report.
          watch: told of the progress.
          evaluator: what validates, and keeps the best checkpoint; None for validation here.
          is_seeded: whether the seed was asked for: the setting `overlap` is then off where
            it is left open, whatever this machine gains by it. Else it is on where the game
            is played in other processes: one that is quicker in this one has no time in
            which anything could be trained.

        Raises:
          ConfigError: an on-policy learner was to overlap, a replay buffer would not fit, or an
            offline learner has no episodes.
          StorageError: those are damaged.
          FitError: they are of a game with other specs.
          PluginError: the learner is none.
        """
        self._run = run
        self._log = log
        self._settings = settings
        self._watch = watch
        # A replay buffer takes the slots as they come; a rollout is of all slots alike, unless
        # the game cannot hold any of them back.
        is_off_policy = isinstance(learner, learners.OffPolicyLearner)
        waits = log.can_hold and not is_off_policy
        self._environment = environments.GameTFEnvironment(log, waits=waits)
        #: Whether it trains while the game plays.
        self.overlaps = (
            is_off_policy and not is_seeded and choice.is_in_workers(log)
            if settings.overlap is None
            else settings.overlap
        )
        if settings.replay_store != "memory" and not is_off_policy:
            raise errors.ConfigError(
                f"training.replay_store is '{settings.replay_store}', but the agent has no replay "
                "buffer. Leave training.replay_store out."
            )
        self._driver = make_driver(
            self._environment,
            learner,
            seed,
            overlaps=self.overlaps,
            make_replay=stores.chosen(settings),
        )
        replay = (
            self._driver.replay if isinstance(self._driver, off_policy.OffPolicyDriver) else None
        )
        self._checkpoints = checkpoints.Checkpoints(
            run.folder,
            self._driver.trackables(),
            replay,
            settings.keep_checkpoints,
            saves_replay=settings.save_replay,
        )
        policy = rollout.GraphPolicy(learner.policy)
        self._judge = judges.Judge(run.folder, log, policy, settings, self._checkpoints, evaluator)
        self._saved_step = -1
        self._episodes: list[dict[str, Any]] = []
        self._batch_s = 0.01  # seconds a batch step, measured as we go
        self._started_s = 0.0
        self._started_step = 0

    @property
    def num_steps(self) -> int:
        """Steps so far, those of earlier sessions included."""
        return self._driver.num_steps

    def close(self) -> None:
        """Lets go of what the driver holds open; may be called twice."""
        self._driver.close()

    def restore(self) -> checkpoints.Restored | None:
        """Goes back to the newest whole checkpoint; None where there is none.

        Raises:
          StorageError: there are checkpoints, and none is whole.
        """
        self._checkpoints.sweep()
        restored = self._checkpoints.restore()
        if restored is not None:
            self._checkpoints.drop_newer_than(restored.step)
            self._judge.restore(restored.state)
            self._episodes = restored.state.get("episodes", [])
            self._saved_step = restored.step
        return restored

    def train(self, steps: int) -> None:
        """Trains until `steps` steps were taken in all.

        Raises:
          Stopped: SIGINT or SIGTERM came; a checkpoint was saved.
          Error: of the game, the storage or the learner, as its class says. The newest
            checkpoint stays.
        """
        self._started_s, self._started_step = time.monotonic(), self.num_steps
        with (
            signals.StopRequest() as stop,
            metrics.Metrics(self._run.folder, self.num_steps, self._episodes) as log,
            contextlib.ExitStack() as opened,
        ):
            self._judge.begin(self.num_steps)
            if self.num_steps < steps:
                opened.callback(self._judge.close)
                self._judge.start()
            self._driver.restart()
            self._log.take()
            while self.num_steps < steps and stop.signal_number is None:
                self._train_to_checkpoint(steps, stop, log)
            if self._judge.is_beside and stop.signal_number is None:
                self._judge.judge_last(self._saved_step, stop, log)
                self._tell(steps, log)
            if stop.signal_number is not None:
                raise errors.Stopped(
                    f"Stopped by {signal.Signals(stop.signal_number).name} at step "
                    f"{self.num_steps:,}; the checkpoint of step {self._saved_step:,} is saved. "
                    f"Go on with `gamebridge train --resume {shlex.quote(str(self._run.folder))}`.",
                    stop.signal_number,
                )

    def _train_to_checkpoint(
        self, steps: int, stop: signals.StopRequest, log: metrics.Metrics
    ) -> None:
        interval = self._settings.checkpoint_interval_steps
        goal = min(steps, (self.num_steps // interval + 1) * interval)
        logged_s = time.monotonic()
        trained: dict[str, float] = {}
        while stop.signal_number is None:
            began, before = time.monotonic(), self.num_steps
            trained = self._driver.advance(self._call_length(goal)) or trained
            now = time.monotonic()
            batch_steps = max(1.0, (self.num_steps - before) / self._driver.num_slots)
            self._batch_s = 0.5 * self._batch_s + 0.5 * (now - began) / batch_steps
            log.add_episodes(self._log.take())
            is_done = self.num_steps >= goal and self._driver.is_at_boundary
            if now - logged_s >= self._settings.log_interval_s or is_done:
                logged_s = now
                stats = {f"stats/{name}": value for name, value in self._log.take_stats().items()}
                log.report(self.num_steps, {**trained, **stats, **self._speed()})
            self._judge.tend(self.num_steps, log)
            self._tell(steps, log)
            if is_done:
                break
        self._checkpoint(steps, stop, log)

    def _call_length(self, goal: int) -> int:
        """Batch steps of the next call: a fraction of a second's, and not past the goal."""
        count = max(1, int(_CALL_S / max(self._batch_s, 1e-6)))
        if self.num_steps >= goal:  # only the rest of a rollout is missing
            return count
        return min(count, -(-(goal - self.num_steps) // self._driver.num_slots))

    def _checkpoint(self, steps: int, stop: signals.StopRequest, log: metrics.Metrics) -> None:
        if self.num_steps == self._saved_step:
            return
        plays = not isinstance(self._driver, offline.OfflineDriver)
        if (
            plays
            and log.num_episodes == 0
            and stop.signal_number is None
            and self.num_steps < steps
        ):
            _LOG.warning(
                "no episode ended before step %d: raise training.checkpoint_interval_steps, "
                "as all episodes restart at a checkpoint",
                self.num_steps,
            )
        self._driver.check_weights()
        self._driver.end_episodes()
        state = self._judge.judge(self.num_steps, stop, log)
        self._checkpoints.save(self.num_steps, state)
        self._saved_step = self.num_steps
        self._tell(steps, log, note=f"checkpoint at step {self.num_steps:,}")
        self._driver.restart()
        self._log.take()

    def _speed(self) -> dict[str, float]:
        return {"steps_per_s": self._rate(), **metrics.restarts(self._log)}

    def _rate(self) -> float:
        elapsed = max(time.monotonic() - self._started_s, 1e-9)
        return (self.num_steps - self._started_step) / elapsed

    def _tell(self, steps: int, log: metrics.Metrics, note: str = "") -> None:
        if note:
            _LOG.info("%s, validation return %s", note, self._judge.newest)
        if self._watch is not None:
            self._watch(
                Progress(
                    self.num_steps,
                    steps,
                    self._rate(),
                    log.mean_return,
                    self._judge.newest,
                    note,
                    self._log.num_restarts,
                )
            )
