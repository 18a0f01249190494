"""A game in which what was seen at first must be known at last."""

from __future__ import annotations

import numpy as np

from gamebridge.contract import specs
from gamebridge.testing.batched import BatchedGame


class Junction(BatchedGame):
    """A T-maze: a sign at the entrance tells where to turn at the end of a corridor.

    The sign is seen in the first step only. `length` steps later, whatever was done on the
    way, the episode ends: 1 for the turn that the sign told, -1 for the other one.
    """

    name = "toy/junction"

    def __init__(self, num_slots=1, length=4):
        self.length = length
        super().__init__(num_slots)
        self._turn = np.zeros(num_slots, np.int64)

    def observation_spec(self):
        return specs.box((2,), -1.0, 1.0, name="sign, junction")

    def action_spec(self):
        return specs.discrete(2)

    def begin(self, slots, seeds):
        self._turn[slots] = seeds % 2

    def advance(self, slots, action):
        over = self.elapsed[slots] == self.length
        right = np.where(np.asarray(action)[slots] == self._turn[slots], 1.0, -1.0)
        return np.where(over, right, 0.0), over, np.zeros_like(over)

    def observe(self, slots):
        at_sign = self.elapsed[slots] == 0
        self.rows.observation[slots, 0] = np.where(at_sign, 2.0 * self._turn[slots] - 1.0, 0.0)
        self.rows.observation[slots, 1] = self.elapsed[slots] == self.length - 1
