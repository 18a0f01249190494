"""Limits: the fastest lap that a track and a car allow, and the line that it takes."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import optimize

from gamebridge import errors
from gamebridge_racing.car import GRAVITY_M_S2, Car
from gamebridge_racing.roads import laps, limits, procedural, quadratic, racing_lines, tracks

CAR = Car()


def ring(radius_m, num_points=300):
    angle = np.linspace(0.0, 2 * np.pi, num_points, endpoint=False)
    return radius_m * np.stack([np.cos(angle), np.sin(angle)], 1)


def wall_distance(line, wall):
    """float64 [M]: of each point of a line to the nearest piece of a wall, in metres."""
    edge = np.roll(wall, -1, 0) - wall
    away = line[:, None] - wall
    along = np.clip((away * edge).sum(2) / (edge**2).sum(1), 0.0, 1.0)
    return np.hypot(*(away - along[..., None] * edge).transpose(2, 0, 1)).min(1)


@pytest.fixture(scope="module")
def tour():
    """Sixteen tracks, each with its limit."""
    found = [procedural.circuit(number) for number in range(0, 300, 20)] + [tracks.oval()]
    return [(track, limits.lap_limit(track, CAR)) for track in found]


@pytest.mark.parametrize("radius_m", [12.0, 30.0, 100.0])
def test_a_circle_is_driven_at_the_speed_of_the_formula(radius_m):
    lap = limits.lap(ring(radius_m), CAR)
    np.testing.assert_allclose(lap.speed_m_s, CAR.cornering_speed_m_s(radius_m), rtol=0.01)
    assert lap.lap_s == pytest.approx(2 * np.pi * radius_m / lap.speed_m_s.mean(), rel=1e-3)


def test_a_circle_too_wide_for_the_engine_is_driven_at_top_speed():
    assert limits.lap(ring(3_000.0), CAR).speed_m_s == pytest.approx(CAR.top_speed_m_s(), rel=1e-3)


def test_speeds_change_no_faster_than_grip_engine_and_brakes_allow(tour):
    held = CAR.grip * GRAVITY_M_S2
    for _, limit in tour:
        square = limit.speed_m_s**2
        change = (np.roll(square, -1) - square) / (2 * np.diff(limit.s_m))
        drag = (CAR.drag_kg_m * square + CAR.rolling_force_n) / CAR.mass_kg
        assert change.min() >= -(held + drag.max()) * 1.001
        slower = np.minimum(limit.speed_m_s, np.roll(limit.speed_m_s, -1))
        assert (change <= CAR.power_w / CAR.mass_kg / slower + 1e-6).all()
        assert (change <= CAR.drive_force_n / CAR.mass_kg + 1e-6).all()
        assert limit.speed_m_s.max() <= CAR.top_speed_m_s() * 1.001


def test_braking_from_top_speed_takes_the_distance_of_the_formula():
    # Two long straights joined by tight corners: half the lap is one straight.
    limit = limits.lap(tracks.oval(1_500.0, 15.0, 8.0).centre, CAR)
    fast, slow = 50.0, 20.0
    down = np.flatnonzero((limit.speed_m_s > fast) & (np.roll(limit.speed_m_s, -1) <= fast))[0]
    there = down + np.flatnonzero(limit.speed_m_s[down:] <= slow)[0]
    wanted = CAR.stopping_distance_m(fast) - CAR.stopping_distance_m(slow)
    assert limit.s_m[there] - limit.s_m[down] == pytest.approx(wanted, abs=2.0)


def test_the_car_stays_off_the_walls(tour):
    for track, limit in tour:
        for wall in (track.left, track.right):
            # Pieces of wall are straight: two centimetres are left for that.
            assert wall_distance(limit.line, wall).min() > CAR.width_m / 2 + 0.18, track.name


def test_the_limit_is_below_the_centre_line_and_the_line_of_least_curvature(tour):
    for track, limit in tour:
        road = racing_lines.corridor(track, CAR.width_m / 2 + limits.MARGIN_M)
        straightest = racing_lines.least_curvature(road, np.zeros(track.num_gates))
        assert limit.lap_s < 0.95 * limits.lap_time(track.centre, CAR), track.name
        assert limit.lap_s < limits.lap_time(road.line(straightest), CAR), track.name


def test_no_other_line_nearby_is_much_faster(tour):
    random = np.random.default_rng(3)
    compared = 0
    for track, limit in tour[::5]:
        along = np.roll(limit.line, -1, 0) - np.roll(limit.line, 1, 0)
        normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.hypot(*along.T)[:, None]
        s = limit.s_m[:-1] / limit.s_m[-1]
        for _ in range(20):
            shape = sum(
                random.normal(0.0, 0.1) * np.cos(2 * np.pi * (wave * s + random.random()))
                for wave in range(1, 12)
            )
            line = limit.line + shape[:, None] * normal
            # What would be nearer to a wall than the limit may be is pushed back by so much.
            for wall, side in ((track.left, -1), (track.right, 1)):
                near = wall_distance(line, wall) - (CAR.width_m / 2 + limits.MARGIN_M)
                line = line - side * np.minimum(near, 0.0)[:, None] * normal
            line = line[::4]
            compared += 1
            assert limits.lap_time(line, CAR) > 0.999 * limit.lap_s
    assert compared == 80


def test_the_lap_of_a_limits_line_takes_its_time(tour):
    for track, limit in tour:
        assert limits.lap_time(limit.line, CAR) == pytest.approx(limit.lap_s, rel=2e-3), track.name


def test_a_limit_has_one_speed_and_curvature_for_each_point(tour):
    for _, limit in tour:
        count = len(limit.line)
        assert limit.line.shape == (count, 2)
        assert limit.speed_m_s.shape == limit.curvature.shape == (count,)
        assert limit.s_m.shape == (count + 1,)
        turned = (limit.curvature * np.diff(limit.s_m)).sum()
        assert abs(turned) == pytest.approx(2 * np.pi, rel=0.01)


def test_where_a_lap_is_begun_changes_nothing():
    line = procedural.circuit(4).centre
    assert limits.lap_time(np.roll(line, 50, 0), CAR) == pytest.approx(
        limits.lap_time(line, CAR), rel=1e-3
    )


@pytest.mark.parametrize(
    ("better", "than"),
    [
        (Car(grip=1.2), CAR),
        (Car(power_w=250_000.0), CAR),
        (CAR, Car(brake_force_n=6_000.0)),
        (CAR, Car(drag_area_m2=3.0)),
        (CAR, Car(mass_kg=1_500.0)),
    ],
)
def test_a_better_car_laps_faster(better, than):
    track = procedural.circuit(2)
    assert limits.lap_limit(track, better).lap_s < limits.lap_limit(track, than).lap_s


@pytest.mark.parametrize(
    "car",
    [
        Car(grip=0.1),
        Car(grip=3.0, height_m=1.0),
        Car(power_w=5_000.0),
        Car(power_w=5e6, drive_force_n=1e5),
        Car(drag_area_m2=50.0),
        Car(brake_force_n=10.0),
        Car(rolling=0.5, grip=0.2),
    ],
)
@pytest.mark.parametrize("track", [tracks.oval(), tracks.oval(20.0, 10.0, 1.5)])
def test_every_car_has_a_limit_on_every_track(track, car):
    limit = limits.lap_limit(track, car)
    assert np.isfinite(limit.lap_s)
    assert (limit.speed_m_s > 0).all()


def test_the_line_of_least_curvature_on_a_ring_is_the_outer_wall():
    # The integral of squared curvature over a circle is 2 pi / radius.
    widths = np.full(300, 5.0)
    track = tracks.from_centre_line("ring", ring(50.0), widths, widths)
    road = racing_lines.corridor(track, 1.0)
    line = road.line(racing_lines.least_curvature(road, np.zeros(track.num_gates)))
    np.testing.assert_allclose(np.hypot(*line.T), 54.0, atol=0.02)


def test_costs_are_the_derivatives_of_the_lap_time():
    track = procedural.circuit(3)
    road = racing_lines.corridor(track, 1.0)
    shift = racing_lines.least_curvature(road, np.zeros(track.num_gates))
    build = laps.build(CAR)

    def lap(by):
        curve = racing_lines.Curve.through(road.line(shift + by))
        return laps.fastest(curve.curvature, curve.legs_m, build)[1]

    curve = racing_lines.Curve.through(road.line(shift))
    seconds, *slopes = laps.costs(curve.curvature, curve.legs_m, build)
    assert seconds == pytest.approx(lap(0.0))
    slope = (curve.pulled(*slopes) * road.across).sum(1)
    random = np.random.default_rng(0)
    for _ in range(5):
        way = random.normal(size=len(shift)) * 1e-6
        assert lap(way) - lap(-way) == pytest.approx(2 * slope @ way, rel=0.02)


def test_a_quadratic_problem_has_the_minimum_that_scipy_finds():
    random = np.random.default_rng(0)
    for count in (5, 8, 9, 60):
        # A matrix of rows that meet three neighbours each, as curvatures do.
        rows = np.zeros((count, count))
        for i in range(count):
            rows[i, [(i - 1) % count, i, (i + 1) % count]] = random.normal(size=3)
        aim = random.normal(size=count) * 3
        full = rows.T @ rows + 0.1 * np.eye(count)
        i = np.arange(count)
        bands = np.stack([full[i, (i + band) % count] for band in (0, 1, 2)])
        low, high = -random.random(count) - 0.01, random.random(count) + 0.01
        found = quadratic.minimise(bands, -rows.T @ aim, low, high, 1e-9)
        stacked = np.concatenate([rows, np.sqrt(0.1) * np.eye(count)])
        wanted = optimize.lsq_linear(
            stacked, np.concatenate([aim, np.zeros(count)]), (low, high), tol=1e-12
        )
        np.testing.assert_allclose(found, wanted.x, atol=1e-4)
        assert ((low < found) & (found < high)).all()
        assert (np.minimum(found - low, high - found) < 1e-4).any()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (ring(20.0)[:2], "2 points for a lap; expected at least 3"),
        (np.repeat(ring(20.0), 2, 0), "no two in a row the same"),
        (ring(20.0) * np.nan, "all finite"),
        (ring(20.0)[:, 0], r"shape \(300,\)"),
    ],
)
def test_what_is_no_line_is_refused(line, says):
    with pytest.raises(errors.GameError, match=says):
        limits.lap_time(line, CAR)


def test_a_closing_point_that_repeats_the_first_changes_nothing():
    line = ring(40.0)
    closed = np.concatenate([line, line[:1]])
    assert limits.lap_time(closed, CAR) == limits.lap_time(line, CAR)


def test_a_limit_is_found_in_a_blink(tour):
    # `tour` compiled the kernels. Four times what it takes.
    started = time.process_time()
    limits.lap_limit(procedural.circuit(11), CAR)
    assert time.process_time() - started < 0.16
    angle = np.linspace(0.0, 2 * np.pi, 800, endpoint=False)
    radius = 580.0 * (1 + 0.3 * np.cos(3 * angle))
    line = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    track = tracks.from_centre_line("long", line, np.full(800, 6.0), np.full(800, 6.0))
    assert track.length_m > 4_000
    started = time.process_time()
    limits.lap_limit(track, CAR)
    assert time.process_time() - started < 1.5
