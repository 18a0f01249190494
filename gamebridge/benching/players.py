"""`GamePlayer`: plays a Game with random actions, here or in workers, layer by layer."""

from __future__ import annotations

import resource
import time

import numpy as np

from gamebridge import contract, errors
from gamebridge.benching import clocks
from gamebridge.testing import playing

# How long a game may say nothing before it is given up.
_SILENCE_S = 60.0
_NUM_ACTIONS = 64
# Below this share of a core, and with as many waits as this a batch, a game waits.
_BUSY = 0.5
_WAITS = 0.5

TOTAL = "total"


class GamePlayer:
    """Steps a game, whose layers get clocks around them.

    Attributes:
      game: the game with its clocks; to be played by nobody else meanwhile.
      layers: names of the layers, from the game outwards.
      steps_a_step: steps of the innermost game in one step of the outermost.
    """

    def __init__(self, game: contract.Game) -> None:
        """Takes over the closing of `game`."""
        self._clocks = clocks.insert(game)
        self.layers = tuple(self._clocks)
        self.game: contract.Game = list(self._clocks.values())[-1]
        self.steps_a_step = 1.0
        generator = np.random.default_rng(0)
        spec = game.action_spec()
        self._actions = [
            playing.random_action(spec, game.num_slots, generator) for _ in range(_NUM_ACTIONS)
        ]
        self._num_batches = 0
        self._num_waits = 0
        self._wall_s = 0.0
        self._busy_s = 0.0
        self._is_reset = False

    @property
    def waits(self) -> bool:
        """Whether the game spends most of its time waiting, as with a sleep, a socket or a disk.

        A share of a core alone does not tell: on a busy machine a game that computes gets
        no more than its share either, but does not give its core up by itself.
        """
        if not self._num_batches:
            return False
        is_idle = self._busy_s < _BUSY * self._wall_s
        return is_idle and self._num_waits >= _WAITS * self._num_batches

    def play(self, seconds: float) -> dict[str, float]:
        """Plays for so long; see `rounds.Player`.

        Returns:
          Microseconds of a slot's step: of every layer alone, and in all.

        Raises:
          GameError: the game raised, broke its spec, or said nothing for a minute.
        """
        if not self._is_reset:
            self.game.reset()
            self._is_reset = True
        for clock in self._clocks.values():
            clock.seconds, clock.num_steps = 0.0, 0
        num_steps = self._play(seconds)
        costs, inside = {}, 0.0
        for name, clock in self._clocks.items():
            costs[name] = 1e6 * (clock.seconds - inside) / num_steps
            inside = clock.seconds
        innermost = next(iter(self._clocks.values()))
        if innermost.num_steps:
            self.steps_a_step = innermost.num_steps / num_steps
        return {**costs, TOTAL: 1e6 * inside / num_steps}

    def _play(self, seconds: float) -> int:
        num_steps = 0
        waits, busy_s = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw, time.process_time()
        began_s = now_s = time.perf_counter()
        while now_s - began_s < seconds or not num_steps:
            if not num_steps and now_s - began_s > _SILENCE_S:
                raise errors.GameError(
                    f"{self.game.name}: no slot took a step in {_SILENCE_S:.0f} s; expected "
                    "valid rows. Mend the game, or play it with fewer slots."
                )
            time_step = self.game.step(self._actions[self._num_batches % _NUM_ACTIONS])
            num_steps += clocks.steps_in(time_step)
            self._num_batches += 1
            now_s = time.perf_counter()
        self._wall_s += now_s - began_s
        self._busy_s += time.process_time() - busy_s
        self._num_waits += resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - waits
        return num_steps

    def close(self) -> None:
        """Closes the game."""
        self.game.close()
