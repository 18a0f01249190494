"""`Member`: one player's place in a game, and the player that has it at present.

A member outlives its players. It is up, or on its way there: waiting until a new player may be
started, or for one to connect and to show its agents. What a lost player is replaced for, how
often and how soon, is the budget's (`gamebridge.supervision`), as for worker processes.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Literal, NoReturn, Protocol

from gamebridge import errors
from gamebridge.supervision import budget
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge_unity import client as clients
from gamebridge_unity import dialogues, lost, others, players, starting
from gamebridge_unity.settings import EditorSettings, UnitySettings

_LOG = logging.getLogger(__name__)

# What a start that is given up may need to end, beside its player.
_CANCELLING_S = 2.0
_EDITOR = (
    "The editor is no process of ours, and cannot be started again: press Play anew, and go on "
    "with `gamebridge train --resume RUN`."
)

Stage = Literal["waiting", "starting", "up"]


class Launch(Protocol):
    """Starts a player that will look for us at a port."""

    def __call__(self, index: int, label: str, port: int) -> players.Player | None:
        """Returns the player number `index`; None where it is not ours to start."""


class Member:
    """A player's place; see this module.

    Attributes:
      dialogue: what is said between the game and the player.
      policy: drives agents that do not learn.
      stage: how far the present player is.
      has_lost: whether any player was lost so far.
    """

    def __init__(
        self,
        index: int,
        dialogue: dialogues.Dialogue,
        settings: UnitySettings,
        limits: SupervisionSettings,
        launch: Launch,
        policy: others.Policy,
    ) -> None:
        """Starts the first player.

        Args:
          index: which one of the game's.
          dialogue: is this member's from here on.
          settings: the game's.
          limits: time limits and budget.
          launch: starts a player.
          policy: drives agents that do not learn.
        """
        self.dialogue = dialogue
        self.policy = policy
        self.stage: Stage = "waiting"
        self.has_lost = False
        self._index = index
        self._settings = settings
        self._limits = limits
        self._launch = launch
        self._budget = budget.Budget(limits)
        self._start: starting.Start | None = None
        self._has_been_up = False
        self._waits_until_s = 0.0
        self._refuse_strangers()
        self._begin()

    @property
    def label(self) -> str:
        """Names it in messages."""
        return self.dialogue.label

    @property
    def num_restarts(self) -> int:
        """How many players took the place of one that was lost."""
        return self._budget.num_restarts

    @property
    def pid(self) -> int | None:
        """Of the present player; None between two, and for one that is not ours."""
        return None if self.dialogue.player is None else self.dialogue.player.pid

    def advance(self, timeout_s: float) -> bool:
        """Goes on towards being up, for at most `timeout_s`; returns whether it is.

        Raises:
          Lost: the player is gone, or has no agents.
          Error: one that another player would meet too.
        """
        if self.stage == "waiting":
            left_s = self._waits_until_s - time.monotonic()
            time.sleep(max(0.0, min(left_s, timeout_s)))
            if left_s > timeout_s:
                return False
            self._begin()
        if self._start is not None:
            outcome = self._start.wait(timeout_s)
            if outcome is None:
                return False
            self._start = None
            self.dialogue.player = outcome.player
            if outcome.error is not None:
                self._judge(outcome.error, outcome)
            self.stage, self._has_been_up = "up", True
            self._budget.note_up()
            self.dialogue.begin(outcome.behavior, outcome.batches)
        return True

    def fail(self, why: lost.Lost, moment: str) -> errors.Error | None:
        """Ends what is left of the player and reports it.

        Args:
          why: it is lost.
          moment: when, such as "step 17".

        Returns:
          The error to raise where there will be no other player; else None, and the member
          is waiting.
        """
        told = self._told(why, moment)
        self._end(0.0)
        self.dialogue.end()
        error: errors.Error
        if why.error is not None and self._limits.on_error == "stop":
            error = errors.GameError(f"{told} (supervision.on_error is stop)")
        elif self._is_editor:
            error = errors.PlayerError(f"{told} {_EDITOR}")
        else:
            wait_s = self._budget.spend()
            if wait_s is not None:
                self._prepare(wait_s)
                soon = "at once" if wait_s == 0 else f"in {wait_s:g} s"
                _LOG.warning("%s It is replaced %s (restart %d).", told, soon, self.num_restarts)
                return None
            error = errors.PlayerError(f"{told} {self._budget.describe()}")
        error.__cause__ = why.__cause__
        return error

    def part(self) -> None:
        """Tells the player to quit, and a start that it is given up; `close` waits for both."""
        if self._start is not None:
            self._start.cancel(0.0)
        self.dialogue.client.say_goodbye()

    def close(self, grace_s: float) -> None:
        """Ends the player, which has so long to do so itself. May be called twice."""
        if self._start is not None:
            self._start.cancel(_CANCELLING_S)
            self._start = None
        self._end(grace_s)
        self.dialogue.client.close()

    @property
    def _is_editor(self) -> bool:
        return isinstance(self._settings, EditorSettings)

    @property
    def _connect_limit(self) -> tuple[float, str]:
        """How long a player may take to connect, in seconds, and what that is set by."""
        if isinstance(self._settings, EditorSettings):
            return self._settings.editor_timeout_s, "game.editor_timeout_s"
        return self._limits.start_timeout_s, "supervision.start_timeout_s"

    def _prepare(self, wait_s: float) -> None:
        """Makes ready for the next player, which may come in so many seconds."""
        self.dialogue.client.renew()
        self._refuse_strangers()
        self.dialogue.tell_seed(self.num_restarts)
        self.stage, self._waits_until_s = "waiting", time.monotonic() + wait_s

    def _begin(self) -> None:
        self.stage = "starting"
        settings, dialogue = self._settings, self.dialogue
        dialogue.telemetry.subscribe()
        self._start = starting.Start(
            dialogue.client,
            lambda: self._launch(self._index, self.label, dialogue.client.port),
            label=self.label,
            behavior=dialogue.behavior or settings.behavior,
            seed=settings.seed + self._index + self.num_restarts * settings.players,
            num_areas=settings.num_areas,
            policy=self.policy,
            connect_timeout_s=self._connect_limit[0],
            step_timeout_s=self._limits.step_timeout_s,
            agents_timeout_s=settings.agents_timeout_s,
        )

    def _refuse_strangers(self) -> None:
        """Hears nobody from outside until the player is started; then it alone is heard."""
        if not self._is_editor:
            self.dialogue.client.expect(os.getpid())

    def _judge(self, error: Exception, outcome: starting.Outcome) -> NoReturn:
        """Raises what a failed start comes to."""
        if not isinstance(
            error,
            (players.Gone, clients.Broken, clients.Late, starting.NoAgents, errors.GameError),
        ):
            self._end(0.0)
            raise error
        why = lost.why(error, self.label, outcome.player)
        if isinstance(error, clients.Late):
            limit = self._connect_limit
            if outcome.stage == "agents":
                limit = self._limits.step_timeout_s, "supervision.step_timeout_s"
            done = "answered" if outcome.stage == "agents" else "connected"
            why = f"had not {done} after {limit[0]:g} s ({limit[1]})"
        found = lost.Lost(
            why, outcome.stage, error if isinstance(error, errors.GameError) else None
        )
        # Nothing speaks for it that the next one would do better than the first one.
        if self._has_been_up or isinstance(error, (players.Gone, clients.Broken)):
            raise found from error
        told = self._told(found, "start")
        self._end(0.0)
        if isinstance(error, clients.Late):
            raise errors.PlayerError(told) from error
        raise errors.GameError(told) from error

    def _told(self, why: lost.Lost, moment: str) -> str:
        self.has_lost = True
        return why.told(self.label, moment, self.dialogue.player)

    def _end(self, grace_s: float) -> None:
        player, self.dialogue.player = self.dialogue.player, None
        if player is not None:
            player.end(grace_s)
