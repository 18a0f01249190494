from __future__ import annotations

import numpy as np
import pytest
import toy_games

from gamebridge import contract, errors
from gamebridge.contract import specs
from gamebridge.wrappers import images
from gamebridge.wrappers.settings import ImageSettings


class StillGame(contract.Game):
    """Shows whatever it is given."""

    def __init__(self, spec, frames):
        self.num_slots, self.spec = len(frames), spec
        self.rows = contract.new_time_step(spec, len(frames))
        self.rows = self.rows._replace(observation=frames)

    def observation_spec(self):
        return self.spec

    def action_spec(self):
        return specs.discrete(2)

    def reset(self, seeds=None, slots=None):
        return self.rows

    def step(self, action, active=None):
        return self.rows


def still(height=20, width=12, channels=3, num_slots=2):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (num_slots, height, width, channels), dtype=np.uint8)
    return StillGame(specs.frame(height, width, channels, name="front"), frames)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        (ImageSettings(crop_top=3, crop_bottom=1, crop_left=2), (16, 10)),
        (ImageSettings(grey=True), (20, 12)),
        (ImageSettings(height=10, width=6), (10, 6)),
        (ImageSettings(height=7), (7, 12)),
        (ImageSettings(width=30), (20, 30)),
        (ImageSettings(height=10, width=30), (10, 30)),
        (ImageSettings(crop_right=5, grey=True, height=9, width=5), (9, 5)),
        (ImageSettings(crop_top=1, grey=True, height=40, width=40), (40, 40)),
    ],
)
def test_frames_are_cropped_then_greyed_then_resized(channels, wanted, size):
    game = still(channels=channels)
    wrapped = images.ImagePreprocessing(game, wanted)
    out_channels = 1 if wanted.grey else channels
    assert wrapped.observation_spec() == specs.frame(*size, out_channels)
    frames = wrapped.reset().observation
    assert frames.dtype == np.uint8
    for slot in range(2):
        source = game.rows.observation[slot]
        if channels == 4 and wanted.grey:
            source = np.ascontiguousarray(source[:, :, :3])
        np.testing.assert_array_equal(frames[slot], toy_games.preprocessed(source, wanted))


def test_settings_that_ask_for_nothing_hand_on_the_frame():
    game = still()
    frames = images.ImagePreprocessing(game, ImageSettings()).reset().observation
    np.testing.assert_array_equal(frames, game.rows.observation)


def test_read_only_and_strided_frames_are_taken():
    game = still(channels=4)
    frames = game.rows.observation[:, ::-1, :, :3]
    frames.flags.writeable = False
    strided = StillGame(specs.frame(20, 12, 3), frames)
    wanted = ImageSettings(crop_left=1, grey=True, height=8, width=8)
    out = images.ImagePreprocessing(strided, wanted).reset().observation
    np.testing.assert_array_equal(out[1], toy_games.preprocessed(frames[1], wanted))


def test_rows_are_written_in_place_and_stay_for_held_slots():
    toy = toy_games.ToyGame(num_slots=2)
    game = images.ImagePreprocessing(toy, ImageSettings(grey=True, height=4, width=4))
    rows = game.reset().observation["eyes"][0]
    kept = rows.copy()
    again = game.step(np.zeros(2, int), np.array([True, False])).observation["eyes"][0]
    assert again is rows
    np.testing.assert_array_equal(rows[1], kept[1])
    assert (rows[0] != kept[0]).any()


def test_other_leaves_pass_untouched():
    toy = toy_games.ToyGame()
    game = images.ImagePreprocessing(toy, ImageSettings(grey=True))
    assert game.observation_spec()["vector"] == toy.observation_spec()["vector"]
    assert game.reset().observation["vector"] is toy.rows.observation["vector"]


def test_a_game_without_frames_is_refused_with_its_leaves():
    game = StillGame({"lidar": specs.box((4,), 0, 1)}, {"lidar": np.zeros((1, 4), np.float32)})
    game.num_slots = 1
    with pytest.raises(errors.ConfigError, match=r"only 'lidar' float32 \[4\] in \[0, 1\]\. Leave"):
        images.ImagePreprocessing(game, ImageSettings(grey=True))


def test_a_crop_that_leaves_nothing_is_refused_with_its_values():
    wanted = ImageSettings(crop_top=12, crop_bottom=8)
    with pytest.raises(
        errors.ConfigError,
        match=r"^frame 'front' of game is 20x12: cutting off 12 \+ 8 rows and 0 \+ 0 columns "
        r"leaves nothing\. Lower wrappers\.images\.crop_\*\.$",
    ):
        images.ImagePreprocessing(still(), wanted)


def test_grey_needs_colour():
    with pytest.raises(errors.ConfigError, match=r"has 5 channels: grey is made of 3 .* or 4"):
        images.ImagePreprocessing(still(channels=5), ImageSettings(grey=True))


def test_many_channels_cannot_be_resized():
    with pytest.raises(errors.ConfigError, match=r"has 5 channels: at most 4 can be resized"):
        images.ImagePreprocessing(still(channels=5), ImageSettings(height=4))


def test_many_channels_can_be_cropped():
    game = images.ImagePreprocessing(still(channels=5), ImageSettings(crop_top=1))
    assert game.reset().observation.shape == (2, 19, 12, 5)


def test_shrinking_takes_areas_and_not_single_pixels():
    frames = np.zeros((1, 4, 4, 1), np.uint8)
    frames[0, ::2, ::2] = 200
    game = images.ImagePreprocessing(
        StillGame(specs.frame(4, 4, 1), frames), ImageSettings(height=2, width=2)
    )
    assert (game.reset().observation == 50).all()


def test_a_game_may_say_its_frames_in_another_array_each_time():
    game = still()
    wrapper = images.ImagePreprocessing(game, ImageSettings(crop_top=4, grey=True))
    first = wrapper.reset().observation.copy()
    game.rows = game.rows._replace(observation=game.rows.observation[::-1].copy())
    np.testing.assert_array_equal(wrapper.step(np.zeros(2, np.int64)).observation, first[::-1])
    game.rows.observation[0] = game.rows.observation[1]
    told = wrapper.step(np.zeros(2, np.int64)).observation
    np.testing.assert_array_equal(told, [first[0], first[0]])
