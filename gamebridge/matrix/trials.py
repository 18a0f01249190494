"""Trials: an agent trains on a game for a few hundred steps, in the process of one game.

What has to hold for a trial to pass: training came to its end with finite metrics, its
weights changed, and the greedy policy that was restored from its checkpoint played an episode.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import pathlib
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any, Literal

from gamebridge import api, errors, files, opening
from gamebridge.contract import records, seeding
from gamebridge.matrix.cells import Cell

Outcome = Literal["passed", "refused", "failed"]

# Settings of agents by their names, where theirs are larger: begin soon, take little.
_SMALL: Mapping[str, int] = {
    "warm_up_steps": 64,
    "rollout_length": 16,
    "num_epochs": 2,
    "minibatch_size": 16,
    "batch_size": 16,
    "replay_capacity": 2_000,
}
_NUM_SLOTS = 2
_MAX_STEPS = 200
_LONGEST = 400


@dataclasses.dataclass(frozen=True)
class Trial:
    """A cell that was tried out.

    Attributes:
      cell: agent and game; its reason tells what went wrong, too.
      outcome: whether it trains, is refused, or failed.
      seconds: how long that took.
      steps: of the training that was asked for.
    """

    cell: Cell
    outcome: Outcome
    seconds: float
    steps: int


def to_dict(trial: Trial) -> dict[str, Any]:
    """Returns a trial as its file and `--json` have it."""
    return {
        **dataclasses.asdict(trial.cell),
        "outcome": trial.outcome,
        "seconds": round(trial.seconds, 2),
        "steps": trial.steps,
    }


def from_dict(values: Mapping[str, Any]) -> Trial:
    """Returns the trial that `to_dict` made these of.

    Raises:
      KeyError, TypeError: they are not its.
    """
    fields = {field.name: values[field.name] for field in dataclasses.fields(Cell)}
    cell = Cell(**{**fields, "adaptors": tuple(fields["adaptors"])})
    return Trial(cell, values["outcome"], values["seconds"], values["steps"])


def try_out(game: str, agent: records.AgentRecord, steps: int) -> Trial:
    """Trains an agent on a game and plays an episode; never raises an error of either."""
    began_s = time.monotonic()
    notes: list[str] = []
    outcome: Outcome = "passed"
    reason = ""
    try:
        with tempfile.TemporaryDirectory(prefix="gamebridge-matrix-") as folder:
            reason = _train_and_play(game, agent, steps, pathlib.Path(folder) / "run", notes)
        outcome = "failed" if reason else "passed"
    except errors.FitError as error:
        outcome, reason = "refused", _line(error)
    except errors.Error as error:
        outcome, reason = "failed", _line(error)
    except Exception as error:  # noqa: BLE001 - whatever an agent or a game may raise
        outcome, reason = "failed", f"{type(error).__name__}: {_line(error)}"
    fits = outcome != "refused"
    cell = Cell(agent.id, game, fits, tuple(notes) if fits else (), reason)
    return Trial(cell, outcome, time.monotonic() - began_s, steps)


def small_settings(agent: records.AgentRecord, presets: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings with which an agent begins to train within some hundred steps.

    Args:
      agent: whose settings they are.
      presets: those that suit game and agent, of which what is small already is kept.
    """
    standard = agent.settings()
    return {
        name: min(most, presets.get(name, getattr(standard, name)))
        for name, most in _SMALL.items()
        if hasattr(standard, name)
    }


def _train_and_play(
    game: str, agent: records.AgentRecord, steps: int, folder: pathlib.Path, notes: list[str]
) -> str:
    """Returns what is wrong, or ""; adds what joined the two to `notes`."""
    found = opening.discover()
    record = found.find_game(game)
    own = opening.num_slots_of(record, {})
    presets = {**agent.presets.get("image", {}), **record.presets.get(agent.id, {})}
    lessons = {}
    if hasattr(agent.settings(), "episodes"):
        lessons = {"episodes": str(_played_at_random(game, folder.with_name("teacher")))}
    run = api.train(
        game,
        agent.id,
        steps,
        folder,
        num_slots=own if record.is_scene else min(own or agent.num_slots, _NUM_SLOTS),
        seed=0,
        settings={
            "agent": {**small_settings(agent, presets), **lessons},
            "training": {
                "checkpoint_interval_steps": 10 * steps,
                "validation_episodes": 0,
                "log_interval_s": 0.0,
            },
            "workers": {} if record.python else {"count": 0},
        },
    )
    # These load TensorFlow, as the training did.
    from gamebridge.evaluation import rollout
    from gamebridge.training import fitting, sittings, tables

    plan = run.plan()
    made = opening.open_again(found, plan, 1)
    with contextlib.closing(made):
        fitted, said = fitting.fit(agent, made, tables.planned_wrappers(plan))
        notes += said
        learner = sittings.make_learner(agent, plan, fitted)
        before = _weights(learner)
        sittings.restore_best(run, learner)
        played = rollout.play(
            fitted,
            rollout.GraphPolicy(learner.policy),
            seeding.slot_seeds(0, 1, seeding.Domain.EVALUATION).tolist(),
            max_steps=_MAX_STEPS,
        )
    if before and not _changed(before, _weights(learner)):
        return f"none of its {len(before)} weights changed in {steps} steps of training"
    if before and not _has_trained(folder, learner.metric_names):
        return f"it reported no {' and '.join(learner.metric_names)} in {steps} steps of training"
    if not played or not math.isfinite(played[0].episode_return):
        return f"its greedy episode returned {played[0].episode_return if played else 'nothing'}"
    return ""


def _played_at_random(game: str, folder: pathlib.Path) -> pathlib.Path:
    """Saves episodes of a game for those who learn from nothing else; returns their folder."""
    record = opening.discover().find_game(game)
    settings = {
        "training": {"validation_episodes": 0},
        "workers": {} if record.python else {"count": 0},
    }
    teacher = api.train(game, "random", 1, folder, seed=0, settings=settings)
    saved = folder / "episodes"
    api.evaluate(teacher, _NUM_SLOTS, max_steps=_MAX_STEPS, save_episodes=saved)
    return saved


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _weights(learner: Any) -> dict[str, Any]:
    """All trained variables of a learner; those that learn nothing have none."""
    import tensorflow as tf

    root = tf.train.Checkpoint(**learner.trackables())
    variables = [
        part
        for part in tf.train.TrackableView(root).descendants()
        if isinstance(part, tf.Variable) and part.trainable and part.dtype.is_floating
    ]
    return {f"{place} {part.name}": part.numpy() for place, part in enumerate(variables)}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return any((array != after[name]).any() for name, array in before.items())


def _has_trained(folder: pathlib.Path, names: tuple[str, ...]) -> bool:
    """Whether a line of the run's metrics has them; a driver refuses those that are not finite."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return any(set(names) <= set(json.loads(line)) for line in lines)


def main() -> None:
    """Tries agents out on one game, one after the other: GAME STEPS FOLDER AGENT...

    Each one's file in the folder, AGENT.json, is empty while it is being tried.
    """
    game, steps, folder, *agents = sys.argv[1:]
    from gamebridge.tf import start

    start.load()
    start.quieten()
    found = opening.discover()
    for name in agents:
        path = pathlib.Path(folder) / f"{name}.json"
        path.write_text("", encoding="utf-8")
        trial = try_out(game, found.find_agent(name), int(steps))
        files.write_text(path, json.dumps(to_dict(trial)))


if __name__ == "__main__":
    main()
