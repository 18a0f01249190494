"""The physics against closed formulas, and the walls against brute force."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from gamebridge_racing import car as cars
from gamebridge_racing import columns, game, garage, physics, settings
from gamebridge_racing.roads import procedural, tracks

CAR = cars.Car()
BODY = physics.build(CAR)
DT = 0.01


def new_car(car=CAR, **values):
    row = np.zeros(columns.NUM_CAR)
    row[columns.GRIP] = row[columns.POWER] = 1.0
    row[columns.MASS], row[columns.INERTIA] = car.mass_kg, car.yaw_inertia_kg_m2
    for name, value in values.items():
        row[getattr(columns, name)] = value
    return row


def roll(row, seconds, wheel=0.0, pedal=0.0, body=BODY):
    row[columns.WHEEL], row[columns.PEDAL] = wheel, pedal
    for _ in range(round(seconds / DT)):
        physics.drive(row, body, DT)
    return row


def speed(row):
    return math.hypot(row[columns.SPEED_ALONG], row[columns.SPEED_ACROSS])


def energy(row):
    moving = 0.5 * row[columns.MASS] * speed(row) ** 2
    return moving + 0.5 * row[columns.INERTIA] * row[columns.YAW_RATE] ** 2


def test_full_throttle_ends_at_the_speed_where_the_engine_just_holds_the_air():
    row = roll(new_car(), 200.0, pedal=1.0)
    assert row[columns.SPEED_ALONG] == pytest.approx(CAR.top_speed_m_s(), rel=0.02)


def test_more_drag_lowers_the_top_speed_as_the_formula_says():
    draggy = cars.Car(drag_area_m2=2.0, power_w=60_000.0)
    row = roll(new_car(draggy), 200.0, pedal=1.0, body=physics.build(draggy))
    assert row[columns.SPEED_ALONG] == pytest.approx(draggy.top_speed_m_s(), rel=0.02)
    assert draggy.top_speed_m_s() < 0.6 * CAR.top_speed_m_s()


@pytest.mark.parametrize("start_m_s", [10.0, 30.0, 60.0])
def test_full_braking_stops_where_the_formula_says(start_m_s):
    row = roll(new_car(SPEED_ALONG=start_m_s), 20.0, pedal=-1.0)
    assert row[columns.X] == pytest.approx(CAR.stopping_distance_m(start_m_s), rel=0.02)
    assert abs(row[columns.SPEED_ALONG]) < 1e-6


def test_weak_brakes_stop_later_as_the_formula_says():
    weak = cars.Car(brake_force_n=4_000.0)
    row = roll(new_car(SPEED_ALONG=30.0), 30.0, pedal=-1.0, body=physics.build(weak))
    assert row[columns.X] == pytest.approx(weak.stopping_distance_m(30.0), rel=0.02)


@pytest.mark.parametrize("radius_m", [20.0, 50.0, 150.0])
def test_the_fastest_steady_circle_is_as_fast_as_the_formula_says(radius_m):
    """The car is held on a circle while it gets faster, until the tyres let go."""
    limit = CAR.cornering_speed_m_s(radius_m)
    wanted = 0.6 * limit
    row = new_car(SPEED_ALONG=wanted, Y=-radius_m, YAW_RATE=wanted / radius_m)
    fastest = 0.0
    for _ in range(60_000):
        wanted += 1.5e-5 * limit
        out = math.hypot(row[columns.X], row[columns.Y]) - radius_m
        if abs(out) > 0.03 * radius_m:
            break
        fastest = max(fastest, speed(row))
        tangent = math.atan2(row[columns.Y], row[columns.X]) + math.pi / 2
        course = row[columns.HEADING] + math.atan2(
            row[columns.SPEED_ACROSS], row[columns.SPEED_ALONG]
        )
        error = math.remainder(tangent - course, 2 * math.pi)
        steer = CAR.wheelbase_m / radius_m + error + 0.05 * out
        row[columns.WHEEL] = np.clip(steer / CAR.steer_rad, -1, 1)
        row[columns.PEDAL] = np.clip(wanted - speed(row), -1, 1)
        physics.drive(row, BODY, DT)
    assert fastest == pytest.approx(limit, rel=0.02)


def test_a_neutral_car_turns_as_steering_angle_over_wheelbase_at_low_grip_use():
    # Yaw rate v * steer / wheelbase: Rajamani, "Vehicle Dynamics and Control", section 2.2.
    row = roll(new_car(SPEED_ALONG=5.0), 3.0, wheel=0.1, pedal=0.02)
    expected = speed(row) * 0.1 * CAR.steer_rad / CAR.wheelbase_m
    assert row[columns.YAW_RATE] == pytest.approx(expected, rel=0.03)


def test_tyres_never_hold_more_than_their_friction():
    generator = np.random.default_rng(0)
    most = CAR.grip * physics.GRAVITY
    for _ in range(300):
        row = new_car(
            SPEED_ALONG=generator.uniform(-20, 60),
            SPEED_ACROSS=generator.uniform(-15, 15),
            YAW_RATE=generator.uniform(-3, 3),
            STEER=generator.uniform(-0.6, 0.6),
        )
        row[columns.WHEEL], row[columns.PEDAL] = generator.uniform(-1, 1, 2)
        before = [row[c] for c in (columns.SPEED_ALONG, columns.SPEED_ACROSS)]
        turned = row[columns.HEADING]
        physics.drive(row, BODY, 1e-4)
        turned = row[columns.HEADING] - turned
        after = np.asarray([row[columns.SPEED_ALONG], row[columns.SPEED_ACROSS]])
        turn = np.asarray(
            [[math.cos(turned), -math.sin(turned)], [math.sin(turned), math.cos(turned)]]
        )
        drag = CAR.drag_kg_m * before[0] ** 2 + CAR.rolling_force_n
        push = np.hypot(*(turn @ after - before)) / 1e-4
        assert push <= (most + drag / CAR.mass_kg) * 1.001


def test_a_wall_never_adds_energy():
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(5_000):
        row = new_car(
            HEADING=generator.uniform(-math.pi, math.pi),
            SPEED_ALONG=generator.uniform(-30, 50),
            SPEED_ACROSS=generator.uniform(-20, 20),
            YAW_RATE=generator.uniform(-6, 6),
        )
        before = energy(row)
        arm, angle = generator.uniform(-2.5, 2.5, 2), generator.uniform(-math.pi, math.pi)
        into, impulse = physics.push(
            row, arm[0], arm[1], math.cos(angle), math.sin(angle),
            generator.uniform(0, 1), generator.uniform(0, 1),
        )  # fmt: skip
        hits += into > 0
        assert energy(row) <= before * (1 + 1e-12)
        assert impulse >= 0
    assert hits > 1_000


def test_cars_thrown_into_walls_lose_energy_and_stay_on_the_road():
    generator = np.random.default_rng(2)
    track = procedural.circuit(3)
    lane = garage._road(track)
    for _ in range(200):
        gate = int(generator.integers(track.num_gates))
        x, y = track.centre[gate]
        row = new_car(
            X=x, Y=y, HEADING=generator.uniform(-math.pi, math.pi),
            SPEED_ALONG=generator.uniform(0, 60), SPEED_ACROSS=generator.uniform(-20, 20),
            YAW_RATE=generator.uniform(-5, 5),
        )  # fmt: skip
        for _ in range(300):
            physics.drive(row, BODY, DT)
            gate = physics.follow(lane, gate, row[columns.X], row[columns.Y])
            before = energy(row)
            physics.touch(row, lane, gate, BODY)
            assert energy(row) <= before * (1 + 1e-12)
        for side in (0, 1):
            assert physics.depth(lane, gate, side, row[columns.X], row[columns.Y]) < 0


def test_a_bounce_gives_back_what_restitution_says():
    bouncy = cars.Car(wall_restitution=0.5, wall_friction=0.0)
    row = new_car(bouncy, SPEED_ALONG=10.0)
    # Head on, at the nose: nothing turns.
    physics.push(row, 2.0, 0.0, -1.0, 0.0, 0.5, 0.0)
    assert row[columns.SPEED_ALONG] == pytest.approx(-5.0)
    assert row[columns.YAW_RATE] == 0.0


def test_a_scrape_takes_friction_times_the_impulse():
    row = new_car(SPEED_ALONG=20.0, SPEED_ACROSS=-2.0)
    # The wall is below: it pushes up, through the centre of gravity.
    _, impulse = physics.push(row, 0.0, 0.0, 0.0, 1.0, 0.0, 0.2)
    assert row[columns.SPEED_ACROSS] == pytest.approx(0.0, abs=1e-9)
    assert impulse == pytest.approx(2.0 * CAR.mass_kg)
    assert row[columns.SPEED_ALONG] == pytest.approx(20.0 - 0.2 * 2.0)


def brute_ray(track, x, y, dx, dy, reach):
    """The nearest crossing with any piece of either wall."""
    best = reach
    for wall in (track.left, track.right):
        start, edge = wall, np.roll(wall, -1, 0) - wall
        across = dx * edge[:, 1] - dy * edge[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            along = ((start[:, 0] - x) * edge[:, 1] - (start[:, 1] - y) * edge[:, 0]) / across
            part = ((start[:, 0] - x) * dy - (start[:, 1] - y) * dx) / across
        hit = along[(along > 0) & (part >= 0) & (part <= 1)]
        if len(hit):
            best = min(best, float(hit.min()))
    return best


@pytest.mark.parametrize("track", [tracks.oval(), procedural.circuit(1), procedural.circuit(2)])
def test_rays_are_exact(track):
    generator = np.random.default_rng(3)
    lane = garage._road(track)
    for _ in range(2_000):
        gate = int(generator.integers(track.num_gates))
        along, across = generator.uniform(0.05, 0.95, 2)
        following = (gate + 1) % track.num_gates
        left = (1 - along) * track.left[gate] + along * track.left[following]
        right = (1 - along) * track.right[gate] + along * track.right[following]
        x, y = (1 - across) * right + across * left
        angle = generator.uniform(-math.pi, math.pi)
        dx, dy = math.cos(angle), math.sin(angle)
        found = physics.ray(lane, gate, x, y, dx, dy, 80.0)
        assert found == pytest.approx(brute_ray(track, x, y, dx, dy, 80.0), abs=1e-6)


def test_a_place_is_followed_from_any_gate():
    track = procedural.circuit(5)
    lane = garage._road(track)
    middles = (track.centre + np.roll(track.centre, -1, 0)) / 2
    for start in (0, 7, track.num_gates - 1):
        gate = start
        for offset in range(track.num_gates):
            aim = (start + offset) % track.num_gates
            gate = physics.follow(lane, gate, *middles[aim])
            assert gate == aim


def test_approximations_are_as_close_as_they_say():
    x = np.linspace(-40.0, 40.0, 4_001)
    assert max(abs(physics.arctan(v) - math.atan(v)) for v in x) < 3e-8
    for v in np.linspace(-2.1, 2.1, 1_001):
        sine, cosine = physics.sine_cosine(v)
        assert abs(sine - math.sin(v)) < 1e-7
        assert abs(cosine - math.cos(v)) < 1e-6


def test_random_numbers_of_the_kernels_are_uniform_and_normal():
    state = np.asarray([5], np.uint64)
    drawn = np.asarray([physics.uniform(state, 0) for _ in range(20_000)])
    assert 0 <= drawn.min() < 0.001 and 0.999 < drawn.max() < 1
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    normal = np.asarray([physics.normal(state, 0) for _ in range(20_000)])
    assert normal.mean() == pytest.approx(0.0, abs=0.03)
    assert normal.std() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"mass_kg": 0.0}, "mass_kg is 0.0"),
        ({"wall_restitution": 1.5}, "wall_restitution is 1.5"),
        ({"wall_friction": -0.1}, "wall_friction is -0.1"),
    ],
)
def test_what_is_no_car_is_refused(values, words):
    with pytest.raises(ValueError, match=words):
        cars.Car(**values)


SHARES = ("traction_control", "wall_restitution", "wall_friction")
# A car larger than the oval cannot be on it.
SIZES = ("length_m", "width_m")
SCALED = [f for f in dataclasses.fields(CAR) if f.name not in (*SHARES, *SIZES)]


@pytest.mark.parametrize("factor", [cars._LEAST, cars._GREATEST])
@pytest.mark.parametrize("field", SCALED, ids=lambda field: field.name)
def test_the_most_extreme_cars_stay_finite_and_on_the_road(field, factor):
    car = dataclasses.replace(CAR, **{field.name: field.default * factor})
    track = tracks.oval()
    made = game.RacingGame(4, garage.always(track), settings.Oval(car=car))
    made.reset()
    low_x, low_y, high_x, high_y = track.bounds_m()
    for action in np.random.default_rng(0).uniform(-1, 1, (100, 4, 2)).astype(np.float32):
        step = made.step(action)
        assert np.isfinite(step.reward).all()
        assert np.isfinite(made._cars).all()
        assert (made._cars[:, columns.X] > low_x).all()
        assert (made._cars[:, columns.X] < high_x).all()
        assert (made._cars[:, columns.Y] > low_y).all()
        assert (made._cars[:, columns.Y] < high_y).all()


def test_settings_keep_the_physics_step_short():
    assert settings.Racing().step_s / settings.Racing().substeps <= 0.01
