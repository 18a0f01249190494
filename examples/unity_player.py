#!/usr/bin/env python3
"""Catch, offered to any ML-Agents trainer, which starts it as it starts a Unity build."""
# ruff: noqa: D102 - what the methods are for is told by `player.Scene`

import sys
from collections.abc import Iterable

import numpy as np

from gamebridge_unity import player

COLUMNS, ROWS, BASKETS = 7, 9, 8


class Catch(player.Scene):
    """Fruit falls; a basket below each goes left, stays, or goes right."""

    def __init__(self) -> None:
        super().__init__()
        sight = player.Vector("sight", 3)
        self.baskets = self.add(player.Behavior("Basket?team=0", (sight,), branches=(3,)), BASKETS)
        self.places = self.baskets.observations["sight"]  # basket, fruit, row

    def begin(self, trainer: player.Trainer) -> None:
        self.random = np.random.default_rng(trainer.seed)

    def reset(self) -> None:
        self.drop(range(BASKETS))
        self.baskets.request()

    def step(self) -> None:
        self.places[:, 0] += self.baskets.discrete[:, 0] - 1
        self.places[:, 0].clip(0, COLUMNS - 1, out=self.places[:, 0])
        self.places[:, 2] += 1
        over = np.flatnonzero(self.places[:, 2] == ROWS)
        self.baskets.rewards[over] = np.where(self.places[over, 0] == self.places[over, 1], 1, -1)
        self.baskets.end(over)  # with what is seen now; what follows is of the next episode
        self.drop(over)
        self.baskets.request()

    def drop(self, who: Iterable[int]) -> None:
        for basket in who:
            self.places[basket] = COLUMNS // 2, self.random.integers(COLUMNS), 0


if __name__ == "__main__":
    sys.exit(player.serve(Catch))
