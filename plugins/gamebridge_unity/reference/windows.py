"""`Window`: a window on an X display, and the pixels that are really in it.

What is drawn is not what is seen: on a display that is covered, locked or not there, a game
that trains from its own window sees nothing. So the pixels are read back from the X server.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
import os
import warnings
from typing import Any

import numpy as np

from gamebridge import errors
from gamebridge_unity.player.agents import Array

_LOG = logging.getLogger(__name__)

_Z_PIXMAP, _ALL_PLANES = 2, ctypes.c_ulong(-1)


class Window:
    """A window of a fixed size."""

    def __init__(self, width: int, height: int, title: str) -> None:
        """Opens it on the display that $DISPLAY names.

        Raises:
          PlayerError: there is no display, or it does not let us in.
        """
        display = os.environ.get("DISPLAY", "")
        if not display:
            raise errors.PlayerError(
                "No display: this scene draws in a window and DISPLAY is not set. Start it on a "
                "display, such as Xvfb's, or with -nographics, which shows it black frames."
            )
        os.environ["SDL_VIDEODRIVER"] = "x11"
        os.environ["SDL_AUDIODRIVER"] = "dummy"
        os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"
        with warnings.catch_warnings():
            # The version that TF-Agents pins imports what setuptools calls deprecated.
            warnings.simplefilter("ignore")
            import pygame

        self._pygame: Any = pygame
        try:
            pygame.display.init()
            self._surface = pygame.display.set_mode((width, height))
        except pygame.error as error:
            raise errors.PlayerError(
                f"No display: a window of {width} by {height} cannot be opened on DISPLAY="
                f"'{display}': {error}. Check that the display runs and lets this user in."
            ) from error
        pygame.display.set_caption(title)
        self._size = (width, height)
        self._server = _Server.of(pygame.display.get_wm_info())
        if self._server is None:
            _LOG.warning("Pixels cannot be read back from X here; what is drawn is taken instead.")

    def draw(self, picture: Array) -> None:
        """Draws a picture, uint8 [height, width, 3] RGB."""
        pygame = self._pygame
        pygame.event.pump()
        pygame.surfarray.blit_array(self._surface, picture.swapaxes(0, 1))
        pygame.display.flip()

    def show(self, picture: Array) -> Array:
        """Draws a picture and returns what is then in the window, both [height, width, 3] RGB."""
        self.draw(picture)
        if self._server is None:
            return picture
        seen = self._server.pixels(*self._size)
        return picture if seen is None else seen

    def close(self) -> None:
        """Closes it."""
        self._pygame.display.quit()


class _Server:
    """The X server that a window is on, by the connection that SDL has to it."""

    def __init__(self, library: Any, display: int, window: int) -> None:
        self._library, self._display, self._window = library, display, window

    @classmethod
    def of(cls, told: dict[str, Any]) -> _Server | None:
        """Returns it for a window; None where there is no way to it."""
        name = ctypes.util.find_library("X11")
        if name is None or "window" not in told:
            return None
        library = ctypes.CDLL(name)
        library.XOpenDisplay.restype = ctypes.c_void_p
        library.XGetImage.restype = ctypes.POINTER(_Image)
        library.XGetImage.argtypes = [
            ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_int, ctypes.c_uint,
            ctypes.c_uint, ctypes.c_ulong, ctypes.c_int,
        ]  # fmt: skip
        library.XFree.argtypes = [ctypes.c_void_p]
        # A connection of our own: SDL's is busy in SDL's threads.
        display = library.XOpenDisplay(None)
        return None if not display else cls(library, display, told["window"])

    def pixels(self, width: int, height: int) -> Array | None:
        """Returns uint8 [height, width, 3] RGB; None for a display of other than 32-bit pixels."""
        image = self._library.XGetImage(
            self._display, self._window, 0, 0, width, height, _ALL_PLANES, _Z_PIXMAP
        )
        if not image:
            return None
        try:
            told = image.contents
            if told.bits_per_pixel != 32 or told.red_mask != 0xFF0000:
                return None
            data = ctypes.string_at(told.data, told.bytes_per_line * height)
            rows = np.frombuffer(data, np.uint8).reshape(height, told.bytes_per_line)
            blue_first = rows[:, : 4 * width].reshape(height, width, 4)
            seen: Array = blue_first[:, :, 2::-1].copy()
            return seen
        finally:
            # XDestroyImage is a macro: it frees the data, then the image.
            self._library.XFree(image.contents.data)
            self._library.XFree(image)


class _Image(ctypes.Structure):
    """`XImage` of Xlib.h, up to what is read of it."""

    _fields_ = (
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("xoffset", ctypes.c_int),
        ("format", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("byte_order", ctypes.c_int),
        ("bitmap_unit", ctypes.c_int),
        ("bitmap_bit_order", ctypes.c_int),
        ("bitmap_pad", ctypes.c_int),
        ("depth", ctypes.c_int),
        ("bytes_per_line", ctypes.c_int),
        ("bits_per_pixel", ctypes.c_int),
        ("red_mask", ctypes.c_ulong),
        ("green_mask", ctypes.c_ulong),
        ("blue_mask", ctypes.c_ulong),
    )
