"""`Stat`: what a player reported under one name, until somebody asks."""

from __future__ import annotations

AVERAGE, MOST_RECENT, SUM, HISTOGRAM = range(4)


class Stat:
    """What was reported under one name."""

    def __init__(self) -> None:
        """Nothing was reported yet."""
        self._kind = AVERAGE
        self._count = 0
        self._sum = self._last = 0.0

    def add(self, value: float, kind: int) -> None:
        """Adds a report."""
        self._kind = kind
        self._count += 1
        self._sum += value
        self._last = value

    def value(self) -> float:
        """Returns what its reports come to, by the kind of the last one."""
        if self._kind == MOST_RECENT:
            return self._last
        # A histogram's values are told by their average.
        return self._sum if self._kind == SUM else self._sum / self._count
