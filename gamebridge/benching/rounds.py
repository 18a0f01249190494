"""Rounds: what is compared is measured in turn, a little of each at a time; medians count.

On a machine that others use as well, one long measurement after the other would compare
their moments, not them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

NUM_ROUNDS = 5

Costs = Mapping[str, float]


class Player(Protocol):
    """What can be measured."""

    def play(self, seconds: float) -> Costs:
        """Plays for about so long; returns the microseconds of a step, part by part."""


def measure(
    players: Mapping[str, Player], seconds: float, check: Callable[[], None] = lambda: None
) -> dict[str, list[Costs]]:
    """Lets all players play their rounds; returns what each of them said, round by round.

    Args:
      players: by name.
      seconds: for each of them, all rounds together.
      check: called before every round; raises where the measurement is to end.
    """
    said: dict[str, list[Costs]] = {name: [] for name in players}
    names = list(players)
    for number in range(NUM_ROUNDS):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            check()
            said[name].append(players[name].play(seconds / NUM_ROUNDS))
    return said


def medians(said: Sequence[Costs]) -> dict[str, float]:
    """Returns each part's median over the rounds."""
    return {part: statistics.median(costs[part] for costs in said) for part in said[0]}


def noise(said: Sequence[Costs], part: str) -> float:
    """Returns how far a part's rounds are from their median, half of them at most."""
    values = [costs[part] for costs in said]
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values)
