"""Procedural circuits: one for each number, made of straights and arcs.

A round trip through scattered points, shortened until it does not cross itself (Croes, "A
method for solving traveling-salesman problems", 1958), is a polygon with the mixture of
long and short legs, sharp and open corners that circuits have. Its corners are rounded by
arcs, each with a radius of its own, from hairpin to fast sweeper; what lies between two
arcs is a straight. Drafts whose parts come too close are thrown away.

A number gives the same circuit on every machine: NumPy keeps the stream of PCG64, and
walls are rounded to 1/1024 m, far coarser than what sines of two libraries differ by.
"""

from __future__ import annotations

import math

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge_racing.roads import tracks

MAX_NUMBER = 2**62
LENGTH_M = (400.0, 900.0)
WIDTH_M = (9.0, 14.0)
# Radii of the centre line. The least one leaves the inner wall of a hairpin some radius too.
RADIUS_M = (10.5, 160.0)
INNER_RADIUS_M = 4.5
# A gentle turn of a small radius is a dent in the wall, not a corner: arcs are this long
# where their legs are long enough.
ARC_M = 24.0
# Ground between the walls of two parts of the lap.
BETWEEN_M = 4.0
# Arcs do not begin at once: the steering is turned over about this distance.
TRANSITION_M = 6.0
# Points of the line while it is drafted.
FINE_M = 0.5
# One or two do as a rule.
MAX_DRAFTS = 1_000
ROUNDING = 1024.0


def circuit(number: int) -> tracks.Track:
    """Returns the circuit of a number: closed, 400 to 900 m long, 9 to 14 m wide.

    The lap starts in the middle of the longest straight. About half of the circuits are
    driven clockwise.

    Args:
      number: 0 to 2**62.

    Raises:
      ValueError: the number is not in that range.
      GameError: no draft became a circuit.
    """
    if not 0 <= number <= MAX_NUMBER:
        raise ValueError(f"Circuit {number} does not exist: expected a number from 0 to 2**62.")
    random = np.random.Generator(np.random.PCG64(number))
    for _ in range(MAX_DRAFTS):
        width = random.uniform(*WIDTH_M)
        line = _draft(random, width)
        if line is not None and _has_room(line, width):
            return _build(f"circuit {number}", line, width, random)
    raise errors.GameError(
        f"circuit {number}: none of {MAX_DRAFTS} drafts became a circuit; take another number."
    )


def _draft(random: np.random.Generator, width: float) -> Array | None:
    """Returns float64 [K, 2], a closed line about every FINE_M; None where corners do not fit."""
    length = random.uniform(*LENGTH_M)
    count = round(length / random.uniform(52.0, 90.0)) + 1
    corners = _round_trip(_scatter(random, count))
    perimeter = np.hypot(*(np.roll(corners, -1, 0) - corners).T).sum()
    # Rounding takes off about a ninth.
    corners = corners * (length * 1.12 / perimeter)
    turned = random.random() < 0.5
    least = max(RADIUS_M[0], width / 2 + INNER_RADIUS_M)
    # Even in the logarithm: as many hairpins as sweepers are wished for.
    wishes = least * (RADIUS_M[1] / least) ** random.random(count)
    line = _rounded(corners, least, wishes, random.permutation(count))
    if line is None:
        return None
    line = _eased(line)
    if turned:
        line = line[::-1]
    length = float(np.hypot(*(np.roll(line, -1, 0) - line).T).sum())
    return line if LENGTH_M[0] <= length <= LENGTH_M[1] else None


def _scatter(random: np.random.Generator, count: int) -> Array:
    """Returns float64 [count, 2], points of a box, each the loneliest of a few candidates."""
    stretch = np.array([random.uniform(1.0, 2.0), 1.0])
    candidates = random.random((count, 6, 2)) * stretch
    points = candidates[:, 0].copy()
    for i in range(1, count):
        away = candidates[i][:, None] - points[None, :i]
        points[i] = candidates[i, np.argmax((away**2).sum(2).min(1))]
    return points


def _round_trip(points: Array) -> Array:
    """Returns the points in an order whose legs do not cross: turns parts round while shorter."""
    count = len(points)
    away = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)).tolist()
    order = list(range(count))
    improved = True
    while improved:
        improved = False
        for i in range(count - 1):
            for j in range(i + 2, count if i else count - 1):
                a, b, c, d = order[i], order[i + 1], order[j], order[(j + 1) % count]
                if away[a][c] + away[b][d] < away[a][b] + away[c][d] - 1e-9:
                    order[i + 1 : j + 1] = order[i + 1 : j + 1][::-1]
                    improved = True
    return points[order]


