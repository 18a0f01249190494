"""A run with an evaluator, from its start through kills to its end, beside one without."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest

import gamebridge
from gamebridge import cli, following, opening
from gamebridge.tf import start
from gamebridge.training import curve as curves
from gamebridge.training import settings as training_settings
from gamebridge.workers import choice

start.load()

import tensorflow as tf  # noqa: E402, TID253

SETTINGS = {
    "agent": {
        "units": [8],
        "warm_up_steps": 20,
        "batch_size": 8,
        "train_interval": 4,
        "learning_rate": 0.02,
        "replay_capacity": 400,
    },
    "training": {
        "checkpoint_interval_steps": 60,
        "validation_episodes": 5,
        "evaluator": True,
        # A test has no time to wait for a core that nobody needs.
        "evaluator_niceness": 0,
    },
}
STEPS = 240

TRAINER = f"""
import sys
from gamebridge.tf import start
start.load()
import gamebridge

def watch(progress):
    if progress.note:
        print(progress.step, flush=True)
        sys.stdin.readline()

gamebridge.train("toys/corridor", "dqn", {STEPS}, sys.argv[1], 2, 7, {SETTINGS!r}, watch=watch)
"""


@pytest.fixture(scope="module", autouse=True)
def toy_games(toy_plugins):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(opening.PLUGIN_FOLDER_VARIABLE, str(toy_plugins))
        yield


def evaluator_of(pid):
    """The process id of the evaluator of a trainer."""
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            if "following" in pathlib.Path(f"/proc/{child}/cmdline").read_text():
                return int(child)
    return None


def is_running(pid):
    process = pathlib.Path(f"/proc/{pid}")
    try:
        # While threads are left the first of them may be a zombie, which nobody can wait for yet.
        num_threads = len(list((process / "task").iterdir()))
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" or num_threads > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition, timeout_s):
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run whose evaluator was killed, then its trainer, and that was resumed; what was seen."""
    folder = tmp_path_factory.mktemp("runs") / "killed"
    curve = curves.Curve(folder)
    seen = types.SimpleNamespace(folder=folder)

    def is_judged(step):
        return bool(curve.points()) and curve.points()[-1].step >= step

    with subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as trainer:
        try:
            first = int(trainer.stdout.readline())
            until(lambda: is_judged(first), 120)
            seen.first = evaluator_of(trainer.pid)
            os.kill(seen.first, signal.SIGKILL)
            until(lambda: not is_running(seen.first), 20)
            print(file=trainer.stdin)
            second = int(trainer.stdout.readline())
            until(lambda: is_judged(second), 120)
            seen.second = evaluator_of(trainer.pid)
        finally:
            trainer.kill()
    until(lambda: not is_running(seen.second), 2)
    seen.judged = [first, second]
    seen.points = curve.points()
    gamebridge.resume(folder)
    return seen


