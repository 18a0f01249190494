"""A sitting: an agent and a game brought together at a run folder, to train or to be judged."""

from __future__ import annotations

import contextlib
import logging
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

from tf_agents.specs import tensor_spec  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import config, errors
from gamebridge.contract import game as games
from gamebridge.contract import records, seeding
from gamebridge.tf import environment
from gamebridge.training import (
    checkpoints,
    fitting,
    offline,
    runs,
    session,
    tables,
    trained_specs,
)
from gamebridge.training import evaluator as evaluators
from gamebridge.wrappers import episodes
from gamebridge.wrappers.settings import WrapperSettings

_LOG = logging.getLogger(__name__)


def fit(
    agent_record: records.AgentRecord,
    game: games.Game,
    wrappers: WrapperSettings,
    announce: Callable[[str], None],
) -> games.Game:
    """Returns the game as the agent can play it, and tells what was done; see `fitting`."""
    fitted, notes = fitting.fit(agent_record, game, wrappers)
    for note in notes:
        announce(note)
    return fitted


def make_session(
    run: runs.Run,
    plan: runs.Plan,
    agent_record: records.AgentRecord,
    game: games.Game,
    watch: Callable[[session.Progress], None] | None,
    evaluator: evaluators.Evaluator | None = None,
    *,
    is_seeded: bool = True,
) -> session.Session:
    """Brings agent and game together for training; nothing is restored or stepped yet."""
    learner = make_learner(agent_record, plan, game)
    if isinstance(learner, offline.OfflineLearner):
        offline.check_pace(learner.episode_use.folder, tables.planned_wrappers(plan).action_repeat)
    return session.Session(
        run,
        episodes.EpisodeLog(game),
        learner,
        plan.run.seed,
        tables.training_settings(plan.training, None),
        watch,
        evaluator,
        is_seeded=is_seeded,
    )


def train(
    run: runs.Run,
    plan: runs.Plan,
    game: games.Game,
    sitting: session.Session,
    steps: int,
    announce: Callable[[str], None],
) -> None:
    """Trains in a run folder, locked meanwhile, from its newest checkpoint to `steps` steps.

    Raises:
      ConfigError: another process trains there.
      Error: see `Session.train`.
    """
    with run.lock(), _log_file(run.folder / "train.log"):
        trained_specs.write(run, game)
        if steps > plan.run.steps:
            run.extend(plan, steps)
        try:
            restored = sitting.restore()
            if restored is not None:
                announce(f"Going on from the checkpoint of step {restored.step:,}.")
                if restored.step >= steps:
                    announce(f"That is {steps:,} steps already: give --steps more to train on.")
            sitting.train(steps)
        except errors.Stopped:
            raise
        except Exception:
            # The error's one line goes to the caller; where it came from is kept here.
            _LOG.info("training ended by an error", exc_info=True)
            raise
        finally:
            sitting.close()


def make_learner(agent_record: records.AgentRecord, plan: runs.Plan, game: games.Game) -> Any:
    """Makes a run's learner for a fitted game.

    Raises:
      PluginError: the agent's `make` raised.
    """
    observation_spec = tensor_spec.from_spec(environment.to_array_spec(game.observation_spec()))
    request = records.AgentRequest(
        time_step_spec=ts.time_step_spec(observation_spec),
        action_spec=tensor_spec.from_spec(environment.to_array_spec(game.action_spec())),
        num_slots=plan.run.num_slots or agent_record.num_slots,
        seed=seeding.derive(plan.run.seed, 0),
        settings=config.convert(plan.agent, agent_record.settings, path="agent"),
    )
    try:
        return agent_record.make(request)
    except errors.Error:
        raise
    except Exception as error:
        raise errors.PluginError(
            f"The agent '{agent_record.id}' could not be made: {type(error).__name__}: {error}. "
            "Its plugin's make must return a learner; its own traceback is the cause."
        ) from error


def trackables(learner: Any) -> dict[str, Any]:
    """What a checkpoint holds of a learner, by the names it has there; see `Driver.trackables`."""
    return {f"learner_{name}": part for name, part in learner.trackables().items()}


def restore_best(run: runs.Run, learner: Any) -> int:
    """Restores a run's best checkpoint, or else its newest; returns its step.

    Raises:
      ConfigError: there is none yet.
      StorageError: none is whole.
    """
    saved = checkpoints.Checkpoints(run.folder, trackables(learner))
    try:
        restored = saved.restore("best")
    except errors.StorageError as error:
        _LOG.warning("%s Taking the newest checkpoint instead.", error)
        restored = None
    restored = restored or saved.restore()
    if restored is None:
        raise errors.ConfigError(
            f"{run.folder} has no checkpoint yet. Wait for the first one, or lower "
            "training.checkpoint_interval_steps."
        )
    return restored.step


@contextlib.contextmanager
def _log_file(path: pathlib.Path) -> Iterator[None]:
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise errors.StorageError(
            f"Cannot write {path}: {error.strerror}. Free space or make it a file that can be "
            "written."
        ) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger, everybody = logging.getLogger("gamebridge"), logging.getLogger()
    before = logger.level
    # Plugins have loggers of their own: what they warn of belongs to the run as well.
    everybody.addHandler(handler)
    logger.setLevel(min(before or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        logger.setLevel(before)
        everybody.removeHandler(handler)
        # On a full disk; the error that matters is on its way already.
        with contextlib.suppress(OSError):
            handler.close()
