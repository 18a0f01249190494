"""The reference player's scenes: what they say is sound, logged, and fixed by the seed."""

from __future__ import annotations

import collections
import json
import os
import pathlib
import resource
import subprocess
import sys
import threading
import uuid
import zlib

import numpy as np
import pytest
import trainers

import gamebridge
from gamebridge import errors
from gamebridge.contract import seeding
from gamebridge_unity import player, wire
from gamebridge_unity.player import channels, telemetry
from gamebridge_unity.reference import ledger, scenes

SOUND = [name for name in scenes.SCENES if name not in ("racing", "window")]


class Played:
    """A scene in a thread, and the trainer that plays it by random actions."""

    def __init__(self, name, seed=5, told=None, **choice):
        self.trainer = trainers.Trainer()
        self.scene = scenes.make(name, scenes.Choice(**choice))
        watch = ledger.Ledger(told) if told else None
        argv = ["--mlagents-port", str(self.trainer.port)]
        self.thread = threading.Thread(
            target=player.serve, args=(lambda: self.scene, argv), kwargs={"watch": watch}
        )
        self.thread.start()
        self.trainer.meet(seed)
        self.random = np.random.default_rng(seed)
        self.actions = {}

    def reset(self, side_channels=b""):
        return self._note(self.trainer.reset(side_channels))

    def step(self):
        return self._note(self.trainer.step(self.actions))

    def close(self):
        self.trainer.say(wire.CLOSING)
        self.thread.join(5)
        self.trainer.stop()
        assert not self.thread.is_alive()

    def _note(self, output):
        self.actions = {}
        for name, spec in self.trainer.specs.items():
            asked = trainers.infos(output, name)[1]
            self.actions[name] = [self._action(spec.action_spec, info) for info in asked]
        return output

    def _action(self, spec, info):
        forbidden = np.asarray(info.action_mask, bool)
        chosen, first = [], 0
        for size in spec.discrete_branch_sizes:
            allowed = np.flatnonzero(~forbidden[first : first + size])
            assert len(allowed), "every action of a branch is forbidden"
            chosen.append(int(self.random.choice(allowed)))
            first += size
        return self.random.uniform(-1, 1, spec.num_continuous_actions).tolist(), chosen


@pytest.fixture
def play():
    opened = []

    def start(*args, **keywords):
        opened.append(Played(*args, **keywords))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def infos_of(output):
    return [(name, info) for name, listed in output.agentInfos.items() for info in listed.value]


# Of every scene.


@pytest.mark.parametrize("name", SOUND)
def test_what_a_scene_says_is_sound_and_in_its_ledger(name, play, tmp_path):
    told = tmp_path / "ledger.jsonl"
    game = play(name, told=str(told))
    seen = []
    # One that came and went without a decision is told of too, as by Unity.
    asked_since_end = collections.defaultdict(lambda: True)
    output = game.reset()
    for _ in range(200):
        ids = collections.Counter()
        for behavior, info in infos_of(output):
            ids[info.id, info.done] += 1
            assert ids[info.id, info.done] == 1, "one end and one decision an id at most"
            if info.done:
                assert asked_since_end[info.id], "an end without a decision before"
                assert ids[info.id, False] == 0, "the end comes first"
            asked_since_end[info.id] = not info.done
            assert np.isfinite([info.reward, info.group_reward]).all()
            assert [each.name for each in info.observations] == sorted(
                each.name for each in info.observations
            )
            seen.append((behavior, info))
        output = game.step()
    game.close()
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert lines[0] == {"reset": 1}
    logged = [(line["behavior"], row) for line in lines if "infos" in line for row in line["infos"]]
    assert len(logged) >= len(seen)
    for (behavior, info), (name_logged, row) in zip(seen, logged, strict=False):
        agent, done, interrupted, reward, group, group_reward, parts, forbidden = row
        assert (behavior, info.id, info.done) == (name_logged, agent, bool(done))
        assert info.max_step_reached == bool(interrupted)
        assert (info.reward, info.group_id, info.group_reward) == (reward, group, group_reward)
        assert "".join("01"[each] for each in info.action_mask) == forbidden
        for observation, part in zip(info.observations, parts, strict=True):
            values = np.asarray(observation.float_data.data, np.float32)
            if isinstance(part, list):
                assert values.tolist() == part
            elif observation.compression_type == wire.UNCOMPRESSED:
                assert zlib.crc32(values.tobytes()) == part