@pytest.fixture(scope="module")
def inline(tmp_path_factory):
    """The same run without an evaluator, and never interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "inline"
    training = {**SETTINGS["training"], "evaluator": False}
    settings = {**SETTINGS, "training": training}
    gamebridge.train("toys/corridor", "dqn", STEPS, folder, 2, 7, settings)
    return folder


def saved_steps(folder, which="checkpoints"):
    return [int(path.name[5:]) for path in sorted((folder / which).glob("step-*"))]


def arrays_of(folder, which="checkpoints"):
    step = saved_steps(folder, which)[-1]
    reader = tf.train.load_checkpoint(str(folder / which / f"step-{step:012d}" / "weights"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
    }


def test_an_evaluator_that_is_killed_is_replaced_and_goes_on_with_the_curve(killed):
    assert killed.first != killed.second
    assert [point.step for point in killed.points] == killed.judged
    log = (killed.folder / "train.log").read_text()
    assert "the evaluator was killed by SIGKILL; another one starts in 0 s" in log


def test_a_resumed_run_goes_on_with_the_curve_up_to_its_last_checkpoint(killed):
    text = (killed.folder / "evaluation" / "curve.jsonl").read_text()
    steps = [json.loads(line)["step"] for line in text.splitlines()]
    assert text.endswith("\n")
    assert steps[:2] == killed.judged
    assert steps == sorted(set(steps))
    assert steps[-1] == saved_steps(killed.folder)[-1] >= STEPS
    assert not list(killed.folder.rglob(".tmp-*"))


def test_what_is_learned_does_not_hang_on_the_evaluator(killed, inline):
    left, right = arrays_of(killed.folder), arrays_of(inline)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_a_checkpoint_is_judged_alike_in_either_process(killed, inline):
    beside = {point.step: point for point in curves.Curve(killed.folder).points()}
    here = {point.step: point for point in curves.Curve(inline).points()}
    assert len(here) == 4
    for step, point in beside.items():
        assert point.return_mean == here[step].return_mean
        assert point.return_interval_95 == here[step].return_interval_95
        assert point.num_episodes == here[step].num_episodes == 5


@pytest.mark.parametrize("run", ["killed", "inline"])
def test_the_best_of_the_curve_is_kept_the_last_of_the_best(killed, inline, run):
    folder = killed.folder if run == "killed" else inline
    points = curves.Curve(folder).points()
    best = max(points, key=lambda point: (point.return_mean, point.step))
    assert saved_steps(folder, "best") == [best.step]
    assert gamebridge.evaluate(folder, 1, output=folder / "out").checkpoint_step == best.step


def test_its_points_are_in_metrics_and_tensorboard(killed):
    lines = [
        json.loads(line) for line in (killed.folder / "metrics.jsonl").read_text().splitlines()
    ]
    steps = [line["step"] for line in lines]
    assert steps == sorted(steps)
    points = curves.Curve(killed.folder).points()
    told = {line["validation_step"] for line in lines if "validation_step" in line}
    assert points[-1].step in told <= {point.step for point in points}
    events = b"".join(
        path.read_bytes() for path in (killed.folder / "tensorboard" / "evaluator").iterdir()
    )
    for name in ("mean", "low", "high"):
        assert events.count(f"evaluation/return_{name}".encode()) >= 2


def test_an_evaluator_that_cannot_play_leaves_validation_to_the_trainer(tmp_path, monkeypatch):
    monkeypatch.setattr(following, "_PROGRAM", "raise SystemExit('nothing to play with')")
    settings = {**SETTINGS, "supervision": {"max_restarts": 0}}
    run = tmp_path / "run"
    gamebridge.train("toys/corridor", "random", STEPS, run, 2, 7, {**settings, "agent": {}})
    points = curves.Curve(run).points()
    assert points[-1].step == saved_steps(run)[-1]
    assert saved_steps(run, "best")
    assert "nothing to play with" in (run / "train.log").read_text()


def test_an_evaluator_that_does_not_keep_up_is_told_of_once(tmp_path, monkeypatch):
    monkeypatch.setattr(following, "_PROGRAM", "import time; time.sleep(600)")
    run = tmp_path / "run"
    often = {**SETTINGS["training"], "checkpoint_interval_steps": 20}
    gamebridge.train(
        "toys/corridor", "random", 3000, run, 2, 7, {**SETTINGS, "training": often, "agent": {}}
    )
    assert (run / "train.log").read_text().count("judged none of the last 10 checkpoints") == 1
    assert saved_steps(run, "best") == saved_steps(run)[-1:]


def test_episodes_are_needed_and_a_run_that_is_resumed_keeps_its_evaluator(tmp_path, capsys):
    with pytest.raises(ValueError, match="evaluator is true, but validation_episodes is 0"):
        training_settings.TrainingSettings(evaluator=True, validation_episodes=0)
    with pytest.raises(ValueError, match="evaluator_niceness is 20; expected 0 to 19"):
        training_settings.TrainingSettings(evaluator_niceness=20)
    assert cli.main(["train", "--resume", str(tmp_path), "--no-evaluator"]) == 2
    assert "--evaluator cannot be given with it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"num_cores": 2}, False),
        ({"is_scene": True}, False),
        ({"is_seeded": True}, False),
        ({"steps": 1000}, False),
        ({"asked": False}, False),
        ({"asked": True, "num_cores": 1, "is_scene": True, "is_seeded": True}, True),
        ({"num_workers": 2}, False),
    ],
    ids=str,
)
def test_an_evaluator_is_chosen_where_cores_are_idle_and_no_seed_was_asked_for(
    monkeypatch, changed, expected
):
    case = {
        "num_cores": 4,
        "num_workers": 0,
        "is_scene": False,
        "is_seeded": False,
        "steps": 10**6,
        "asked": None,
        **changed,
    }
    monkeypatch.setattr(choice, "num_cores", lambda: case["num_cores"])
    monkeypatch.setattr(choice, "num_workers", lambda game: case["num_workers"])
    chosen = following.chosen(
        training_settings.TrainingSettings(evaluator=case["asked"]),
        None,
        case["steps"],
        is_scene=case["is_scene"],
        is_seeded=case["is_seeded"],
    )
    assert chosen.evaluator is expected
