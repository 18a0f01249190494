"""`Screen`: the window in which a player that may draw shows its game."""

from __future__ import annotations

import logging
import os

import numpy as np

from gamebridge.contract import Game
from gamebridge_unity.player import Channels
from gamebridge_unity.player.agents import Array
from gamebridge_unity.reference import windows

_LOG = logging.getLogger(__name__)

_WIDTH, _HEIGHT = 1280, 720
_MOST = 4


def is_there(*, no_graphics: bool) -> bool:
    """Whether a game can be shown: nobody forbade it, and there is a display."""
    if no_graphics:
        return False
    if not os.environ.get("DISPLAY"):
        _LOG.info("DISPLAY is not set: nothing is drawn.")
        return False
    return True


class Screen:
    """Shows the first slot of a game, or its first four in quarters."""

    def __init__(self, game: Game, channels: Channels) -> None:
        """Shows nothing yet: the window has the size that the trainer asks for at first.

        Args:
          game: made with `picture=True`.
          channels: tell of that size.
        """
        self._game, self._channels = game, channels
        self._window: windows.Window | None = None
        self._size = (_WIDTH, _HEIGHT)

    def show(self) -> None:
        """Draws the game as it is now; one without pictures shows nothing."""
        count = min(self._game.num_slots, _MOST)
        pictures = [self._game.render(slot) for slot in range(count)]
        seen = [picture for picture in pictures if picture is not None]
        if not seen:
            return
        if self._window is None:
            engine = self._channels.engine
            self._size = (engine.width or _WIDTH, engine.height or _HEIGHT)
            self._window = windows.Window(*self._size, self._game.name)
        self._window.draw(_tiles(seen, *self._size))

    def close(self) -> None:
        """Closes the window."""
        if self._window is not None:
            self._window.close()


def _tiles(pictures: list[Array], width: int, height: int) -> Array:
    """Returns uint8 [height, width, 3]: one picture, or up to four beside and below each other."""
    import cv2

    side = 1 if len(pictures) == 1 else 2
    screen = np.zeros((height, width, 3), np.uint8)
    tile_width, tile_height = width // side, height // side
    for number, picture in enumerate(pictures):
        row, column = divmod(number, side)
        size = (tile_width, tile_height)
        if picture.shape[1::-1] != size:
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        top, left = row * tile_height, column * tile_width
        screen[top : top + tile_height, left : left + tile_width] = picture
    return screen
