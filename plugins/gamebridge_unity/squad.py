"""`Member`: the part of a game's slots that one player plays, and that player at present.

A member outlives its players. It is up, or on its way there: waiting until a new player may be
started, or for one to connect and to show its agents. What a lost player is replaced for, how
often and how soon, is the budget's (`gamebridge.supervision`), as for worker processes.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge.supervision import budget
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge_unity import (
    batches,
    diagnosis,
    encoding,
    others,
    players,
    scene_seeds,
    slots,
    starting,
    telemetry,
)
from gamebridge_unity import channels as unity_channels
from gamebridge_unity import client as clients
from gamebridge_unity.settings import EditorSettings, UnitySettings

_LOG = logging.getLogger(__name__)

_SHOWN_LINES = 5
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


class Lost(Exception):
    """The player is gone, or of no use; the message says why.

    Attributes:
      stage: what the player was to do.
      error: of the game, where it is alive and says what it must not.
    """

    def __init__(
        self, why: str, stage: diagnosis.Stage, error: errors.GameError | None = None
    ) -> None:
        """Keeps both."""
        super().__init__(why)
        self.stage = stage
        self.error = error


class Member:
    """Some slots and their player; see this module.

    Attributes:
      label: names it in messages.
      where: its part of the game's slots.
      slots: what was said for them.
      client: speaks with the player.
      channels: what is said to the player beside the game.
      telemetry: takes what its agents report beside their observations.
      policy: drives agents that do not learn.
      behavior: the name of the behaviour that learns; "" before the first player said it.
      batches: what the newest message says of each behaviour.
      stage: how far the present player is.
      is_asked: whether it was answered, and has not said anything since.
      is_fresh: whether it was not answered since its agents were first seen.
      has_lost: whether any player was lost so far.
      num_silent: messages in a row that said nothing of the behaviour that learns.
    """

    def __init__(
        self,
        index: int,
        where: slice,
        settings: UnitySettings,
        limits: SupervisionSettings,
        *,
        label: str,
        client: clients.Client,
        channels: unity_channels.Channels,
        launch: Launch,
        connect_timeout_s: float,
    ) -> None:
        """Starts the first player.

        Args:
          index: which one of the game's.
          where: its part of the game's slots.
          settings: the game's.
          limits: time limits and budget.
          label: names it in messages.
          client: is this member's from here on.
          channels: the client's.
          launch: starts a player.
          connect_timeout_s: how long one may take to connect.
        """
        self.label = label
        self.where = where
        self.client = client
        self.channels = channels
        self.behavior = ""
        self.slots = slots.Slots(
            where.stop - where.start,
            settings.vanish_after,
            adds_group_reward=settings.group_reward == "add",
        )
        self.telemetry = telemetry.Telemetry(label)
        channels.add(self.telemetry.channel)
        self.policy = others.make(settings.others, settings.seed + index)
        self.batches: Mapping[str, batches.Batch] = {}
        self.stage: Stage = "waiting"
        self.is_asked = False
        self.is_fresh = True
        self.has_lost = False
        self.num_silent = 0
        self._index = index
        self._settings = settings
        self._limits = limits
        self._wanted = settings.behavior
        self._launch = launch
        self._connect_timeout_s = connect_timeout_s
        self._budget = budget.Budget(limits)
        self._player: players.Player | None = None
        self._start: starting.Start | None = None
        self._has_been_up = self._has_warned = False
        self._slot_seeds: Array | None = None
        self._is_editor = isinstance(settings, EditorSettings)
        self._since_s = 0.0
        self._heard_s = 0.0
        self._refuse_strangers()
        self._begin()

    @property
    def num_restarts(self) -> int:
        """How many players took the place of one that was lost."""
        return self._budget.num_restarts

    @property
    def pid(self) -> int | None:
        """Of the present player; None between two, and for one that is not ours."""
        return None if self._player is None else self._player.pid

    @property
    def batch(self) -> batches.Batch:
        """What the newest message of a player that is up says of the behaviour that learns."""
        return self.batches[self.behavior]

    def advance(self, timeout_s: float) -> bool:
        """Goes on towards being up, for at most `timeout_s`; returns whether it is.

        Raises:
          Lost: the player is gone, or has no agents.
          Error: one that another player would meet too.
        """
        if self.stage == "waiting":
            left_s = self._since_s - time.monotonic()
            if left_s > timeout_s:
                time.sleep(max(0.0, timeout_s))
                return False
            time.sleep(max(0.0, left_s))
            self._begin()
        if self.stage == "starting" and self._start is not None:
            outcome = self._start.wait(timeout_s)
            if outcome is None:
                return False
            self._start = None
            self._player = outcome.player
            if outcome.error is not None:
                self._judge(outcome.error, outcome.stage)
            self.behavior = self._wanted = outcome.behavior
            self.stage, self._has_been_up = "up", True
            self.is_asked, self.is_fresh, self.num_silent = False, True, 0
            self._heard_s = time.monotonic()
            self._budget.note_up()
            self._take(outcome.batches)
        return True

    def seed(self, slot_seeds: Array) -> None:
        """Lets the player's next reset begin from the seeds of its slots, int64 [n]."""
        self._slot_seeds = slot_seeds.copy()
        self._tell_seed()

    def answer(self, actions: Mapping[str, encoding.Actions]) -> None:
        """Tells the player what its agents do; `hear` waits for what comes of it.

        Raises:
          Lost: the player is gone.
        """
        self._tell(lambda: self.client.send_step(actions))

    def begin_anew(self) -> None:
        """Tells the player to reset the scene; `hear` waits for what comes of it.

        Raises:
          Lost: the player is gone.
        """
        self._tell(self.client.send_reset)
        self.slots.begin_anew()

    def hear(self) -> None:
        """Waits for the player's next message and takes it.

        Raises:
          Lost: the player is gone or too slow, or says what it must not.
        """
        limit_s = self._limits.step_timeout_s
        left_s = max(0.05, self._since_s + limit_s - time.monotonic())
        try:
            said = self.client.receive(left_s, self._check)
        except clients.Late:
            raise Lost(self._late("step"), "step") from None
        except (clients.Broken, players.Gone) as gone:
            raise Lost(self._why(gone), "step") from gone
        except errors.GameError as error:
            raise Lost(self._why(error), "step", error) from error
        self.is_asked = False
        self._take(said)
        now_s = time.monotonic()
        mine = self.batch
        if len(mine.ids) or len(mine.ended.ids):
            self._heard_s, self.num_silent = now_s, 0
            return
        self.num_silent += 1
        if now_s - self._heard_s > self._settings.agents_timeout_s:
            raise Lost(
                f"has shown no agent of behaviour '{self.behavior}' for "
                f"{self._settings.agents_timeout_s:g} s (agents_timeout_s)",
                "agents",
            )

    def report_standing(self) -> None:
        """Warns, once, that there are more agents than slots."""
        if not self._has_warned:
            self._has_warned = True
            _LOG.warning(
                "%s: %d agents of behaviour '%s' have no slot: there are %d. They are driven as "
                "`others` says. Raise num_slots to learn from them too.",
                self.label,
                self.slots.seats.num_standing,
                self.behavior,
                len(self.slots.seats.agents),
            )

    def fail(self, lost: Lost, moment: str) -> errors.Error | None:
        """Ends what is left of the player and reports it.

        Args:
          lost: why.
          moment: when, such as "step 17".

        Returns:
          The error to raise where there will be no other player; else None, and the member
          is waiting.
        """
        told = self._told(lost, moment)
        self._end(0.0)
        self.slots.lose()
        self.batches, self.is_asked = {}, False
        if lost.error is not None and self._limits.on_error == "stop":
            return _caused(errors.GameError(f"{told} (supervision.on_error is stop)"), lost)
        if self._is_editor:
            return _caused(errors.PlayerError(f"{told} {_EDITOR}"), lost)
        wait_s = self._budget.spend()
        if wait_s is None:
            return _caused(errors.PlayerError(f"{told} {self._budget.describe()}"), lost)
        self.client.renew()
        self._refuse_strangers()
        self._tell_seed()
        soon = "at once" if wait_s == 0 else f"in {wait_s:g} s"
        _LOG.warning("%s It is replaced %s (restart %d).", told, soon, self._budget.num_restarts)
        self.stage, self._since_s = "waiting", time.monotonic() + wait_s
        return None

    def part(self) -> None:
        """Tells the player to quit, and a start that it is given up; `close` waits for both."""
        if self._start is not None:
            outcome = self._start.cancel(0.0)
            self._player = self._player or outcome.player
        self.client.say_goodbye()

    def close(self, grace_s: float) -> None:
        """Ends the player, which has so long to do so itself. May be called twice."""
        if self._start is not None:
            outcome = self._start.cancel(_CANCELLING_S)
            self._start, self._player = None, self._player or outcome.player
        self._end(grace_s)
        self.client.close()

    def _begin(self) -> None:
        self.stage, self._since_s = "starting", time.monotonic()
        settings = self._settings
        self.telemetry.subscribe()
        self._start = starting.Start(
            self.client,
            lambda: self._launch(self._index, self.label, self.client.port),
            label=self.label,
            behavior=self._wanted,
            seed=settings.seed + self._index + self.num_restarts * settings.players,
            num_areas=settings.num_areas,
            policy=self.policy,
            connect_timeout_s=self._connect_timeout_s,
            step_timeout_s=self._limits.step_timeout_s,
            agents_timeout_s=settings.agents_timeout_s,
        )

    def _tell_seed(self) -> None:
        if self._slot_seeds is not None:
            value = scene_seeds.value(self._slot_seeds, self.num_restarts)
            self.channels.set_parameter(scene_seeds.PARAMETER, value)

    def _refuse_strangers(self) -> None:
        """Hears nobody from outside until the player is started; then it alone is heard."""
        if not self._is_editor:
            self.client.expect(os.getpid())

    def _judge(self, error: Exception, stage: diagnosis.Stage) -> None:
        """Raises what a failed start comes to."""
        if isinstance(error, players.Gone):
            raise Lost(self._why(error), stage) from error
        if isinstance(error, (clients.Late, clients.Broken, starting.NoAgents, errors.GameError)):
            game_error = error if isinstance(error, errors.GameError) else None
            why = self._late(stage) if isinstance(error, clients.Late) else self._why(error)
            lost = Lost(why, stage, game_error)
            # Nothing speaks for it that the next one would do better.
            if self._has_been_up or isinstance(error, clients.Broken):
                raise lost from error
            kind = (
                errors.GameError
                if isinstance(error, (starting.NoAgents, errors.GameError))
                else errors.PlayerError
            )
            told = self._told(lost, "start")
            self._end(0.0)
            raise kind(told) from error
        self._end(0.0)
        raise error

    def _tell(self, send: Callable[[], None]) -> None:
        self._since_s, self.is_asked, self.is_fresh = time.monotonic(), True, False
        try:
            send()
        except clients.Broken as broken:
            raise Lost(self._why(broken), "step") from broken

    def _take(self, said: Mapping[str, batches.Batch]) -> None:
        self.batches = said
        mine = self.batch
        try:
            fault = batches.first_bad(mine)
            if fault is not None:
                raise errors.GameError(f"{fault}{self._seat_of(fault)}; no learner can use it")
            self.slots.take(mine, self.telemetry.told(self.behavior, mine))
        except errors.GameError as error:
            raise Lost(self._why(error), "step", error) from error

    def _seat_of(self, fault: str) -> str:
        """Names the slot of the agent that a fault names."""
        for slot, agent in enumerate(self.slots.seats.agents.tolist()):
            if agent >= 0 and f"agent {agent}:" in fault:
                return f" (slot {self.where.start + slot})"
        return ""

    def _check(self) -> None:
        if self._player is not None:
            self._player.check()

    def _late(self, stage: diagnosis.Stage) -> str:
        """Says how long was waited for a start, and what that is set by."""
        if stage in ("start", "connect"):
            name = "game.editor_timeout_s" if self._is_editor else "supervision.start_timeout_s"
            return f"had not connected after {self._connect_timeout_s:g} s ({name})"
        limit_s = self._limits.step_timeout_s
        return f"had not answered after {limit_s:g} s (supervision.step_timeout_s)"

    def _why(self, error: Exception) -> str:
        """Says why; that a process has ended says more than that its connection has."""
        if isinstance(error, clients.Broken) and self._player is not None:
            try:
                self._player.check()
            except players.Gone as gone:
                return str(gone)
        # Most errors of the client name the player, as what they become does.
        return str(error).removeprefix(self.label).lstrip(" :,")

    def _told(self, lost: Lost, moment: str) -> str:
        """Says what happened, when and why, and what the player wrote last."""
        self.has_lost = True
        text = f"{self.label}, {moment}: {str(lost).rstrip('.')}."
        player = self._player
        if player is None:
            return text
        cause = player.likely_cause(lost.stage)
        lines = player.tail(_SHOWN_LINES)
        said = f" It wrote last: {' | '.join(lines)}" if lines else ""
        return f"{text}{f' {cause}' if cause else ''}{said} (log: {player.log_path})"

    def _end(self, grace_s: float) -> None:
        player, self._player = self._player, None
        if player is not None:
            player.end(grace_s)


def _caused(error: errors.Error, lost: Lost) -> errors.Error:
    error.__cause__ = lost.__cause__
    return error
