"""`Schedule`: environment parameters that change while a run goes on, as a curriculum does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gamebridge_unity.settings import Parameter

# A value is told to players again when it moved by this part of its whole range.
_GRAIN = 0.01


class Schedule:
    """What the parameters of a game are, given how many steps were played.

    Between two points a value lies on a straight line, beyond them it stays; of two points at
    the same number of steps the second one counts from there on.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        """Takes numbers, or points (steps, value) whose steps rise."""
        self._lines = {
            name: np.asarray(value, np.float64)
            for name, value in parameters.items()
            if not isinstance(value, (int, float))
        }
        self._values = {
            name: float(value)
            for name, value in parameters.items()
            if isinstance(value, (int, float))
        }
        self._told: dict[str, float] = {}
        self._end = max((float(line[-1, 0]) for line in self._lines.values()), default=-1.0)

    def at(self, num_steps: float) -> dict[str, float]:
        """Returns the values of all parameters after so many steps; infinite for the last ones."""
        values = dict(self._values)
        for name, line in self._lines.items():
            index = int(np.searchsorted(line[:, 0], num_steps, side="right"))
            if index == len(line):
                values[name] = float(line[-1, 1])
            elif index == 0:
                values[name] = float(line[0, 1])
            else:
                (before, low), (after, high) = line[index - 1 : index + 1]
                values[name] = float(low + (high - low) * (num_steps - before) / (after - before))
        return values

    def news(self, num_steps: float) -> dict[str, float]:
        """Returns what players have to be told after so many steps: what changed enough."""
        if not self._lines and self._told:
            return {}
        news = {}
        for name, value in self.at(num_steps).items():
            told = self._told.get(name)
            is_last = num_steps >= self._end
            if told is None or (told != value and (is_last or self._is_far(name, told, value))):
                news[name] = value
        self._told.update(news)
        return news

    def _is_far(self, name: str, told: float, value: float) -> bool:
        values = self._lines[name][:, 1]
        return abs(value - told) >= _GRAIN * float(values.max() - values.min())
