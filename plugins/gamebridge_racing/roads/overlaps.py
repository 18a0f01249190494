"""Overlaps: where a strip of convex gates crosses or covers itself.

Two convex gates are apart exactly when the line through an edge of one of them has all of
the other beyond it (separating axes: Ericson, "Real-Time Collision Detection", 2005,
section 5.2.1). Neighbouring gates share a cross line, which is such a line. So a strip
without overlap has no piece of wall that crosses another either.

All pairs of a long circuit would be millions: runs of gates in a row are compared by their
boxes first, then gates by their boxes, and only what is left edge by edge.
"""

from __future__ import annotations

import numpy as np

from gamebridge.contract.specs import Array

# Gates in one run. A run bends little, so that its box is not much larger than it.
RUN = 16


def first_overlap(left: Array, right: Array, tolerance_m: float = 1e-6) -> tuple[int, int] | None:
    """Returns the first gate, and another one, that share some area; None where none do.

    Args:
      left: float64 [N, 2], the left ends of the cross lines.
      right: float64 [N, 2], the right ends; all gates are convex (see `tracks`).
      tolerance_m: gates may reach into one another by so much.
    """
    corners = np.stack([right, np.roll(right, -1, 0), np.roll(left, -1, 0), left], 1)
    low, high = corners.min(1), corners.max(1)
    first, second = _near(low, high)
    edges = np.roll(corners, -1, 1) - corners
    edges /= np.maximum(np.hypot(edges[..., 0], edges[..., 1]), 1e-12)[..., None]
    # The cross lines of the earlier gate part it from nearly all that follow it closely.
    for sides in ((1, 3), (0, 2)):
        for one, other in ((0, 1), (1, 0)):
            pair = (first, second)
            apart = _beyond(corners, edges, pair[one], pair[other], sides, tolerance_m)
            first, second = first[~apart], second[~apart]
    if not len(first):
        return None
    earliest = int(np.lexsort((second, first))[0])
    return int(first[earliest]), int(second[earliest])


def _near(low: Array, high: Array) -> tuple[Array, Array]:
    """Returns int64 [P] twice: pairs i < j that are no neighbours and whose boxes meet."""
    count = len(low)
    starts = np.arange(0, count, RUN)
    first, second = _meeting(np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts))
    offsets = np.arange(RUN)
    i, j = np.broadcast_arrays(
        (first[:, None] * RUN + offsets)[:, :, None], (second[:, None] * RUN + offsets)[:, None]
    )
    # Every run is compared with itself too; each pair is wanted once.
    wanted = (j > i + 1) & (j < count) & (j - i < count - 1)
    i, j = i[wanted], j[wanted]
    meets = (low[i] < high[j]).all(1) & (low[j] < high[i]).all(1)
    return i[meets], j[meets]


def _meeting(low: Array, high: Array) -> tuple[Array, Array]:
    """Returns int64 [Q] twice: all pairs i <= j of boxes that meet."""
    meets = np.ones((len(low), len(low)), np.bool_)
    for axis in (0, 1):
        meets &= low[:, None, axis] <= high[None, :, axis]
        meets &= low[None, :, axis] <= high[:, None, axis]
    first, second = np.nonzero(np.triu(meets))
    return first, second


def _beyond(
    corners: Array, edges: Array, gate: Array, other: Array, sides: tuple[int, ...], slack_m: float
) -> Array:
    """Returns bool [P]: whether the other gate lies beyond one of these sides of the gate."""
    apart = np.zeros(len(gate), np.bool_)
    for side in sides:
        away = corners[other] - corners[gate, side][:, None]
        edge = edges[gate, side][:, None]
        # Inside is on the left: the gates run counter-clockwise.
        inside = edge[..., 0] * away[..., 1] - edge[..., 1] * away[..., 0]
        apart |= (inside <= slack_m).all(1)
    return apart
