"""`Slots`: what a player said and its slots have yet to be told.

A player's message tells, for each agent that has something to say, how its episode ended, or
what it has to decide, or both: the end of one episode and the beginning of the next. A slot
takes one row a step. So a message is handed out over one or two steps, and the player is
answered when all that it told is handed out and all its decisions are made:

    message:        A ended and decides anew, B decides
    step 1:         A LAST     B MID
    step 2:         A FIRST    B invalid: its action was taken, and waits
    step 3:         both actions are sent
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gamebridge.contract import FIRST, LAST, MID
from gamebridge.contract.specs import Array
from gamebridge_unity import batches, fields, seats


class Rows(NamedTuple):
    """The rows that a player's slots write to: slices [n] of those of the whole game.

    Attributes:
      step_type: as in `TimeStep`.
      reward: as in `TimeStep`.
      discount: as in `TimeStep`.
      leaves: what the observation is made of, in the order of `Fields.write`.
      valid: as in `TimeStep`.
      group_reward: the part of the reward that came from the agent's group.
      telemetry: float32 [n] each, what agents report beside their observations.
      is_sum: for each of those, whether an episode's values are summed.
    """

    step_type: Array
    reward: Array
    discount: Array
    leaves: tuple[Array, ...]
    valid: Array
    group_reward: Array
    telemetry: tuple[Array, ...]
    is_sum: tuple[bool, ...]


class Told(NamedTuple):
    """What the agents of a message report beside their observations.

    Attributes:
      decisions: float32 [n, fields], of those that decide.
      ends: float32 [m, fields], of those whose episodes ended.
    """

    decisions: Array
    ends: Array


class Slots:
    """The slots of one player; see this module. All arrays are [n], n slots.

    Attributes:
      seats: who sits in them.
      is_running: whether an episode was begun and not ended, as far as the slot was told.
      is_waiting: whether the slot's newest row is a decision that has no answer yet.
      decision_rows: int64, where in the newest message the slot's decision is; -1 for none.
    """

    def __init__(self, num_slots: int, vanish_after: int, *, adds_group_reward: bool) -> None:
        """Starts with slots that were never told anything."""
        self.seats = seats.Seats(num_slots, vanish_after)
        self.is_running = np.zeros(num_slots, np.bool_)
        self.is_waiting = np.zeros(num_slots, np.bool_)
        self.decision_rows = np.full(num_slots, -1, np.int64)
        self._adds_group_reward = adds_group_reward
        # Read only where rows of it are not handed out.
        self._batch: batches.Batch
        self._told: Told | None = None
        # What is not handed out: rows of the newest message, and episodes that were cut.
        self._ends = np.full(num_slots, -1, np.int64)
        self._decisions = np.full(num_slots, -1, np.int64)
        self._is_cut = np.zeros(num_slots, np.bool_)
        self._everyone = np.arange(num_slots)

    @property
    def has_news(self) -> bool:
        """Whether there is a row to hand out."""
        return bool(np.any(self._decisions >= 0) or np.any(self._ends >= 0) or np.any(self._is_cut))

    @property
    def is_due(self) -> bool:
        """Whether all is handed out and all decisions are made: the player can be answered."""
        return not np.any(self.is_waiting) and not self.has_news

    def take(self, batch: batches.Batch, told: Told | None = None) -> None:
        """Takes a message of the player: the batch of the behaviour that learns.

        All of the last one must have been handed out. Both are read until the next one.

        Raises:
          GameError: an id is there twice.
        """
        self._batch, self._told = batch, told
        self.decision_rows.fill(-1)
        heard = np.zeros(len(self.is_running), np.bool_)
        if len(batch.ended.ids):
            for row, slot in enumerate(self.seats.end(batch.ended.ids)):
                if slot >= 0:
                    heard[slot] = True
                    # An end of what nobody was told the beginning of is no news.
                    if self.is_running[slot]:
                        self._ends[slot] = row
        slots = self.seats.seat(batch.ids)
        rows = np.arange(len(slots))
        if self.seats.num_standing:
            rows = np.flatnonzero(slots >= 0)
            slots = slots[rows]
        self._decisions[slots] = self.decision_rows[slots] = rows
        heard[slots] = True
        if len(batch.ids):
            gone = self.seats.count_absences(heard)
            self._is_cut[gone] = self.is_running[gone]

    def drop(self) -> None:
        """Drops all that is not handed out or decided, but for episodes that were cut."""
        self._decisions.fill(-1)
        self._ends.fill(-1)
        self.decision_rows.fill(-1)
        self.is_waiting.fill(False)

    def restart(self, named: Array) -> None:
        """Lets the slots named begin an episode with their next decision, or their present one."""
        again = named & self.is_waiting
        self._decisions[again] = self.decision_rows[again]
        self.is_waiting[again] = False
        self._ends[named] = -1
        self._is_cut[named] = False
        self.is_running[named] = False

    def begin_anew(self) -> None:
        """Drops all that is not handed out: the player was told to begin anew."""
        self.drop()
        self._is_cut.fill(False)
        self.is_running.fill(False)
        self.seats.offer()

    def lose(self) -> None:
        """Cuts the episodes that run: the player is gone."""
        self.drop()
        self._is_cut |= self.is_running
        self.seats.clear()

    def hand_out(self, named: Array, rows: Rows, writer: fields.Fields) -> None:
        """Writes one row for each of the slots named, bool [n]; invalid where there is none."""
        decided = named & (self._decisions >= 0)
        if self._is_plain(decided):
            self._write_decisions(self._everyone, self._decisions, rows, writer)
            rows.step_type.fill(MID)
            rows.valid.fill(True)
            return
        rows.valid[named] = False
        rows.group_reward[named] = 0
        ended = np.flatnonzero(named & (self._ends >= 0))
        cut = named & self._is_cut
        if len(ended):
            self._write_ends(ended, rows, writer)
        if cut.any():
            self._write_cuts(cut, rows)
        decided &= ~rows.valid
        slots = np.flatnonzero(decided)
        if len(slots):
            first = decided & ~self.is_running
            self._write_decisions(slots, self._decisions[slots], rows, writer)
            rows.step_type[slots], rows.valid[slots] = MID, True
            rows.step_type[first] = FIRST
            rows.reward[first] = rows.group_reward[first] = 0
            self.is_running[slots] = True

    def _is_plain(self, decided: Array) -> bool:
        """Whether all slots go on in the middle of their episodes, which is most often so."""
        return bool(
            decided.all()
            and self.is_running.all()
            and not self._is_cut.any()
            and not np.any(self._ends >= 0)
        )

    def _write_decisions(
        self, slots: Array, source: Array, rows: Rows, writer: fields.Fields
    ) -> None:
        batch = self._batch
        writer.write(rows.leaves, slots, batch.observations, source, batch.masks)
        self._write_reward(slots, batch.rewards[source], batch.group_rewards[source], rows)
        if self._told is not None:
            _write_columns(rows.telemetry, slots, self._told.decisions[source])
        rows.discount[slots] = 1
        self._decisions[slots] = -1
        self.is_waiting[slots] = True

    def _write_ends(self, slots: Array, rows: Rows, writer: fields.Fields) -> None:
        ended, source = self._batch.ended, self._ends[slots]
        writer.write(rows.leaves, slots, ended.observations, source, None)
        self._write_reward(slots, ended.rewards[source], ended.group_rewards[source], rows)
        if self._told is not None:
            _write_columns(rows.telemetry, slots, self._told.ends[source])
        rows.discount[slots] = ended.interrupted[source]
        rows.step_type[slots], rows.valid[slots] = LAST, True
        self._ends[slots] = -1
        self.is_running[slots] = False

    def _write_cuts(self, cut: Array, rows: Rows) -> None:
        """Truncates episodes: their rows hold what was last observed."""
        rows.step_type[cut], rows.valid[cut] = LAST, True
        rows.reward[cut], rows.discount[cut] = 0, 1
        for column, is_sum in zip(rows.telemetry, rows.is_sum, strict=True):
            if is_sum:  # what it was before was told with the step before
                column[cut] = 0
        self.is_running[cut] = self._is_cut[cut] = False

    def _write_reward(self, slots: Array, own: Array, group: Array, rows: Rows) -> None:
        rows.group_reward[slots] = group
        rows.reward[slots] = own + group if self._adds_group_reward else own


def _write_columns(columns: tuple[Array, ...], slots: Array, values: Array) -> None:
    for index, column in enumerate(columns):
        column[slots] = values[:, index]
