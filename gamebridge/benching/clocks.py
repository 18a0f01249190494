"""`Clock`: a wrapper that changes nothing and takes the time of the game inside it.

Clocks between all layers of one game tell what each layer costs in one and the same step.
To play every layer on its own would compare different steps, and of a game that takes
milliseconds the noise alone is more than any wrapper costs.
"""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np

from gamebridge import adapters, contract
from gamebridge.contract import specs
from gamebridge.contract.specs import Array

_WRAPPERS = "gamebridge.wrappers."


class Clock(contract.Wrapper):
    """Counts the seconds that the game inside it takes.

    Attributes:
      seconds: in `reset`, `step` and `telemetry`, since it was set to 0.
      num_steps: steps that its slots took, where it counts them.
    """

    def __init__(self, game: contract.Game, *, counts: bool = False) -> None:
        """Wraps `game`; `counts` costs about a microsecond a call."""
        super().__init__(game)
        self.seconds = 0.0
        self.num_steps = 0
        self._counts = counts

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> contract.TimeStep:
        """Resets the game."""
        began_s = time.perf_counter()
        time_step = self.game.reset(seeds, slots)
        self.seconds += time.perf_counter() - began_s
        return time_step

    @property
    def can_keep_rows(self) -> bool:
        """The game's."""
        return self.game.can_keep_rows

    def step(self, action: specs.Nest, active: Array | None = None) -> contract.TimeStep:
        """Steps the game."""
        began_s = time.perf_counter()
        time_step = self.game.step(action, active)
        self.seconds += time.perf_counter() - began_s
        if self._counts:
            self.num_steps += steps_in(time_step, active)
        return time_step

    def telemetry(self) -> dict[str, Array]:
        """Asks the game, which may work it out only now."""
        began_s = time.perf_counter()
        values = self.game.telemetry()
        self.seconds += time.perf_counter() - began_s
        return values


def steps_in(time_step: contract.TimeStep, active: Array | None = None) -> int:
    """Returns how many steps a batch holds: FIRST and invalid rows are none."""
    taken = time_step.valid & (time_step.step_type != contract.FIRST)
    return int(np.count_nonzero(taken if active is None else taken & active))


def insert(game: contract.Game) -> dict[str, Clock]:
    """Puts a clock around every layer of an assembled game.

    Returns:
      The clocks by the names of their layers, from the game outwards. The last one is
      around everything: it is what to play.
    """
    outwards: list[tuple[str, Any]] = []
    layer: Any = game
    while isinstance(layer, contract.Wrapper) and type(layer).__module__.startswith(_WRAPPERS):
        outwards.insert(0, (_name(layer), layer))
        layer = layer.game
    is_repeated = any(name == "action repeat" for name, _ in outwards)
    clock = Clock(layer, counts=is_repeated)
    clocks = {"adapter" if isinstance(layer, adapters.SlotGame) else "game": clock}
    for name, wrapper in outwards:
        wrapper.game = clock
        clocks[name] = clock = Clock(wrapper)
    return clocks


def _name(wrapper: contract.Wrapper) -> str:
    """Writes `ValueGuard` as "value guard"."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(wrapper).__name__).lower()
