"""`Budget`: how often a worker or player may be replaced, and how soon."""

from __future__ import annotations

import collections
import math
import time

from gamebridge.supervision.settings import UNLIMITED, SupervisionSettings

_MOST_WAIT_S = 60.0
# A worker that lived so long was well: the next failure is not part of a series.
_WELL_AFTER_S = 2.0


class Budget:
    """Counts the replacements of one worker.

    The first one comes at once. A worker that fails again as soon as it is up waits 1, 2,
    4 ... 60 s: what is broken outside (a full disk, a licence server) may mend itself.
    """

    def __init__(self, settings: SupervisionSettings) -> None:
        """Starts with the whole budget."""
        self._settings = settings
        self._failed_s: collections.deque[float] = collections.deque()
        self._series = 0
        # Infinite while it is not up.
        self._up_s = math.inf
        self.num_restarts = 0

    def note_up(self) -> None:
        """Takes note that the worker is up, now."""
        self._up_s = time.monotonic()

    def spend(self) -> float | None:
        """Takes one replacement; returns in how many seconds, or None where none is left."""
        now, settings = time.monotonic(), self._settings
        self._failed_s.append(now)
        while self._failed_s[0] <= now - settings.window_s:
            self._failed_s.popleft()
        if now - self._up_s >= _WELL_AFTER_S:
            self._series = 0
        self._up_s = math.inf
        if settings.max_restarts != UNLIMITED and (
            self.num_restarts >= settings.max_restarts
            or len(self._failed_s) > settings.window_restarts
        ):
            return None
        self.num_restarts += 1
        wait_s = 0.0 if self._series == 0 else min(2.0 ** (self._series - 1), _MOST_WAIT_S)
        self._series += 1
        return wait_s

    def describe(self) -> str:
        """Says what was spent of the budget, when, and how to raise it, once none is left."""
        settings = self._settings
        is_window = self.num_restarts < settings.max_restarts
        name = "window_restarts" if is_window else "max_restarts"
        now = time.monotonic()
        ages = [f"{now - failed_s:.0f}" for failed_s in list(self._failed_s)[:-1][-5:]]
        when = f" ({', '.join(ages)} s ago)" if ages else ""
        times = "once" if self.num_restarts == 1 else f"{self.num_restarts} times"
        return (
            f"It was replaced {times}{when}; the limit is {settings.max_restarts} in all and "
            f"{settings.window_restarts} within {settings.window_s:g} s. Mend the cause, or raise "
            f"supervision.{name} (supervision.max_restarts=-1 for no limit)."
        )
