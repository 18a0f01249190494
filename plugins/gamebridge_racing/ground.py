"""`Ground`: scenery about a moving camera, drawn in square tiles that are kept."""

from __future__ import annotations

import collections

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing import views
from gamebridge_racing.scenery import Scenery

_SIDE = 512
# Drawn beyond a tile and cut off: blurs and trees have no seams then. A multiple of
# strokes.COARSER, so that coarse masks of two tiles fall together.
_MARGIN = 64


class Ground:
    """Gives windows of the world, north up, at one scale.

    Whole numbers of pixels from the world's origin, rows downwards, name a place here.
    """

    def __init__(self, scenery: Scenery, scale: float, max_bytes: int) -> None:
        """Draws nothing yet.

        Args:
          scenery: to draw tiles of.
          scale: pixels a metre.
          max_bytes: memory of the tiles kept.
        """
        self._scenery = scenery
        self._scale = scale
        self._max_tiles = max(1, max_bytes // (_SIDE * _SIDE * 3))
        self._tiles: collections.OrderedDict[tuple[int, int], Array] = collections.OrderedDict()
        self._window = np.empty((0, 0, 3), np.uint8)

    def window(self, left: int, top: int, height: int, width: int) -> Array:
        """Returns uint8 [height, width, 3] RGB, valid until the next call."""
        if self._window.shape != (height, width, 3):
            self._window = np.empty((height, width, 3), np.uint8)
        for row in range(top // _SIDE, (top + height - 1) // _SIDE + 1):
            for column in range(left // _SIDE, (left + width - 1) // _SIDE + 1):
                at_row, at_column = row * _SIDE - top, column * _SIDE - left
                rows = slice(max(at_row, 0), min(at_row + _SIDE, height))
                columns = slice(max(at_column, 0), min(at_column + _SIDE, width))
                self._window[rows, columns] = self._tile(row, column)[
                    rows.start - at_row : rows.stop - at_row,
                    columns.start - at_column : columns.stop - at_column,
                ]
        return self._window

    def _tile(self, row: int, column: int) -> Array:
        key = (row, column)
        if key not in self._tiles:
            left, top = column * _SIDE - _MARGIN, row * _SIDE - _MARGIN
            view = views.north_up(left / self._scale, -top / self._scale, self._scale)
            side = _SIDE + 2 * _MARGIN
            drawn = self._scenery.draw(view, side, side)
            self._tiles[key] = drawn[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN].copy()
            while len(self._tiles) > self._max_tiles:
                self._tiles.popitem(last=False)
        self._tiles.move_to_end(key)
        return self._tiles[key]
