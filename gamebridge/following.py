"""Following a run: the program that evaluates its newest checkpoint while training goes on.

It is started by `training.evaluator.Evaluator`, at a low priority. A checkpoint is held
while it is judged, so that pruning leaves its files; where the trainer was quicker than
the evaluation, the ones in between are passed over. The best one is in its place before its
point is in the curve: whoever is killed in between judges it again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import sys
import time
from typing import TYPE_CHECKING

from gamebridge import errors, opening
from gamebridge.contract import seeding
from gamebridge.training import tables

if TYPE_CHECKING:
    from gamebridge.contract.game import Game
    from gamebridge.training.evaluator import Evaluator
    from gamebridge.training.runs import Plan, Run
    from gamebridge.training.settings import TrainingSettings
    from gamebridge.training.signals import StopRequest

_LOG = logging.getLogger(__name__)

_PAUSE_S = 0.2
# By itself a run has an evaluator where two cores are left idle, and where it is longer than the
# time that a process takes to load TensorFlow.
_IDLE_CORES = 2
_WORTH_STEPS = 100_000
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from gamebridge import following; sys.exit(following.main(sys.argv[2]))"
)


def chosen(
    training: TrainingSettings,
    game: Game,
    steps: int,
    *,
    is_scene: bool,
    is_seeded: bool,
) -> TrainingSettings:
    """Returns the settings with `evaluator` as it is to be, where it was left open.

    Args:
      training: what was asked for.
      game: the one that is trained in.
      steps: how many it is trained for.
      is_scene: whether it is one scene: a second one takes memory, and perhaps a licence.
      is_seeded: whether a seed was asked for: what is chosen must then not hang on the machine.
    """
    if training.evaluator is not None:
        return training
    from gamebridge.workers import choice

    num_busy = choice.num_workers(game) + 1
    is_worth_it = (
        not (is_scene or is_seeded)
        and training.validation_episodes > 0
        and steps >= _WORTH_STEPS
        and choice.num_cores() - num_busy >= _IDLE_CORES
    )
    return dataclasses.replace(training, evaluator=is_worth_it)


def make_evaluator(run: Run, plan: Plan) -> Evaluator | None:
    """Returns the evaluator of a run, not started yet; None where its plan has none."""
    from gamebridge.training import evaluator

    if not plan.training.get("evaluator"):
        return None
    # As this process has it, whatever it is called from.
    path = json.dumps([entry or os.getcwd() for entry in sys.path])
    command = [sys.executable, "-c", _PROGRAM, path, str(run.folder.resolve())]
    return evaluator.Evaluator(command, tables.supervision_settings(plan.supervision, None))


def main(folder: str) -> int:
    """Follows the run in `folder` until SIGTERM; returns the process's exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    from gamebridge.tf import start
    from gamebridge.training import runs, signals

    run = runs.Run(folder)
    with signals.StopRequest() as stop:
        try:
            _yield_to_others(tables.training_settings(run.plan().training, None))
            start.load()
            start.quieten()
            follow(run, stop)
        except errors.Error as error:
            _LOG.error("%s", error, exc_info=error.__cause__)
            return error.exit_code
    return 0


def follow(run: Run, stop: StopRequest) -> None:
    """Evaluates the newest checkpoint of a run, again and again, until a signal came.

    Raises:
      Error: of the game, the storage or the agent, as its class says.
    """
    import tensorflow as tf

    from gamebridge.evaluation import rollout
    from gamebridge.training import checkpoints, fitting, sittings, trained_specs
    from gamebridge.training import curve as curves

    plan = run.plan()
    training = tables.training_settings(plan.training, None)
    found = opening.discover()
    agent_record = found.find_agent(plan.run.agent)
    game = opening.open_again(found, plan, training.validation_episodes)
    with contextlib.ExitStack() as opened:
        opened.callback(game.close)
        fitted, _ = fitting.fit(agent_record, game, tables.planned_wrappers(plan))
        trained_specs.check(run, plan, fitted)
        learner = sittings.make_learner(agent_record, plan, fitted)
        policy = rollout.GraphPolicy(learner.policy)
        saved = checkpoints.Checkpoints(run.folder, sittings.trackables(learner))
        opened.callback(saved.let_go)
        writer = tf.summary.create_file_writer(str(run.folder / "tensorboard" / "evaluator"))
        opened.callback(writer.close)
        curve = curves.Curve(run.folder)
        curve.mend()
        judged = max((point.step for point in curve.points()), default=0)
        best = saved.best_return()
        seeds = seeding.slot_seeds(0, training.validation_episodes, seeding.Domain.VALIDATION)
        while stop.signal_number is None:
            step = saved.hold_newest(judged)
            if step is None:
                time.sleep(_PAUSE_S)
                continue
            began_s = time.monotonic()
            played = rollout.play(
                fitted,
                policy,
                seeds.tolist(),
                max_steps=training.validation_max_steps,
                should_stop=lambda: stop.signal_number is not None,
            )
            if len(played) < len(seeds):
                break
            returns = [episode.episode_return for episode in played]
            point = curves.point(step, returns, time.monotonic() - began_s)
            if best is None or point.return_mean >= best:
                best = point.return_mean
                saved.crown(step, {"best": best, "validation": best, "episodes": []})
            with writer.as_default(step=step):
                low, high = point.return_interval_95
                tf.summary.scalar("evaluation/return_mean", point.return_mean)
                tf.summary.scalar("evaluation/return_low", low)
                tf.summary.scalar("evaluation/return_high", high)
            writer.flush()
            curve.add(point)
            judged = step


def _yield_to_others(training: TrainingSettings) -> None:
    """Takes what the trainer leaves of the processor, and hardly more."""
    os.nice(training.evaluator_niceness)
    # It has a session of its own, and some kernels weigh sessions before processes.
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/autogroup").write_text(
            str(training.evaluator_niceness), encoding="ascii"
        )
