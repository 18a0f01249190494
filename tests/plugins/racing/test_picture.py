import dataclasses
import functools
import math

import numpy as np
import pytest

from gamebridge_racing.car import Car
from gamebridge_racing.drawing import gauges, picture
from gamebridge_racing.roads import tracks

# In the middle of the oval's first straight, which runs along the x axis.
STILL = picture.Frame(x=0.0, y=-22.0, heading_rad=0.0, speed_m_s=0.0)
RUNNING = dataclasses.replace(STILL, speed_m_s=20.0)


def painter(camera="track", track=None, **settings):
    made = picture.Painter(Car(), camera)
    made.set_track(track or tracks.oval(), **settings)
    return made


@functools.lru_cache
def used_painter(camera):
    return painter(camera)


def on_oval(camera="track"):
    """A painter at an episode's beginning. There is one a camera: drawing tiles takes long."""
    made = used_painter(camera)
    made.reset()
    return made


def paint(frame, camera="track"):
    return on_oval(camera).paint(frame).copy()


def along(start_s, end_s, **changes):
    """Frames of a drive along the straight, 20 m/s, ten a second."""
    for time_s in np.arange(start_s, end_s, 0.1):
        changed = {"x": -30.0 + 20.0 * time_s, "time_s": time_s, **changes}
        yield dataclasses.replace(RUNNING, **changed)


def differing(one, other):
    """Rows and columns, above the gauges, where two pictures differ visibly."""
    apart = np.abs(one[: gauges.TOP].astype(int) - other[: gauges.TOP]).max(-1)
    return np.nonzero(apart > 20)


@pytest.mark.parametrize("camera", ["follow", "track"])
def test_a_picture_has_constant_size_and_is_rgb(camera):
    made = on_oval(camera)
    for frame in (STILL, RUNNING, dataclasses.replace(STILL, x=500.0, y=300.0)):
        shown = made.paint(frame)
        assert shown.shape == (720, 1280, 3)
        assert shown.dtype == np.uint8
    # Grass: more green than red, more red than blue.
    red, green, blue = shown[100:500].reshape(-1, 3).mean(0)
    assert green > red > blue


@pytest.mark.parametrize("camera", ["follow", "track"])
def test_the_same_frames_give_the_same_pictures(camera):
    other = painter(camera)
    made = on_oval(camera)
    for frame in along(0.0, 0.5, slip_rad=0.2, wall_contact=True):
        assert (made.paint(frame) == other.paint(frame)).all()


def test_front_wheels_turn_with_the_steering():
    made = on_oval("follow")
    straight = made.paint(STILL).copy()
    left = made.paint(dataclasses.replace(STILL, steer_rad=0.5)).copy()
    right = made.paint(dataclasses.replace(STILL, steer_rad=-0.5)).copy()
    column, row = made.view.points(np.array([[STILL.x, STILL.y]]))[0]
    for turned in (left, right):
        rows, columns = differing(straight, turned)
        assert len(rows) > 10
        # About the front axle, and nowhere else.
        assert np.abs(columns - column - Car().front_m * made.view.scale).max() < 12
        assert np.abs(rows - row).max() < Car().width_m * made.view.scale


def test_the_car_is_drawn_along_its_heading():
    empty = on_oval("follow")
    shown = empty.paint(dataclasses.replace(STILL, heading_rad=math.pi / 2)).copy()
    at = empty.view.points(np.array([[STILL.x, STILL.y]]))[0].round().astype(int)
    other = empty.paint(STILL).copy()
    rows, columns = differing(shown, other)
    half = Car().length_m / 2 * empty.view.scale
    assert abs(at[1] - rows.min() - half) < 0.35 * half
    assert abs(columns.max() - at[0] - half) < 0.35 * half


def test_brake_lights_are_behind_the_car_and_red():
    rolling, braking = (
        paint(STILL, "follow"),
        paint(dataclasses.replace(STILL, throttle=-1.0), "follow"),
    )
    rows, columns = differing(rolling, braking)
    assert len(rows)
    assert columns.max() < 640 - Car().rear_m * 0.9 * 13
    assert (braking[rows, columns, 0] > braking[rows, columns, 1] + 60).mean() > 0.7


def test_a_wall_hit_leaves_a_mark():
    clean, hit = painter(), painter()
    hurt = {"y": -26.9, "wall_contact": True, "wall_impulse": 3_000.0}
    clean.paint(dataclasses.replace(RUNNING, y=-26.9))
    hit.paint(dataclasses.replace(RUNNING, **hurt))
    for frame in along(1.5, 4.0):
        pictures = clean.paint(frame).copy(), hit.paint(frame).copy()
    rows, columns = differing(*pictures)
    where = hit.view.points(np.array([[0.0, -28.0]]))[0]
    assert 20 < len(rows) < 400
    assert np.abs(columns - where[0]).max() < 3 * hit.view.scale
    assert np.abs(rows - where[1]).max() < 2 * hit.view.scale


