"""`gamebridge bench` as a person runs it: what it prints, how it refuses, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from gamebridge import cli

_MAIN = "import sys; from gamebridge.cli import main; sys.exit(main())"
_QUICK = ("--seconds", "0.05")
KEYS = {
    "game", "agent", "num_slots", "cores", "load", "seconds", "layers", "workers",
    "best_workers", "played_by_workers", "automatic_workers", "is_split", "waits", "parts",
    "steps_per_s", "steps_per_s_overlapped", "steps", "duration_s", "memory", "twice_the_cores",
    "bottleneck", "advice",
}  # fmt: skip

ODD = """
    import dataclasses
    import time

    import gymnasium
    import numpy as np

    from gamebridge.contract import GameRecord, hookimpl

    @dataclasses.dataclass(frozen=True)
    class Settings:
        num_steps: int = 20
        sleep_s: float = 0.0
        break_at: int = 0

    class Odd(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 255, (12, 10, 3), np.uint8)
        action_space = gymnasium.spaces.Discrete(2)
        calls = 0

        def __init__(self, settings):
            self.settings = settings
            self.frame = np.zeros((12, 10, 3), np.uint8)

        def reset(self, seed=None, options=None):
            self.elapsed = 0
            return self.frame, {}

        def step(self, action):
            self.calls += 1
            self.elapsed += 1
            if self.calls == self.settings.break_at:
                raise ZeroDivisionError("oops")
            time.sleep(self.settings.sleep_s)
            return self.frame, 0.0, self.elapsed == self.settings.num_steps, False, {}

    @hookimpl
    def gamebridge_games():
        yield GameRecord("odd/frames", "Frames.", lambda r: Odd(r.settings), Settings)
