"""`Crew`: all players of a game together: answered together, waited for together, replaced.

Those that were lost are on their way while the others go on; what there is to tell of their
slots, and when, is `slots`' business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge_unity import encoding, squad, starting

# How long a step waits where all players are being replaced.
_PATIENCE_S = 0.1
# So many messages without a row for any slot are answered within one step.
_MOST_SILENT = 100

# Slots of the game, int64 [k] -> their actions.
Chosen = Callable[[Array], encoding.Actions]


class Crew:
    """The players of a game; see this module.

    Attributes:
      members: player 0 first; each has an equal share of the slots.
    """

    def __init__(self, members: Sequence[squad.Member]) -> None:
        """Takes members whose first players are starting."""
        self.members = members
        self._turn = 0
        self._error: errors.Error | None = None

    def raise_error(self) -> None:
        """Raises the error that ends the game, if there is one."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def bring_up(self, moment: str) -> None:
        """Goes on with what is being replaced, without waiting."""
        for member in self.members:
            if member.stage != "up":
                self._advance(member, 0.0, moment)

    def wait(self, members: Iterable[squad.Member], moment: str) -> None:
        """Waits until all of them are up.

        Raises:
          Error: one will never be.
        """
        for member in members:
            while member.stage != "up":
                self._advance(member, _PATIENCE_S, moment)
                self.raise_error()
        self.raise_error()

    def fill(self, timeout_s: float) -> None:
        """Plays until all slots have an agent; what is played is not told to anybody.

        Raises:
          GameError: there are fewer agents than slots.
        """
        limit_s = time.monotonic() + timeout_s
        while missing := [member for member in self.members if not member.slots.seats.is_full]:
            if time.monotonic() > limit_s:
                raise self._too_few(missing[0], timeout_s)
            for member in missing:
                try:
                    member.slots.drop()
                    member.answer(
                        starting.drive(member.client.behaviors, member.batches, member.policy)
                    )
                    member.hear()
                except squad.Lost as lost:
                    self._lose(member, lost, "start")
            self.wait(self.members, "start")

    def begin_anew(self, members: Sequence[squad.Member], chosen: Chosen) -> None:
        """Resets scenes, and waits until each has agents that decide."""
        asked = []
        for member in members:
            try:
                if member.is_asked:  # a step was broken off, as by Ctrl-C
                    member.hear()
                member.begin_anew()
                asked.append(member)
            except squad.Lost as lost:
                self._lose(member, lost, "reset")
        self._settle(asked, chosen, "reset")
        # Of a player that was lost on the way, another one begins.
        self.wait(members, "reset")

    def go_on(self, chosen: Chosen, moment: str) -> None:
        """Lets the players go on that have all their actions, and waits for what comes of it."""
        # Whom others have to wait for is not always the same.
        self._turn = (self._turn + 1) % len(self.members)
        order = (*self.members[self._turn :], *self.members[: self._turn])
        up = [member for member in order if member.stage == "up"]
        asked = []
        for member in up:
            if member.is_asked or (member.slots.is_due and self._answer(member, chosen, moment)):
                asked.append(member)
        self._settle(asked, chosen, moment)
        if not any(member.stage == "up" or member.slots.has_news for member in order):
            self._advance(order[0], _PATIENCE_S, moment)

    def _settle(self, asked: Sequence[squad.Member], chosen: Chosen, moment: str) -> None:
        """Waits until each player has something to say for its slots, or was silent too long."""
        for _ in range(_MOST_SILENT):
            silent = []
            for member in asked:
                try:
                    member.hear()
                except squad.Lost as lost:
                    self._lose(member, lost, moment)
                    continue
                if not member.slots.has_news:
                    silent.append(member)
            asked = [member for member in silent if self._answer(member, chosen, moment)]
            if not asked:
                return

    def _answer(self, member: squad.Member, chosen: Chosen, moment: str) -> bool:
        """Sends a player the actions of all its agents; returns whether it took them."""
        policy, known = member.policy, member.client.behaviors
        orders = {}
        for name, batch in member.batches.items():
            if len(batch.ids):
                mine = name == member.behavior
                orders[name] = _learnt(member, chosen) if mine else policy(known[name], batch)
        try:
            member.answer(orders)
        except squad.Lost as lost:
            self._lose(member, lost, moment)
            return False
        return True

    def _advance(self, member: squad.Member, timeout_s: float, moment: str) -> None:
        try:
            member.advance(timeout_s)
        except squad.Lost as lost:
            self._lose(member, lost, moment)
        except errors.Error as error:
            self._error = self._error or error

    def _lose(self, member: squad.Member, lost: squad.Lost, moment: str) -> None:
        """Takes note of a lost player; the error that ends all is raised by `raise_error`."""
        error = member.fail(lost, moment)
        self._error = self._error or error

    def _too_few(self, member: squad.Member, timeout_s: float) -> errors.GameError:
        count, most = member.slots.seats.num_agents, len(member.slots.is_running)
        total = count * len(self.members)
        return errors.GameError(
            f"{member.label} has shown {count} agents of behaviour '{member.behavior}' within "
            f"{timeout_s:g} s (agents_timeout_s), and there are {most} slots for them. Set "
            f"num_slots={total} (and agents={count} in the build.toml), add agents to the scene, "
            "or set late_agents=true if they come later."
        )


def _learnt(member: squad.Member, chosen: Chosen) -> encoding.Actions:
    """Returns the actions of the behaviour that learns, as its decisions came."""
    seats = member.slots.seats
    slots = seats.row_slots + member.where.start
    if seats.num_standing == 0:
        return chosen(slots)
    member.report_standing()
    actions = member.policy(member.client.behaviors[member.behavior], member.batch)
    sits = np.flatnonzero(seats.row_slots >= 0)
    for ours, theirs in zip(chosen(slots[sits]), actions, strict=True):
        if ours is not None and theirs is not None:
            theirs[sits] = ours
    return actions
