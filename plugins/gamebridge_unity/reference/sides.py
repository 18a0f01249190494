"""`Sides`: a scene that is learnt from the pixels of its own window."""

from __future__ import annotations

import math

import numpy as np

from gamebridge_unity import player
from gamebridge_unity.player.agents import Array
from gamebridge_unity.reference import seeded, windows

# A tile of the window, in pixels, and the cells that a dot moves through.
TILE, CELLS = 40, 5
_CELL = TILE // CELLS
_STEP_LIMIT = 12
_BACK, _DOT, _MARK = (24, 24, 40), (250, 220, 60), (60, 220, 90)


class Sides(seeded.Seeded):
    """Dots that are to go to the side that is marked; each has a tile of one window.

    Actions are left, stay and right. Reaching the marked side pays 1, the other one -1, and
    ends the episode; a step costs 0.02. With `-nographics` no window is opened and all frames
    are black, as those of a Unity build without graphics.
    """

    def __init__(self, count: int, *, no_graphics: bool = False) -> None:
        """Opens the window.

        Raises:
          PlayerError: there is no display.
        """
        super().__init__()
        self._columns = math.ceil(math.sqrt(count))
        self._rows = math.ceil(count / self._columns)
        self._window = None
        if not no_graphics:
            size = (self._columns * TILE, self._rows * TILE)
            self._window = windows.Window(*size, "gamebridge reference player")
        behavior = player.Behavior(
            "Dot?team=0", (player.Frame("window", TILE, TILE, 3),), branches=(3,)
        )
        self.dots = self.add(behavior, count)
        self._cells = np.zeros(count, np.int64)
        self._sides = np.ones(count, np.int64)
        self._steps = np.zeros(count, np.int64)

    def reset(self) -> None:
        """Puts all dots in the middle."""
        super().reset()
        self._begin(np.ones(len(self.dots), np.bool_))
        self._look()
        self.dots.request()

    def step(self) -> None:
        """Moves the dots."""
        self._cells += self.dots.discrete[:, 0] - 1
        self._steps += 1
        middle = CELLS // 2
        arrived = np.abs(self._cells) >= middle
        late = self._steps >= _STEP_LIMIT
        right = np.where(self._cells * self._sides > 0, 1.0, -1.0)
        self.dots.rewards += np.where(arrived, right, -0.02)
        self._look()
        over = arrived | late
        if over.any():
            self.dots.end(over, late & ~arrived)
            self._begin(over)
            self._look()
        self.dots.request()

    def close(self) -> None:
        """Closes the window."""
        if self._window is not None:
            self._window.close()

    def _begin(self, who: Array) -> None:
        self._cells[who] = self._steps[who] = 0
        self._sides[who] = self.random.choice((-1, 1), int(who.sum()))

    def _look(self) -> None:
        if self._window is None:
            return
        height, width = self._rows * TILE, self._columns * TILE
        picture = np.zeros((height, width, 3), np.uint8)
        for number in range(len(self.dots)):
            self._draw(self._tile(picture, number), number)
        seen = self._window.show(picture)
        for number in range(len(self.dots)):
            self.dots.observations["window"][number] = self._tile(seen, number)

    def _tile(self, picture: Array, number: int) -> Array:
        row, column = divmod(number, self._columns)
        tile: Array = picture[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
        return tile

    def _draw(self, tile: Array, number: int) -> None:
        tile[:] = _BACK
        edge = slice(0, 4) if self._sides[number] < 0 else slice(TILE - 4, TILE)
        tile[:, edge] = _MARK
        left = (self._cells[number] + CELLS // 2) * _CELL
        tile[TILE // 2 - 4 : TILE // 2 + 4, left : left + _CELL] = _DOT
