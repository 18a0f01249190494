"""`TrackMap`: a track from above as one palette index a cell, and a store of such maps."""

from __future__ import annotations

import collections
import dataclasses

import cv2  # noqa: TID253 - drawing is the point of this module
import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing.drawing import outlines
from gamebridge_racing.roads import tracks

GRASS, MOWN, ROAD, WALL, KERB_RED, KERB_WHITE, START = range(7)
# Grey levels differ too, so that an agent may look at grey pictures.
PALETTE = np.array(
    [
        (98, 178, 84),
        (112, 192, 98),
        (104, 104, 108),
        (18, 18, 30),
        (214, 58, 48),
        (226, 226, 226),
        (255, 255, 255),
    ],
    np.uint8,
)

MAX_CELLS = 16_000_000
_CELL_M = 0.3
_MARGIN_M = 12.0
_KERB_M = 1.4
_MOWN_M = 10.0
# At 0.625 m a pixel a wall of this thickness takes two pixels in whatever direction.
_WALL_M = 1.5
_SHIFT = 4  # cv2 takes points in 1/16 of a cell


@dataclasses.dataclass(frozen=True, eq=False)
class TrackMap:
    """A track from above.

    Attributes:
      cells: uint8 [rows, columns], indices of PALETTE; rows go with y, columns with x.
      left_m: x of the first column's outer edge.
      low_m: y of the first row's outer edge.
      cell_m: side of a cell.
    """

    cells: Array
    left_m: float
    low_m: float
    cell_m: float


def draw_map(track: tracks.Track) -> TrackMap:
    """Draws a map of at most MAX_CELLS cells; a great circuit has greater cells."""
    x_min, y_min, x_max, y_max = track.bounds_m()
    width, height = x_max - x_min + 2 * _MARGIN_M, y_max - y_min + 2 * _MARGIN_M
    cell = max(_CELL_M, (width * height / MAX_CELLS) ** 0.5)
    origin = np.array([x_min - _MARGIN_M, y_min - _MARGIN_M])
    rows, columns = max(1, int(height / cell)), max(1, int(width / cell))

    def points(metres: Array) -> Array:
        # cv2 counts from the middle of the first cell.
        return np.round(((metres - origin) / cell - 0.5) * 2**_SHIFT).astype(np.int32)

    cells = _meadow(rows, columns, cell)
    left, right = points(track.left), points(track.right)
    # Walls lie outside: what is within the road is painted over by it.
    thick = max(3, round(2 * _WALL_M / cell))
    cv2.polylines(cells, [left, right], True, WALL, thick, cv2.LINE_8, _SHIFT)
    _fill(cells, left, right, np.arange(track.num_gates), np.full(track.num_gates, ROAD))
    across = (track.right - track.left) / track.width_m[:, None]
    stripes = np.where(np.floor(track.s_m[:-1] / 4.0) % 2 == 0, KERB_RED, KERB_WHITE)
    kerbs = outlines.kerbs(track)
    for edge, inwards, has_kerb in ((track.left, 1, kerbs[0]), (track.right, -1, kerbs[1])):
        inner = points(edge + across * inwards * _KERB_M)
        _fill(cells, points(edge), inner, np.flatnonzero(has_kerb), stripes)
    ends = points(np.stack([track.left[0], track.right[0]]))
    cv2.polylines(cells, [ends], False, START, max(2, round(1.3 / cell)), cv2.LINE_8, _SHIFT)
    # Where two roads lie side by side, the wall between them is wall again.
    thin = max(1, round(0.6 / cell))
    cv2.polylines(cells, [left, right], True, WALL, thin, cv2.LINE_8, _SHIFT)
    return TrackMap(cells, float(origin[0]), float(origin[1]), cell)


def _meadow(rows: int, columns: int, cell_m: float) -> Array:
    """Returns uint8 [rows, columns]: squares of two greens, in which motion can be seen."""
    y = np.arange(rows) * cell_m // _MOWN_M % 2
    x = np.arange(columns) * cell_m // _MOWN_M % 2
    same = y[:, None] == x[None, :]
    return np.where(same, np.uint8(GRASS), np.uint8(MOWN))


def _fill(cells: Array, one: Array, other: Array, gates: Array, colours: Array) -> None:
    """Fills the strip between two lines, gate by gate."""
    following = (gates + 1) % len(one)
    corners = np.stack([one[gates], one[following], other[following], other[gates]], 1)
    for corner, colour in zip(corners, colours[gates].tolist(), strict=True):
        cv2.fillConvexPoly(cells, corner, colour, cv2.LINE_8, _SHIFT)


class MapStore:
    """Maps by track; those not used for longest are dropped when memory is short."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # The track is kept as well: an id may be given anew when its object is gone.
        self._maps: collections.OrderedDict[int, tuple[tracks.Track, TrackMap]]
        self._maps = collections.OrderedDict()

    @property
    def num_bytes(self) -> int:
        """Memory of all maps held."""
        return sum(track_map.cells.nbytes for _, track_map in self._maps.values())

    def get(self, track: tracks.Track) -> TrackMap:
        """Returns the map of this very object; draws it if it is not held."""
        key = id(track)
        if key not in self._maps:
            self._maps[key] = (track, draw_map(track))
            while len(self._maps) > 1 and self.num_bytes > self._max_bytes:
                self._maps.popitem(last=False)
        self._maps.move_to_end(key)
        return self._maps[key][1]
