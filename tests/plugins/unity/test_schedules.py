"""Curricula: environment parameters by the number of steps."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import config, errors
from gamebridge_unity import schedules, settings


def test_a_number_is_told_once():
    schedule = schedules.Schedule({"gravity": -9.8})
    assert schedule.news(0) == {"gravity": -9.8}
    assert schedule.news(1) == {} == schedule.news(np.inf)


def test_points_make_a_line_that_ends_are_held():
    schedule = schedules.Schedule({"difficulty": ((100, 0.0), (300, 1.0))})
    assert [schedule.at(steps)["difficulty"] for steps in (0, 100, 150, 300, 1e9)] == [
        0, 0, 0.25, 1, 1,
    ]  # fmt: skip


def test_two_points_at_the_same_steps_make_a_jump():
    schedule = schedules.Schedule({"level": ((0, 1), (100, 1), (100, 2))})
    assert schedule.at(99) == {"level": 1} and schedule.at(100) == {"level": 2}


def test_players_are_told_of_what_moved_by_a_hundredth_and_of_the_end():
    schedule = schedules.Schedule({"difficulty": ((0, 0.0), (10_000, 2.0))})
    told = [schedule.news(steps) for steps in range(0, 10_001)]
    values = [news["difficulty"] for news in told if news]
    assert len(values) <= 102 and values[0] == 0 and values[-1] == 2
    assert schedule.news(np.inf) == {}


def test_an_evaluation_plays_the_last_value():
    assert schedules.Schedule({"d": ((0, 0.0), (100, 3.0))}).news(np.inf) == {"d": 3}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"players": 0}, "players is 0; expected 1 to 256"),
        ({"others": "clever"}, "others is 'clever'; expected 'random', 'zero', 'run:PATH'"),
        ({"parameters": {"d": [[5, 0], [1, 1]]}}, "steps that rise from 0 or more"),
        ({"parameters": {"d": []}}, "expected a number, or"),
        ({"parameters": {"d": 1.0}, "samplers": {"d": {}}}, "expected one of them"),
        ({"samplers": {"d": {"values": [1]}}}, "values has 1 numbers; expected 2 for 'uniform'"),
        ({"samplers": {"d": {"values": [2, 1]}}}, "expected least before greatest"),
        ({"engine": {"time_scale": 0.5}}, "time_scale is 0.5; expected 1 to 1000"),
        ({"graphics": "some"}, "graphics"),
    ],
)
def test_settings_that_cannot_be_are_refused(values, text):
    with pytest.raises(errors.ConfigError, match=text):
        config.convert(values, settings.UnitySettings, path="game")


def test_settings_are_read_as_toml_has_them():
    read = config.convert(
        {
            "parameters": {"gravity": -9.8, "difficulty": [[0, 0.1], [1000, 0.5]]},
            "samplers": {"mass": {"kind": "multi_range", "values": [0, 1, 5, 6]}},
            "others": [0.5, 1],
            "engine": {"time_scale": 5},
        },
        settings.UnitySettings,
    )
    assert read.parameters == {"gravity": -9.8, "difficulty": ((0, 0.1), (1000, 0.5))}
    assert read.samplers["mass"].values == (0, 1, 5, 6) and read.others == (0.5, 1)


def test_paths_are_kept_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert settings.BuildSettings(path="race.x86_64").path == str(tmp_path / "race.x86_64")
    assert settings.UnitySettings(log_folder="logs").log_folder == str(tmp_path / "logs")
