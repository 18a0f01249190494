"""Agents, trained in run folders."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gamebridge import config, errors, following, opening
from gamebridge.tf import start
from gamebridge.training import tables

if TYPE_CHECKING:
    from gamebridge.training.runs import Run
    from gamebridge.training.session import Progress

_LOG = logging.getLogger(__name__)


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
    start.load()
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
    wrappers = tables.wrapper_settings(game_record, given["wrappers"], source, agent)
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
        presets = tables.presets(game_record, agent_record, fitted, given, announce)
        chosen = config.merge(presets, given["agent"])
        plan = runs.Plan(
            run=run_settings,
            game=dataclasses.asdict(config.convert(given["game"], game_record.settings)),
            wrappers=dataclasses.asdict(wrappers),
            agent=dataclasses.asdict(
                config.convert(chosen, agent_record.settings, path="agent", source=source)
            ),
            training=dataclasses.asdict(
                following.chosen(
                    training,
                    game,
                    steps,
                    is_scene=game_record.is_scene,
                    is_seeded=seed is not None,
                )
            ),
            workers=dataclasses.asdict(workers),
            supervision=dataclasses.asdict(supervision),
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
    start.load()
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
