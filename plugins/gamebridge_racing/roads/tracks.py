"""`Track`: a closed strip of road between two walls, and what follows from its shape.

A track is N cross lines, from the left wall to the right one, in the order in which they
are driven over; the last is followed by the first. Two neighbouring cross lines and the
pieces of wall between them are a *gate*. All gates are convex and have one orientation:
so a ray, or a car, can be followed from gate to gate, and the first wall it meets is
found exactly, without looking at any other piece of wall. No two gates overlap: a place on
the road is in one gate, and no wall stands on the road of another part of the lap.

Metres, x to the right, y up, headings counter-clockwise from the x axis.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge_racing.roads import overlaps

# Corners are drawn and driven as polygons: 3 m on a radius of 20 m is 6 cm off the arc.
SPACING_M = 3.0
MIN_CROSS_LINES = 8
# Twice the least area at a corner of a gate: a sliver would be convex by rounding alone.
LEAST_TURN_M2 = 0.01
# Each pass of smoothing spreads the turn of a fold over two more gates.
MAX_SMOOTHING = 400


class Unfit(errors.GameError):
    """Walls that are no strip; `place` is where, [x, y] in metres."""

    def __init__(self, message: str, place: Array) -> None:
        """Keeps the place, for who knows where it came from."""
        super().__init__(message)
        self.place = place


@dataclasses.dataclass(frozen=True, eq=False)
class Track:
    """A closed track.

    Attributes:
      name: for people.
      left: float64 [N, 2], the left ends of the cross lines, in metres.
      right: float64 [N, 2], the right ends.
      centre: float64 [N, 2], their middles.
      s_m: float64 [N + 1], distance along the centre line up to each cross line; the last
        is the length of the lap.
    """

    name: str
    left: Array
    right: Array
    centre: Array = dataclasses.field(init=False)
    s_m: Array = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Derives the centre line.

        Raises:
          GameError: the walls differ in length, are too few points or not finite.
          Unfit: a gate is not convex (see `folded_gates`), or two gates overlap.
        """
        left = np.ascontiguousarray(self.left, np.float64)
        right = np.ascontiguousarray(self.right, np.float64)
        if left.shape != right.shape or left.ndim != 2 or left.shape[1:] != (2,):
            raise errors.GameError(
                f"track '{self.name}': walls of shape {left.shape} and {right.shape}; expected "
                "two walls of one point [x, y] for each cross line."
            )
        if len(left) < MIN_CROSS_LINES:
            raise errors.GameError(
                f"track '{self.name}' has {len(left)} cross lines; expected at least "
                f"{MIN_CROSS_LINES}."
            )
        if not (np.isfinite(left).all() and np.isfinite(right).all()):
            raise errors.GameError(f"track '{self.name}' has walls with NaN or infinite points.")
        middle = (left + right) / 2
        folded = folded_gates(left, right)
        if len(folded):
            x, y = middle[folded[0]]
            raise Unfit(
                f"track '{self.name}' folds at ({x:.1f}, {y:.1f}): a corner there is tighter "
                "than the track is wide. Widen the corner, or narrow the track.",
                middle[folded[0]],
            )
        overlap = overlaps.first_overlap(left, right)
        if overlap is not None:
            (x, y), (x2, y2) = (middle[gate] for gate in overlap)
            raise Unfit(
                f"track '{self.name}' overlaps itself: its part near ({x:.1f}, {y:.1f}) and that "
                f"near ({x2:.1f}, {y2:.1f}) share ground; expected a strip that never meets "
                "itself. Move the two apart, or narrow the track.",
                middle[overlap[0]],
            )
        centre = middle
        steps = np.hypot(*(np.roll(centre, -1, 0) - centre).T)
        object.__setattr__(self, "left", left)
        object.__setattr__(self, "right", right)
        object.__setattr__(self, "centre", centre)
        object.__setattr__(self, "s_m", np.concatenate([[0.0], np.cumsum(steps)]))

    @property
    def num_gates(self) -> int:
        """N, of cross lines and of gates."""
        return len(self.left)

    @property
    def length_m(self) -> float:
        """One lap along the centre line."""
        return float(self.s_m[-1])

    @property
    def width_m(self) -> Array:
        """float64 [N], the length of each cross line."""
        return np.hypot(*(self.left - self.right).T)

    def heading_rad(self) -> Array:
        """float64 [N]: the direction of the centre line at each cross line."""
        along = np.roll(self.centre, -1, 0) - np.roll(self.centre, 1, 0)
        return np.arctan2(along[:, 1], along[:, 0])

    def bounds_m(self) -> tuple[float, float, float, float]:
        """Least x, least y, greatest x, greatest y of the walls."""
        walls = np.concatenate([self.left, self.right])
        low, high = walls.min(0), walls.max(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def folded_gates(left: Array, right: Array, least_m2: float = 1e-9) -> Array:
    """Returns int64 [K], the gates that are not convex or not driven forwards.

    A gate's corners are right[i], right[i + 1], left[i + 1], left[i]: counter-clockwise
    with the left wall on the left. Each three in a row must turn left.

    Args:
      left: float64 [N, 2], the left ends of the cross lines.
      right: float64 [N, 2], the right ends.
      least_m2: twice the area of the least triangle of three corners in a row.
    """
    corners = np.stack([right, np.roll(right, -1, 0), np.roll(left, -1, 0), left], 1)
    edges = np.roll(corners, -1, 1) - corners
    following = np.roll(edges, -1, 1)
    turns = edges[..., 0] * following[..., 1] - edges[..., 1] * following[..., 0]
    return np.flatnonzero((turns <= least_m2).any(1))


def oval(straight_m: float = 70.0, radius_m: float = 22.0, width_m: float = 12.0) -> Track:
    """Returns two straights joined by half circles, driven counter-clockwise.

    Args:
      straight_m: length of each straight.
      radius_m: of the corners, at the centre line.
      width_m: from wall to wall.

    Raises:
      Unfit: corners that are tighter than half the width.
    """
    length = 2 * straight_m + 2 * np.pi * radius_m
    count = max(MIN_CROSS_LINES, round(length / SPACING_M))
    s = np.arange(count) * (length / count)
    half = length / 2
    side, along = np.divmod(s, half)
    turned = np.maximum(along - straight_m, 0.0) / radius_m
    # The first straight runs along the x axis; the second is the first one turned by half.
    x = np.minimum(along, straight_m) - straight_m / 2 + radius_m * np.sin(turned)
    y = -radius_m * np.cos(turned)
    sign = np.where(side == 0, 1.0, -1.0)
    centre = np.stack([sign * x, sign * y], 1)
    heading = turned + np.pi * side
    normal = np.stack([-np.sin(heading), np.cos(heading)], 1)
    return Track("oval", centre + normal * width_m / 2, centre - normal * width_m / 2)


def from_centre_line(name: str, centre: Array, width_right: Array, width_left: Array) -> Track:
    """Returns the track along a closed line of points, in the direction of their order.

    A periodic cubic spline joins the points. The cross lines stand upright on it, but where
    the inner wall would run backwards: there they share the turn with their neighbours.

    Args:
      name: for people.
      centre: [M, 2], in metres; may end with the first point again.
      width_right: [M], from each point to the wall on the driver's right, in metres.
      width_left: [M], the same on the left.

    Raises:
      GameError: fewer than three points, two in a row are one, or a width is not above 0.
      Unfit: there is no track of convex gates that do not overlap.
    """
    # A quarter of a second that the other tracks need not wait for.
    from scipy import interpolate

    points = np.asarray(centre, np.float64)
    widths = np.stack([np.asarray(width_right, np.float64), np.asarray(width_left, np.float64)], 1)
    if points.ndim != 2 or points.shape[1:] != (2,) or widths.shape != points.shape:
        raise errors.GameError(
            f"track '{name}': a centre line of shape {points.shape} with widths of shape "
            f"{widths.shape[:1]}; expected one point [x, y] and two widths for each."
        )
    if len(points) > 1 and (points[0] == points[-1]).all():
        points, widths = points[:-1], widths[:-1]
    finite = np.isfinite(points).all()
    steps = np.hypot(*(np.roll(points, -1, 0) - points).T) if finite else np.zeros(1)
    if len(points) < 3 or not (steps > 0).all():
        raise errors.GameError(
            f"track '{name}' has a centre line of {len(points)} points; expected at least 3, all "
            "finite and no two in a row the same."
        )
    wrong = widths[~((widths > 0) & np.isfinite(widths))]
    if len(wrong):
        raise errors.GameError(
            f"track '{name}' has a width of {wrong[0]}; expected more than 0 on both sides."
        )
    chords = np.concatenate([[0.0], np.cumsum(steps)])
    closed = np.concatenate([points, points[:1]])
    spline = interpolate.CubicSpline(chords, closed, bc_type="periodic")
    # Chord lengths are not arc lengths: measured on a fine polygon, and turned round.
    fine = np.linspace(0.0, chords[-1], 8 * len(points) + 1)
    lengths = np.cumsum(np.hypot(*np.diff(spline(fine), axis=0).T))
    count = max(MIN_CROSS_LINES, round(lengths[-1] / SPACING_M))
    s = np.arange(count) * (lengths[-1] / count)
    at = np.interp(s, np.concatenate([[0.0], lengths]), fine)
    middle, along = spline(at), spline(at, 1)
    to_right, to_left = (np.interp(at, chords, np.append(w, w[0]))[:, None] for w in widths.T)
    across = _spread(middle, np.arctan2(along[:, 1], along[:, 0]), to_right, to_left)
    return Track(name, middle + across * to_left, middle - across * to_right)


def _spread(centre: Array, heading: Array, to_right: Array, to_left: Array) -> Array:
    """Returns float64 [N, 2], unit vectors to the left, turned where gates would fold.

    Headings are averaged over neighbours, around folded gates only, until none is left.
    """
    heading = np.unwrap(heading)
    # What one lap adds to the heading, on the far side of the seam.
    lap = 2 * np.pi * round((heading[-1] - heading[0]) / (2 * np.pi))
    for _ in range(MAX_SMOOTHING):
        across = np.stack([-np.sin(heading), np.cos(heading)], 1)
        folded = folded_gates(centre + across * to_left, centre - across * to_right, LEAST_TURN_M2)
        if not len(folded):
            break
        near = np.unique((folded[:, None] + np.arange(-1, 3)) % len(heading))
        before = np.append(heading[-1] - lap, heading[:-1])
        after = np.append(heading[1:], heading[0] + lap)
        heading[near] = ((before + 2 * heading + after) / 4)[near]
    return across
