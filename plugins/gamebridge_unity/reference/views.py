"""Walkers who see pictures: grey cameras, stacked ones, grids of four channels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gamebridge_unity import player
from gamebridge_unity.player.agents import Array
from gamebridge_unity.reference import walks

HEIGHT, WIDTH = 20, 24


def draw(places: Array, marks: Array) -> Array:
    """Returns uint8 [walkers, HEIGHT, WIDTH, 3]: the mark below in green, the walker in red."""
    frames = np.full((len(places), HEIGHT, WIDTH, 3), 30, np.uint8)
    rows = np.arange(len(places))
    for half, (where, colour) in enumerate((
        (places, (255, 64, 0)),
        (marks, (0, 200, 80)),
    )):  # fmt: skip
        columns = np.rint((where + 1) / 2 * (WIDTH - 3)).astype(int) + 1
        top = half * HEIGHT // 2 + 2
        for offset in (-1, 0, 1):
            frames[rows, top : top + 6, columns + offset] = colour
    return frames


class Views(walks.Walk):
    """Walkers who see the line through cameras."""

    def __init__(self, count: int, cameras: Iterable[player.Frame]) -> None:
        """Adds the agents.

        Args:
          count: how many.
          cameras: of `HEIGHT` by `WIDTH`; of any channels, stack and compression.
        """
        self._cameras = tuple(cameras)
        super().__init__(player.Behavior("Viewer?team=0", self._cameras, branches=(3,)), count)
        self._fresh = np.zeros(count, np.bool_)

    def start(self, who: Array) -> None:
        """Empties the stacks of who begins."""
        self._fresh = who
        super().start(who)
        self._fresh = np.zeros(len(who), np.bool_)

    def look(self) -> None:
        """Draws, and pushes the pictures into the stacks."""
        frames = draw(self.world.places, self.world.marks)
        grey = frames.mean(3, keepdims=True).astype(np.uint8)
        # Those who begin have seen nothing yet; else everybody sees one more picture.
        who = self._fresh if self._fresh.any() else np.ones(len(self._fresh), np.bool_)
        for camera in self._cameras:
            seen = self.walkers.observations[camera.name]
            newest = {1: grey, 3: frames, 4: np.concatenate([frames, grey], 3)}[camera.channels]
            if not camera.is_compressed:
                newest = newest.astype(np.float32) / 255
            past = np.where(
                self._fresh[who, None, None, None], 0, seen[who][..., camera.channels :]
            )
            seen[who] = np.concatenate([past, newest[who]], 3).astype(seen.dtype)


def grey(count: int) -> Views:
    """One grey camera as PNG, one as floats."""
    return Views(count, (
        player.Frame("grey", HEIGHT, WIDTH, 1),
        player.Frame("plain", HEIGHT, WIDTH, 1, is_compressed=False),
    ))  # fmt: skip


def stacked(count: int) -> Views:
    """Stacks of colour, grey and four channels; colour and four channels alone; floats."""
    return Views(count, (
        player.Frame("a-colour", HEIGHT, WIDTH, 3),
        player.Frame("b-colours", HEIGHT, WIDTH, 3, stack=3),
        player.Frame("c-greys", HEIGHT, WIDTH, 1, stack=2),
        player.Frame("d-grid", HEIGHT, WIDTH, 4),
        player.Frame("e-grids", HEIGHT, WIDTH, 4, stack=2),
        player.Frame("f-floats", HEIGHT, WIDTH, 3, stack=2, is_compressed=False),
    ))  # fmt: skip
