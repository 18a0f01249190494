"""What a viewer reads on a recorded frame."""

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.evaluation import overlay


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ((84, 84), (504, 504)),
        ((1, 1), (480, 480)),
        ((400, 600), (400, 600)),
        ((240, 60), (960, 240)),  # wide enough for words
        ((30, 160), (90, 480)),
        ((721, 1281), (721, 1281)),
    ],
)
def test_small_frames_are_enlarged_by_a_whole_factor(size, drawn):
    frame = np.full((*size, 3), 90, np.uint8)
    for lines in ([], ["step 1"], ["a line that is far too long for one row " * 5]):
        assert overlay.draw(frame, lines).shape == (*drawn, 3)


def test_pixels_stay_sharp():
    frame = np.zeros((84, 84, 3), np.uint8)
    frame[83, 83] = (10, 200, 30)
    drawn = overlay.draw(frame, ["step 1"])
    assert (drawn[-6:, -6:] == (10, 200, 30)).all()
    assert not drawn[-7, -7].any()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_text_stands_out_on_any_picture(level):
    drawn = overlay.draw(np.full((400, 600, 3), level, np.uint8), ["step 12", "action 2"])
    band, rest = drawn[:30], drawn[60:]
    assert band.max() >= 250  # letters
    assert np.median(band) <= 85  # on a dark band
    assert (rest == level).all()  # and the game is seen below it


def test_the_frame_given_is_not_changed():
    frame = np.full((480, 480, 3), 200, np.uint8)
    overlay.draw(frame, ["step 12"])
    assert (frame == 200).all()


def test_more_lines_make_a_taller_band_and_long_lines_are_wrapped():
    frame = np.full((400, 600, 3), 255, np.uint8)

    def band_height(lines):
        return int((overlay.draw(frame, lines)[:, -1, 0] < 255).sum())

    assert 0 == band_height([]) < band_height(["a"]) < band_height(["a", "b"])
    assert band_height(["speed_m_s=1.5 " * 20]) > band_height(["a", "b"])
    assert band_height(["x " * 9000]) == 400


def test_letters_outside_of_the_font_do_not_stop_it():
    assert overlay.draw(np.zeros((84, 84, 3), np.uint8), ["Höhe 2 m ✓"]).max() > 200


def test_what_is_no_frame_is_refused():
    with pytest.raises(errors.GameError, match=r"frame to draw on is float64 \[4, 4, 3\]"):
        overlay.draw(np.zeros((4, 4, 3)), ["step 1"])


def test_a_view_is_drawn_on():
    assert overlay.draw(np.zeros((84, 84, 3), np.uint8)[::-1, ::2], ["a"]).shape == (504, 252, 3)


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (None, "action -"),
        (np.int64(2), "action 2"),
        (np.array(2), "action 2"),
        (3, "action 3"),
        (np.array([True, False]), "action 1 0"),
        (np.array([0.5, -1.0, 0.126], np.float32), "action +0.50 -1.00 +0.13"),
        (np.array([[0.5], [1]]), "action +0.50 +1.00"),
        ({"steer": np.array([0.1]), "gear": np.array(2)}, "action gear=2  steer=+0.10"),
        ((np.array(1), np.array([np.nan])), "action 0=1  1=+nan"),
        (np.zeros(12, np.int32), "action 0 0 0 0 0 0 0 0 ... (12 values)"),
    ],
)
def test_actions_are_read_as_numbers(action, text):
    assert overlay.describe(0, action, 0, 0)[1] == text


def test_the_lines_say_step_reward_return_and_telemetry():
    telemetry = {"speed_m_s": np.float32(3.14159), "wall_contact": np.int64(0)}
    assert overlay.describe(12, 1, np.float32(1), -13.5, telemetry) == [
        "step 12    reward +1.00  return -13.50",
        "action 1",
        "speed_m_s=3.14  wall_contact=0",
    ]
    assert len(overlay.describe(12, 1, 1, 1)) == 2