"""


@pytest.fixture
def odd(tmp_path):
    folder = tmp_path / "odd games"
    folder.mkdir(mode=0o755)
    path = folder / "odd.py"
    path.write_text(textwrap.dedent(ODD))
    path.chmod(0o644)
    return str(folder)


@pytest.fixture(autouse=True)
def no_plugin_folder(monkeypatch):
    monkeypatch.setenv("GAMEBRIDGE_PLUGINS", "")


def bench(capfd, *arguments, plugins=""):
    """Runs the command with --json; returns what it printed."""
    code = cli.main(["--plugins", plugins, "bench", *arguments, *_QUICK, "--json"])
    shown = capfd.readouterr()
    assert code == 0, shown.err
    return json.loads(shown.out)


def names(rows):
    return [row["name"] for row in rows]


def test_a_process_prints_one_json_object_and_nothing_else():
    done = subprocess.run(
        [sys.executable, "-c", _MAIN, "bench", "gym/CartPole-v1", *_QUICK, "--json"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == KEYS
    assert names(found["layers"]) == ["game", "adapter", "value guard"]
    assert names(found["parts"]) == ["game", "bridge", "door"]
    assert [row["count"] for row in found["workers"]][:2] == [0, 1]
    assert found["memory"]["process_bytes"] > 2**27
    # TensorFlow, were it imported by the way and not by `start`, would speak here too.
    said = [line.split(" ")[0] for line in done.stderr.splitlines()]
    assert said == ["playing", "starting", "measuring", "loading", "measuring"], done.stderr


@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_a_training_is_told_apart_and_a_batched_game_is_never_split(capfd, toy_plugins, agent):
    arguments = ["toys/corridor", "--agent", agent, "--num-slots", "4", "--steps", "5000"]
    found = bench(capfd, *arguments, plugins=str(toy_plugins))
    assert set(found) == KEYS
    assert names(found["parts"]) == ["game", "bridge", "door", "acting", "learning"]
    assert all(row["us"] >= 0 for row in found["parts"])
    assert sum(row["us"] for row in found["parts"]) == pytest.approx(
        1e6 / found["steps_per_s"], rel=1e-3
    )
    assert names(found["layers"]) == ["game", "value guard"]
    assert (found["best_workers"], found["automatic_workers"], found["is_split"]) == (0, 0, False)
    assert [row["count"] for row in found["workers"]] == [0]
    assert found["duration_s"] == pytest.approx(5000 / found["steps_per_s"], rel=0.1, abs=0.1)
    assert found["memory"]["experience_bytes"] > 0


def test_wrappers_are_layers_and_workers_stay_as_asked(capfd, odd):
    wrappers = "{grey = true, height = 6, width = 5, stack = 2}"
    found = bench(
        capfd, "odd/frames", "--num-slots", "2", "--set", "workers.count=1",
        "--set", f"wrappers.images={wrappers}", "--set", "wrappers.action_repeat=2",
        "--set", "wrappers.episode_limit=5",
        plugins=odd,
    )  # fmt: skip
    assert names(found["layers"]) == [
        "game", "adapter", "value guard", "action repeat", "episode limit",
        "image preprocessing", "frame stack",
    ]  # fmt: skip
    assert [row["count"] for row in found["workers"]] == [0, 1]
    assert found["played_by_workers"] == 1
    assert len(found["memory"]["worker_bytes"]) == 1
    assert found["memory"]["worker_bytes"][0] > 2**20


def test_one_slot_and_episodes_of_one_step_are_measured(capfd, odd):
    found = bench(
        capfd, "odd/frames", "--num-slots", "1", "--agent", "dqn", "--set", "game.num_steps=1",
        "--set", "agent.replay_capacity=2000",
        plugins=odd,
    )  # fmt: skip
    assert found["num_slots"] == 1
    assert [row["count"] for row in found["workers"]] == [0, 1]
    assert found["steps_per_s"] > 0


def test_a_game_that_waits_is_tried_with_more_workers_than_cores(capfd, odd, monkeypatch):
    monkeypatch.setattr("gamebridge.workers.choice.num_cores", lambda: 1)
    arguments = ["odd/frames", "--num-slots", "3", "--set", "game.sleep_s=0.01"]
    found = bench(capfd, *arguments, plugins=odd)
    assert found["waits"] is True
    assert [row["count"] for row in found["workers"]] == [0, 1, 2, 3]
    assert found["best_workers"] == 3
    assert found["bottleneck"] == "game"


def test_the_table_is_for_people(capfd, toy_plugins):
    arguments = ["--plugins", str(toy_plugins), "bench", "toys/limited", *_QUICK]
    assert cli.main([*arguments, "--num-slots", "2"]) == 0
    text = capfd.readouterr().out
    assert text.startswith("toys/limited, 2 slots, ")
    for said in ("played in this process", "+ episode limit", "under a TF-Agents driver", "best"):
        assert said in text
    assert "1,000,000 steps of play without learning take about " in text
    assert "With --agent ID, such as ppo" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["gym/NoSuch-v0"], 2, "NoSuch-v0"),
        (["toys/corridr"], 2, "Did you mean 'toys/corridor'"),
        (["toys/corridor", "--agent", "pop"], 2, "Did you mean 'ppo'?"),
        (["toys/catch", "--agent", "q-learning"], 4, "q-learning cannot see frames"),
        (["toys/corridor", "--set", "game.lenght=3"], 2, "lenght"),
        (["toys/corridor", "--set", "game.break_at=9"], 4, "step 9: oops"),
        (["toys/corridor", "--set", "workers.count=0", "--game-python", "/bin/x"], 2, "count is 0"),
        (["toys/corridor", "--game-python", "/no/python"], 2, "/no/python"),
        (["toys/corridor", "--seconds", "0"], 2, "0.0 is not in the range"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(capfd, toy_plugins, arguments, code, said):
    given = ["--plugins", str(toy_plugins), "bench", *arguments]
    assert cli.main([*given, *(() if "--seconds" in arguments else _QUICK)]) == code
    shown = capfd.readouterr()
    assert shown.out == ""
    last = shown.err.splitlines()[-1]
    assert last.startswith("gamebridge: error: ")
    assert said in last


@pytest.mark.parametrize("break_at", [3, 400])
def test_a_game_that_raises_on_the_way_is_named(capfd, odd, break_at):
    arguments = ["--plugins", odd, "bench", "odd/frames", "--set", f"game.break_at={break_at}"]
    assert cli.main([*arguments, "--seconds", "0.5", "--num-slots", "2"]) == 4
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("gamebridge: error: odd/frames")
    assert "oops" in last


@pytest.mark.parametrize("moment", ["measuring here", "measuring under"])
def test_ctrl_c_leaves_at_once_and_nothing_behind(moment):
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, "bench", "gym/CartPole-v1", "--seconds", "20"]
        if moment == "measuring here"
        else [sys.executable, "-c", _MAIN, "bench", "racing/oval", "--seconds", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in process.stderr:
        if line.startswith(moment):
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
