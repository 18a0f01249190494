"""`Dialogue`: what is said between a game and one player after the other, for some slots."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge_unity import batches, encoding, lost, players, scene_seeds, slots, telemetry
from gamebridge_unity import channels as unity_channels
from gamebridge_unity import client as clients
from gamebridge_unity.settings import UnitySettings

_LOG = logging.getLogger(__name__)


class Dialogue:
    """Answers the player and hears what it says; see this module.

    Attributes:
      label: names the player in messages.
      where: which of the game's slots it plays.
      client: speaks with it.
      channels: what is said to it beside the game.
      telemetry: takes what its agents report beside their observations.
      slots: what was said for them.
      behavior: the name of the behaviour that learns; "" before the first player said it.
      batches: what the newest message says of each behaviour.
      player: the process; None for one that is not ours, and between two.
      is_asked: whether it was answered, and has not said anything since.
      is_fresh: whether it was not answered since its agents were first seen.
    """

    def __init__(
        self,
        label: str,
        where: slice,
        client: clients.Client,
        channels: unity_channels.Channels,
        settings: UnitySettings,
        step_timeout_s: float,
    ) -> None:
        """Prepares the slots; see the class for the arguments."""
        self.label = label
        self.where = where
        self.client = client
        self.channels = channels
        self.telemetry = telemetry.Telemetry(label)
        channels.add(self.telemetry.channel)
        self.slots = slots.Slots(
            where.stop - where.start,
            settings.vanish_after,
            adds_group_reward=settings.group_reward == "add",
        )
        self.behavior = ""
        self.batches: Mapping[str, batches.Batch] = {}
        self.player: players.Player | None = None
        self.is_asked = False
        self.is_fresh = True
        self._step_timeout_s = step_timeout_s
        self._agents_timeout_s = settings.agents_timeout_s
        self._slot_seeds: Array | None = None
        self._has_warned = False
        # When it was answered last, and when an agent of the behaviour that learns was heard.
        self._asked_s = self._heard_s = 0.0

    @property
    def batch(self) -> batches.Batch:
        """What the newest message of a player that is up says of the behaviour that learns."""
        return self.batches[self.behavior]

    def seed(self, slot_seeds: Array) -> None:
        """Lets the player's next reset begin from the seeds of its slots, int64 [n]."""
        self._slot_seeds = slot_seeds.copy()
        self.tell_seed(0)

    def tell_seed(self, num_restarts: int) -> None:
        """Tells the player what it is to begin from, where there are seeds."""
        if self._slot_seeds is not None:
            value = scene_seeds.value(self._slot_seeds, num_restarts)
            self.channels.set_parameter(scene_seeds.PARAMETER, value)

    def begin(self, behavior: str, said: Mapping[str, batches.Batch]) -> None:
        """Takes the first message in which a new player shows its agents.

        Raises:
          Lost: it says what it must not.
        """
        self.behavior = behavior
        self.is_asked, self.is_fresh = False, True
        self._heard_s = time.monotonic()
        self._take(said)

    def answer(self, actions: Mapping[str, encoding.Actions]) -> None:
        """Tells the player what its agents do; `hear` waits for what comes of it."""
        self._tell(lambda: self.client.send_step(actions))

    def begin_anew(self) -> None:
        """Tells the player to reset the scene; `hear` waits for what comes of it."""
        self._tell(self.client.send_reset)
        self.slots.begin_anew()

    def hear(self) -> None:
        """Waits for the player's next message and takes it.

        Raises:
          Lost: the player is gone or too slow, or says what it must not.
        """
        limit_s = self._step_timeout_s
        left_s = max(0.05, self._asked_s + limit_s - time.monotonic())
        try:
            said = self.client.receive(left_s, self.check)
        except clients.Late:
            raise lost.Lost(
                f"had not answered after {limit_s:g} s (supervision.step_timeout_s)", "step"
            ) from None
        except (clients.Broken, players.Gone) as gone:
            raise lost.Lost(lost.why(gone, self.label, self.player), "step") from gone
        except errors.GameError as error:
            raise self._refused(error) from error
        self.is_asked = False
        self._take(said)
        now_s = time.monotonic()
        if len(self.batch.ids) or len(self.batch.ended.ids):
            self._heard_s = now_s
        elif now_s - self._heard_s > self._agents_timeout_s:
            raise lost.Lost(
                f"has shown no agent of behaviour '{self.behavior}' for "
                f"{self._agents_timeout_s:g} s (agents_timeout_s)",
                "agents",
            )

    def end(self) -> None:
        """The player is gone: its episodes are cut."""
        self.slots.lose()
        self.batches, self.is_asked = {}, False

    def check(self) -> None:
        """Looks whether the player still runs.

        Raises:
          Gone: it does not.
        """
        if self.player is not None:
            self.player.check()

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

    def _tell(self, send: Callable[[], None]) -> None:
        self._asked_s, self.is_asked, self.is_fresh = time.monotonic(), True, False
        send()

    def _take(self, said: Mapping[str, batches.Batch]) -> None:
        self.batches = said
        mine = self.batch
        try:
            fault = batches.first_bad(mine)
            if fault is not None:
                raise errors.GameError(f"{fault}{self._seat_of(fault)}; no learner can use it")
            self.slots.take(mine, self.telemetry.told(self.behavior, mine))
        except errors.GameError as error:
            raise self._refused(error) from error

    def _refused(self, error: errors.GameError) -> lost.Lost:
        return lost.Lost(lost.why(error, self.label, self.player), "step", error)

    def _seat_of(self, fault: str) -> str:
        """Names the slot of the agent that a fault names."""
        for slot, agent in enumerate(self.slots.seats.agents.tolist()):
            if agent >= 0 and f"agent {agent}:" in fault:
                return f" (slot {self.where.start + slot})"
        return ""
