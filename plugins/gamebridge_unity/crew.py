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
from gamebridge_unity import dialogues, encoding, lost, others, squad, starting

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
        while missing := [
            member for member in self.members if not member.dialogue.slots.seats.is_full
        ]:
            if time.monotonic() > limit_s:
                raise self._too_few(missing[0], timeout_s)
            for member in missing:
                try:
                    dialogue = member.dialogue
                    dialogue.slots.drop()
                    dialogue.answer(starting.drive(dialogue.batches, member.policy))
                    dialogue.hear()
                except lost.Lost as why:
                    self._lose(member, why, "start")
            self.wait(self.members, "start")

    def begin_anew(self, members: Sequence[squad.Member], chosen: Chosen) -> None:
        """Resets scenes, and waits until each has agents that decide."""
        asked = []
        for member in members:
            try:
                if member.dialogue.is_asked:  # a step was broken off, as by Ctrl-C
                    member.dialogue.hear()
                member.dialogue.begin_anew()
                asked.append(member)
            except lost.Lost as why:
                self._lose(member, why, "reset")
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
            if member.dialogue.is_asked or member.dialogue.slots.is_due:
                asked.append(member)
                if not member.dialogue.is_asked:
                    _answer(member, chosen)
        self._settle(asked, chosen, moment)
        if not any(member.stage == "up" or member.dialogue.slots.has_news for member in order):
            self._advance(order[0], _PATIENCE_S, moment)

    def _settle(self, asked: Sequence[squad.Member], chosen: Chosen, moment: str) -> None:
        """Waits until each player has something to say for its slots, or was silent too long."""
        for _ in range(_MOST_SILENT):
            silent = []
            for member in asked:
                try:
                    member.dialogue.hear()
                except lost.Lost as why:
                    self._lose(member, why, moment)
                    continue
                if not member.dialogue.slots.has_news:
                    silent.append(member)
            if not silent:
                return
            for member in silent:
                _answer(member, chosen)
            asked = silent

    def _advance(self, member: squad.Member, timeout_s: float, moment: str) -> None:
        try:
            member.advance(timeout_s)
        except lost.Lost as why:
            self._lose(member, why, moment)
        except errors.Error as error:
            self._error = self._error or error

    def _lose(self, member: squad.Member, why: lost.Lost, moment: str) -> None:
        """Takes note of a lost player; the error that ends all is raised by `raise_error`."""
        error = member.fail(why, moment)
        self._error = self._error or error

    def _too_few(self, member: squad.Member, timeout_s: float) -> errors.GameError:
        dialogue = member.dialogue
        count, most = dialogue.slots.seats.num_agents, len(dialogue.slots.is_running)
        return errors.GameError(
            f"{member.label} has shown {count} agents of behaviour '{dialogue.behavior}' within "
            f"{timeout_s:g} s (agents_timeout_s), and there are {most} slots for them. Set "
            f"--num-slots {count * len(self.members)} (or agents = {count} in the build.toml), add "
            "agents to the scene, or set late_agents=true if they come later."
        )


def _answer(member: squad.Member, chosen: Chosen) -> None:
    """Sends a player the actions of all its agents."""
    dialogue, policy = member.dialogue, member.policy
    actions = starting.drive(
        {name: batch for name, batch in dialogue.batches.items() if name != dialogue.behavior},
        policy,
    )
    if len(dialogue.batch.ids):
        actions[dialogue.behavior] = _learnt(dialogue, policy, chosen)
    dialogue.answer(actions)


def _learnt(
    dialogue: dialogues.Dialogue, policy: others.Policy, chosen: Chosen
) -> encoding.Actions:
    """Returns the actions of the behaviour that learns, as its decisions came."""
    seats = dialogue.slots.seats
    slots = seats.row_slots + dialogue.where.start
    if seats.num_standing == 0:
        return chosen(slots)
    dialogue.report_standing()
    actions = policy(dialogue.batch)
    sits = np.flatnonzero(seats.row_slots >= 0)
    for ours, theirs in zip(chosen(slots[sits]), actions, strict=True):
        if ours is not None and theirs is not None:
            theirs[sits] = ours
    return actions
