"""Evaluations: what evaluation.json says, and an interval that covers the mean."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.tf import start

start.load()

from gamebridge.evaluation import results, rollout  # noqa: E402


def evaluation(returns, **telemetry):
    episodes = tuple(
        rollout.PlayedEpisode(100 + n, value, 10 + n, "terminated", dict(telemetry))
        for n, value in enumerate(returns)
    )
    return results.Evaluation(
        "gym/CartPole-v1", "ppo", 5000, episodes, (results.Video("a.mp4", 0, 10),), "lessons"
    )


def test_the_file_holds_every_episode_and_the_means(tmp_path):
    path = evaluation([1.0, 3.0], bumps=2.0).write(tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "evaluation.json"
    assert [path.name for path in path.parent.iterdir()] == ["evaluation.json"]
    found = json.loads(path.read_text())
    low, high = found.pop("return_interval_95")
    assert 1.0 <= low <= 2.0 <= high <= 3.0
    assert found == {
        "game": "gym/CartPole-v1",
        "agent": "ppo",
        "checkpoint_step": 5000,
        "num_episodes": 2,
        "return_mean": 2.0,
        "return_std": 1.0,
        "telemetry_mean": {"bumps": 2.0},
        "episodes": [
            {
                "seed": 100,
                "return": 1.0,
                "length": 10,
                "ended": "terminated",
                "telemetry": {"bumps": 2.0},
            },
            {
                "seed": 101,
                "return": 3.0,
                "length": 11,
                "ended": "terminated",
                "telemetry": {"bumps": 2.0},
            },
        ],
        "videos": [{"path": "a.mp4", "episode": 0, "num_frames": 10}],
        "saved_episodes": "lessons",
    }


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        low, high = evaluation(generator.normal(5.0, 2.0, 30)).confidence_interval(0.9)
        covered += low <= 5.0 <= high
    assert 45 <= covered <= 60


def test_the_interval_is_the_same_every_time_and_a_point_for_equal_returns():
    one = evaluation([1.0, 5.0, 9.0])
    assert one.confidence_interval() == one.confidence_interval()
    assert evaluation([7.0, 7.0]).confidence_interval() == (7.0, 7.0)
    assert evaluation([7.0]).confidence_interval() == (7.0, 7.0)


def test_a_folder_that_cannot_be_written_is_an_error_of_storage(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.StorageError, match=r"Cannot write .*evaluation.json: .*Free space"):
        evaluation([1.0]).write(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]
