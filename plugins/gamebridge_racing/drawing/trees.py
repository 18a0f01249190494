"""Trees: where they grow, the same wherever one looks from, and how they are drawn."""

from __future__ import annotations

import dataclasses

import cv2  # noqa: TID253 - drawing is the point of this module
import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing.drawing import strokes, textures
from gamebridge_racing.drawing.views import View
from gamebridge_racing.roads import tracks

_CELL_M = 8.0  # there is one tree at most in a square of this side
_WALL_M = 3.0  # from a tree to the road
_SHADOW = 115


@dataclasses.dataclass(frozen=True, eq=False)
class Grove:
    """Trees.

    Attributes:
      places: float64 [K, 2], in metres.
      radius_m: float64 [K].
      kind: int64 [K], which of the trees in `textures`.
    """

    places: Array
    radius_m: Array
    kind: Array


def grown(track: tracks.Track, view: View, height: int, width: int) -> Grove:
    """Returns the trees that may be seen in a picture, none of them on the road."""
    # From afar, fewer and greater ones.
    size = max(1.0, 2.6 / view.scale)
    cell = _CELL_M * size
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) - view.matrix[:, 2]
    metres = corners @ np.linalg.inv(view.matrix[:, :2]).T
    low = np.floor(metres.min(0) / cell).astype(np.int64) - 1
    high = np.floor(metres.max(0) / cell).astype(np.int64) + 2
    i, j = (grid.ravel() for grid in np.meshgrid(*map(np.arange, low, high), indexing="ij"))
    bits = _hash(i, j)
    random = [((bits >> shift) & 0xFF) / 255 for shift in (0, 8, 16, 24)]
    places = np.stack([i + 0.2 + 0.6 * random[0], j + 0.2 + 0.6 * random[1]], 1) * cell
    radii = (1.7 + 1.8 * random[2]) * size
    # Groves: more trees where slow waves are high.
    x, y = places.T / (30 * size)
    wave = np.sin(x + 1.7 * np.sin(0.6 * y)) + np.sin(1.3 * y + 1.1 * np.sin(0.7 * x))
    stands = random[3] < 0.05 + 0.35 * np.clip(wave, 0, 1.6)
    low_m, high_m = metres.min(0) - 60.0, metres.max(0) + 60.0
    road = track.centre[((track.centre > low_m) & (track.centre < high_m)).all(1)]
    reach = float(track.width_m.max()) / 2 + _WALL_M
    stands &= _distance(places, road) > reach + radii
    return Grove(places[stands], radii[stands], (bits[stands] >> 5) % textures.NUM_TREES)


def _hash(i: Array, j: Array) -> Array:
    """Returns int64 [K], 32 bits that look random, of whole numbers."""
    mask = np.uint64(0xFFFFFFFF)
    bits = (i.astype(np.uint64) * np.uint64(0x9E3779B1)) ^ (
        j.astype(np.uint64) * np.uint64(0x85EBCA77)
    )
    for _ in range(3):
        bits &= mask
        bits = (bits ^ (bits >> np.uint64(15))) * np.uint64(0x2C1B3C6D)
    return ((bits ^ (bits >> np.uint64(13))) & mask).astype(np.int64)


def _distance(places: Array, road: Array) -> Array:
    """Returns float64 [K], from each place to the nearest point of the road."""
    if not len(road):
        return np.full(len(places), np.inf)
    nearest = np.empty(len(places))
    for start in range(0, len(places), 512):
        part = places[start : start + 512]
        away = (part[:, None, 0] - road[:, 0]) ** 2 + (part[:, None, 1] - road[:, 1]) ** 2
        nearest[start : start + 512] = away.min(1)
    return np.sqrt(nearest)


def draw_shadows(shade: Array, view: View, grove: Grove) -> None:
    """Draws where trees keep off the sun, on a coarse mask."""
    radii = grove.radius_m * view.scale / strokes.COARSER
    places = view.points(grove.places) / strokes.COARSER + 0.55 * radii[:, None]
    for place, radius in zip((places * 16).astype(int).tolist(), radii, strict=True):
        cv2.circle(shade, place, round(float(radius) * 16), _SHADOW, -1, cv2.LINE_AA, 4)


def draw(picture: Array, view: View, grove: Grove) -> None:
    """Draws the trees themselves."""
    sprites = textures.trees()
    sides = np.maximum(3, np.round(2.35 * grove.radius_m * view.scale)).astype(int)
    corners = np.round(view.points(grove.places) - sides[:, None] / 2).astype(int)
    for kind, side, (left, top) in zip(
        grove.kind.tolist(), sides.tolist(), corners.tolist(), strict=True
    ):
        rows = slice(max(top, 0), min(top + side, picture.shape[0]))
        columns = slice(max(left, 0), min(left + side, picture.shape[1]))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        colour, cover = (
            cv2.resize(sprite, (side, side), interpolation=cv2.INTER_AREA)[
                rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ]
            for sprite in sprites[kind]
        )
        part, weight = picture[rows, columns], cover[..., None].astype(np.uint16)
        part[:] = (part * (255 - weight) + colour * weight) // 255
