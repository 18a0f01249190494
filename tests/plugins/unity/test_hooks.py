"""Which games there are, and how they are named, before any player is started."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

import gamebridge_unity
from gamebridge import errors, opening
from gamebridge.cli import requests
from gamebridge.contract import GameFamily, GameRequest
from gamebridge_unity import builds, settings


@pytest.fixture(autouse=True)
def no_other_builds(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(builds.FOLDERS_VARIABLE, raising=False)


def _records():
    yielded = gamebridge_unity.gamebridge_games()
    return {record.id: record for record in yielded if not isinstance(record, GameFamily)}


def _add(folder, text="", name="town"):
    build = folder / name
    build.mkdir(parents=True)
    (build / "build.toml").write_text(text)
    (build / f"{name}.sh").write_text("#!/bin/sh\nexit 0\n")
    (build / f"{name}.sh").chmod(0o755)
    return build


def test_the_reference_build_a_path_and_an_editor_are_games():
    assert sorted(_records()) == ["unity/build", "unity/editor", "unity/racing"]


def test_every_build_that_is_found_is_a_game(monkeypatch, tmp_path):
    _add(tmp_path / "mine", 'summary = "A town."\nagents = 4\n[training]\nlog_interval_s = 9.0')
    monkeypatch.setenv(builds.FOLDERS_VARIABLE, str(tmp_path / "mine"))
    record = _records()["unity/town"]
    assert record.summary == "A town." and record.training == {"log_interval_s": 9.0}
    assert gamebridge_unity.gamebridge_find_game("unity/town").id == "unity/town"


def test_a_broken_build_hides_no_other_and_says_why_when_asked_for(monkeypatch, tmp_path):
    _add(tmp_path / "mine", "agnets = 4")
    monkeypatch.setenv(builds.FOLDERS_VARIABLE, str(tmp_path / "mine"))
    assert sorted(_records()) == ["unity/build", "unity/editor", "unity/racing"]
    with pytest.raises(errors.ConfigError, match=r"unknown key 'agnets'. Did you mean 'agents'"):
        gamebridge_unity.gamebridge_find_game("unity/town")


def test_an_unknown_build_is_told_with_the_nearest():
    with pytest.raises(errors.UnknownId, match=r"no Unity build 'raicng'. Did you mean 'racing'"):
        gamebridge_unity.gamebridge_find_game("unity/raicng")
    assert gamebridge_unity.gamebridge_find_game("gym/CartPole-v1") is None


@pytest.mark.parametrize(
    ("text", "players", "expected"),
    [
        ("agents = 4", 1, 4),
        ("agents = 4", 3, 12),
        ("agents = 4\nnum_slots = 6", 3, 6),
        ("", 2, None),
    ],
)
def test_training_takes_a_slot_for_each_agent_of_each_player(tmp_path, text, players, expected):
    build = _add(tmp_path, text)
    chosen = settings.BuildSettings(path=str(build), players=players)
    assert _records()["unity/build"].num_slots(chosen) == expected
    record = gamebridge_unity._record(builds.for_path(build))
    assert record.num_slots(settings.UnitySettings(players=players)) == expected


def test_agents_may_be_told_with_the_path():
    chosen = settings.BuildSettings(path="x", num_agents=5, players=2)
    assert _records()["unity/build"].num_slots(chosen) == 10


def test_a_path_that_is_not_set_or_not_there_is_told():
    record = _records()["unity/build"]
    with pytest.raises(errors.ConfigError, match=r"path is not set; expected the executable"):
        record.make(GameRequest("unity/build", 1, False, settings.BuildSettings()))
    with pytest.raises(errors.PlayerError, match=r"nowhere.x86_64 cannot be found"):
        record.make(
            GameRequest("unity/build", 1, False, settings.BuildSettings(path="nowhere.x86_64"))
        )


def test_hooks_import_nothing_heavy():
    code = (
        "import sys, json, gamebridge_unity as u; list(u.gamebridge_games());"
        "list(u.gamebridge_commands()); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"grpc", "mlagents_envs", "google.protobuf", "cv2", "typer", "tensorflow"}


def test_the_plugin_ships_its_build():
    folder = pathlib.Path(gamebridge_unity.__file__).parent / "builds" / "racing"
    assert (folder / "build.toml").is_file() and (folder / "racing.x86_64").is_file()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[presets.ppo]\ngama = 1.0\n", "2: unknown key 'presets.ppo.gama'. Did you mean 'gamma'"),
        ("[presets.ppo]\ngamma = 2.0\n", "2: 'presets.ppo.gamma': gamma is 2.0; expected 0 to 1"),
        ("agents = 2\n[training]\nkeep_checkpoints = 0\n", "3: 'training.keep_checkpoints': "),
        (
            "[agent_wrappers.ppo]\naction_repeet = 2\n",
            "2: unknown key 'agent_wrappers.ppo.action_repeet'. Did you mean 'action_repeat'",
        ),
        ("[wrappers]\ngaurd = 'off'\n", "2: unknown key 'wrappers.gaurd'. Did you mean 'guard'"),
    ],
)
def test_defaults_that_nothing_takes_are_told_with_their_line_before_anything_starts(
    tmp_path, text, said
):
    build = _add(tmp_path / "unity_builds", text)
    request = requests.read({"game": "unity/town"})
    with pytest.raises(errors.ConfigError) as caught:
        requests.check(request, opening.discover())
    assert str(caught.value).startswith(f"{build}/build.toml:{said}")


def test_a_preset_is_that_of_an_agent_of_its_name(tmp_path):
    _add(tmp_path / "unity_builds", "[presets.none-of-ours]\ngama = 1.0\n")
    requests.check(requests.read({"game": "unity/town"}), opening.discover())
