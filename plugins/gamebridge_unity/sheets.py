"""`Sheet`: the rows of a game, and the actions that its slots gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gamebridge import contract
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge_unity import batches, behaviors, encoding, fields, slots


class Sheet:
    """Arrays [B, ...] of all slots, which players' slots write to in slices.

    Attributes:
      fields: the specs of the behaviour that learns.
      time_step: the rows.
      telemetry_spec: what is reported of a slot.
      telemetry: float32 [B] each.
    """

    def __init__(
        self,
        behavior: behaviors.Behavior,
        num_slots: int,
        reported: Mapping[str, specs.TelemetrySpec],
        messages: Sequence[batches.Batch],
        *,
        masks: bool,
    ) -> None:
        """Allocates everything.

        Args:
          behavior: the one that learns.
          num_slots: B.
          reported: what its agents report themselves.
          messages: the first message of each player: there is telemetry of groups and masks
            where it has any.
          masks: whether action masks are observed.

        Raises:
          GameError: the behaviour has no actions or no observations.
        """
        self.fields = fields.Fields(behavior, masks=masks)
        self.time_step = contract.new_time_step(self.fields.observation_spec, num_slots)
        self.time_step.valid[...] = False
        self._leaves = self.fields.leaves(self.time_step.observation)
        self._continuous = np.zeros((num_slots, behavior.num_continuous), np.float32)
        self._discrete = np.zeros((num_slots, len(behavior.branches)), np.int32)
        self._reported = tuple(reported)
        self._group_reward = np.zeros(num_slots, np.float32)
        self._forbidden = np.zeros(num_slots, np.float32)
        self.telemetry_spec = dict(reported)
        self.telemetry = {name: np.zeros(num_slots, np.float32) for name in reported}
        if any(np.any(batch.group_ids) or np.any(batch.ended.group_ids) for batch in messages):
            self._add("group_reward", self._group_reward, "reward that the agent's group got")
        self._has_masks = any(
            batch.masks is not None and not np.all(batch.masks) for batch in messages
        )
        if self._has_masks:
            self._add("forbidden_action", self._forbidden, "actions that the game forbade")

    def part(self, where: slice) -> slots.Rows:
        """Returns the rows of a range of slots."""
        rows = self.time_step
        return slots.Rows(
            rows.step_type[where],
            rows.reward[where],
            rows.discount[where],
            tuple(leaf[where] for leaf in self._leaves),
            rows.valid[where],
            self._group_reward[where],
            tuple(self.telemetry[name][where] for name in self._reported),
            tuple(self.telemetry_spec[name].reduce == "sum" for name in self._reported),
        )

    def frames(self) -> dict[str, Array]:
        """Returns the frame observations, uint8 [B, height, width, channels], by name."""
        return {name: self._leaves[index] for name, index in self.fields.frames().items()}

    def store(
        self, actions: encoding.Actions, where: slice, answered: Array, rows: Array, masks: Any
    ) -> None:
        """Keeps the actions of some slots of a player, until it is answered.

        Args:
          actions: of all slots of the game.
          where: the player's slots.
          answered: int64 [k], those of them that are meant.
          rows: int64 [k], where their decisions are in the player's newest message.
          masks: bool of that message, or None.
        """
        if actions.continuous is not None:
            self._continuous[where][answered] = actions.continuous[where][answered]
        if actions.discrete is not None:
            chosen = actions.discrete[where][answered]
            self._discrete[where][answered] = chosen
            if self._has_masks:
                forbidden = self.fields.forbidden(chosen, masks, rows)
                self._forbidden[where][answered] = forbidden

    def clear_forbidden(self, named: Array) -> None:
        """Begins a step: the slots named, bool [B], did nothing that is forbidden yet."""
        if self._has_masks:
            self._forbidden[named] = 0

    def chosen(self, which: Array) -> encoding.Actions:
        """Returns the kept actions of the slots numbered in `which`."""
        behavior = self.fields.behavior
        return encoding.Actions(
            self._continuous[which] if behavior.num_continuous else None,
            self._discrete[which] if behavior.branches else None,
        )

    def _add(self, name: str, column: Array, summary: str) -> None:
        if name not in self.telemetry:  # the game's own goes first
            self.telemetry_spec[name] = specs.TelemetrySpec("", "sum", np.float32, summary)
            self.telemetry[name] = column
