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
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gamebridge import config, errors, following, opening
from gamebridge.contract import game as games
from gamebridge.contract import seeding
from gamebridge.training import tables, trained_specs

if TYPE_CHECKING:
    from gamebridge.benching.results import Report
    from gamebridge.evaluation.results import Evaluation
    from gamebridge.evaluation.rollout import PlayedEpisode
    from gamebridge.evaluation.saved_episodes import SavedEpisodes
    from gamebridge.tf.environment import GameTFEnvironment
    from gamebridge.training.runs import Run
    from gamebridge.training.session import Progress

_LOG = logging.getLogger(__name__)

# Where neither game nor agent says.
_BENCH_SLOTS = 8
# Of videos of games that have no time of their own.
_FPS = 30.0


def make_game(
    game_id: str,
    num_slots: int | None = None,
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
      num_slots: how many slots step together; by default 1, or as many as a scene has.
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

    located = opening.discover().locate_game(game_id)
    if seed is None:
        seed = secrets.randbits(31)
    if num_slots is None:
        is_scene = located.record.is_scene
        num_slots = (opening.num_slots_of(located.record, settings) if is_scene else None) or 1
    workers = workers if isinstance(workers, Mapping) else {"count": workers}
    chosen = tables.worker_settings(workers, None)
    game = opening.open_game(
        located,
        num_slots,
        settings,
        tables.wrapper_settings(located.record, wrappers or {}, None),
        opening.with_python(located.record, chosen, _LOG.info),
        tables.supervision_settings(supervision or {}, None),
        picture=picture,
    )
    return seeds.Seeded(game, seeding.slot_seeds(seed, num_slots))


def make(
    game_id: str,
    num_slots: int | None = None,
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
    from gamebridge.training import runs, sittings, stores

    found = opening.discover()
    located, agent_record = found.locate_game(game_id), found.find_agent(agent)
    game_record = located.record
    tables.check_defaults(game_record, agent_record)
    given = tables.checked(settings or {}, source)
    if num_slots is None:
        own = opening.num_slots_of(game_record, given["game"], source)
        num_slots = own or agent_record.num_slots
    run_table = {
        "game": game_id, "agent": agent, "steps": steps, "num_slots": num_slots,
        "seed": 0 if seed is None else seed,
    }  # fmt: skip
    run_settings = config.convert(run_table, runs.RunSettings, path="run", source=source)
    wrappers = tables.wrapper_settings(game_record, given["wrappers"], source)
    announce = announce or _LOG.info

    # With its Python, so that whoever resumes the run takes the same.
    workers = opening.with_python(
        game_record, tables.worker_settings(given["workers"], source), announce
    )
    supervision = tables.supervision_settings(given["supervision"], source)
    training = tables.training_settings(
        config.merge(game_record.training, given["training"]), source
    )
    stores.check(training)
    if training.replay_store == "reverb" and seed is not None:
        announce("Reverb draws by a seed of its own: this run does not repeat exactly.")
    game = opening.open_game(
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
        fitted = sittings.fit(agent_record, game, wrappers, announce)
        presets = tables.presets(game_record, agent_record, fitted, announce)
        chosen = config.merge(presets, given["agent"])
        plan = runs.Plan(
            run=run_settings,
            game=_plain(config.convert(given["game"], game_record.settings)),
            wrappers=_plain(wrappers),
            agent=_plain(
                config.convert(chosen, agent_record.settings, path="agent", source=source)
            ),
            training=_plain(
                following.chosen(
                    training,
                    game,
                    steps,
                    is_scene=game_record.is_scene,
                    is_seeded=seed is not None,
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
        evaluator = following.make_evaluator(made, plan)
        sitting = sittings.make_session(
            made, plan, agent_record, fitted, watch, evaluator, is_seeded=seed is not None
        )
        plan = dataclasses.replace(plan, training={**plan.training, "overlap": sitting.overlaps})
        made.begin(plan)
        sittings.train(made, plan, fitted, sitting, steps, announce)
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
    from gamebridge.training import runs, sittings, stores

    made = run if isinstance(run, runs.Run) else runs.Run(run)
    plan = made.plan()
    stores.check(tables.training_settings(plan.training, None))
    found = opening.discover()
    located, agent_record = found.locate_game(plan.run.game), found.find_agent(plan.run.agent)
    num_slots = plan.run.num_slots or agent_record.num_slots
    announce = announce or _LOG.info
    game = opening.open_game(
        located,
        num_slots,
        plan.game,
        tables.planned_wrappers(plan),
        opening.with_python(located.record, tables.worker_settings(plan.workers, None), announce),
        tables.supervision_settings(plan.supervision, None),
        announce=announce,
    )
    with contextlib.closing(game):
        if not any((made.folder / "checkpoints").glob("step-*")):
            announce(f"{made.folder} has no checkpoint yet: training starts from step 0.")
        target = plan.run.steps if steps is None else steps
        fitted = sittings.fit(agent_record, game, tables.planned_wrappers(plan), announce)
        evaluator = following.make_evaluator(made, plan)
        sitting = sittings.make_session(made, plan, agent_record, fitted, watch, evaluator)
        sittings.train(made, plan, fitted, sitting, target, announce)
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
    save_episodes: str | os.PathLike[str] | None = None,
) -> Evaluation:
    """Plays greedy episodes of a run's best checkpoint, on seeds that training never uses.

    Args:
      run: a run folder.
      episodes: how many; the same ones whatever the number of slots.
      record: how many of them to record, True for the first three.
      game: another game of the same specs to judge the policy on.
      settings: of the game that is played: over those of the run where it is the run's own
        game, over its defaults where it is another.
      num_slots: how many are played at once; by default 8, or as many as a scene has.
      seed: chooses the set of episodes.
      max_steps: an episode is cut after so many steps and counts as truncated.
      fps: steps a second of the videos; by default the game's own, or else 30.
      output: where evaluation.json and the videos go; by default RUN/evaluation.
      python: the interpreter that the game runs in, in place of the run's; "" for this one.
      save_episodes: a folder that the whole episodes go to, for `bc` to learn from and for
        others to read; docs/episodes.md has its format. They are then played on seeds of
        training: no evaluation meets them again.

    Raises:
      ConfigError: there is no run, or it has no checkpoint yet, or there is something in the
        folder for episodes.
      FitError: the other game has other specs.
      StorageError: no checkpoint is whole, or the results cannot be written.
      Error: others, as their classes say.
    """
    for name, value, least in (
        ("episodes", episodes, 1),
        ("max_steps", max_steps, 1),
        ("num_slots", 1 if num_slots is None else num_slots, 1),
        ("record", record, 0),
        ("seed", seed, 0),
    ):
        if value < least:
            raise errors.ConfigError(f"{name} is {value}; expected {least} or more.")
    if fps is not None and not fps > 0:
        raise errors.ConfigError(f"fps is {fps}; expected more than 0.")
    saved_folder = None if save_episodes is None else pathlib.Path(save_episodes)
    if saved_folder is not None:
        from gamebridge.evaluation import saving

        saving.refuse_taken(saved_folder)
    _load_tensorflow()
    from gamebridge.evaluation import filming, results, rollout
    from gamebridge.training import runs, sittings

    made = run if isinstance(run, runs.Run) else runs.Run(run)
    plan = made.plan()
    num_recorded = min(episodes, 3 if record is True else int(record))
    found = opening.discover()
    agent_record = found.find_agent(plan.run.agent)
    game_id = game or plan.run.game
    is_own = game_id == plan.run.game
    played_game = opening.open_again(
        found,
        plan,
        episodes,
        game_id=game_id,
        settings=settings,
        num_slots=num_slots,
        python=python,
        picture=num_recorded > 0,
    )
    with contextlib.closing(played_game), contextlib.ExitStack() as opened:
        from gamebridge.training import fitting

        wrappers = tables.planned_wrappers(plan)
        fitted, _ = fitting.fit(agent_record, played_game, wrappers)
        trained_specs.check(made, plan, fitted)
        learner = sittings.make_learner(agent_record, plan, fitted)
        step = sittings.restore_best(made, learner)
        # What is saved is there to be learned from, and no evaluation may meet it again.
        domain = seeding.Domain.EVALUATION if saved_folder is None else seeding.Domain.TRAINING
        seeds = seeding.slot_seeds(seed, episodes, domain).tolist()
        watchers: list[Callable[[rollout.Moment], None]] = []
        if saved_folder is not None:
            given = config.merge(plan.game if is_own else {}, settings or {})
            origin = saving.Origin(game_id, given, plan.wrappers, plan.run.agent, step)
            saver = opened.enter_context(saving.Saver(played_game, saved_folder, seeds, origin))
            watchers.append(saver)
            fitted, _ = fitting.fit(agent_record, saver.game, wrappers)
        folder = pathlib.Path(output) if output else made.folder / "evaluation"
        rate = fps or fitted.steps_per_s or _FPS
        film = opened.enter_context(filming.Film(fitted, folder, num_recorded, rate))
        if num_recorded:
            watchers.append(film)

        def watch(moment: rollout.Moment) -> None:
            for watcher in watchers:
                watcher(moment)

        played = rollout.play(
            fitted,
            rollout.GraphPolicy(learner.policy),
            seeds,
            max_steps=max_steps,
            watch=watch if watchers else None,
        )
        evaluation = results.Evaluation(
            game_id,
            plan.run.agent,
            step,
            tuple(played),
            tuple(sorted(film.videos, key=lambda video: video.episode)),
            "" if saved_folder is None else str(saved_folder),
        )
        evaluation.write(folder)
    return evaluation


def load_episodes(folder: str | os.PathLike[str]) -> SavedEpisodes:
    """Reads the episodes that `evaluate` or `demonstrate` saved; loads no TensorFlow.

    Raises:
      ConfigError: no episodes were saved there.
      StorageError: none is whole, or a file is damaged.
    """
    from gamebridge.evaluation import saved_episodes

    return saved_episodes.SavedEpisodes(folder)


def demonstrate(
    game_id: str,
    act: Callable[[Any], Any],
    folder: str | os.PathLike[str],
    episodes: int = 20,
    *,
    settings: Mapping[str, Any] | None = None,
    wrappers: Mapping[str, Any] | None = None,
    num_slots: int | None = None,
    seed: int = 0,
    max_steps: int = 20_000,
) -> list[PlayedEpisode]:
    """Saves episodes that a function plays, for `bc` to learn from without a trained agent.

    Args:
      game_id: such as "gym/CartPole-v1".
      act: from what the slots see to what they do: nests of arrays [B, ...] of the game's
        specs, wrappers included.
      folder: where the episodes go; docs/episodes.md has the format.
      episodes: how many; the same ones whatever the number of slots.
      settings: of the game.
      wrappers: settings of the wrappers.
      num_slots: how many are played at once; by default 8, or as many as a scene has.
      seed: chooses the set of episodes, out of those that no evaluation meets.
      max_steps: an episode is cut after so many steps and counts as truncated.

    Returns:
      What each episode brought.

    Raises:
      ConfigError: there is no such game or setting, or there is something in the folder.
      ActionError: an action is not of the game's spec.
      StorageError: the folder cannot be written.
      Error: others, as their classes say.
    """
    for name, value in (("episodes", episodes), ("max_steps", max_steps)):
        if value < 1:
            raise errors.ConfigError(f"{name} is {value}; expected 1 or more.")
    from gamebridge.evaluation import saving

    saving.refuse_taken(pathlib.Path(folder))
    _load_tensorflow()
    from gamebridge.evaluation import rollout

    located = opening.discover().locate_game(game_id)
    given = dict(settings or {})
    if num_slots is None:
        is_scene = located.record.is_scene
        own = opening.num_slots_of(located.record, given) if is_scene else None
        num_slots = own or min(episodes, opening.MAX_JUDGED_SLOTS)
    chosen = tables.wrapper_settings(located.record, wrappers or {}, None)
    workers = opening.with_python(
        located.record, tables.worker_settings({"count": 0}, None), _LOG.info
    )
    game = opening.open_game(
        located,
        num_slots,
        given,
        chosen,
        dataclasses.replace(workers, count=None if workers.python else 0),
        tables.supervision_settings({}, None),
    )
    seeds = seeding.slot_seeds(seed, episodes).tolist()
    origin = saving.Origin(
        game_id,
        _plain(config.convert(given, located.record.settings)),
        _plain(chosen),
        getattr(act, "__name__", type(act).__name__),
    )
    with (
        contextlib.closing(game),
        saving.Saver(game, pathlib.Path(folder), seeds, origin) as saver,
    ):
        return rollout.play(
            saver.game, rollout.FunctionPolicy(act), seeds, max_steps=max_steps, watch=saver
        )


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

    found = opening.discover()
    located = found.locate_game(game_id)
    agent_record = None if agent is None else found.find_agent(agent)
    record, given = located.record, tables.checked(settings or {}, source)
    if num_slots is None:
        own = opening.num_slots_of(record, given["game"], source)
        num_slots = own or (agent_record.num_slots if agent_record else _BENCH_SLOTS)
    # A game that raises is to be named, not to be played on by another worker.
    supervision = config.merge({"on_error": "stop"}, given["supervision"])
    announce = announce or _LOG.info

    def make_learner(fitted: games.Game) -> tuple[Any, Mapping[str, Any]]:
        if agent_record is None:
            raise ValueError("No agent was asked for.")
        # These load TensorFlow, which waits until the game alone was measured.
        from gamebridge.training import runs, sittings

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
        return sittings.make_learner(agent_record, plan, fitted), plan.agent

    subject = arrangements.Subject(
        record=record,
        order=opening.make_order(
            located,
            num_slots,
            given["game"],
            tables.wrapper_settings(record, given["wrappers"], source),
            tables.supervision_settings(supervision, source),
            source=source,
        ),
        workers=opening.with_python(
            record, tables.worker_settings(given["workers"], source), announce
        ),
        agent=agent_record,
        make_learner=make_learner,
        overlap=tables.training_settings(
            config.merge(record.training, given["training"]), source
        ).overlap,
    )
    return bench.run(subject, seconds, steps, announce)


def _plain(settings: Any) -> dict[str, Any]:
    return dataclasses.asdict(settings)


def _load_tensorflow() -> None:
    from gamebridge.tf import start

    start.load()
