"""The evaluator's process as its trainer sees it, and what the two share: curve and checkpoints."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge.tf import start
from gamebridge.training import curve as curves
from gamebridge.training import evaluator

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.training import checkpoints  # noqa: E402

SLEEPS = [sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(60)"]
DEAF = [
    sys.executable,
    "-S",
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
]


def until(condition, timeout_s=20.0):
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_one_that_is_killed_is_replaced(caplog):
    watched = evaluator.Evaluator(SLEEPS, SupervisionSettings())
    watched.start()
    try:
        first = watched.pid
        os.kill(first, signal.SIGKILL)

        def is_replaced():
            watched.tend()
            return watched.pid not in (None, first)

        until(is_replaced)
        assert is_running(watched.pid)
        assert not watched.is_lost
        assert "the evaluator was killed by SIGKILL; another one starts in 0 s" in caplog.text
    finally:
        watched.close()


def test_one_that_dies_again_and_again_is_given_up_with_its_last_words(caplog):
    command = [sys.executable, "-S", "-c", "import sys; sys.exit('no such game')"]
    watched = evaluator.Evaluator(command, SupervisionSettings(window_restarts=1))
    watched.start()

    def is_lost():
        watched.tend()
        return watched.is_lost

    until(is_lost)
    assert watched.pid is None
    watched.close()
    last = [record.message for record in caplog.records if record.levelno == logging.WARNING][-1]
    assert "the evaluator exited with code 1 and is not replaced any more" in last
    assert "supervision.window_restarts" in last
    assert last.endswith("It said: no such game")


def test_a_program_that_is_not_there_is_no_reason_to_stop_training(caplog):
    watched = evaluator.Evaluator(["/no/such/program"], SupervisionSettings(max_restarts=0))
    watched.start()
    watched.tend()
    assert watched.is_lost
    assert "cannot be started: No such file or directory" in caplog.text
    watched.close()


@pytest.mark.parametrize("command", [SLEEPS, DEAF], ids=["heeds SIGTERM", "ignores it"])
def test_close_leaves_no_process(command):
    watched = evaluator.Evaluator(command, SupervisionSettings(close_timeout_s=0.3))
    watched.start()
    pid = watched.pid
    time.sleep(0.1)
    began_s = time.monotonic()
    watched.close()
    watched.close()
    assert time.monotonic() - began_s < 5
    assert not is_running(pid)


TRAINER = f"""
import time
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge.training import evaluator
watched = evaluator.Evaluator({DEAF!r}, SupervisionSettings())
watched.start()
print(watched.pid, flush=True)
time.sleep(60)
"""


def test_it_ends_with_a_trainer_that_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", TRAINER], stdout=subprocess.PIPE, text=True
    ) as trainer:
        pid = int(trainer.stdout.readline())
        assert is_running(pid)
        trainer.kill()
    until(lambda: not is_running(pid), 2.0)


def test_a_point_tells_mean_error_and_interval():
    point = curves.point(7, [1.0, 2.0, 3.0, 6.0], 0.5)
    assert (point.step, point.return_mean, point.num_episodes) == (7, 3.0, 4)
    assert point.return_stderr == pytest.approx(np.std([1, 2, 3, 6], ddof=1) / 2)
    low, high = point.return_interval_95
    assert 1.0 <= low < 3.0 < high <= 6.0
    assert curves.point(7, [1.0], 0.5).return_stderr is None


def test_a_curve_has_whole_lines_whoever_is_killed(tmp_path):
    curve = curves.Curve(tmp_path)
    assert curve.points() == []
    added = [curves.point(step, [1.0, 3.0], 0.1) for step in (10, 20, 30)]
    for point in added:
        curve.add(point)
    assert curve.points() == added
    path = tmp_path / "evaluation" / "curve.jsonl"
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"step": 40, "return_me')
    assert curve.points() == added
    curve.mend()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [10, 20, 30]
    curve.mend(20)
    assert curve.points() == added[:2]
    curve.add(added[2])
    assert curves.Curve(tmp_path).points() == added


def test_lines_that_are_no_points_are_named(tmp_path):
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "curve.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(errors.StorageError, match=r"Cannot read .*curve\.jsonl: .*move the file"):
        curves.Curve(tmp_path).points()


def weights(value):
    return {"learner_w": tf.Variable([float(value)])}


def trainer_saves(folder, *steps, keep=1):
    """Saves checkpoints whose weights are their steps."""
    kept = weights(0)
    saved = checkpoints.Checkpoints(folder, kept, keep=keep)
    for step in steps:
        kept["learner_w"].assign([float(step)])
        saved.save(step, {"best": None, "episodes": []})


@pytest.mark.parametrize("has_links", [True, False])
def test_a_checkpoint_that_is_judged_outlives_its_pruning(tmp_path, monkeypatch, has_links):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    judge = weights(0)
    saved = checkpoints.Checkpoints(tmp_path, judge)
    assert saved.hold_newest(0) is None
    trainer_saves(tmp_path, 10, 20)
    assert saved.hold_newest(0) == 20
    assert judge["learner_w"].numpy() == [20.0]
    trainer_saves(tmp_path, 30, 40)
    assert saved.steps() == [40]
    saved.crown(20, {"best": 1.5, "validation": 1.5, "episodes": []})
    assert saved.steps("best") == [20]
    assert saved.best_return() == 1.5

    assert saved.hold_newest(20) == 40
    # What is told of the best one is not written into the checkpoint that it was.
    saved.crown(40, {"best": 2.5, "validation": 2.5, "episodes": []})
    assert saved.steps("best") == [40]
    assert checkpoints.Checkpoints(tmp_path, weights(0)).restore().state["best"] is None
    restored = weights(0)
    assert checkpoints.Checkpoints(tmp_path, restored).restore("best").state["best"] == 2.5
    assert restored["learner_w"].numpy() == [40.0]
    assert saved.hold_newest(40) is None


def test_a_damaged_checkpoint_is_not_judged(tmp_path):
    trainer_saves(tmp_path, 10)
    next((tmp_path / "checkpoints").glob("*/weights.data*")).write_bytes(b"")
    assert checkpoints.Checkpoints(tmp_path, weights(0)).hold_newest(0) is None


def test_what_a_killed_evaluator_held_is_swept(tmp_path):
    trainer_saves(tmp_path, 10)
    saved = checkpoints.Checkpoints(tmp_path, weights(0))
    assert saved.hold_newest(0) == 10
    checkpoints.Checkpoints(tmp_path, weights(0)).sweep()
    assert list((tmp_path / "best").iterdir()) == []
