"""The stock client of mlagents-envs 0.28.0, in its own environment, plays the reference player.

It is the one judge at hand of whether the player says what a Unity build says: nothing of
gamebridge is installed where it runs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys
import zlib

import numpy as np
import pytest

import gamebridge
import gamebridge_unity
from gamebridge.contract import seeding

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(gamebridge_unity.__file__).parent / "builds" / "racing" / "racing.x86_64"
SEED = 11
CARS = 6


@pytest.fixture(scope="module")
def stock_python():
    """The interpreter of the stock client's environment, which is made if it is not there."""
    path = next(
        path
        for folder in HERE.parents
        if (path := folder / "benchmarks" / "environments.py").is_file()
    )
    spec = importlib.util.spec_from_file_location("environments", path)
    environments = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(environments)
    if environments.interpreter("mlagents") is None:
        command = [sys.executable, str(path), "mlagents"]
        made = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if made.returncode and "Could not find a version" in made.stderr:
            pytest.skip(f"pip cannot install the stock client here: {made.stderr[-300:]}")
        assert made.returncode == 0, made.stderr
    return environments.interpreter("mlagents")


@pytest.fixture
def play(stock_python, tmp_path):
    """Plays so many steps of a scene by the stock client: what it saw, and the player's log."""

    def run(steps, *arguments):
        output, told = tmp_path / "rows.npz", tmp_path / "ledger.jsonl"
        driver = [str(stock_python), str(HERE / "stock_driver.py")]
        words = [str(BUILD), str(free_port()), str(steps), str(output), "--ledger", str(told)]
        python = str(pathlib.Path(sys.executable).parent)
        played = subprocess.run(
            [*driver, *words, *arguments],
            env={**os.environ, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert played.returncode == 0, played.stdout + played.stderr
        with np.load(output) as rows:
            rows = dict(rows)
        lines = told.read_text(encoding="utf-8").splitlines()
        return rows, [json.loads(line) for line in lines]

    return run


def free_port():
    """A port that is free on both loopbacks; the stock client listens on all interfaces."""
    with socket.socket(socket.AF_INET6) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        taken.bind(("::", 0))
        return taken.getsockname()[1]


def parts_of(row, shapes):
    """What the ledger would hold of a flat row of observations."""
    kept = []
    at = 0
    for shape in shapes:
        size = int(np.prod(shape))
        values, at = row[at : at + size], at + size
        kept.append(values.tolist() if size <= 32 else values)
    return kept


def is_same(seen, logged):
    """Whether an observation is what the player logged: numbers, or a sum of bytes."""
    if isinstance(logged, list):
        return seen == logged
    as_bytes = np.rint(seen * 255).astype(np.uint8)
    # Frames are uint8 where they travelled as PNG, and float32 where not.
    return logged in (zlib.crc32(as_bytes.tobytes()), zlib.crc32(seen.tobytes()))


def assert_same(rows, told):
    """What the stock client was given is what the player gave, row by row."""
    shapes = json.loads(rows["shapes"][0].replace("(", "[").replace(",)", "]").replace(")", "]"))
    infos = [line for line in told if "infos" in line]
    taken = [line for line in told if "actions" in line]
    expected = [(line["message"], row) for line in infos for row in line["infos"]]
    # The stock client sorts a message's ends before its decisions; so does the player.
    num_seen = len(rows["id"])
    assert 0 <= len(expected) - num_seen <= 64  # of the message that the last step brought
    first = expected[0][0]
    for number, (message, row) in enumerate(expected[:num_seen]):
        agent, done, interrupted, reward, _, _, seen, _ = row
        got = tuple(rows[name][number].item() for name in ("step", "id", "done", "interrupted"))
        assert got == (message - first, agent, bool(done), bool(interrupted)), number
        assert rows["reward"][number] == np.float32(reward), number
        parts = parts_of(rows["seen"][number].astype(np.float32), shapes)
        assert all(map(is_same, parts, seen)), (number, parts, seen)
    acted = [np.hstack([row[1], row[2]]) for line in taken for row in line["actions"]]
    np.testing.assert_array_equal(rows["taken"].astype(np.float32), np.asarray(acted, np.float32))


def test_the_stock_client_drives_a_thousand_steps_and_sees_what_the_racing_game_gives(play):
    rows, told = play(1_000, "--agents", str(CARS))
    assert len(rows["step"]) >= 1_000 * CARS
    assert rows["done"].any()
    assert_same(rows, told)
    assert rows["seconds"][1] < 2, "the player must go when it is told to"

    # The same episodes as the game itself, of the same seed and actions.
    with gamebridge.make_game("racing/oval", CARS, workers=0) as game:
        game.reset(seeding.slot_seeds(SEED, CARS))
        at = taken = 0
        for step in range(1_000):
            if step:
                played = game.step(rows["taken"][taken : taken + CARS].astype(np.float32))
                taken += CARS
                over = played.is_last()
                for slot in np.flatnonzero(over):
                    assert (rows["id"][at], rows["done"][at]) == (slot, True)
                    assert rows["reward"][at] == played.reward[slot]
                    np.testing.assert_array_equal(rows["seen"][at], played.observation[slot])
                    at += 1
                reward = np.where(over, 0, played.reward)
                if over.any():
                    game.reset(slots=over)
                np.testing.assert_array_equal(rows["reward"][at : at + CARS], reward)
            else:
                played = game.reset(seeding.slot_seeds(SEED, CARS))
            np.testing.assert_array_equal(rows["seen"][at : at + CARS], played.observation)
            at += CARS


@pytest.mark.parametrize("scene", ["buffer", "hybrid", "comers", "stacked"])
def test_the_stock_client_sees_what_each_scene_says(play, scene):
    # It takes a tenth of a second for the floats of one message of the last one.
    rows, told = play(25 if scene == "stacked" else 300, "--scene", scene)
    assert rows["done"].any()
    assert_same(rows, told)


def test_cameras_of_the_racing_scene_arrive_whole(play):
    rows, told = play(15, "--agents", "3", "--camera", "rgb")
    assert rows["shapes"][0] == "[(84, 84, 3), (25,)]"
    assert_same(rows, told)
