"""`Seeded`: a game whose first episodes have seeds, also for who resets without giving any."""

from __future__ import annotations

import numpy as np

from gamebridge import contract
from gamebridge.contract import specs
from gamebridge.contract.specs import Array


class Seeded(contract.Wrapper):
    """Gives each slot its seed at the slot's first reset, unless that brings one."""

    def __init__(self, game: contract.Game, seeds: Array) -> None:
        """Keeps `seeds`, int64 [B], until they are needed."""
        super().__init__(game)
        self._seeds = np.asarray(seeds, np.int64)
        self._pending = np.ones(game.num_slots, np.bool_)
        self._was_reset = False

    @property
    def can_keep_rows(self) -> bool:
        """The game's."""
        return self.game.can_keep_rows

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> contract.TimeStep:
        """Resets with the seeds that are due."""
        named = np.ones(self.num_slots, np.bool_) if slots is None else np.asarray(slots, np.bool_)
        due = self._pending & named
        self._pending &= ~named
        self._was_reset = True
        if seeds is not None or not due.any():
            return self.game.reset(seeds, slots)
        if (due == named).all():
            return self.game.reset(self._seeds, slots)
        self.game.reset(self._seeds, due)
        return self.game.reset(None, named & ~due)

    def step(self, action: specs.Nest, active: Array | None = None) -> contract.TimeStep:
        """Steps; a game that was never reset is reset first, as an action has nowhere to go."""
        if not self._was_reset:
            return self.reset()
        return self.game.step(action, active)
