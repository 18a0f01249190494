"""Where a track bends, and where it has kerbs: what both views draw of its shape."""

from __future__ import annotations

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing.roads import tracks

# A bend of a greater radius than this is a straight to the eye, and has no kerb.
_KERB_RADIUS_M = 110.0
_EXIT_M = 18.0
_SMOOTHED_M = 10.0


def curvature(track: tracks.Track) -> Array:
    """Returns float64 [N], 1/m, of the centre line; to the left is positive."""
    length = np.diff(track.s_m)
    count = track.num_gates
    heading = np.unwrap(track.heading_rad())
    turned = np.diff(np.append(heading, heading[0] + 2 * np.pi * _turns(heading)))
    # Digitised circuits are noisy: an average over some metres.
    half = max(1, round(_SMOOTHED_M / 2 / (track.length_m / count)))
    offsets = range(-half, half)
    sums = sum(np.roll(turned, -offset) for offset in offsets)
    lengths = sum(np.roll(length, -offset) for offset in offsets)
    return np.asarray(sums / lengths)


def _turns(heading: Array) -> int:
    """Whole turns of a lap: 1 counter-clockwise, -1 clockwise."""
    last = (heading[0] - heading[-1] + np.pi) % (2 * np.pi) - np.pi
    return round(float(heading[-1] + last - heading[0]) / (2 * np.pi))


def kerbs(track: tracks.Track) -> tuple[Array, Array]:
    """Returns bool [N] for the left and for the right edge: gates that have a kerb there.

    A corner has one on its inside, and one on its outside where it ends.
    """
    bend = curvature(track)
    inside_left = bend > 1 / _KERB_RADIUS_M
    inside_right = bend < -1 / _KERB_RADIUS_M
    return inside_left | _exits(track, inside_right), inside_right | _exits(track, inside_left)


def _exits(track: tracks.Track, corner: Array) -> Array:
    """Returns bool [N], the gates about the ends of corners."""
    near = np.zeros(len(corner), bool)
    for last in np.flatnonzero(corner & ~np.roll(corner, -1)):
        away = (track.s_m[:-1] - track.s_m[last] + track.length_m / 2) % track.length_m
        near |= np.abs(away - track.length_m / 2) < _EXIT_M / 2
    return near & ~corner
