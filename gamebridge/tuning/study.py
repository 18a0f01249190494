"""`Study`: a search in a folder, which goes on where it was when it is started again.

study.toml   what was asked for        study.db   all trials, as Optuna keeps them
trials/      a run folder each         best.toml  the best settings, for `train --config`

Optuna (TPE, Bergstra et al., 2011) chooses the settings of a trial, beginning with the defaults.
A trial is worth the mean validation return of the later half of its checkpoints: one lucky
checkpoint does not win, and who learns sooner is ahead of who learns late. One that is below the
median of the earlier ones at a checkpoint is given up (Golovin et al., 2017).
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
import shlex
import signal
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gamebridge import config, errors, files
from gamebridge.contract import records, seeding
from gamebridge.supervision import logs
from gamebridge.training import curve as curves
from gamebridge.training import runs, signals
from gamebridge.tuning import searches, trials

if TYPE_CHECKING:
    import optuna

_PAUSE_S = 0.1
_CHECKPOINTS = 10
# Trials, and checkpoints of a trial, before any is given up.
_START_TRIALS, _START_CHECKPOINTS = 4, 2
_AGAIN = "played again"


@dataclasses.dataclass(frozen=True)
class Best:
    """The best trial so far.

    Attributes:
      number: of the trial.
      value: mean validation return of the later half of its checkpoints.
      settings: those of the agent that were looked for.
      file: best.toml.
    """

    number: int
    value: float
    settings: dict[str, Any]
    file: pathlib.Path


@dataclasses.dataclass
class _Running:
    """A trial as Optuna has it, its training, and how many of its points Optuna was told."""

    asked: optuna.Trial
    trial: trials.Trial
    num_told: int = 0


class Study:
    """The search for the settings of one agent on one game."""

    def __init__(
        self,
        folder: pathlib.Path,
        run: runs.RunSettings,
        tables: Mapping[str, Mapping[str, Any]],
        agent: records.AgentRecord,
        standard: Mapping[str, Any],
        announce: Callable[[str], None],
    ) -> None:
        """Begins a study, or opens the one that is in `folder`.

        Args:
          folder: see this module.
          run: the game, the agent, and the steps of each trial.
          tables: settings that all trials have; of the agent's, those are not looked for.
          agent: the agent's record.
          standard: the agent's settings where nothing is tuned, which are tried first.
          announce: told in a line each what a trial brought.

        Raises:
          ConfigError: the folder holds another study, or there is nothing to look for.
          StorageError: it cannot be read or written.
        """
        training = {"checkpoint_interval_steps": max(1, run.steps // _CHECKPOINTS)}
        self._tables = config.merge({"training": training}, tables)
        if self._tables["training"].get("validation_episodes") == 0:
            raise errors.ConfigError(
                "training.validation_episodes is 0; expected 1 or more, to compare trials by."
            )
        self._folder, self._run, self._announce = folder, run, announce
        fixed = self._tables.get("agent", {})
        self._space = searches.space(agent, fixed, standard)
        self._first = searches.first(standard, self._space)
        self._running: list[_Running] = []
        self._study: Any = None

    def search(self, num_trials: int, num_jobs: int) -> Best | None:
        """Goes on until there are `num_trials` trials; returns the best, None where all failed.

        Args:
          num_trials: how many in all, those of earlier sittings included.
          num_jobs: how many are trained at once.

        Raises:
          Stopped: SIGINT or SIGTERM came; the study goes on with the same command.
          ConfigError: another process searches here, or the first trial was refused.
          StorageError: the folder cannot be written.
        """
        with (
            runs.Run(self._begun()).lock(),
            signals.StopRequest() as stop,
            contextlib.closing(logs.Log()) as log,
            contextlib.ExitStack() as opened,
        ):
            self._open()
            opened.callback(self._abandon)
            while stop.signal_number is None:
                while len(self._running) < num_jobs and self._num_trials() < num_trials:
                    self._start(log)
                if not self._running:
                    break
                for running in list(self._running):
                    self._tend(running)
                time.sleep(_PAUSE_S)
            if stop.signal_number is not None:
                raise errors.Stopped(
                    f"Stopped by {signal.Signals(stop.signal_number).name}: "
                    f"{self._num_trials() - len(self._running)} trials are kept in {self._folder}. "
                    "The same command goes on with them.",
                    stop.signal_number,
                )
            best = self._write_best()
        return best

    def _begun(self) -> pathlib.Path:
        path = self._folder / "study.toml"
        asked = {"run": dataclasses.asdict(self._run), **self._tables}
        text = config.to_toml(asked)
        try:
            if path.exists():
                if path.read_text(encoding="utf-8") != text:
                    raise errors.ConfigError(
                        f"{self._folder} holds a study with other settings; see {path.name} there. "
                        "Ask for the same, or choose another --study."
                    )
            else:
                self._folder.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise self._failure(error) from error
        return self._folder

    def _open(self) -> None:
        import optuna
        import sqlalchemy.exc

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        path = self._folder.resolve() / "study.db"
        try:
            self._study = optuna.create_study(
                storage=f"sqlite:///{path}",
                study_name="gamebridge",
                load_if_exists=True,
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(_START_TRIALS, _START_CHECKPOINTS),
            )
            before = self._study.get_trials(deepcopy=False)
            # Another seed each time, or the first choices would be made again.
            seed = seeding.derive(self._run.seed, len(before)) % 2**32
            self._study.sampler = optuna.samplers.TPESampler(seed=seed)
            if not before:
                self._study.enqueue_trial(self._first)
            for one in before:
                if one.state == optuna.trial.TrialState.RUNNING:  # its study was killed
                    self._again(one.number, one.params)
        except (sqlalchemy.exc.SQLAlchemyError, RuntimeError) as error:
            raise self._failure(error) from error

    def _num_trials(self) -> int:
        import optuna

        again = set(self._study.user_attrs.get(_AGAIN, ()))
        return sum(
            one.state != optuna.trial.TrialState.WAITING and one.number not in again
            for one in self._study.get_trials(deepcopy=False)
        )

    def _start(self, log: logs.Log) -> None:
        asked = self._study.ask(searches.distributions(self._space))
        # A seed of its own: settings that only suit one are not what is looked for.
        run = dataclasses.replace(self._run, seed=self._run.seed + asked.number)
        tables = config.merge(self._tables, {"run": dataclasses.asdict(run), "agent": asked.params})
        folder = self._folder / "trials" / f"{asked.number:04d}"
        self._running.append(_Running(asked, trials.Trial(asked.number, folder, tables, log)))

    def _tend(self, running: _Running) -> None:
        is_over = not running.trial.is_alive()  # before its points are read
        points = running.trial.points()
        for point in points[running.num_told :]:
            running.num_told += 1
            running.asked.report(point.return_mean, running.num_told)
        if is_over:
            self._end(running, points)
        elif points and running.asked.should_prune():
            running.trial.close()
            self._tell(running, "PRUNED", None, f"given up at step {points[-1].step:,}")

    def _end(self, running: _Running, points: list[curves.Point]) -> None:
        code = running.trial.close()
        if code == 0 and points:
            later = [point.return_mean for point in points[len(points) // 2 :]]
            value = sum(later) / len(later)
            self._tell(running, "COMPLETE", value, f"{value:,.2f}")
            self._write_best()
            return
        said = running.trial.last_words()
        self._tell(running, "FAIL", None, f"failed: {said}")
        is_first = all(one.value is None for one in self._study.get_trials(deepcopy=False))
        if is_first and code != errors.DivergenceError.exit_code:
            raise errors.ConfigError(f"The first trial failed, and so would others: {said}")

    def _tell(self, running: _Running, state: str, value: float | None, what: str) -> None:
        import optuna

        self._study.tell(running.asked, value, state=optuna.trial.TrialState[state])
        self._running.remove(running)
        self._announce(f"trial {running.asked.number}, {_listed(running.asked.params)}: {what}")

    def _abandon(self) -> None:
        """Ends the trials that are running; they are to be played again."""
        for running in self._running:
            running.trial.close()
            self._again(running.asked.number, running.asked.params)
        self._running.clear()

    def _again(self, number: int, settings: Mapping[str, Any]) -> None:
        import optuna

        again = self._study.user_attrs.get(_AGAIN, [])
        self._study.set_user_attr(_AGAIN, [*again, number])
        self._study.tell(number, state=optuna.trial.TrialState.FAIL)
        self._study.enqueue_trial(dict(settings))

    def _write_best(self) -> Best | None:
        done = [one for one in self._study.get_trials(deepcopy=False) if one.value is not None]
        done = [one for one in done if one.state.name == "COMPLETE" and math.isfinite(one.value)]
        if not done:
            return None
        best = max(done, key=lambda one: one.value)
        # What a training takes that is no trial: its own number of steps, and its seed.
        tables = {
            "run": {"game": self._run.game, "agent": self._run.agent},
            **{name: table for name, table in self._tables.items() if name != "training"},
        }
        path = self._folder / "best.toml"
        try:
            files.write_text(path, config.to_toml(config.merge(tables, {"agent": best.params})))
        except OSError as error:
            raise self._failure(error) from error
        return Best(best.number, best.value, dict(best.params), path)

    def _failure(self, error: Exception) -> errors.StorageError:
        return errors.StorageError(
            f"Cannot use the study in {self._folder}: {str(error).splitlines()[0]}. Free space or "
            "make the folder writable, or choose another --study."
        )


def assignments(settings: Mapping[str, Any]) -> str:
    """Returns settings of an agent as they are given to `gamebridge train`."""
    return " ".join(
        f"--set {shlex.quote(f'agent.{name}={_text(value)}')}" for name, value in settings.items()
    )


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in settings.items())


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
