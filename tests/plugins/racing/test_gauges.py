import dataclasses

import numpy as np
import pytest

from gamebridge_racing.car import Car
from gamebridge_racing.drawing import gauges, lettering, picture

STILL = picture.Frame(x=0.0, y=-22.0, heading_rad=0.0, speed_m_s=0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"speed_m_s": 30.0},
        {"throttle": 0.5},
        {"throttle": -0.5},
        {"steer_rad": 0.2},
        {"slip_rad": 0.1},
        {"lap": 2},
        {"lap_time_s": 3.0},
        {"last_lap_s": 20.0},
        {"best_lap_s": 20.0},
        {"limit_lap_s": 16.0},
        {"wall_contact": True},
        {"speed_m_s": 1e6, "lap_time_s": 1e6, "lap": 10**6, "slip_rad": 9.0, "steer_rad": 9.0},
    ],
)
def test_gauges_show_it(change):
    made = gauges.Gauges(Car(), minimap=False)
    plain = np.full((720, 1280, 3), 90, np.uint8)
    shown = plain.copy()
    frame = dataclasses.replace(STILL, **change)
    made.draw(plain, STILL, 0)
    made.draw(shown, frame, int(frame.wall_contact))
    assert (shown != plain).any()


def test_digits_are_equally_wide():
    letters = lettering.Lettering(12)
    assert len({letters.width_px(digit) for digit in "0123456789"}) == 1
    assert letters.width_px("00") == 2 * letters.width_px("0")


@pytest.mark.parametrize("at", [(-20, 10), (95, 10), (20, -3), (20, 45), (500, 500), (-500, 10)])
def test_text_beyond_the_edge_is_cut_off(at):
    canvas = np.zeros((40, 100, 3), np.uint8)
    lettering.Lettering(12).draw(canvas, "0123", at, (255, 255, 255))
    assert canvas.shape == (40, 100, 3)


def test_text_has_its_colour_where_it_stands():
    canvas = np.zeros((40, 100, 3), np.uint8)
    lettering.Lettering(20, 0.2).draw(canvas, "I", (50, 30), (200, 100, 0), 0.5)
    rows, columns = np.nonzero(canvas[..., 0] > 150)
    assert rows.min() == pytest.approx(10, abs=2)
    assert rows.max() == pytest.approx(30, abs=2)
    assert columns.mean() == pytest.approx(50, abs=2)
    assert canvas[..., 2].max() == 0
