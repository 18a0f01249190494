"""The reference player as a program: its switches, its log of transitions, its faults."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import trainers

from gamebridge_unity import player, wire
from gamebridge_unity.player import messages, records
from gamebridge_unity.reference import __main__ as program
from gamebridge_unity.reference import faults, ledger, scenes, spoiling

NAME = "Walker?team=0"


@pytest.fixture
def trainer():
    with trainers.Trainer() as made:
        yield made


def launch(trainer, *words):
    return trainer.launch("--scene", "basic", *words, stderr=subprocess.PIPE, text=True)


# Switches.


def test_the_help_names_every_scene_fault_and_switch(capsys):
    assert program.main(["--help"]) == 0
    told = capsys.readouterr().out
    for name in (*scenes.SCENES, *faults.AT_START, *faults.AT_STEP, "--ledger", "--once"):
        assert f"  {name} " in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scene", "rasing"], "--scene rasing: expected one of racing, basic"),
        (["--fault", "nap"], "--fault nap: expected one of bad-png"),
        (["--fault", "slow:much"], "--fault slow:much: expected a number after the colon"),
        (["--agents", "0"], "--agents 0: expected a number of 1 or more"),
        (["--at", "-1"], "--at -1: expected a number of 0 or more"),
        (["--camera", "sepia"], "--camera sepia: expected one of rgb, grey"),
        (["--layout", "wch"], "--layout wch: expected one of hwc, chw"),
        (["--set", "step_s"], "--set step_s: expected NAME=VALUE"),
        (["--ledger"], "--ledger is the last word; expected --ledger FILE"),
    ],
)
def test_a_switch_that_is_wrong_is_told_with_what_is_expected(words, message, capsys):
    assert program.main(["--mlagents-port", "1", *words]) == 2
    assert message in capsys.readouterr().err


def test_words_that_mean_nothing_here_are_passed_over(trainer):
    child = launch(trainer, "-screen-width", "80", "-force-glcore", "--unknown", "--agents", "3")
    trainer.meet()
    assert len(trainers.infos(trainer.reset(), NAME)[1]) == 3
    trainer.say(wire.CLOSING)
    assert child.wait(5) == 0


def test_settings_of_the_game_are_those_of_the_command_line(tmp_path):
    words = ["--mlagents-port", "1", "--set", "num_rays=3", "--set", "start=line"]
    made = program._choice(program._words(words), no_graphics=True)
    assert made.settings == {"num_rays": 3, "start": "line"}
    scene = scenes.make("racing", made)
    assert scene.players.observations["lidar"].shape == (16, 9)
    scene.close()


def test_a_setting_that_there_is_not_is_in_the_log(tmp_path):
    log = tmp_path / "log"
    words = ["--mlagents-port", "1", "--set", "wings=2", "-logFile", str(log)]
    assert program.main(words) == 2
    assert "wings" in log.read_text()


# The ledger.


def test_the_ledger_has_resets_infos_and_the_actions_that_answered_them(trainer, tmp_path):
    told = tmp_path / "told.jsonl"
    child = launch(trainer, "--agents", "2", "--ledger", str(told))
    trainer.meet()
    _, asked = trainers.infos(trainer.reset(), NAME)
    trainer.step({NAME: [([], [0]), ([], [2])]})
    trainer.reset()
    trainer.say(wire.CLOSING)
    assert child.wait(5) == 0
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    kinds = [next(key for key in ("reset", "infos", "actions") if key in line) for line in lines]
    assert kinds == ["reset", "infos", "actions", "infos", "reset", "infos"]
    assert [line.get("message") for line in lines] == [None, 1, 1, 2, None, 3]
    assert lines[2]["actions"] == [[0, [], [0]], [1, [], [2]]]
    seen = [list(info.observations[0].float_data.data) for info in asked]
    assert [row[6] for row in lines[1]["infos"]] == [[each] for each in seen]


def test_large_observations_are_kept_as_a_sum_of_their_bytes():
    values = np.arange(33, dtype=np.float32)
    assert isinstance(ledger.summary(values), int)
    assert ledger.summary(values[:32]) == values[:32].tolist()
    assert ledger.summary(values[::-1]) == ledger.summary(values[::-1].copy())


# Faults at the start.


def test_exit_early_leaves_before_it_connects_and_once_means_once(trainer, tmp_path):
    words = ("--fault", "exit-early", "--once", str(tmp_path / "once"))
    child = launch(trainer, *words)
    assert child.wait(10) == 3
    assert "ends itself, as it was told to" in child.stderr.read()
    launch(trainer, *words)
    trainer.meet()


def test_exit_between_leaves_after_the_first_message(trainer):
    child = launch(trainer, "--fault", "exit-between")
    with pytest.raises(AssertionError, match="left with 3"):
        trainer.meet()
    assert child.returncode == 3


def test_wrong_version_says_another_one(trainer):
    launch(trainer, "--fault", "wrong-version")
    assert trainer.meet().communication_version == "2.0.0"


@pytest.mark.parametrize("fault", ["never-connect", "slow-start:1.5"])
def test_a_player_that_does_not_connect_is_alive_all_the_same(trainer, fault, monkeypatch):
    child = launch(trainer, "--fault", fault)
    monkeypatch.setattr(trainers, "LIMIT_S", 1.0)
    with pytest.raises(AssertionError, match="said nothing"):
        trainer.meet()
    assert child.poll() is None
    if fault != "never-connect":
        monkeypatch.setattr(trainers, "LIMIT_S", 10.0)
        trainer.meet()


def test_no_agents_connects_and_says_nothing_more(trainer, monkeypatch):
    child = launch(trainer, "--fault", "no-agents")
    trainer.meet()
    monkeypatch.setattr(trainers, "LIMIT_S", 0.5)
    with pytest.raises(AssertionError, match="said nothing"):
        trainer.reset()
    assert child.poll() is None


# Faults of a step.


@pytest.mark.parametrize(("fault", "code"), [("exit", 3), ("kill9", -signal.SIGKILL)])
def test_a_player_that_dies_does_so_at_its_step(trainer, fault, code):
    child = launch(trainer, "--fault", fault, "--at", "3")
    trainer.meet()
    trainer.reset()
    trainer.step()
    trainer.step()
    with pytest.raises(AssertionError, match="left with"):
        trainer.step()
    assert child.wait(5) == code


def test_slow_takes_its_time_from_its_step_on(trainer):
    launch(trainer, "--fault", "slow:0.3", "--at", "1")
    trainer.meet()
    start = time.monotonic()
    trainer.reset()
    assert time.monotonic() - start < 0.25
    for _ in range(2):
        start = time.monotonic()
        trainer.step()
        assert time.monotonic() - start >= 0.3


def test_a_player_may_be_deaf_to_all_but_sigkill(trainer):
    child = launch(trainer, "--fault", "ignore-goodbye", "--fault", "ignore-sigterm")
    trainer.meet()
    trainer.reset()
    trainer.say(wire.CLOSING)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.7)
    child.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.7)


def test_grandchildren_stay_when_the_player_goes(trainer):
    child = launch(
        trainer,
        "--fault",
        "grandchildren",
    )
    trainer.meet()
    trainer.reset()
    trainer.say(wire.CLOSING)
    assert child.wait(5) == 0
    line = next(line for line in child.stderr if "Grandchildren" in line)
    pids = json.loads(line[line.index("[") : line.index("]") + 1])
    for pid in pids:
        os.kill(pid, 0)
        os.kill(pid, signal.SIGKILL)
    assert len(pids) == 2


def test_a_status_and_a_flooded_log(trainer):
    child = launch(trainer, "--fault", "status:500", "--fault", "flood-log:0.05", "--at", "0")
    trainer.meet()
    trainer.say(wire.NORMAL)
    assert trainer.take().header.status == 500
    trainer.say(wire.CLOSING)
    assert len(child.stderr.read()) > 50_000


def test_a_flood_of_calls_comes_from_other_connections(trainer):
    launch(trainer, "--fault", "flood:3", "--at", "1")
    trainer.meet()
    trainer.reset()
    for _ in range(4):  # the player's own call and three others, in any order
        trainer.say(wire.NORMAL)
        assert trainer.take().header.status == wire.NORMAL


# Spoiled messages.

BEHAVIOR = player.Behavior(
    NAME,
    (
        player.Frame("camera", 6, 8),
        player.Frame("floats", 4, 4, 1, is_compressed=False),
        player.Vector("vector", 3),
    ),
    1,
)


@pytest.fixture
def spoil():
    """Returns a spoiled message of two agents, and the bytes."""
    made = scenes.walks.Walk(BEHAVIOR, 2).walkers
    made.use(records.Wire())
    made.observations["camera"][:] = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3))
    made.request()
    sound = messages.news({NAME: [said.data for said in made.take()]}, [], b"")

    def spoiled(kind, value=1.0):
        data = spoiling.spoil(kind, value, sound)
        return wire.messages().UnityMessageProto.FromString(data).unity_output

    return spoiled


def first(output):
    return output.rl_output.agentInfos[NAME].value[0]


def test_numbers_are_spoiled(spoil):
    assert np.isnan(first(spoil("nan")).observations[2].float_data.data[0])
    assert np.isinf(first(spoil("inf")).observations[2].float_data.data[0])
    assert np.isnan(first(spoil("nan-reward")).reward)
    frame = first(spoil("nan-image")).observations[0]
    assert frame.compression_type == wire.UNCOMPRESSED
    assert np.isnan(frame.float_data.data[0]) and len(frame.float_data.data) == 6 * 8 * 3


def test_specs_and_ids_are_spoiled(spoil):
    changed = spoil("spec-change")
    assert changed.rl_initialization_output.brain_parameters[0].brain_name == NAME
    assert list(first(changed).observations[2].shape) == [4]
    assert not spoil("shape-change").rl_initialization_output.brain_parameters
    assert [each.id for each in spoil("duplicate-ids").rl_output.agentInfos[NAME].value] == [0, 0]
    assert not spoil("empty").rl_output.agentInfos[NAME].value
    assert len(first(spoil("oversize", 2)).observations[0].float_data.data) == 2**19


def test_pictures_are_spoiled(spoil):
    import cv2

    data = {
        kind: first(spoil(kind)).observations[0].compressed_data
        for kind in ("bad-png", "png-bomb", "jpeg")
    }
    assert data["bad-png"].startswith(b"\x89PNG")
    assert not data["bad-png"].endswith(b"IEND\xaeB`\x82")
    assert int.from_bytes(data["png-bomb"][16:20], "big") == 60_000
    assert len(data["png-bomb"]) < 10_000
    assert data["jpeg"].startswith(b"\xff\xd8")
    assert cv2.imdecode(np.frombuffer(data["jpeg"], np.uint8), 1).shape == (6, 8, 3)


def test_the_program_runs_as_a_module_without_a_port():
    command = [sys.executable, "-m", "gamebridge_unity.reference"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "Start this player from one" in done.stderr
