"""`Seats`: which agent of a player sits in which of its slots.

An agent keeps its seat over all its episodes. A new one takes the lowest seat that nobody has,
or else that of the agent whose episode ended longest ago and that has not decided since. Where
there is none it stands: others drive it, until a seat is free. An agent that neither decides
nor ends while the others do, `vanish_after` times, is taken for gone; should it come back, it
is a new one.
"""

from __future__ import annotations

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array

NOBODY = -1


class Seats:
    """The seats of one player; see this module.

    Attributes:
      agents: int64 [n], who sits in each slot; NOBODY where it is free.
      row_slots: int64 [decisions of the newest message], whose each is; -1 for those who stand.
      num_standing: how many of these stand.
    """

    def __init__(self, num_slots: int, vanish_after: int) -> None:
        """Starts with seats that nobody ever had."""
        self.agents = np.full(num_slots, NOBODY, np.int64)
        self.row_slots = np.zeros(0, np.int64)
        self.num_standing = 0
        self._vanish_after = vanish_after
        # Between an agent's end and its next decision; and of which message its end was.
        self._has_left = np.zeros(num_slots, np.bool_)
        self._left_at = np.zeros(num_slots, np.int64)
        self._num_ends = 0
        self._absences = np.zeros(num_slots, np.int64)
        self._slot_of: dict[int, int] = {}
        self._standing: set[int] = set()
        # Whose `row_slots` are; None where seats changed since.
        self._seen_ids: Array | None = None

    @property
    def num_agents(self) -> int:
        """How many agents have a seat."""
        return len(self._slot_of)

    @property
    def is_full(self) -> bool:
        """Whether every slot has its agent."""
        return len(self._slot_of) == len(self.agents)

    def end(self, ids: Array) -> list[int]:
        """Takes the agents whose episodes ended; returns their slots, -1 for those who stand.

        Raises:
          GameError: an id is there twice.
        """
        agents = ids.tolist()
        if len(set(agents)) != len(agents):
            raise _twice(agents, "has ended")
        self._num_ends += 1
        self._standing.difference_update(agents)
        slots = [self._slot_of.get(agent, -1) for agent in agents]
        for slot in slots:
            if slot >= 0:
                self._has_left[slot] = True
                self._left_at[slot] = self._num_ends
        return slots

    def seat(self, ids: Array) -> Array:
        """Takes the agents that decide, after those that ended; returns `row_slots`.

        Raises:
          GameError: an id is there twice.
        """
        if self._seen_ids is None or not np.array_equal(ids, self._seen_ids):
            self._find_seats(ids.tolist())
            self._seen_ids = ids.copy()
        self._has_left[self.row_slots[self.row_slots >= 0]] = False
        return self.row_slots

    def count_absences(self, heard: Array) -> Array:
        """Frees the seats of agents that were not heard of for too long, while others decided.

        Args:
          heard: bool [n], whose agents decide or ended in the newest message.

        Returns:
          int64 [k], the slots that were freed.
        """
        self._absences[heard] = 0
        if heard.all():
            return _NONE
        absent = ~heard & (self.agents != NOBODY)
        self._absences[absent] += 1
        freed = np.flatnonzero(self._absences >= self._vanish_after)
        for slot in freed:
            del self._slot_of[int(self.agents[slot])]
            self.agents[slot] = NOBODY
            self._has_left[slot] = False
            self._absences[slot] = 0
            self._seen_ids = None
        return freed

    def offer(self) -> None:
        """Lets new agents take any seat whose agent does not come back: the scene was reset."""
        self._has_left[...] = self.agents != NOBODY

    def clear(self) -> None:
        """Frees all seats: the player is gone, and its agents with it."""
        self.agents.fill(NOBODY)
        self._has_left.fill(False)
        self._absences.fill(0)
        self._slot_of.clear()
        self._standing.clear()
        self._seen_ids = None
        self.row_slots = np.zeros(0, np.int64)
        self.num_standing = 0

    def _find_seats(self, agents: list[int]) -> None:
        present = set(agents)
        if len(present) != len(agents):
            raise _twice(agents, "is to decide")
        self.row_slots = np.full(len(agents), -1, np.int64)
        for row, agent in enumerate(agents):
            slot = self._slot_of.get(agent, -1)
            if slot < 0:
                slot = self._free_seat(agent, present)
                if slot < 0:
                    self._standing.add(agent)
                    continue
                self._standing.discard(agent)
                self._slot_of[agent] = slot
                self.agents[slot] = agent
            self.row_slots[row] = slot
        self.num_standing = int(np.count_nonzero(self.row_slots < 0))

    def _free_seat(self, agent: int, present: set[int]) -> int:
        free = np.flatnonzero(self.agents == NOBODY)
        if len(free):
            return int(free[0])
        # One that stood before may not push out another, or they would do so in turns.
        if agent in self._standing or not self._has_left.any():
            return -1
        left = [slot for slot in np.flatnonzero(self._has_left) if self.agents[slot] not in present]
        if not left:
            return -1
        slot = int(min(left, key=lambda slot: self._left_at[slot]))
        del self._slot_of[int(self.agents[slot])]
        return slot


_NONE = np.zeros(0, np.int64)


def _twice(agents: list[int], what: str) -> errors.GameError:
    twice = next(agent for index, agent in enumerate(agents) if agent in agents[:index])
    return errors.GameError(
        f"one message says twice that agent {twice} {what}; expected each agent once. Mend the "
        "game: one Agent component, one id."
    )