def _rounded(corners: Array, least: float, wishes: Array, turn: Array) -> Array | None:
    """Returns float64 [K, 2], the polygon with corners rounded, from mid-straight on.

    Args:
      corners: float64 [C, 2].
      least: radius that every corner gets, in metres.
      wishes: float64 [C], radius that each corner gets where its legs are long enough.
      turn: int64 [C], the order in which corners take what their legs leave.
    """
    legs = np.roll(corners, -1, 0) - corners
    lengths = np.hypot(legs[:, 0], legs[:, 1])
    headings = np.arctan2(legs[:, 1], legs[:, 0])
    turns = np.remainder(headings - np.roll(headings, 1) + np.pi, 2 * np.pi) - np.pi
    # An arc of radius r takes r * tan(turn / 2) of both legs.
    tangents = np.tan(np.abs(turns) / 2)
    taken = least * tangents
    room = lengths - taken - np.roll(taken, -1)
    if room.min() < 0:
        return None
    wishes = np.maximum(wishes, ARC_M / np.maximum(np.abs(turns), 1e-3))
    for corner in turn:
        more = min(
            wishes[corner] * tangents[corner] - taken[corner], room[corner], room[corner - 1]
        )
        taken[corner] += more
        room[corner] -= more
        room[corner - 1] -= more
    # Straight, arc, straight, arc ...: the straight of a leg, then the arc at its end.
    ends, after = np.roll(turns, -1), np.roll(taken, -1)
    arcs = np.abs(ends) * after / np.tan(np.maximum(np.abs(ends), 1e-6) / 2)
    pieces = np.stack([room, arcs], 1).ravel()
    bends = np.stack([np.zeros_like(arcs), ends / np.maximum(arcs, 1e-9)], 1).ravel()
    begins = np.concatenate([[0.0], np.cumsum(pieces)])
    # Of each piece: where it begins, and its heading there.
    direction = np.stack([legs[:, 0], legs[:, 1]], 1) / lengths[:, None]
    starts = np.stack(
        [corners + direction * taken[:, None], corners + direction * (lengths - after)[:, None]], 1
    ).reshape(-1, 2)
    total = begins[-1]
    longest = int(np.argmax(room)) * 2
    count = round(total / FINE_M)
    s = (begins[longest] + pieces[longest] / 2 + np.arange(count) * (total / count)) % total
    piece = np.clip(np.searchsorted(begins, s, "right") - 1, 0, len(pieces) - 1)
    half = (s - begins[piece]) / 2
    bend = half * bends[piece]
    # The chord of an arc: 2 * half * sin(bend) / bend, at the heading of its middle.
    chord = 2 * half * np.sinc(bend / np.pi)
    heading = headings[piece // 2] + bend
    return starts[piece] + chord[:, None] * np.stack([np.cos(heading), np.sin(heading)], 1)


def _eased(line: Array) -> Array:
    """Returns the line averaged over TRANSITION_M: its curvature has ramps in place of steps."""
    window = int(TRANSITION_M / FINE_M)
    wrapped = np.concatenate([line[-(window // 2) :], line, line[: window - window // 2]])
    sums = np.cumsum(wrapped, 0)
    return (sums[window:] - sums[:-window]) / window


def _has_room(line: Array, width: float) -> bool:
    """Whether no two parts of a line come closer than their widths and BETWEEN_M."""
    every = int(tracks.SPACING_M / FINE_M)
    points = line[::every]
    count = len(points)
    # Two points of a corner are near one another; half a turn of the tightest is not.
    apart = int(np.pi * (width / 2 + INNER_RADIUS_M) / tracks.SPACING_M) + 2
    away = ((points[:, None] - points[None]) ** 2).sum(2)
    index = np.arange(count)
    along = np.abs(index[:, None] - index[None])
    far = np.minimum(along, count - along) >= apart
    return bool((away[far] > (width + BETWEEN_M) ** 2).all())


def _build(name: str, line: Array, width: float, random: np.random.Generator) -> tracks.Track:
    """Returns the track along a line, its width changing a little over the lap."""
    steps = np.hypot(*(np.roll(line, -1, 0) - line).T)
    s = np.concatenate([[0.0], np.cumsum(steps)])
    count = round(s[-1] / tracks.SPACING_M)
    at = np.arange(count) * (s[-1] / count)
    closed = np.concatenate([line, line[:1]])
    centre = np.stack([np.interp(at, s, closed[:, 0]), np.interp(at, s, closed[:, 1])], 1)
    along = np.roll(centre, -1, 0) - np.roll(centre, 1, 0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.hypot(*along.T)[:, None]
    swing = min(width - WIDTH_M[0], WIDTH_M[1] - width, 1.0)
    phase = random.uniform(0.0, 2 * math.pi)
    half = (width + swing * np.cos(at * (2 * np.pi / s[-1]) + phase))[:, None] / 2
    left, right = centre + normal * half, centre - normal * half
    return tracks.Track(
        name, np.round(left * ROUNDING) / ROUNDING, np.round(right * ROUNDING) / ROUNDING
    )
