"""`Scripted`: a game that plays what it is told, faults too, to test what must notice them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from gamebridge.contract import FIRST, LAST, MID, Game, TimeStep, new_time_step, specs
from gamebridge.contract.specs import Array


@dataclasses.dataclass(frozen=True)
class Moment:
    """What one slot says at one step.

    Attributes:
      observation: written into the slot's row of every leaf, or a nest of such values.
      reward: the reward, any float.
      step_type: FIRST, MID, LAST or a fault.
      discount: None for 0 at LAST and 1 elsewhere.
      valid: whether the row means anything.
      error: raised instead of saying anything.
    """

    observation: Any = 0.0
    reward: float = 0.0
    step_type: int = MID
    discount: float | None = None
    valid: bool = True
    error: Exception | None = None


class Scripted(Game):
    """Plays one list of moments a slot, over and over; actions and seeds change nothing.

    `reset` goes to the next moment that is FIRST, or to the start where seeds are given.
    """

    name = "testing/scripted"

    def __init__(
        self,
        *scripts: Sequence[Moment],
        observation_spec: specs.Spec | None = None,
        action_spec: specs.Spec | None = None,
        produced_spec: specs.Spec | None = None,
    ) -> None:
        """Prepares the rows.

        Args:
          *scripts: one for each slot; the first moment of each must be FIRST.
          observation_spec: what the game promises; one float32 in [-1, 1] by default.
          action_spec: a choice of two by default.
          produced_spec: what it really produces, to break the promise; by default what
            it promises.

        Raises:
          ValueError: no scripts, or one that does not begin with FIRST.
        """
        if not scripts or any(not s or s[0].step_type != FIRST for s in scripts):
            raise ValueError("expected one script a slot, each with FIRST as its first moment.")
        self.num_slots = len(scripts)
        self._scripts = scripts
        self._next = [0] * self.num_slots
        self._observation_spec = observation_spec or specs.box((1,), -1.0, 1.0, name="scripted")
        self._action_spec = action_spec or specs.discrete(2, name="choice")
        self._rows = new_time_step(produced_spec or self._observation_spec, self.num_slots)

    def observation_spec(self) -> specs.Spec:
        """What was promised."""
        return self._observation_spec

    def action_spec(self) -> specs.Spec:
        """What was promised."""
        return self._action_spec

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> TimeStep:
        """See `Game`."""
        for slot in np.flatnonzero(np.ones(self.num_slots) if slots is None else slots):
            script = self._scripts[slot]
            if seeds is not None:
                self._next[slot] = 0
            while script[self._next[slot]].step_type != FIRST:
                self._next[slot] = (self._next[slot] + 1) % len(script)
            self._play(int(slot))
        return self._rows

    def step(self, action: specs.Nest, active: Array | None = None) -> TimeStep:
        """See `Game`; raises the error of the moment, if it has one."""
        for slot in np.flatnonzero(np.ones(self.num_slots) if active is None else active):
            self._play(int(slot))
        return self._rows

    def _play(self, slot: int) -> None:
        script = self._scripts[slot]
        moment = script[self._next[slot]]
        self._next[slot] = (self._next[slot] + 1) % len(script)
        if moment.error is not None:
            raise moment.error
        rows = specs.leaves(self._rows.observation)
        values = specs.leaves(moment.observation)
        if not isinstance(moment.observation, (dict, tuple)):
            values = values * len(rows)
        for row, value in zip(rows, values, strict=True):
            row[slot] = value
        discount = moment.discount
        if discount is None:
            discount = 0.0 if moment.step_type == LAST else 1.0
        self._rows.step_type[slot] = moment.step_type
        self._rows.reward[slot] = moment.reward
        self._rows.discount[slot] = discount
        self._rows.valid[slot] = moment.valid
