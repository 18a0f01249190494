"""The public functions, and the only place where all the layers are put together.

`make_game` loads no TensorFlow; it is imported where it is needed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pathlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gamebridge import config, errors, host
from gamebridge.contract import game as games
from gamebridge.contract import records, seeding
from gamebridge.training import tables, trained_specs

if TYPE_CHECKING:
    from gamebridge.benching.results import Report
    from gamebridge.evaluation.results import Evaluation
    from gamebridge.tf.environment import GameTFEnvironment
    from gamebridge.training.runs import Plan, Run
    from gamebridge.training.session import Progress, Session
    from gamebridge.workers.settings import SupervisionSettings, WorkerSettings
    from gamebridge.workers.staffs import Order
    from gamebridge.wrappers.settings import WrapperSettings

_LOG = logging.getLogger(__name__)

PLUGIN_FOLDER_VARIABLE = "GAMEBRIDGE_PLUGINS"
_MAX_EVALUATION_SLOTS = 8
# Where neither game nor agent says.
_BENCH_SLOTS = 8
# Of videos of games that have no time of their own.
_FPS = 30.0


def discover() -> host.Host:
    """Returns the host with all installed plugins, and those of $GAMEBRIDGE_PLUGINS if set.

    Raises:
      ConfigError: that folder is not there.
      SecurityError: others may write into it.
    """
    folder = os.environ.get(PLUGIN_FOLDER_VARIABLE, "")
    return host.Host.discover(pathlib.Path(folder) if folder else None)


def make_game(
    game_id: str,
    num_slots: int = 1,
    seed: int | None = None,
    *,
    picture: bool = False,
    wrappers: Mapping[str, Any] | None = None,
    workers: int | Mapping[str, Any] | None = None,
    supervision: Mapping[str, Any] | None = None,
    **settings: Any,
) -> games.Game:
    """Makes a game; loads no TensorFlow.

    Args:
      game_id: such as "gym/CartPole-v1"; `gamebridge games` lists what there is.
      num_slots: how many slots step together.
      seed: fixes all episodes; None takes a new one.
      picture: whether `render` will be called.
      wrappers: settings of the wrappers, such as {"images": {"grey": True, "stack": 4}}.
      workers: how many processes play it, 0 for this one, None for what is quickest; or all
        settings of the workers, such as {"count": 2, "python": "/path/to/venv/bin/python"}.
      supervision: settings of how workers are watched and replaced.
      **settings: the game's own settings.

    Raises:
      UnknownId: there is no such game.
      ConfigError: a setting is unknown or has a wrong value.
      PluginError: its plugin cannot make it.
      PlayerError: a worker could not start.
    """
    from gamebridge.wrappers import seeds

    located = discover().locate_game(game_id)
    if seed is None:
        seed = secrets.randbits(31)
    workers = workers if isinstance(workers, Mapping) else {"count": workers}
    chosen = tables.worker_settings(workers, None)
    game = _open_game(
        located,
        num_slots,
        settings,
        tables.wrapper_settings(located.record, wrappers or {}, None),
        _with_python(located.record, chosen, _LOG.info),
        tables.supervision_settings(supervision or {}, None),
        picture=picture,
    )
    return seeds.Seeded(game, seeding.slot_seeds(seed, num_slots))


def make(
    game_id: str,
    num_slots: int = 1,
    seed: int | None = None,
    *,
    picture: bool = False,
    wrappers: Mapping[str, Any] | None = None,
    workers: int | Mapping[str, Any] | None = None,
    supervision: Mapping[str, Any] | None = None,
    **settings: Any,
) -> GameTFEnvironment:
    """Makes a game as a TF-Agents TFEnvironment of batch size `num_slots`.

    Arguments and errors are those of `make_game`.
    """
    _load_tensorflow()
    from gamebridge.tf import environment

    return environment.GameTFEnvironment(
        make_game(
            game_id,
            num_slots,
            seed,
            picture=picture,
            wrappers=wrappers,
            workers=workers,
            supervision=supervision,
            **settings,
        )
    )


def train(
    game_id: str,
    agent: str = "ppo",
    steps: int = 100_000,
    run: str | os.PathLike[str] | None = None,
    num_slots: int | None = None,
    seed: int | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    source: config.Source | None = None,
    watch: Callable[[Progress], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Run:
    """Trains an agent on a game in a new run folder.

    Args:
      game_id: such as "gym/CartPole-v1".
      agent: such as "ppo"; `gamebridge agents` lists what there is.
      steps: steps of the game to train for, all slots together.
      run: the run folder; by default a new one under runs/.
      num_slots: how many slots step together; by default what suits game and agent.
      seed: fixes games, networks, exploration and replay; None means 0, and that the run
        need not repeat exactly on another machine.
      settings: tables "game", "wrappers", "agent", "training", "workers" and "supervision"
        of a settings file.
      source: where the settings came from, for messages.
      watch: told of the progress a few times a second.
      announce: told in a line each what was chosen: presets and adaptors.

    Returns:
      The run; `evaluate` takes it.

    Raises:
      ConfigError: unknown ids or settings, or a run folder that is in use.
      FitError: the agent cannot play the game.
      Stopped: a signal came, and a checkpoint was saved.
      Error: others, as their classes say.
    """
    _load_tensorflow()
    from gamebridge.training import runs

    found = discover()
    located, agent_record = found.locate_game(game_id), found.find_agent(agent)
    game_record = located.record
    given = tables.checked(settings or {}, source)
    if num_slots is None:
        num_slots = game_record.num_slots or agent_record.num_slots
    run_table = {
        "game": game_id, "agent": agent, "steps": steps, "num_slots": num_slots,
        "seed": 0 if seed is None else seed,
    }  # fmt: skip
    run_settings = config.convert(run_table, runs.RunSettings, path="run", source=source)
    wrappers = tables.wrapper_settings(game_record, given["wrappers"], source)
    announce = announce or _LOG.info

    # With its Python, so that whoever resumes the run takes the same.
    workers = _with_python(game_record, tables.worker_settings(given["workers"], source), announce)
    supervision = tables.supervision_settings(given["supervision"], source)
    game = _open_game(
        located,
        num_slots,
        given["game"],
        wrappers,
        workers,
        supervision,
        source=source,
        announce=announce,
    )
    with contextlib.ExitStack() as opened:
        opened.callback(game.close)
        presets = tables.presets(game_record, agent_record, game, announce)
        chosen = config.merge(presets, given["agent"])
        plan = runs.Plan(
            run=run_settings,
            game=_plain(config.convert(given["game"], game_record.settings)),
            wrappers=_plain(wrappers),
            agent=_plain(
                config.convert(chosen, agent_record.settings, path="agent", source=source)
            ),
            training=_plain(
                tables.training_settings(
                    config.merge(game_record.training, given["training"]), source
                )
            ),
            workers=_plain(workers),
            supervision=_plain(supervision),
        )
        folder = (
            pathlib.Path(run) if run else runs.free_folder(pathlib.Path("runs"), game_id, agent)
        )
        made = runs.Run(folder)
        # All that may refuse comes first: what is refused leaves no folder behind.
        fitted = _fit(agent_record, game, announce)
        sitting = _session(made, plan, agent_record, fitted, watch, is_seeded=seed is not None)
        plan = dataclasses.replace(plan, training={**plan.training, "overlap": sitting.overlaps})
        made.begin(plan)
        _train(made, plan, fitted, sitting, steps, announce)
    return made


def resume(
    run: Run | str | os.PathLike[str],
    steps: int | None = None,
    *,
    watch: Callable[[Progress], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Run:
    """Goes on with a run from its newest whole checkpoint, exactly as if it had not stopped.

    Args:
      run: a run folder.
      steps: steps to train for in all, those already taken included; by default what the
        run was made for.
      watch: told of the progress a few times a second.
      announce: told in a line each what was restored.

    Raises:
      ConfigError: there is no run, or another process trains there.
      StorageError: there are checkpoints, and none is whole.
      Error: others, as `train`.
    """
    if steps is not None and steps < 1:
        raise errors.ConfigError(f"steps is {steps}; expected 1 or more.")
    _load_tensorflow()
    from gamebridge.training import runs

    made = run if isinstance(run, runs.Run) else runs.Run(run)
    plan = made.plan()
    found = discover()
    located, agent_record = found.locate_game(plan.run.game), found.find_agent(plan.run.agent)
    num_slots = plan.run.num_slots or agent_record.num_slots
    announce = announce or _LOG.info
    game = _open_game(
        located,
        num_slots,
        plan.game,
        tables.planned_wrappers(plan),
        _with_python(located.record, tables.worker_settings(plan.workers, None), announce),
        tables.supervision_settings(plan.supervision, None),
        announce=announce,
    )
    with contextlib.closing(game):
        if not any((made.folder / "checkpoints").glob("step-*")):
            announce(f"{made.folder} has no checkpoint yet: training starts from step 0.")
        target = plan.run.steps if steps is None else steps
        fitted = _fit(agent_record, game, announce)
        sitting = _session(made, plan, agent_record, fitted, watch)
        _train(made, plan, fitted, sitting, target, announce)
    return made


def evaluate(
    run: Run | str | os.PathLike[str],
    episodes: int = 20,
    record: bool | int = False,
    game: str | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    num_slots: int | None = None,
    seed: int = 0,
    max_steps: int = 20_000,
    fps: float | None = None,
    output: str | os.PathLike[str] | None = None,
    python: str | None = None,
) -> Evaluation:
    """Plays greedy episodes of a run's best checkpoint, on seeds that training never uses.

    Args:
      run: a run folder.
      episodes: how many; the same ones whatever the number of slots.
      record: how many of them to record, True for the first three.
      game: another game of the same specs to judge the policy on.
      settings: of the game that is played: over those of the run where it is the run's own
        game, over its defaults where it is another.
      num_slots: how many are played at once.
      seed: chooses the set of episodes.
      max_steps: an episode is cut after so many steps and counts as truncated.
      fps: steps a second of the videos; by default the game's own, or else 30.
      output: where evaluation.json and the videos go; by default RUN/evaluation.
      python: the interpreter that the game runs in, in place of the run's; "" for this one.

    Raises:
      ConfigError: there is no run, or it has no checkpoint yet.
      FitError: the other game has other specs.
      StorageError: no checkpoint is whole, or the results cannot be written.
      Error: others, as their classes say.
    """
    count = min(episodes, _MAX_EVALUATION_SLOTS) if num_slots is None else num_slots
    for name, value, least in (
        ("episodes", episodes, 1),
        ("max_steps", max_steps, 1),
        ("num_slots", count, 1),
        ("record", record, 0),
        ("seed", seed, 0),
    ):
        if value < least:
            raise errors.ConfigError(f"{name} is {value}; expected {least} or more.")
    if fps is not None and not fps > 0:
        raise errors.ConfigError(f"fps is {fps}; expected more than 0.")
    _load_tensorflow()
    from gamebridge.evaluation import filming, results, rollout
    from gamebridge.training import runs

    made = run if isinstance(run, runs.Run) else runs.Run(run)
    plan = made.plan()
    num_recorded = min(episodes, 3 if record is True else int(record))
    found = discover()
    agent_record = found.find_agent(plan.run.agent)
    game_id = game or plan.run.game
    game_settings = config.merge(plan.game if game_id == plan.run.game else {}, settings or {})
    located = found.locate_game(game_id)
    workers = tables.worker_settings(plan.workers, None)
    # A few episodes are not worth a process of their own, unless the game needs its Python.
    if python is not None:
        workers = dataclasses.replace(workers, count=None if python else 0, python=python)
    elif game_id != plan.run.game and located.record.python:
        workers = dataclasses.replace(workers, python="")
    workers = _with_python(located.record, workers, _LOG.info)
    played_game = _open_game(
        located,
        count,
        game_settings,
        tables.planned_wrappers(plan),
        dataclasses.replace(workers, count=None if workers.python else 0, ready_slots=None),
        tables.supervision_settings(plan.supervision, None),
        picture=num_recorded > 0,
    )
    with contextlib.closing(played_game):
        from gamebridge.training import fitting

        fitted, _ = fitting.fit(agent_record, played_game)
        trained_specs.check(made, plan, fitted)
        learner = _learner(agent_record, plan, fitted)
        step = _restore_best(made, learner)
        folder = pathlib.Path(output) if output else made.folder / "evaluation"
        rate = fps or fitted.steps_per_s or _FPS
        with filming.Film(fitted, folder, num_recorded, rate) as film:
            played = rollout.play(
                fitted,
                rollout.GraphPolicy(learner.policy),
                seeding.slot_seeds(seed, episodes, seeding.Domain.EVALUATION).tolist(),
                max_steps=max_steps,
                watch=film if num_recorded else None,
            )
        evaluation = results.Evaluation(
            game_id,
            plan.run.agent,
            step,
            tuple(played),
            tuple(sorted(film.videos, key=lambda video: video.episode)),
        )
        evaluation.write(folder)
    return evaluation


def bench(
    game_id: str,
    agent: str | None = None,
    num_slots: int | None = None,
    *,
    steps: int = 1_000_000,
    seconds: float = 1.0,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    source: config.Source | None = None,
    announce: Callable[[str], None] | None = None,
) -> Report:
    """Measures what a step of a game costs, and where the time goes.

    Args:
      game_id: such as "gym/CartPole-v1".
      agent: whose training is measured too; None for none.
      num_slots: how many slots step together; by default what suits game and agent.
      steps: of the training that is asked about.
      seconds: of each measurement.
      settings: tables as `train` takes them.
      source: where the settings came from, for messages.
      announce: told in a line each what is being measured.

    Raises:
      ConfigError: unknown ids or settings.
      FitError: the agent cannot play the game.
      Error: others, as their classes say.
    """
    from gamebridge.benching import arrangements, bench
    from gamebridge.training import runs

    found = discover()
    located = found.locate_game(game_id)
    agent_record = None if agent is None else found.find_agent(agent)
    record, given = located.record, tables.checked(settings or {}, source)
    if num_slots is None:
        num_slots = record.num_slots or (agent_record.num_slots if agent_record else _BENCH_SLOTS)
    # A game that raises is to be named, not to be played on by another worker.
    supervision = config.merge({"on_error": "stop"}, given["supervision"])
    announce = announce or _LOG.info

    def make_learner(fitted: games.Game) -> tuple[Any, Mapping[str, Any]]:
        if agent_record is None:
            raise ValueError("No agent was asked for.")
        presets = tables.presets(record, agent_record, fitted, announce)
        chosen = config.merge(presets, given["agent"])
        plan = runs.Plan(
            run=runs.RunSettings(game_id, agent_record.id, steps, 0, num_slots),
            game={},
            wrappers={},
            agent=_plain(
                config.convert(chosen, agent_record.settings, path="agent", source=source)
            ),
            training={},
        )
        return _learner(agent_record, plan, fitted), plan.agent

    subject = arrangements.Subject(
        record=record,
        order=_order(
            located,
            num_slots,
            given["game"],
            tables.wrapper_settings(record, given["wrappers"], source),
            tables.supervision_settings(supervision, source),
            source=source,
        ),
        workers=tables.worker_settings(given["workers"], source),
        agent=agent_record,
        make_learner=make_learner,
        overlap=tables.training_settings(
            config.merge(record.training, given["training"]), source
        ).overlap,
    )
    return bench.run(subject, seconds, steps, announce)


def _fit(
    agent_record: records.AgentRecord, game: games.Game, announce: Callable[[str], None]
) -> games.Game:
    from gamebridge.training import fitting

    fitted, notes = fitting.fit(agent_record, game)
    for note in notes:
        announce(note)
    return fitted


def _session(
    run: Run,
    plan: Plan,
    agent_record: records.AgentRecord,
    game: games.Game,
    watch: Callable[[Progress], None] | None,
    *,
    is_seeded: bool = True,
) -> Session:
    from gamebridge.training import session
    from gamebridge.wrappers import episodes

    return session.Session(
        run,
        episodes.EpisodeLog(game),
        _learner(agent_record, plan, game),
        plan.run.seed,
        tables.training_settings(plan.training, None),
        watch,
        is_seeded=is_seeded,
    )


def _train(
    run: Run,
    plan: Plan,
    game: games.Game,
    sitting: Session,
    steps: int,
    announce: Callable[[str], None],
) -> None:
    with run.lock(), _log_file(run.folder / "train.log"):
        trained_specs.write(run, game)
        if steps > plan.run.steps:
            run.extend(plan, steps)
        try:
            restored = sitting.restore()
            if restored is not None:
                announce(f"Going on from the checkpoint of step {restored.step:,}.")
            sitting.train(steps)
        except errors.Stopped:
            raise
        except Exception:
            # The error's one line goes to the caller; where it came from is kept here.
            _LOG.info("training ended by an error", exc_info=True)
            raise


def _learner(agent_record: records.AgentRecord, plan: Plan, game: games.Game) -> Any:
    from tf_agents.specs import tensor_spec
    from tf_agents.trajectories import time_step as ts

    from gamebridge.tf import environment

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


def _restore_best(run: Run, learner: Any) -> int:
    from gamebridge.training import checkpoints

    saved = checkpoints.Checkpoints(
        run.folder, {f"learner_{name}": part for name, part in learner.trackables().items()}
    )
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


def _with_python(
    record: records.GameRecord, workers: WorkerSettings, announce: Callable[[str], None]
) -> WorkerSettings:
    """Returns the settings with the interpreter that the game will run in."""
    from gamebridge import environments

    if workers.count == 0:  # this process was asked for
        return workers
    python = environments.python_for(record, workers.python, announce)
    return dataclasses.replace(workers, python=python)


def _open_game(
    located: host.Listed[records.GameRecord],
    num_slots: int,
    settings: Mapping[str, Any],
    wrappers: WrapperSettings,
    workers: WorkerSettings,
    supervision: SupervisionSettings,
    *,
    picture: bool = False,
    source: config.Source | None = None,
    announce: Callable[[str], None] | None = None,
) -> games.Game:
    # Adapters, wrappers and workers are not needed to list what there is.
    from gamebridge.workers import choice

    order = _order(
        located, num_slots, settings, wrappers, supervision, picture=picture, source=source
    )
    return choice.open_game(located.record, order, workers, announce or _LOG.info)


def _order(
    located: host.Listed[records.GameRecord],
    num_slots: int,
    settings: Mapping[str, Any],
    wrappers: WrapperSettings,
    supervision: SupervisionSettings,
    *,
    picture: bool = False,
    source: config.Source | None = None,
) -> Order:
    from gamebridge.workers import origins, staffs

    record, plugin = located.record, located.plugin
    file = plugin.file if plugin.origin == "folder" else None
    return staffs.Order(
        origin=origins.Origin(record.id, plugin.module, plugin.attribute, file or ""),
        settings=config.convert(settings, record.settings, path="game", source=source),
        wrappers=wrappers,
        num_slots=num_slots,
        picture=picture,
        supervision=supervision,
    )


def _plain(settings: Any) -> dict[str, Any]:
    return dataclasses.asdict(settings)


@contextlib.contextmanager
def _log_file(path: pathlib.Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("gamebridge")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(before or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
        # On a full disk; the error that matters is on its way already.
        with contextlib.suppress(OSError):
            handler.close()


def _load_tensorflow() -> None:
    from gamebridge.tf import start

    start.load()
