"""Action repeat: one action lasts several steps of the game."""

from __future__ import annotations

from typing import Any

import numpy as np

from gamebridge import contract, errors
from gamebridge.contract import specs
from gamebridge.contract.specs import Array


class ActionRepeat(contract.Wrapper):
    """Repeats each action; rewards are summed and discounts multiplied.

    A slot stops at its LAST while the others go on, and FIRST is not repeated. Telemetry
    is reduced over the repeats as its spec says. An invalid row ends a slot's turn; what
    it had collected by then is told with its next valid row, so that no reward is lost.
    """

    def __init__(self, game: contract.Game, times: int) -> None:
        """Allocates the rows.

        Raises:
          ValueError: `times` is less than 1.
          GameError: the game cannot hold back a slot whose episode has ended.
        """
        if times < 1:
            raise ValueError(f"times is {times}: expected at least 1.")
        if not game.can_hold and game.num_slots > 1:
            raise errors.GameError(
                f"{game.name} moves all its {game.num_slots} slots at once (can_hold is False): "
                "an action cannot be repeated for some while others have ended their episode. "
                "Set wrappers.action_repeat=1 and repeat inside the game."
            )
        super().__init__(game)
        self._times = times
        if self.steps_per_s is not None:
            self.steps_per_s /= times
        self._all_mid = np.full(game.num_slots, contract.MID, np.int32).tobytes()
        self._told = np.ones(game.num_slots, np.bool_)
        self._reward = np.zeros(game.num_slots, np.float32)
        self._discount = np.ones(game.num_slots, np.float32)
        self._telemetry = {
            name: np.zeros(game.num_slots, spec.dtype)
            for name, spec in game.telemetry_spec().items()
        }
        self._reduces = [
            (name, spec.reduce, self._telemetry[name], _neutral(spec))
            for name, spec in game.telemetry_spec().items()
        ]

    def lend(self, observation: specs.Nest) -> bool:
        """Lends them to the game."""
        return self.game.lend(observation)

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> contract.TimeStep:
        """Resets the game; the slots named begin with empty sums."""
        time_step = self.game.reset(seeds, slots)
        self._begin(True if slots is None else slots)
        self._add(time_step, time_step.valid if slots is None else time_step.valid & slots)
        return self._tell(time_step, slots)

    def step(self, action: specs.Nest, active: Array | None = None) -> contract.TimeStep:
        """Repeats `action` until it is used up or no slot goes on."""
        self._begin(self._told if active is None else self._told & active)
        # Who goes on; None is everyone, and saves the masks in all steps but a few.
        going = active
        for _ in range(self._times):
            time_step = self.game.step(action, going)
            valid = time_step.valid
            all_valid = np.count_nonzero(valid) == self.num_slots
            if going is None and all_valid and time_step.step_type.tobytes() == self._all_mid:
                self._add(time_step, True)
                continue
            heard = valid if going is None else valid & going
            self._add(time_step, heard)
            running = heard & (time_step.step_type == contract.MID)
            if not np.count_nonzero(running):
                break
            going = running
        return self._tell(time_step, active)

    def telemetry(self) -> dict[str, Array]:
        """The game's, reduced over the repeats."""
        return self._telemetry

    def _begin(self, where: Any) -> None:
        np.copyto(self._reward, 0, where=where)
        np.copyto(self._discount, 1, where=where)
        for _, _, total, neutral in self._reduces:
            np.copyto(total, neutral, where=where)

    def _add(self, time_step: contract.TimeStep, where: Any) -> None:
        np.add(self._reward, time_step.reward, out=self._reward, where=where)
        np.multiply(self._discount, time_step.discount, out=self._discount, where=where)
        if not self._reduces:
            return
        values = self.game.telemetry()
        for name, reduce, total, _ in self._reduces:
            if reduce == "sum":
                np.add(total, values[name], out=total, where=where)
            elif reduce == "max":
                np.maximum(total, values[name], out=total, where=where)
            else:
                np.copyto(total, values[name], where=where)

    def _tell(self, time_step: contract.TimeStep, named: Array | None) -> contract.TimeStep:
        step_type, _, _, observation, valid = time_step
        np.copyto(self._told, valid, where=True if named is None else named)
        return contract.TimeStep(step_type, self._reward, self._discount, observation, valid)


def _neutral(spec: specs.TelemetrySpec) -> Any:
    """Returns what changes nothing when it is reduced with a value."""
    dtype = np.dtype(spec.dtype)
    if spec.reduce != "max" or dtype.kind == "b":
        return dtype.type(0)
    return dtype.type(-np.inf) if dtype.kind == "f" else np.iinfo(dtype).min
