"""Runs whose replay buffer is in a Reverb server."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import subprocess
import sys

import leftovers
import numpy as np
import pytest

import gamebridge
from gamebridge import errors, opening
from gamebridge.tf import start

start.load()
pytest.importorskip("reverb")

from gamebridge.tf import reverb_server  # noqa: E402
from gamebridge.training import checkpoints  # noqa: E402

SMALL = {"units": [16], "warm_up_steps": 100, "replay_capacity": 2_000}
AGENTS = {
    "dqn": {**SMALL, "num_steps": 3},
    "c51": {**SMALL, "replay": "prioritized", "train_interval": 8},
    "dqn-rnn": {"warm_up_steps": 200, "replay_capacity": 2_000, "train_interval": 50},
    "q-learning": {"warm_up_steps": 100},
}


def train(folder, agent="dqn", steps=600, game="gym/CartPole-v1", seed=None, **training):
    told = []
    gamebridge.train(
        game, agent, steps, folder, seed=seed, announce=told.append,
        settings={
            "agent": AGENTS.get(agent, {}),
            "training": {
                "replay_store": "reverb",
                "checkpoint_interval_steps": 300,
                "validation_episodes": 1,
                "log_interval_s": 0.0,
                **training,
            },
        },
    )  # fmt: skip
    return told


def metrics_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of dqn of 600 steps, and what it left."""
    once = reverb_server.ReverbServer(1, 4, (2, 8), None)  # what gRPC opens once in a process
    once.append(0, np.zeros(8, np.uint8), None)
    once.close()
    before = leftovers.there_is()
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(folder)
    return folder, leftovers.there_is() - before


@pytest.mark.slow
def test_dqn_learns_with_finite_losses(tmp_path):
    told = []
    gamebridge.train(
        "gym/CartPole-v1", "dqn", 4_000, tmp_path / "run", announce=told.append,
        settings={"training": {"replay_store": "reverb", "log_interval_s": 0.0}},
    )  # fmt: skip
    lines = metrics_of(tmp_path / "run")
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) > 5
    assert all(math.isfinite(loss) for loss in losses)
    returns = [line["return_mean"] for line in lines if "return_mean" in line]
    assert returns[-1] > 1.3 * returns[0]


@pytest.mark.parametrize("agent", AGENTS)
def test_agents_of_all_kinds_of_samples_train(tmp_path, agent):
    train(tmp_path / "run", agent, game="gym/CartPole-v1")
    losses = [line["loss"] for line in metrics_of(tmp_path / "run") if "loss" in line]
    assert losses
    assert all(math.isfinite(loss) for loss in losses)


def test_no_thread_and_no_file_is_left_when_a_run_ends(trained):
    _, left = trained
    assert left["file"] <= 0
    assert set(left) <= {"file"}


def test_the_store_stands_in_the_run(trained):
    folder, _ = trained
    assert 'replay_store = "reverb"' in (folder / "run.toml").read_text()


def test_a_run_goes_on_with_all_that_was_in_the_server(trained, tmp_path, monkeypatch):
    folder, _ = trained
    restored, restore = [], checkpoints.Checkpoints.restore

    def look(saved, *arguments):
        found = restore(saved, *arguments)
        replay = saved._segments._replay
        restored.append((found, replay.num_added.tolist(), int(replay.num_transitions(3))))
        return found

    monkeypatch.setattr(checkpoints.Checkpoints, "restore", look)
    gamebridge.resume(folder, 900)
    ((found, num_added, num_items),) = restored
    assert found.lost == ()
    # And LAST steps, which are no steps of the game.
    assert sum(num_added) > found.step >= 600
    assert 0.8 * 600 < num_items < sum(num_added)
    assert metrics_of(folder)[-1]["step"] >= 900


def test_without_saving_a_checkpoint_has_no_replay_and_a_resumed_run_warms_up_anew(tmp_path):
    folder = tmp_path / "run"
    train(folder, save_replay=False)
    assert not (folder / "replay").exists()
    count = len(metrics_of(folder))
    gamebridge.resume(folder, 690)
    assert not any("loss" in line for line in metrics_of(folder)[count:])


def test_it_is_said_that_a_seed_does_not_fix_such_a_run(tmp_path):
    said = [line for line in train(tmp_path / "seeded", steps=50, seed=3) if "seed" in line]
    assert said == ["Reverb draws by a seed of its own: this run does not repeat exactly."]
    assert not [line for line in train(tmp_path / "other", steps=50) if "seed" in line]


def test_an_agent_without_a_replay_buffer_is_refused(tmp_path):
    with pytest.raises(
        errors.ConfigError, match=r"is 'reverb', but the agent has no replay buffer"
    ):
        train(tmp_path / "run", "ppo")
    assert not (tmp_path / "run").exists()


def test_where_it_is_not_installed_nothing_is_begun(tmp_path, trained, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "reverb" else find_spec(name)
    )
    monkeypatch.setattr(opening, "open_game", None)  # the game is not even made
    with pytest.raises(errors.ConfigError, match=r"pip install 'gamebridge\[reverb\]'"):
        train(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(errors.ConfigError, match=r"pip install 'gamebridge\[reverb\]'"):
        gamebridge.resume(trained[0])


def test_the_command_line_is_free_of_what_reverb_says(tmp_path):
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "import sys; from gamebridge.cli import main; sys.exit(main())",
            ),
            *("train", "gym/CartPole-v1", "--agent", "dqn", "--steps", "1500", "--seed", "1"),
            *("--run", "run", "--set", "training.replay_store=reverb"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = re.compile(r"(step|checkpoint at step) [\d,]+( of [\d,]+)?, .*|Reverb draws by .*")
    assert [line for line in done.stderr.splitlines() if not said.fullmatch(line)] == []
