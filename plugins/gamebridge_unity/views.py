"""Pictures of a game: the window of its player, or what an agent sees through a camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array

WINDOW = "window"
# A camera is shown about so large, every pixel as a square.
_LEAST_HEIGHT = 240


class Seen(Protocol):
    """What of a game is needed to show it."""

    name: str

    def frames(self) -> Mapping[str, Array]:
        """See `UnityGame`."""

    def player_of(self, slot: int) -> int:
        """See `UnityGame`."""


def check(game: Seen, view: str) -> None:
    """Refuses the name of a view that a game does not have.

    Raises:
      ConfigError: names those that it has.
    """
    known = [*game.frames(), WINDOW]
    if view and view not in known:
        listed = ", ".join(f"'{name}'" for name in known)
        raise errors.ConfigError(
            f"{game.name}: view is '{view}'; expected one of {listed}.{errors.nearest(view, known)}"
        )


class View:
    """Draws slots of a game."""

    def __init__(self, view: str, window: Callable[[int], Array | None] | None) -> None:
        """Chooses.

        Args:
          view: "window", the name of a frame observation, or "" for the first one, or else
            the window.
          window: returns that of a player, or None while it is being replaced; None where
            players have no display that we could look at.
        """
        self._view = view
        self._window = window

    def __call__(self, game: Seen, slot: int) -> Array | None:
        """Returns a picture, uint8 [height, width, 3]; None where there is none now.

        Raises:
          ConfigError: the window cannot be seen.
        """
        frames = game.frames()
        name = self._view or next(iter(frames), WINDOW)
        if name in frames and self._view != WINDOW:
            return to_picture(frames[name][slot])
        if self._window is None:
            raise errors.ConfigError(
                f"{game.name}: the window of its player cannot be seen on a display that is not "
                "ours. Set graphics=virtual, or view to a frame observation."
            )
        return self._window(game.player_of(slot))


def to_picture(frame: Array) -> Array:
    """Returns a frame, uint8 [height, width, channels], as RGB and large enough to be seen.

    Of a stack the newest colours are shown, of any other number of channels the last one.
    """
    channels = frame.shape[2]
    newest = frame[..., -3:] if channels % 3 == 0 else frame[..., -1:].repeat(3, axis=2)
    times = max(1, -(-_LEAST_HEIGHT // frame.shape[0]))
    return np.ascontiguousarray(newest.repeat(times, axis=0).repeat(times, axis=1))