@pytest.mark.parametrize("name", SOUND)
def test_the_seed_fixes_a_scene(name, play):
    def said(game, side_channels=b""):
        outputs = [game.reset(side_channels), *(game.step() for _ in range(20))]
        kept = []
        for output in outputs:
            for behavior, info in infos_of(output):
                kept.append((behavior, info.done, info.reward, info.SerializeToString()))
        return kept

    first = said(play(name, seed=5))
    again = play(name, seed=5)
    assert said(again) == first
    assert said(play(name, seed=6)) != first
    if name in ("numbered", "comers"):
        return  # which see ids and episodes, and those go on
    # By a parameter a reset begins anew; without it a reset goes on.
    payload = len(b"seed").to_bytes(4, "little") + b"seed" + bytes(4) + np.float32(77).tobytes()
    parameter = trainers.record(channels.PARAMETERS, payload)
    again.random = np.random.default_rng(1)
    once = said(again, parameter)
    again.random = np.random.default_rng(1)
    assert said(again) != once
    again.random = np.random.default_rng(1)
    assert said(again, parameter) == once


# Of single ones.


def test_walkers_of_period_5_decide_every_fifth_step_and_end_in_any(play):
    game = play("period5")
    output = game.reset()
    sizes, alone = [], 0
    for _ in range(100):
        ends, asked = trainers.infos(output, "Walker?team=0")
        assert len(asked) in (0, 8)
        sizes.append(len(asked))
        alone += not asked and bool(ends)
        output = game.step()
    assert alone > 10


def test_the_second_behaviour_decides_in_every_third_step(play):
    game = play("two-behaviors")
    output = game.reset()
    for step in range(30):
        asked = trainers.infos(output, "Runner?team=1")[1]
        assert len(asked) == (4 if step % 3 == 0 else 0)
        assert len(trainers.infos(output, "Walker?team=0")[1]) == 4
        output = game.step()


def test_a_group_ends_as_one_and_all_its_members_are_paid(play):
    game = play("groups")
    output = game.reset()
    kinds = set()
    for _ in range(200):
        ended = collections.defaultdict(list)
        for info in trainers.infos(output, "Member?team=0")[0]:
            ended[info.group_id].append((info.max_step_reached, info.group_reward))
        for rows in ended.values():
            assert len(rows) == 4
            assert len(set(rows)) == 1
            kinds.add(rows[0][0])
        output = game.step()
    assert kinds == {True, False}


def test_masks_forbid_what_cannot_be_done_and_the_scene_counts_who_does_it(play):
    game = play("masks")
    game.reset()
    for _ in range(50):
        game.step()
    assert game.scene.num_forbidden == 0
    game.reset()
    everybody = [([], [1, 1])] * 8  # nobody may run from a stand
    stats = game.trainer.step({"Masked?team=0": everybody}).side_channel
    assert game.scene.num_forbidden == 8
    assert channels.STATS.bytes_le in stats and b"masks/forbidden" in stats


def test_comers_never_take_an_id_that_another_had(play):
    game = play("comers")
    output = game.reset()
    gone, ids = set(), set()
    sizes = set()
    for _ in range(400):
        ends, asked = trainers.infos(output, "Numbered?team=0")
        now = {info.id for info in asked}
        assert not now & gone
        ids |= now
        sizes.add(len(now))
        gone |= (
            {info.id for info in ends if not info.max_step_reached}
            - now
            - set(game.scene.players.ids.tolist())
        )
        output = game.step()
    assert len(ids) > 20
    assert len(sizes) > 3


def test_the_numbers_tell_agent_episode_and_step(play):
    game = play("numbered")
    output = game.reset()
    before = {}
    for _ in range(300):
        for info in output.agentInfos["Numbered?team=0"].value:
            agent, episode, step, *action = info.observations[0].float_data.data
            assert agent == info.id
            if info.id in before:
                was, acted = before[info.id]
                if was == "over":
                    assert step == 0
                else:
                    assert (episode, step) == (was[0], was[1] + 1)
                    assert (action[0], action[1]) == (acted[1][0], np.float32(acted[0][0]))
                assert info.reward == step
            before[info.id] = ("over" if info.done else (episode, step), None)
        asked = trainers.infos(output, "Numbered?team=0")[1]
        for info, action in zip(asked, game.actions["Numbered?team=0"], strict=True):
            before[info.id] = (before[info.id][0] if before[info.id][0] == "over" else (
                info.observations[0].float_data.data[1], info.observations[0].float_data.data[2]
            ), action)  # fmt: skip
        output = game.step()


