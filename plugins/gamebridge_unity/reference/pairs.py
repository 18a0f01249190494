"""`Pair`: two behaviours in one scene."""

from __future__ import annotations

from typing import Any

import numpy as np

from gamebridge_unity import player
from gamebridge_unity.reference import walks


class Pair(walks.Walk):
    """Walkers of two behaviours: the second sees less, runs, and decides in every third step."""

    def __init__(self, count: int) -> None:
        """Adds both, as many of each."""
        walker = player.Behavior("Walker?team=0", (player.Vector("place", 3),), branches=(3,))
        super().__init__(walker, count)
        runner = player.Behavior("Runner?team=1", (player.Vector("place", 2),), 1)
        self.runners = self.add(runner, count)
        self._lines = walks.World(count)

    def reset(self) -> None:
        """Begins an episode for everybody of both."""
        super().reset()
        self._lines.begin(np.ones(len(self.runners), np.bool_), self.random)
        self._ask_runners()

    def step(self) -> None:
        """Moves both."""
        super().step()
        lines = self._lines
        self.runners.rewards += lines.move(self.runners.continuous[:, 0])
        over = lines.arrived | (lines.steps >= walks.STEP_LIMIT)
        self._see()
        if over.any():
            self.runners.end(over, ~lines.arrived)
            lines.begin(over, self.random)
        self._ask_runners()

    def _ask_runners(self) -> None:
        self._see()
        if self._academy_step % 3 == 0:
            self.runners.request()

    def _see(self) -> None:
        seen: Any = self.runners.observations["place"]
        seen[:] = np.stack([self._lines.places, self._lines.marks], 1)
