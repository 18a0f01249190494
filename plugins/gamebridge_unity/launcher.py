"""`Launcher`: starts the players of a game, each where it can draw, and sees what they draw."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Sequence

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge.supervision import scratch
from gamebridge_unity import builds, desktops, displays, players
from gamebridge_unity.settings import Graphics


class Launcher:
    """Starts players; may be called from several threads.

    Attributes:
      graphics: how players are started.
    """

    def __init__(
        self,
        build: builds.Build | None,
        args: Sequence[str],
        graphics: Graphics,
        log_folder: str,
        size: tuple[int, int],
        *,
        is_seen: bool,
    ) -> None:
        """Starts nothing yet.

        Args:
          build: what is run; None for an editor, which is not ours to start.
          args: beside those of the build.
          graphics: "virtual" draws on a display that is started for it.
          log_folder: for the logs of players; "" makes one, which goes with the launcher,
            or after a week if a player was lost.
          size: width and height of virtual displays, in pixels.
          is_seen: whether windows will be looked at: each player has a display of its own
            then, where they would lie upon each other.
        """
        self.graphics = graphics
        self._build = build
        self._args = tuple(args)
        self._size = size
        self._is_seen = is_seen
        self._num_started = 0
        self._scratch = None if log_folder else scratch.Scratch("gamebridge-unity-")
        self._folder = pathlib.Path(log_folder) if self._scratch is None else self._scratch.path
        self._displays: dict[int, displays.Display] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def launch(self, index: int, label: str, port: int) -> players.Player | None:
        """Starts player number `index`; see `squad.Launch`.

        Raises:
          PlayerError: it cannot be started, or has no display.
        """
        if self._build is None:
            return None
        if self.graphics == "display":
            desktops.check(label)
        display = self._display(index) if self.graphics == "virtual" else None
        self._num_started += 1
        return players.Player(
            self._build,
            label=label,
            port=port,
            graphics=self.graphics,
            display=display,
            extra_args=self._args,
            log_folder=self._folder,
        )

    def window(self, index: int) -> Array | None:
        """Returns what player number `index` shows, uint8 [height, width, 3]."""
        display = self._displays.get(index)
        return None if display is None else display.picture()

    def close(self, keeps_logs: bool) -> None:
        """Ends the displays; to be called when all players have ended. May be called twice.

        Args:
          keeps_logs: whether somebody will want to read them.
        """
        with self._lock:
            self._is_closed = True
            for display in self._displays.values():
                display.close()
            self._displays.clear()
        if self._scratch is None:
            return
        if keeps_logs:
            self._scratch.keep()
        else:
            self._scratch.remove()

    def _display(self, index: int) -> displays.Display:
        """Returns the display of a player, started anew where it has ended."""
        place = index if self._is_seen else 0
        with self._lock:
            if self._is_closed:
                raise errors.PlayerError("the game is closed.")
            display = self._displays.get(place)
            if display is not None:
                try:
                    display.check()
                    return display
                except errors.PlayerError:
                    display.close()
            self._displays[place] = display = displays.Display(*self._size)
            return display