# Games as scenes.


def test_racing_gives_the_episodes_of_the_game_and_its_telemetry(play):
    game = play("racing", agents=3, seed=9)
    output = game.reset(trainers.record(telemetry.CHANNEL, telemetry.SUBSCRIBE))
    with gamebridge.make_game("racing/oval", 3, workers=0) as own:
        played = own.reset(seeding.slot_seeds(9, 3))
        for step in range(150):
            asked = trainers.infos(output, "Car?team=0")[1]
            for slot, info in enumerate(asked):
                seen = np.asarray(info.observations[0].float_data.data, np.float32)
                np.testing.assert_array_equal(seen, played.observation[slot])
            values = telemetry_of(output.side_channel)
            for number, field in enumerate(game.scene.players.fields):
                told = values.values[~values.done][:, number]
                if step:
                    np.testing.assert_array_equal(told, own.telemetry()[field.name])
            actions = [row[0] for row in game.actions["Car?team=0"]]
            output = game.step()
            played = own.step(np.asarray(actions, np.float32))
            if played.is_last().any():
                break


@pytest.mark.parametrize("domain", list(seeding.Domain))
def test_a_seed_by_parameter_says_what_it_is_for(play, domain):
    game = play("racing", agents=2)
    game.reset()
    seed = (domain >> 29) << 22 | 12_345
    payload = len(b"seed").to_bytes(4, "little") + b"seed" + bytes(4) + np.float32(seed).tobytes()
    asked = trainers.infos(game.reset(trainers.record(channels.PARAMETERS, payload)), "Car?team=0")[
        1
    ]
    with gamebridge.make_game("racing/oval", 2, workers=0) as own:
        played = own.reset(seeding.slot_seeds(seed, 2, domain))
        for slot, info in enumerate(asked):
            seen = np.asarray(info.observations[0].float_data.data, np.float32)
            np.testing.assert_array_equal(seen, played.observation[slot])


def telemetry_of(blob):
    values = None
    while blob:
        length = int.from_bytes(blob[16:20], "little")
        if uuid.UUID(bytes_le=blob[:16]) == telemetry.CHANNEL:
            values = telemetry.read(blob[20 : 20 + length])
        blob = blob[20 + length :]
    return values


def test_a_camera_sees_the_car_that_the_lidar_is_on(play):
    game = play("racing", agents=2, camera="grey")
    plain = play("racing", agents=2)
    (with_camera, without) = (game.reset(), plain.reset())
    for _ in range(60):
        plain.actions = game.actions
        rows = [trainers.infos(each, "Car?team=0")[1] for each in (with_camera, without)]
        for left, right in zip(*rows, strict=True):
            assert left.reward == right.reward
            assert left.observations[1].float_data.data == right.observations[0].float_data.data
            assert list(left.observations[0].shape) == [84, 84, 1]
        with_camera, without = game.step(), plain.step()
    # The second game, which draws, was driven as the first one was.
    first, second = game.scene._views
    np.testing.assert_array_equal(first.telemetry()["progress_m"], second.telemetry()["progress_m"])


def test_any_game_can_be_offered(play):
    game = play("racing", game="gym/CartPole-v1", agents=2)
    output = game.reset()
    ends = 0
    for _ in range(100):
        ends += len(trainers.infos(output, "Agent?team=0")[0])
        output = game.step()
    assert ends >= 4
    assert list(game.trainer.specs["Agent?team=0"].action_spec.discrete_branch_sizes) == [2]


