"""`Ground`: scenery about a moving camera, drawn in square tiles that are kept."""

from __future__ import annotations

import collections

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing.drawing import views
from gamebridge_racing.drawing.scenery import Scenery

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
        # Tiles laid together; a moving camera stays on the same ones for some frames.
        self._laid: tuple[range, range] = (range(0), range(0))
        self._mosaic = np.empty((0, 0, 3), np.uint8)

    @property
    def num_tiles(self) -> int:
        """How many tiles are kept."""
        return len(self._tiles)

    def window(self, left: int, top: int, height: int, width: int) -> Array:
        """Returns uint8 [height, width, 3] RGB: a part of an array, not to be written to."""
        rows = range(top // _SIDE, (top + height - 1) // _SIDE + 1)
        columns = range(left // _SIDE, (left + width - 1) // _SIDE + 1)
        if (rows, columns) != self._laid:
            self._laid = (rows, columns)
            self._mosaic = np.concatenate(
                [np.concatenate([self._tile(row, column) for column in columns], 1) for row in rows]
            )
        top, left = top - rows.start * _SIDE, left - columns.start * _SIDE
        return self._mosaic[top : top + height, left : left + width]

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
