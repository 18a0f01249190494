"""Laps: speeds of the fastest closed lap along a line, and what each place of it costs.

A quasi-steady-state lap (Brayshaw and Harrison, "A quasi steady state approach to race car
lap simulation", Proc. IMechE Part D 219, 2005): at every place the car is in balance on its
tyres, and corners bound its speed; between them it drives and brakes as hard as tyres,
engine and brakes allow. The tyres:

* front ones carry their share of the centripetal force under the load that is left to them;
* rear ones carry theirs and all of the drive, in a friction circle, under the load that
  the acceleration moves onto them;
* all four brake and turn in one friction circle, as far as the rear ones, under the load
  that braking leaves to them, hold the bend.

Slip angles cost nothing here, and the car turns in and out of corners at once: a driver
comes near this lap.
"""

from __future__ import annotations

import math

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing import kernels
from gamebridge_racing.car import GRAVITY_M_S2, Car

_kernel = kernels.kernel()
# Squared speeds that cars keep between, in m^2/s^2.
_SLOWEST, _FASTEST = 1e-2, 1e5
# A car turns in and out over about its own length and more: it feels the curvature averaged
# over so many places. They are about a metre apart.
_FELT = 7
# What bounds the speed of a place: its bend, braking for the next, driving from the last.
_BEND, _BRAKE, _DRIVE = 0, 1, 2


def build(car: Car) -> Array:
    """Returns float64 [10], what the kernels know of a car."""
    return np.array(
        [
            car.grip, car.mass_kg, car.front_m, car.rear_m, car.height_m, car.power_w,
            car.drive_force_n, car.brake_force_n, car.drag_kg_m, car.rolling_force_n,
        ]
    )  # fmt: skip


@_kernel
def _drives(square: float, bend: float, car: Array) -> float:
    """Greatest acceleration at a squared speed in a bend."""
    grip, mass, front, rear, height, power, push, _, drag, rolling = car
    base = front + rear
    held = (drag * square + rolling) / mass
    across = square * abs(bend)
    engine = min(push, power / max(math.sqrt(square), 1.0)) / mass
    # With f, the tyres' force along over the mass, by which the load moves too: front tyres
    # hold across * rear <= grip * (g * rear - height * f),
    steers = (GRAVITY_M_S2 - across / grip) * rear / height
    # rear ones (base * f)^2 + (across * front)^2 <= (grip * (g * front + height * f))^2.
    lift, load = grip * height, grip * GRAVITY_M_S2 * front
    a = max(base * base - lift * lift, 1e-6)
    inside = (lift * load) ** 2 - a * ((across * front) ** 2 - load * load)
    holds = (lift * load + math.sqrt(inside)) / a if inside >= 0.0 else -held
    return min(engine, steers, holds) - held


@_kernel
def _brakes(square: float, bend: float, car: Array) -> float:
    """Greatest deceleration at a squared speed in a bend."""
    grip, mass, front, _, height, _, _, brakes, drag, rolling = car
    across = square * abs(bend)
    left = math.sqrt(max((grip * GRAVITY_M_S2) ** 2 - across * across, 0.0))
    # Braking takes load off the rear tyres, which have their share of the bend to hold.
    rear = max(GRAVITY_M_S2 - across / grip, 0.0) * front / height
    return min(left, rear, brakes / mass) + (drag * square + rolling) / mass


@_kernel
def _bound(bend: float, top: float, car: Array) -> float:
    """Greatest squared speed, up to `top`, of going round a bend without slowing down."""
    grip, mass, _, rear, height, _, _, _, drag, rolling = car
    # What the front tyres hold while drag and rolling resistance are driven against.
    lost = grip * height / (mass * rear)
    high = min(max(grip * GRAVITY_M_S2 - lost * rolling, 0.0) / (abs(bend) + lost * drag), top)
    if _drives(high, bend, car) >= -1e-6:
        return high
    # The rear ones hold less.
    low = 0.0
    for _ in range(40):
        middle = (low + high) / 2
        if _drives(middle, bend, car) >= 0.0:
            low = middle
        else:
            high = middle
    return max(low, _SLOWEST)


@_kernel
def _driven(square: float, bend: float, next_bend: float, leg: float, car: Array) -> float:
    """The squared speed after a leg of driving: midpoint rule, as force depends on speed."""
    half = square + leg * max(_drives(square, bend, car), 0.0)
    return square + 2.0 * leg * max(_drives(half, (bend + next_bend) / 2, car), 0.0)


@_kernel
def _braked(square: float, bend: float, last_bend: float, leg: float, car: Array) -> float:
    """The squared speed before a leg of braking."""
    half = square + leg * _brakes(square, bend, car)
    return square + 2.0 * leg * _brakes(half, (bend + last_bend) / 2, car)


