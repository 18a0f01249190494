"""Racing lines: paths between the walls, of the least curvature to begin with.

After Heilmeier, Wischnewski, Hermansdorfer, Betz, Lienkamp and Lohmann, "Minimum curvature
trajectory planning and control for an autonomous race car" (Vehicle System Dynamics 58,
2020): a line may shift along every cross line, and a periodic cubic spline joins its
points. The integral of the squared curvature is a least-squares problem about the line so
far (Gauss and Newton's method), solved within the walls, then anew about the line found.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing.roads import quadratic, tracks

MAX_LINEARISATIONS = 12
# Points of the spline for each cross line: about one a metre.
FINER = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Corridor:
    """Where a line may run: `middle + shift * across`, a shift for each cross line.

    Attributes:
      middle: float64 [N, 2], in metres.
      across: float64 [N, 2], unit vectors to the left.
      low: float64 [N], the least shift, to the right, in metres.
      high: float64 [N], the greatest.
    """

    middle: Array
    across: Array
    low: Array
    high: Array

    def line(self, shift: Array) -> Array:
        """Returns float64 [N, 2], the points at these shifts."""
        return self.middle + shift[:, None] * self.across


def corridor(track: tracks.Track, keep_m: float) -> Corridor:
    """Returns the corridor that stays away from both walls, where the track is wide enough."""
    width = track.width_m
    # A cross line that stands askew crosses the road on a longer way than the shortest.
    heading = track.heading_rad()
    across = (track.left - track.right) / width[:, None]
    upright = across[:, 1] * np.cos(heading) - across[:, 0] * np.sin(heading)
    room = np.maximum(width / 2 - keep_m / np.maximum(upright, 0.3), 0.01)
    return Corridor(track.centre, across, -room, room)


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """A closed cubic spline through points, FINER places from each point to the next.

    Attributes:
      place: float64 [FINER * N, 2].
      first: float64 [FINER * N, 2], derivative by the number of the point.
      second: float64 [FINER * N, 2], the second one.
    """

    place: Array
    first: Array
    second: Array

    @classmethod
    def through(cls, points: Array) -> Curve:
        """Returns the spline with a knot at every point."""
        bends = _bends(points)
        ends = np.stack([points, np.roll(points, -1, 0), bends, np.roll(bends, -1, 0)])
        parts = (_CUBIC @ ends.reshape(4, -1)).reshape(3, FINER, -1, 2)
        return cls(*parts.transpose(0, 2, 1, 3).reshape(3, -1, 2))

    @functools.cached_property
    def curvature(self) -> Array:
        """float64 [FINER * N], 1/m, above 0 to the left."""
        return _cross(self.first, self.second) / _norm(self.first) ** 3

    @functools.cached_property
    def legs_m(self) -> Array:
        """float64 [FINER * N], from each place to the next one."""
        return _norm(np.roll(self.place, -1, 0) - self.place)

    def pulled(self, by_curvature: Array, by_leg: Array) -> Array:
        """Returns float64 [N, 2], the derivative by every point of what depends on the curve.

        Args:
          by_curvature: float64 [FINER * N], its derivative by the curvature of each place.
          by_leg: float64 [FINER * N], and by the length of each leg.
        """
        speed = _norm(self.first)
        turned = (by_curvature / speed**3)[:, None]
        stretched = 3 * by_curvature * self.curvature / speed**2
        leg = np.roll(self.place, -1, 0) - self.place
        pull = by_leg[:, None] * leg / self.legs_m[:, None]
        parts = np.stack(
            [
                np.roll(pull, 1, 0) - pull,
                -turned * _left(self.second) - stretched[:, None] * self.first,
                turned * _left(self.first),
            ]
        )
        parts = parts.reshape(3, -1, FINER, 2).transpose(0, 2, 1, 3).reshape(3 * FINER, -1)
        ends = (_CUBIC.T @ parts).reshape(4, -1, 2)
        points = ends[0] + np.roll(ends[1], 1, 0)
        return points + _bends(ends[2] + np.roll(ends[3], 1, 0))


def least_curvature(road: Corridor, shift: Array) -> Array:
    """Returns float64 [N], the shifts of the line that bends least, from these on."""
    cost = _cost(road.line(shift))
    for _ in range(MAX_LINEARISATIONS):
        matrix, gradient = linearise(road, shift)
        step = quadratic.minimise(matrix, gradient, road.low - shift, road.high - shift, 1e-6)
        # A long step may leave where the curvature about the old line was true.
        for _ in range(6):
            new_cost = _cost(road.line(shift + step))
            if new_cost < cost:
                break
            step = step / 2
        else:
            return shift
        shift = shift + step
        gained, cost = cost - new_cost, new_cost
        if gained < 1e-3 * cost:
            break
    return shift


def linearise(road: Corridor, shift: Array) -> tuple[Array, Array]:
    """Returns what `quadratic.minimise` takes: half the squared curvature about a line."""
    first, second = _differences(road.line(shift))
    speed = _norm(first)
    bend = _cross(first, second) / speed**3
    weight = np.sqrt(speed)

    def change(toward: Array, in_first: float, in_second: float) -> Array:
        """Of the curvature times its weight, by one metre of a point along `toward`."""
        part = in_second * _cross(first, toward) + in_first * _cross(toward, second)
        stretched = 2.5 * in_first * (first * toward).sum(1)
        return weight * (part / speed**3 - bend * stretched / speed**2)

    by_before = change(np.roll(road.across, 1, 0), -0.5, 1.0)
    by_itself = change(road.across, 0.0, -2.0)
    by_after = change(np.roll(road.across, -1, 0), 0.5, 1.0)
    matrix = np.stack(
        [
            by_itself**2 + np.roll(by_after, 1) ** 2 + np.roll(by_before, -1) ** 2,
            by_itself * by_after + np.roll(by_before * by_itself, -1),
            np.roll(by_before * by_after, -1),
        ]
    )
    error = weight * bend
    gradient = by_itself * error + np.roll(by_after * error, 1) + np.roll(by_before * error, -1)
    return matrix, gradient


def _cost(points: Array) -> float:
    """Returns the integral of squared curvature over the length."""
    first, second = _differences(points)
    return float((_cross(first, second) ** 2 / _norm(first) ** 5).sum())


def _differences(points: Array) -> tuple[Array, Array]:
    """Returns first and second differences of a closed line, each float64 [N, 2]."""
    before, after = np.roll(points, 1, 0), np.roll(points, -1, 0)
    return (after - before) / 2, after - 2 * points + before


def _bends(points: Array) -> Array:
    """Returns float64 [N, 2], the second derivatives of the spline at its knots.

    (b[i - 1] + 4 b[i] + b[i + 1]) / 6 is the second difference of the points, round the lap:
    a division of their spectra. The map is its own transpose.
    """
    wave = 2 * np.cos(np.arange(len(points) // 2 + 1) * (2 * np.pi / len(points)))
    spectrum = np.fft.rfft(points, axis=0) * (6 * (wave - 2) / (4 + wave))[:, None]
    return np.fft.irfft(spectrum, len(points), axis=0)


def _cubic() -> Array:
    """Returns float64 [3 * FINER, 4]: a spline's value and derivatives at places of a piece.

    From its two ends, and the second derivatives there.
    """
    u = np.arange(FINER) / FINER
    v, zero, one = 1 - u, np.zeros(FINER), np.ones(FINER)
    return np.concatenate(
        [
            np.stack([v, u, (v**3 - v) / 6, (u**3 - u) / 6], 1),
            np.stack([-one, one, (1 - 3 * v**2) / 6, (3 * u**2 - 1) / 6], 1),
            np.stack([zero, zero, v, u], 1),
        ]
    )


_CUBIC = _cubic()


def _cross(one: Array, other: Array) -> Array:
    return one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]


def _left(vectors: Array) -> Array:
    """Returns the vectors turned left by a quarter."""
    return np.stack([-vectors[:, 1], vectors[:, 0]], 1)


def _norm(vectors: Array) -> Array:
    return np.hypot(vectors[:, 0], vectors[:, 1])
