"""Pictures that show nothing are noticed and named."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from gamebridge import errors
from gamebridge_unity import frozen


def _watch(graphics="none", frozen_after=20, shape=(2, 30, 30, 3)):
    frames = np.zeros(shape, np.uint8)
    return frozen.Watch("unity/x", {"camera": frames}, frozen_after, graphics), frames


_ALL = np.ones(2, np.bool_)


def test_frames_of_one_colour_without_graphics_are_an_error_that_tells_what_to_do():
    watch, frames = _watch()
    frames[...] = (7, 7, 9)
    for _ in range(19):
        watch.look(_ALL)
    text = (
        r"'camera' is of one colour \(\[7, 7, 9\]\) in all slots, 20 steps long: with -nographics"
    )
    with pytest.raises(errors.GameError, match=text) as raised:
        watch.look(_ALL)
    assert "--graphics virtual" in str(raised.value)


def test_with_graphics_they_are_warned_of_once(caplog):
    watch, _ = _watch("virtual")
    for _ in range(100):
        watch.look(_ALL)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "is of one colour ([0, 0, 0])" in caplog.text


def test_one_pixel_in_one_slot_is_enough_to_show_something():
    watch, frames = _watch()
    frames[1, 17, 23] = 1
    for _ in range(40):
        watch.look(_ALL)
        frames[0] += 1


def test_the_same_picture_is_warned_of_once(caplog):
    watch, frames = _watch()
    frames[:] = np.random.default_rng(0).integers(0, 255, frames.shape)
    for _ in range(100):
        watch.look(_ALL)
    assert len(caplog.records) == 1
    assert "shows the same picture in all slots for 2" in caplog.text


def test_a_picture_that_changes_in_one_slot_is_not_frozen(caplog):
    watch, frames = _watch()
    frames[:] = np.random.default_rng(0).integers(0, 255, frames.shape)
    for step in range(200):
        frames[1, ::5] = step
        watch.look(_ALL)
    assert not caplog.records


def test_slots_that_say_nothing_are_not_looked_at():
    watch, frames = _watch()
    frames[0] = np.arange(90).reshape(30, 3)[:, None]
    for _ in range(50):
        watch.look(np.zeros(2, np.bool_))
    with pytest.raises(errors.GameError, match="20 steps long"):
        for _ in range(50):
            watch.look(np.array([False, True]))
