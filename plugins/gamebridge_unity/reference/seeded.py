"""`Seeded`: a scene whose chances are fixed by the trainer's seed."""

from __future__ import annotations

import numpy as np

from gamebridge_unity import player

SEED = "seed"


class Seeded(player.Scene):
    """Draws everything from `random`.

    The seed is the trainer's at first. A trainer that sets the environment parameter "seed"
    begins anew from that one at its next reset; resets without it go on drawing.

    Attributes:
      random: seeded.
      no_graphics: whether the player was started with `-nographics`.
      is_told: whether the newest seed is the parameter's rather than the trainer's own.
    """

    def __init__(self) -> None:
        """Is seeded by 0 until it has met a trainer."""
        super().__init__()
        self.random = np.random.default_rng(0)
        self.no_graphics = False
        self.is_told = False
        self._seed: int | None = 0

    def begin(self, trainer: player.Trainer) -> None:
        """Takes the trainer's seed."""
        self._seed = trainer.seed & 0xFFFF_FFFF
        self.no_graphics = trainer.no_graphics

    def new_seed(self) -> int | None:
        """Returns the seed that a reset begins with; None where it goes on from what was."""
        if self.channels.was_set(SEED):
            self._seed = int(self.channels.parameter(SEED, 0)) & 0xFFFF_FFFF
            self.is_told = True
        seed, self._seed = self._seed, None
        return seed

    def reset(self) -> None:
        """Seeds if there is a new seed; a subclass calls this first."""
        seed = self.new_seed()
        if seed is not None:
            self.random = np.random.default_rng(seed)