def test_the_burst_of_a_hit_fades():
    clean, hit = painter(), painter()
    hurt = {"y": -26.9, "wall_contact": True, "wall_impulse": 8_000.0}
    sizes = []
    clean.paint(dataclasses.replace(STILL, y=-26.9))
    hit.paint(dataclasses.replace(STILL, **hurt))
    for time_s in (0.1, 0.5, 2.0):
        frame = dataclasses.replace(STILL, y=-26.9, time_s=time_s)
        sizes.append(len(differing(clean.paint(frame).copy(), hit.paint(frame))[0]))
    assert sizes[0] > sizes[2]
    assert sizes[1] > sizes[2]


def test_the_trail_has_the_colour_of_the_speed():
    colours = []
    for speed in (8.0, 40.0):
        made = painter()
        for frame in along(0.0, 3.0, speed_m_s=speed):
            shown = made.paint(frame)
        column, row = made.view.points(np.array([[10.0, -22.0]]))[0].round().astype(int)
        colours.append(shown[row, column].astype(int))
    slow, fast = colours
    assert slow[2] > slow[0]
    assert fast[0] > fast[2]


@pytest.mark.parametrize("camera", ["follow", "track"])
def test_reset_clears_trail_and_marks(camera):
    clean = paint(STILL, camera)
    used = on_oval(camera)
    for frame in along(0.0, 0.5, slip_rad=0.3, wall_contact=True):
        used.paint(frame)
    used.reset()
    assert (used.paint(STILL) == clean).all()


def test_gauges_leave_the_upper_part_free():
    plain = paint(STILL)
    told = dataclasses.replace(
        STILL,
        throttle=1.0,
        lap=3,
        lap_time_s=12.0,
        last_lap_s=20.0,
        best_lap_s=19.0,
        progress_m=9.0,
    )
    shown = paint(told)
    assert (shown[: gauges.TOP] == plain[: gauges.TOP]).all()
    assert (shown[gauges.TOP :] != plain[gauges.TOP :]).any()


def test_the_lap_time_of_the_limit_may_come_with_the_track():
    given = painter(limit_lap_s=16.5).paint(STILL)
    assert (given == paint(dataclasses.replace(STILL, limit_lap_s=16.5))).all()


def test_the_line_of_the_limit_is_drawn():
    track = tracks.oval()
    shown = painter(track=track, limit_line=track.centre).paint(STILL)
    rows, _ = differing(paint(STILL), shown)
    assert len(rows) > 100


@pytest.mark.parametrize("heading", np.linspace(-3, 3, 7))
def test_the_following_camera_keeps_the_car_clear_of_the_gauges(heading):
    made = on_oval("follow")
    made.paint(dataclasses.replace(STILL, heading_rad=heading, speed_m_s=70.0))
    column, row = made.view.points(np.array([[STILL.x, STILL.y]]))[0]
    assert 300 < column < 980
    assert 120 < row < gauges.TOP - 40


def test_the_following_camera_looks_ahead_and_moves_smoothly():
    made = on_oval("follow")
    places = []
    for step in range(120):
        # The car turns round at once, as after a crash.
        heading = 0.0 if step < 60 else math.pi
        x = step * 0.5 if step < 60 else 60 - step * 0.5
        made.paint(
            dataclasses.replace(RUNNING, x=x, heading_rad=heading, time_s=step / 40, speed_m_s=20.0)
        )
        places.append(made.view.points(np.array([[x, STILL.y]]))[0])
    columns = np.array(places)[:, 0]
    assert columns[59] < 600
    assert columns[119] > 680
    assert np.abs(np.diff(columns)).max() < 12


@pytest.mark.parametrize("camera", ["follow", "track"])
@pytest.mark.parametrize("far_m", [300.0, 1e4, 1e9, 1e15])
def test_a_car_far_from_the_track_is_no_mistake(camera, far_m):
    made = on_oval(camera)
    frame = dataclasses.replace(STILL, x=far_m, y=-far_m, wall_contact=True, slip_rad=1.0)
    assert made.paint(dataclasses.replace(frame, speed_m_s=30.0)).shape == (720, 1280, 3)


@pytest.mark.parametrize("camera", ["follow", "track"])
def test_a_long_circuit_is_painted(camera):
    track = tracks.oval(straight_m=1_200.0, radius_m=300.0)
    assert track.num_gates > 1_400
    made = painter(camera, track, limit_line=track.centre)
    made.paint(dataclasses.replace(RUNNING, y=-300.0))
    shown = made.paint(dataclasses.replace(RUNNING, x=40.0, y=-300.0, time_s=2.0))
    row, column = made.view.points(np.array([[25.0, -297.0]]))[0].round().astype(int)[::-1]
    assert shown[row, column].astype(int).std() < 30


def test_without_a_track_there_is_nothing_to_paint():
    with pytest.raises(ValueError, match="no track to paint"):
        picture.Painter(Car()).paint(STILL)


def test_there_are_two_cameras():
    with pytest.raises(ValueError, match="expected 'follow' or 'track'"):
        picture.Painter(Car(), "helicopter")