def test_the_racing_player_starts_quickly_and_without_tensorflow():
    code = (
        "import sys; from gamebridge_unity.reference import scenes as s;"
        "g = s.make('racing', s.Choice()); g.reset(); g.step();"
        "assert not {'tensorflow', 'tf_agents', 'cv2', 'pygame'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)  # compiles, if need be
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with trainers.Trainer() as trainer:
        child = trainer.launch(stderr=subprocess.DEVNULL)
        trainer.meet()
        trainer.reset()
        trainer.say(wire.CLOSING)
        assert child.wait(10) == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # About a second; of the processor, for others may use the machine too.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.5


# The scene with a window.


@pytest.fixture
def display():
    """The name of a display in memory."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    try:
        server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("Xvfb is not installed: apt-get install xvfb")
    finally:
        os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()
    yield f":{number}"
    server.kill()
    server.wait()


def dots(trainer, output):
    import cv2

    frames = [
        cv2.imdecode(np.frombuffer(info.observations[0].compressed_data, np.uint8), 1)[:, :, ::-1]
        for info in trainers.infos(output, "Dot?team=0")[1]
    ]
    return np.stack(frames)


def test_the_window_is_seen_as_it_is_on_the_display(display):
    with trainers.Trainer() as trainer:
        child = trainer.launch("--scene", "window", env={**os.environ, "DISPLAY": display})
        trainer.meet()
        frames = dots(trainer, trainer.reset())
        assert frames.shape == (8, 40, 40, 3)
        yellow, green = [(frames == colour).all(3) for colour in ((250, 220, 60), (60, 220, 90))]
        assert (yellow.sum((1, 2)) == 64).all()
        assert (green.sum((1, 2)) == 160).all()
        # Whoever goes to the marked side arrives in two steps and is paid.
        right = green[:, 0, -1]
        actions = {"Dot?team=0": [([], [2 if each else 0]) for each in right]}
        trainer.step(actions)
        ends, _ = trainers.infos(trainer.step(actions), "Dot?team=0")
        assert [info.reward for info in ends] == [1] * 8
        trainer.say(wire.CLOSING)
        assert child.wait(5) == 0


def test_a_window_that_is_covered_is_not_seen_as_it_was_drawn(display, monkeypatch):
    monkeypatch.setenv("DISPLAY", display)
    code = (
        "import sys, numpy as np; from gamebridge_unity.reference import windows;"
        "w = windows.Window(64, 64, 't'); p = np.full((64, 64, 3), (200, 100, 50), np.uint8);"
        "assert w._server is not None; assert (w.show(p) == p).all();"
        "import subprocess;"
        "c = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE);"
        "c.stdout.readline(); seen = w._server.pixels(64, 64); c.kill(); c.wait();"
        "assert not (seen == p).any(); w.close()"
    )
    cover = (
        "import time, numpy as np; from gamebridge_unity.reference import windows;"
        "w = windows.Window(600, 440, 'cover'); p = np.full((440, 600, 3), 7, np.uint8);"
        "w.show(p); w.show(p); print('there', flush=True); time.sleep(60)"
    )
    subprocess.run([sys.executable, "-c", code, cover], check=True, timeout=60)


def test_without_a_display_the_window_scene_says_so_and_leaves(tmp_path):
    log = tmp_path / "player.log"
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    words = ["--scene", "window", "--mlagents-port", "5999", "-logFile", str(log)]
    command = [sys.executable, "-m", "gamebridge_unity.reference", *words]
    done = subprocess.run(command, env=environment, timeout=30)
    assert done.returncode == errors.PlayerError.exit_code
    assert "No display: this scene draws in a window and DISPLAY is not set." in log.read_text()
    environment["DISPLAY"] = ":4711"
    done = subprocess.run(command, env=environment, timeout=30)
    assert done.returncode == errors.PlayerError.exit_code
    assert "No display: a window of 120 by 120 cannot be opened on DISPLAY=':4711'" in (
        log.read_text()
    )


def test_without_graphics_all_frames_are_black(play):
    game = play("window", no_graphics=True)
    assert not dots(game.trainer, game.reset()).any()
    assert not dots(game.trainer, game.step()).any()


def test_the_build_names_the_player_and_its_behaviour():
    import gamebridge_unity

    folder = pathlib.Path(gamebridge_unity.__file__).parent / "builds" / "racing"
    text = (folder / "build.toml").read_text()
    assert 'linux = "racing.x86_64"' in text
    assert os.access(folder / "racing.x86_64", os.X_OK)
