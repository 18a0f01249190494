"""`Limit`: how fast a car can lap a track at all, as far as line and tyres decide it.

From the line of least curvature on (`racing_lines`), the line is shifted to where the lap
(`laps`) takes less time: the derivative of the lap time by every shift is known, and each
step minimises it plus the change of curvature that it costs, within the walls. A step that
loses time is taken back and the next one is shorter (Kapania, Subosits and Gerdes, "A
sequential two-step algorithm for fast generation of vehicle racing trajectories", 2016,
take turns between line and speeds likewise).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import interpolate

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge_racing.car import Car
from gamebridge_racing.roads import laps, quadratic, racing_lines, tracks

STEP_M = 1.0
# Between the car's side and a wall.
MARGIN_M = 0.2
# Steps of the line toward a faster lap, and how much less gain over ten of them ends it.
MAX_STEPS = 30
ENOUGH = 5e-4


@dataclasses.dataclass(frozen=True, eq=False)
class Limit:
    """A closed line and the fastest lap along it.

    Attributes:
      line: float64 [M, 2], in metres.
      s_m: float64 [M + 1], distance along the line; the last is its length.
      speed_m_s: float64 [M].
      curvature: float64 [M], 1/m, above 0 to the left.
      lap_s: time of the lap.
    """

    line: Array
    s_m: Array
    speed_m_s: Array
    curvature: Array
    lap_s: float


def lap_limit(track: tracks.Track, car: Car) -> Limit:
    """Returns the fastest lap between the walls of a track that was found."""
    road = racing_lines.corridor(track, car.width_m / 2 + MARGIN_M)
    shift = racing_lines.least_curvature(road, np.zeros(track.num_gates))
    curve = racing_lines.Curve.through(road.line(_hastened(road, shift, laps.build(car))))
    return _limit(curve.place, curve.curvature, curve.legs_m, car)


def lap_time(line: Array, car: Car) -> float:
    """Returns the seconds of a flying lap along a closed line (see `lap`)."""
    return lap(line, car).lap_s


def lap(line: Array, car: Car) -> Limit:
    """Returns the fastest lap along a closed line.

    Args:
      line: [K, 2], in metres, in the order of driving; joined by a periodic cubic spline.
      car: that drives it.

    Raises:
      GameError: the line is not at least three finite points, no two in a row the same.
    """
    points = np.asarray(line, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise errors.GameError(
            f"a line of shape {points.shape} for a lap; expected points [x, y], all finite."
        )
    if len(points) > 1 and (points[0] == points[-1]).all():
        points = points[:-1]
    steps = np.hypot(*(np.roll(points, -1, 0) - points).T)
    if len(points) < 3 or not (steps > 0).all():
        raise errors.GameError(
            f"a line of {len(points)} points for a lap; expected at least 3, no two in a row "
            "the same."
        )
    chords = np.concatenate([[0.0], np.cumsum(steps)])
    spline = interpolate.CubicSpline(
        chords, np.concatenate([points, points[:1]]), bc_type="periodic"
    )
    count = max(tracks.MIN_CROSS_LINES, round(chords[-1] / STEP_M))
    at = np.arange(count) * (chords[-1] / count)
    curve = racing_lines.Curve(spline(at), spline(at, 1), spline(at, 2))
    return _limit(curve.place, curve.curvature, curve.legs_m, car)


def _limit(line: Array, curvature: Array, legs: Array, car: Car) -> Limit:
    speed, seconds = laps.fastest(curvature, legs, laps.build(car))
    return Limit(line, np.concatenate([[0.0], np.cumsum(legs)]), speed, curvature, seconds)


def _hastened(road: racing_lines.Corridor, shift: Array, car: Array) -> Array:
    """Returns float64 [N], shifts of a line near this one whose lap takes less time."""
    curve = racing_lines.Curve.through(road.line(shift))
    seconds, *slopes = laps.costs(curve.curvature, curve.legs_m, car)
    matrix, gradient = _model(road, shift, curve, *slopes)
    # What a change of curvature costs a step: seconds over squared curvature times length.
    stay = 1_000.0
    history = [seconds]
    while len(history) <= MAX_STEPS:
        step = quadratic.minimise(
            stay * matrix, gradient, road.low - shift, road.high - shift, 1e-3
        )
        curve = racing_lines.Curve.through(road.line(shift + step))
        new_seconds, *slopes = laps.costs(curve.curvature, curve.legs_m, car)
        if new_seconds < seconds:
            shift, seconds = shift + step, new_seconds
            matrix, gradient = _model(road, shift, curve, *slopes)
            stay /= 1.5
        else:
            stay *= 2
        history.append(seconds)
        if len(history) > 10 and history[-10] - seconds < ENOUGH * seconds:
            break
    return shift


def _model(
    road: racing_lines.Corridor,
    shift: Array,
    curve: racing_lines.Curve,
    by_curvature: Array,
    by_leg: Array,
) -> tuple[Array, Array]:
    """Returns what a step minimises: the curvature's matrix, the lap time's gradient."""
    matrix, _ = racing_lines.linearise(road, shift)
    return matrix, (curve.pulled(by_curvature, by_leg) * road.across).sum(1)
