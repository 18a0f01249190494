"""Run folders: everything to repeat a run stands in run.toml, and one trainer works there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from gamebridge import errors
from gamebridge.training import runs
from gamebridge.training import settings as training_settings

PLAN = runs.Plan(
    run=runs.RunSettings("gym/CartPole-v1", "dqn", 5000, 3, 4),
    game={"kwargs": {"gravity": 9.8}, "max_episode_steps": None},
    wrappers={"images": {"grey": True}, "action_repeat": 1},
    agent={"units": (64, 64), "learning_rate": 1e-3},
    training={"keep_checkpoints": 3},
)


def test_a_plan_is_written_and_read_again(tmp_path):
    run = runs.Run(tmp_path / "deep" / "run")
    assert not run.exists
    run.begin(PLAN)
    assert run.exists
    plan = runs.Run(str(tmp_path / "deep" / "run")).plan()
    assert plan.run == PLAN.run
    # TOML has no null: what is None is left out, and is None again by default.
    assert plan.game == {"kwargs": {"gravity": 9.8}}
    assert plan.wrappers == PLAN.wrappers
    assert plan.agent == {"units": [64, 64], "learning_rate": 1e-3}
    assert plan.training == PLAN.training
    text = (tmp_path / "deep" / "run" / "run.toml").read_text()
    assert "[versions]" in text
    assert 'tensorflow = "2.15' in text
    assert [path.name for path in run.folder.iterdir()] == ["run.toml"]


def test_a_run_is_never_begun_where_one_stands(tmp_path):
    run = runs.Run(tmp_path)
    run.begin(PLAN)
    with pytest.raises(
        errors.ConfigError, match=rf"{tmp_path} holds a run already\. Resume it .*--resume"
    ):
        run.begin(PLAN)
    (tmp_path / "run.toml").unlink()
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(errors.ConfigError, match="holds a run already"):
        run.begin(PLAN)


def test_a_folder_that_cannot_be_made_is_an_error_of_storage(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.StorageError, match=r"Cannot write the run folder .*--run"):
        runs.Run(tmp_path / "file" / "run").begin(PLAN)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match=r"is not a run folder: it has no run.toml"):
        runs.Run(tmp_path).plan()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run\n", r"run.toml:\d+: "),
        ("run = 3\n", "'run' is not a table"),
        ("[run]\nstepz = 3\n", r"run.toml:2: unknown key 'run.stepz'.*Did you mean 'steps'"),
        ("[run]\nsteps = 0\n", "steps is 0; expected 1 or more"),
        ("[run]\nseed = -1\n", "seed is -1; expected 0 or more"),
        ("[run]\nnum_slots = 0\n", "num_slots is 0; expected 1 or more"),
        ("game = 1\n[run]\n", "'game' is not a table"),
    ],
)
def test_a_run_toml_that_is_not_whole_is_refused(tmp_path, text, message):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(errors.ConfigError, match=message):
        runs.Run(tmp_path).plan()


def test_a_folder_in_use_is_refused_with_pid_and_host(tmp_path):
    with runs.Run(tmp_path).lock():
        with (
            pytest.raises(
                errors.ConfigError,
                match=rf"{tmp_path} is in use by process {os.getpid()} on {socket.gethostname()}\. "
                "Wait for it or stop it, or choose another --run",
            ) as caught,
            runs.Run(tmp_path).lock(),
        ):
            pass
        assert caught.value.exit_code == 2
    with runs.Run(tmp_path).lock():
        pass


LOCKING = """
import sys, time
from gamebridge.training import runs
with runs.Run(sys.argv[1]).lock():
    print("locked", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", LOCKING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout.readline() == "locked\n"
        refused = pytest.raises(errors.ConfigError, match=f"in use by process {child.pid} on")
        with refused, runs.Run(tmp_path).lock():
            pass
        child.kill()
    # It left its name there.
    assert str(child.pid) in (tmp_path / "lock").read_text()
    with runs.Run(tmp_path).lock():
        assert str(os.getpid()) in (tmp_path / "lock").read_text()


def test_a_lock_that_cannot_be_written_is_an_error_of_storage(tmp_path):
    (tmp_path / "lock").mkdir()
    refused = pytest.raises(errors.StorageError, match=r"Cannot write .*lock")
    with refused, runs.Run(tmp_path).lock():
        pass


def test_a_new_run_gets_a_folder_of_its_own(tmp_path):
    names = []
    for _ in range(3):
        folder = runs.free_folder(tmp_path, "gym/CartPole-v1", "ppo")
        folder.mkdir()
        names.append(folder.name)
    assert names == ["CartPole-v1-ppo", "CartPole-v1-ppo-2", "CartPole-v1-ppo-3"]
    assert runs.free_folder(tmp_path, "gym/my.module:Game/../x-v0", "dqn").parent == tmp_path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"checkpoint_interval_steps": 0}, "checkpoint_interval_steps is 0; expected 1 or more."),
        ({"keep_checkpoints": 0}, "keep_checkpoints is 0; expected 1 or more."),
        ({"validation_max_steps": -1}, "validation_max_steps is -1; expected 1 or more."),
        ({"validation_episodes": -1}, "validation_episodes is -1; expected 0 or more."),
        ({"log_interval_s": -0.5}, "log_interval_s is -0.5; expected 0 or more."),
    ],
)
def test_settings_of_training_that_cannot_work_are_refused(values, message):
    with pytest.raises(ValueError) as caught:
        training_settings.TrainingSettings(**values)
    assert str(caught.value) == message