@_kernel
def _felt(values: Array) -> Array:
    """Means over _FELT places of a closed lap; the map is its own transpose."""
    count = len(values)
    total = 0.0
    for i in range(-(_FELT // 2), _FELT // 2 + 1):
        total += values[i % count]
    means = np.empty(count)
    for i in range(count):
        means[i] = total / _FELT
        total += values[(i + _FELT // 2 + 1) % count] - values[(i - _FELT // 2) % count]
    return means


@_kernel
def _pass(curvature: Array, legs: Array, car: Array) -> tuple[Array, Array, int, float]:
    """Squared speeds [K], what bounds each, the slowest place, and the top speed squared."""
    count = len(curvature)
    square = np.empty(count)
    reason = np.zeros(count, np.int64)
    top = _bound(0.0, _FASTEST, car)
    for i in range(count):
        square[i] = _bound(curvature[i], top, car)
    # The slowest place is passed at its own bound; from there round, the lap is known.
    slowest = int(np.argmin(square))
    for k in range(count - 1):
        i = (slowest - k) % count
        j = (i - 1) % count
        reached = _braked(square[i], curvature[i], curvature[j], legs[j], car)
        if reached < square[j]:
            square[j], reason[j] = reached, _BRAKE
    for k in range(count - 1):
        i = (slowest + k) % count
        j = (i + 1) % count
        reached = _driven(square[i], curvature[i], curvature[j], legs[i], car)
        if reached < square[j]:
            square[j], reason[j] = reached, _DRIVE
    return square, reason, slowest, top


@_kernel
def fastest(curvature: Array, legs: Array, car: Array) -> tuple[Array, float]:
    """Returns the speeds float64 [K], in m/s, and the seconds of the fastest closed lap.

    Args:
      curvature: float64 [K], of each place, 1/m, above 0 to the left.
      legs: float64 [K], from each place to the next one, in metres.
      car: see `build`.
    """
    square, _, _, _ = _pass(_felt(curvature), legs, car)
    speed = np.sqrt(square)
    seconds = 0.0
    for i in range(len(speed)):
        seconds += 2.0 * legs[i] / (speed[i] + speed[(i + 1) % len(speed)])
    return speed, seconds


@_kernel
def costs(curvature: Array, legs: Array, car: Array) -> tuple[float, Array, Array]:
    """Returns the seconds of `fastest`, and their derivatives float64 [K] by its arguments.

    Backwards through the passes: what a place's speed is worth goes on to what bounded it.
    """
    count = len(curvature)
    curvature = _felt(curvature)
    square, reason, slowest, top = _pass(curvature, legs, car)
    speed = np.sqrt(square)
    by_curvature, by_leg, worth = np.zeros(count), np.zeros(count), np.zeros(count)
    seconds = 0.0
    for i in range(count):
        j = (i + 1) % count
        both = speed[i] + speed[j]
        seconds += 2.0 * legs[i] / both
        by_leg[i] = 2.0 / both
        worth[i] -= legs[i] / (both * both * speed[i])
        worth[j] -= legs[i] / (both * both * speed[j])
    tiny = 1e-6
    for k in range(count - 2, -1, -1):
        i = (slowest + k) % count
        j = (i + 1) % count
        if reason[j] == _DRIVE:
            q, a, b, leg = square[i], curvature[i], curvature[j], legs[i]
            reached, more = _driven(q, a, b, leg, car), 1e-5 * q
            worth[i] += worth[j] * (_driven(q + more, a, b, leg, car) - reached) / more
            by_curvature[i] += worth[j] * (_driven(q, a + tiny, b, leg, car) - reached) / tiny
            by_curvature[j] += worth[j] * (_driven(q, a, b + tiny, leg, car) - reached) / tiny
            by_leg[i] += worth[j] * (_driven(q, a, b, leg + tiny, car) - reached) / tiny
    for k in range(count - 2, -1, -1):
        i = (slowest - k) % count
        j = (i - 1) % count
        if reason[j] == _BRAKE:
            q, a, b, leg = square[i], curvature[i], curvature[j], legs[j]
            reached, more = _braked(q, a, b, leg, car), 1e-5 * q
            worth[i] += worth[j] * (_braked(q + more, a, b, leg, car) - reached) / more
            by_curvature[i] += worth[j] * (_braked(q, a + tiny, b, leg, car) - reached) / tiny
            by_curvature[j] += worth[j] * (_braked(q, a, b + tiny, leg, car) - reached) / tiny
            by_leg[j] += worth[j] * (_braked(q, a, b, leg + tiny, car) - reached) / tiny
    for i in range(count):
        if reason[i] == _BEND:
            bend = curvature[i]
            more = 1e-3 * max(abs(bend), 1e-3)
            change = _bound(bend + more, top, car) - _bound(bend - more, top, car)
            by_curvature[i] += worth[i] * change / (2.0 * more)
    return seconds, _felt(by_curvature), by_leg
