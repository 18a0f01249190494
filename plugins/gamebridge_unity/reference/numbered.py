"""`Numbered`: every decision tells whose, of which episode and which step it is."""

from __future__ import annotations

import numpy as np

from gamebridge_unity import player
from gamebridge_unity.player.agents import Array
from gamebridge_unity.reference import seeded

NUM_CHOICES = 100
_END, _INTERRUPT = 0.03, 0.03
_COME, _GO, _LATE = 0.1, 0.02, 0.1


class Numbered(seeded.Seeded):
    """Agents that see [id, episode, step, last discrete action, last continuous one].

    The reward of a step is its number. Episodes end at random, half of them interrupted. In
    the form with comers agents also leave at random, come again under another id, and ask
    late: they let steps pass between decisions.
    """

    def __init__(self, count: int, *, comers: bool = False) -> None:
        """Adds the agents; with comers half of them are there at first."""
        super().__init__()
        seen = (player.Vector("numbers", 5),)
        behavior = player.Behavior("Numbered?team=0", seen, 1, (NUM_CHOICES,))
        step = player.Field("step", reduce="last", summary="steps since the episode began")
        self.players = self.add(behavior, count, [step], present=False)
        self._comers = comers
        self.players.enter(np.arange(count) < (count + 1) // 2 if comers else None)
        self._episodes, self._steps = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._waits = np.zeros(count, np.bool_)

    def reset(self) -> None:
        """Begins an episode for all who are there."""
        super().reset()
        self._begin(self.players.present, 1)
        self._ask(self.players.present)

    def step(self) -> None:
        """Counts, ends episodes, and sends agents away."""
        crowd = self.players
        is_there = crowd.present
        self._steps[is_there] += 1
        crowd.rewards[is_there] += self._steps[is_there]
        self._see()
        chances = self.random.random((4, len(crowd)))
        over = is_there & (chances[0] < _END + _INTERRUPT)
        crowd.end(over, chances[0] < _INTERRUPT)
        self._begin(over, 1)
        if self._comers:
            self._come_and_go(chances)
        late = self._comers & (chances[3] < _LATE)
        self._ask(crowd.present & ~late)

    def _come_and_go(self, chances: Array) -> None:
        crowd = self.players
        comes = ~crowd.present & (chances[1] < _COME)
        # One whose episode ends in this step has nothing to end any more.
        goes = crowd.present & (self._steps > 0) & (chances[2] < _GO)
        crowd.leave(goes)
        crowd.enter(comes)
        self._episodes[comes] = 0
        self._begin(comes, 1)

    def _begin(self, who: Array, count: int) -> None:
        self._episodes[who] += count
        self._steps[who] = 0

    def _ask(self, who: Array) -> None:
        self._see()
        self.players.request(who)

    def _see(self) -> None:
        crowd = self.players
        crowd.telemetry["step"][:] = self._steps
        crowd.observations["numbers"][:] = np.column_stack([
            crowd.ids, self._episodes, self._steps, crowd.discrete[:, 0], crowd.continuous[:, 0]
        ])  # fmt: skip
