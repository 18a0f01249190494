from __future__ import annotations

import numpy as np
import pytest
import toy_games

from gamebridge import errors
from gamebridge.contract import FIRST, LAST, specs
from gamebridge.workers import values
from gamebridge.wrappers import stacking


class FrameGame(toy_games.ToyGame):
    """The toy game, its frame alone."""

    def observation_spec(self):
        return specs.frame(*self.shape)

    def _write(self, slot, row):
        self.rows.valid[slot] = row is not None
        if row is not None:
            self.rows.step_type[slot] = row.step_type
            self.rows.observation[slot] = row.frame


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("num_frames", [2, 4, 5])
def test_frames_are_joined_along_channels_newest_last(channels, num_frames):
    toy = FrameGame(num_slots=3, shape=(6, 7, channels), silence=0.2)
    game = stacking.FrameStack(toy, num_frames)
    assert game.observation_spec() == specs.frame(6, 7, channels * num_frames)
    history = [[] for _ in range(3)]
    time_step = game.reset()
    rng = np.random.default_rng(0)
    named = np.ones(3, bool)
    for _ in range(100):
        for slot in np.flatnonzero(named & time_step.valid):
            frame = toy.rows.observation[slot].copy()
            if time_step.step_type[slot] == FIRST:
                history[slot] = [frame] * num_frames
            else:
                history[slot] = [*history[slot][1:], frame]
        for slot in np.flatnonzero(time_step.valid):
            expected = np.concatenate(history[slot], axis=-1)
            np.testing.assert_array_equal(time_step.observation[slot], expected)
        named = rng.random(3) < 0.6
        time_step = game.step(np.zeros(3, int), named)


def test_a_stack_never_holds_frames_of_two_episodes():
    toy = FrameGame(num_slots=1, shape=(2, 2, 1))
    game = stacking.FrameStack(toy, 3)
    time_step = game.reset()
    while time_step.step_type[0] != LAST:
        time_step = game.step(np.zeros(1, int))
    time_step = game.step(np.zeros(1, int))
    assert time_step.step_type[0] == FIRST
    stack = time_step.observation[0]
    assert (stack == stack[:, :, :1]).all()


def test_rows_are_written_in_place():
    game = stacking.FrameStack(FrameGame(), 2)
    rows = game.reset().observation
    assert game.step(np.zeros(3, int)).observation is rows


def test_one_frame_is_no_stack():
    with pytest.raises(ValueError, match=r"^num_frames is 1: expected at least 2 to stack\.$"):
        stacking.FrameStack(FrameGame(), 1)


def test_a_stack_has_no_more_channels_than_opencv_holds():
    with pytest.raises(errors.ConfigError, match=r"has 9 channels: 60 of it are more than 512\."):
        stacking.FrameStack(FrameGame(shape=(4, 4, 9)), 60)


def test_a_game_without_frames_is_refused():
    vectors = toy_games.Scripted([toy_games.START])
    with pytest.raises(errors.ConfigError, match=r"^game has no frame .*, only '' float32 \[\]\."):
        stacking.FrameStack(vectors, 2)


@pytest.mark.parametrize(("channels", "num_frames"), [(1, 4), (3, 4), (1, 8)])
def test_a_stack_says_how_many_frames_it_is_of_in_other_processes_too(channels, num_frames):
    game = stacking.FrameStack(toy_games.ToyGame(1, (6, 5, channels)), num_frames)
    (spec,) = game.observation_spec()["eyes"]
    assert spec.num_stacked == num_frames
    assert values.unpack_spec(values.pack_spec(spec)).num_stacked == num_frames


@pytest.mark.parametrize("wrong", [{"num_stacked": 0}, {"num_stacked": 3}])
def test_channels_that_are_no_stack_are_refused(wrong):
    with pytest.raises(
        ValueError, match=r"is a stack of \d in frame uint8 \[6, 5, 4\]: expected 1"
    ):
        specs.frame(6, 5, 4, **wrong)
