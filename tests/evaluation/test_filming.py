"""Filming: one MP4 an episode, one frame a step."""

from __future__ import annotations

import av
import pytest

from gamebridge import errors
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

from gamebridge.evaluation import filming, rollout  # noqa: E402


class Still:
    """Acts with zeros."""

    def initial_state(self, num_slots):
        return ()

    def __call__(self, time_step, state):
        return time_step.step_type * 0, state


def num_frames(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize(("num_slots", "num_recorded"), [(1, 2), (3, 2)])
def test_there_are_as_many_frames_as_steps(tmp_path, num_slots, num_recorded):
    game = fakes.Catch(num_slots, size=48)
    with filming.Film(game, tmp_path / "films", num_recorded) as film:
        played = rollout.play(game, Still(), range(4), max_steps=20, watch=film)
    assert sorted(path.name for path in (tmp_path / "films").iterdir()) == [
        "episode-000.mp4",
        "episode-001.mp4",
    ]
    assert sorted(video.episode for video in film.videos) == [0, 1]
    for video in film.videos:
        assert video.num_frames == played[video.episode].length == num_frames(video.path)


def test_an_episode_that_is_cut_is_filmed_to_the_cut(tmp_path):
    game = fakes.Catch(1, size=48)
    with filming.Film(game, tmp_path, 1) as film:
        rollout.play(game, Still(), [0], max_steps=3, watch=film)
    (video,) = film.videos
    assert num_frames(video.path) == 3


def test_a_game_without_a_picture_is_refused_by_name(tmp_path):
    game = fakes.Corridor(1)
    with (
        pytest.raises(
            errors.GameError, match="testing/corridor gives no picture, so it cannot be recorded"
        ),
        filming.Film(game, tmp_path, 1) as film,
    ):
        rollout.play(game, Still(), [0], max_steps=3, watch=film)


def test_a_folder_that_cannot_be_made_is_an_error_of_storage(tmp_path):
    (tmp_path / "file").write_text("x")
    film = filming.Film(fakes.Catch(1), tmp_path / "file" / "films", 1)
    with pytest.raises(errors.StorageError, match=r"Cannot make .* for recordings"), film:
        pass


def test_an_episode_cut_short_by_an_error_is_no_finished_video(tmp_path):
    moments = []

    def stumble(moment):
        film(moment)
        moments.append(moment)
        if moment.step == 4:
            raise KeyError("mirror")

    game = fakes.Catch(1, size=48)
    with pytest.raises(KeyError), filming.Film(game, tmp_path, 1) as film:
        rollout.play(game, Still(), [0], max_steps=20, watch=stumble)
    assert film.videos == []
    assert not (tmp_path / "episode-000.mp4").exists()
