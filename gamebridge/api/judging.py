"""Runs, judged by the episodes that their agents play."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gamebridge import config, errors, opening
from gamebridge.contract import seeding
from gamebridge.tf import start
from gamebridge.training import tables, trained_specs

if TYPE_CHECKING:
    from gamebridge.evaluation.results import Evaluation
    from gamebridge.training.runs import Run

# Of videos of games that have no time of their own.
_FPS = 30.0


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
    start.load()
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
