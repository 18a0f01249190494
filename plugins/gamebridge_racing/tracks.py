"""`Track`: a closed strip of road between two walls, and what follows from its shape.

A track is N cross lines, from the left wall to the right one, in the order in which they
are driven over; the last is followed by the first. Two neighbouring cross lines and the
pieces of wall between them are a *gate*. All gates are convex and have one orientation:
so a ray, or a car, can be followed from gate to gate, and the first wall it meets is
found exactly, without looking at any other piece of wall.

Metres, x to the right, y up, headings counter-clockwise from the x axis.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array

# Corners are drawn and driven as polygons: 3 m on a radius of 20 m is 6 cm off the arc.
SPACING_M = 3.0
MIN_CROSS_LINES = 8


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
          GameError: the walls differ in length, are too few points or not finite, or a
            gate is not convex (see `folded_gates`).
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
        folded = folded_gates(left, right)
        if len(folded):
            x, y = (left[folded[0]] + right[folded[0]]) / 2
            raise errors.GameError(
                f"track '{self.name}' folds at ({x:.1f}, {y:.1f}): a corner there is tighter "
                "than the track is wide. Widen the corner, or narrow the track."
            )
        centre = (left + right) / 2
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


def folded_gates(left: Array, right: Array) -> Array:
    """Returns int64 [K], the gates that are not convex or not driven forwards.

    A gate's corners are right[i], right[i + 1], left[i + 1], left[i]: counter-clockwise
    with the left wall on the left. Each three in a row must turn left.
    """
    corners = np.stack([right, np.roll(right, -1, 0), np.roll(left, -1, 0), left], 1)
    edges = np.roll(corners, -1, 1) - corners
    following = np.roll(edges, -1, 1)
    turns = edges[..., 0] * following[..., 1] - edges[..., 1] * following[..., 0]
    return np.flatnonzero((turns <= 1e-9).any(1))


def oval(straight_m: float = 70.0, radius_m: float = 22.0, width_m: float = 12.0) -> Track:
    """Returns two straights joined by half circles, driven counter-clockwise.

    Args:
      straight_m: length of each straight.
      radius_m: of the corners, at the centre line.
      width_m: from wall to wall.

    Raises:
      GameError: corners that are tighter than half the width.
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
