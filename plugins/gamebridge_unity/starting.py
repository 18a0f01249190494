"""`Start`: a player on its way from nothing to its first agents, in a thread of its own.

Meanwhile the other players of the game go on. A start ends when the player has shown the
behaviour that learns, or with the reason why it never will.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping

from gamebridge import errors
from gamebridge_unity import batches as unity_batches
from gamebridge_unity import behaviors as unity_behaviors
from gamebridge_unity import client as clients
from gamebridge_unity import diagnosis, encoding, others, players


class Cancelled(Exception):
    """The game is being closed."""


class NoAgents(Exception):
    """The player is connected, and no agent asks for a decision."""


@dataclasses.dataclass
class Outcome:
    """How far a start came.

    Attributes:
      player: the process, once it was started; None for an editor, which is not ours.
      batches: of the first message in which the behaviour that learns has something to say.
      behavior: its name.
      stage: "start", "connect" or "agents", for the likely cause of a failure.
      error: why it failed; None where it did not.
    """

    player: players.Player | None = None
    batches: Mapping[str, unity_batches.Batch] = dataclasses.field(default_factory=dict)
    behavior: str = ""
    stage: diagnosis.Stage = "start"
    error: Exception | None = None


class Start:
    """A start that is under way; see this module."""

    def __init__(
        self,
        client: clients.Client,
        launch: Callable[[], players.Player | None],
        *,
        label: str,
        behavior: str,
        seed: int,
        num_areas: int,
        policy: others.Policy,
        connect_timeout_s: float,
        step_timeout_s: float,
        agents_timeout_s: float,
    ) -> None:
        """Begins.

        Args:
          client: listens where the player will look for it.
          launch: starts the process; returns it, or None where it is not ours to start.
          label: names the player.
          behavior: which one learns; "" for the only one.
          seed: of the player.
          num_areas: it is asked for.
          policy: drives whoever decides before the behaviour that learns is seen.
          connect_timeout_s: from here to the end of the handshake.
          step_timeout_s: for each message after that.
          agents_timeout_s: for the first agent to decide.
        """
        self._label = label
        self._client = client
        self._launch = launch
        self._behavior = behavior
        self._seeding = (seed, num_areas)
        self._policy = policy
        self._timeouts_s = (connect_timeout_s, step_timeout_s, agents_timeout_s)
        self._is_cancelled = False
        self.outcome = Outcome()
        self._thread = threading.Thread(target=self._run, name=f"{label} starts", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> Outcome | None:
        """Returns the outcome, or None where there is none within `timeout_s`."""
        self._thread.join(timeout_s)
        return None if self._thread.is_alive() else self.outcome

    def cancel(self, timeout_s: float) -> None:
        """Gives the start up and ends its player; waits so long for that."""
        self._is_cancelled = True
        self._thread.join(timeout_s)
        if not self._thread.is_alive() and self.outcome.player is not None:
            # It may have been through before it heard of that.
            self.outcome.player.end(0.0)

    def _run(self) -> None:
        try:
            self._bring_up()
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            self.outcome.error = error
        if self._is_cancelled and self.outcome.player is not None:
            self.outcome.player.end(0.0)

    def _bring_up(self) -> None:
        outcome, client = self.outcome, self._client
        connect_s, step_s, agents_s = self._timeouts_s
        began_s = time.monotonic()
        outcome.player = player = self._launch()
        # Whoever else calls is not heard.
        client.expect(None if player is None else player.pid)
        outcome.stage = "connect"
        left_s = max(0.1, began_s + connect_s - time.monotonic())
        client.handshake(*self._seeding, left_s, self._check)
        outcome.stage = "agents"
        client.send_reset()
        # The first scene may still be loading.
        first_s = max(step_s, began_s + connect_s - time.monotonic())
        try:
            batches = client.receive(first_s, self._check)
        except clients.Late:
            limit = f"{first_s:.3g} s (supervision.step_timeout_s)"
            raise NoAgents(self._silence(client.behaviors, limit)) from None
        limit_s = time.monotonic() + agents_s
        while True:
            outcome.behavior = self._chosen(client.behaviors)
            mine = batches.get(outcome.behavior)
            if mine is not None and len(mine.ids):
                outcome.batches = batches
                return
            if time.monotonic() > limit_s:
                limit = f"{agents_s:g} s (agents_timeout_s)"
                if not outcome.behavior and client.behaviors:
                    raise errors.ConfigError(self._no_such(client.behaviors, limit))
                raise NoAgents(self._silence(client.behaviors, limit))
            client.send_step(drive(batches, self._policy))
            batches = client.receive(step_s, self._check)

    def _check(self) -> None:
        if self._is_cancelled:
            raise Cancelled
        if self.outcome.player is not None:
            self.outcome.player.check()

    def _chosen(self, behaviors: Mapping[str, unity_behaviors.Behavior]) -> str:
        """Returns the name of the behaviour that learns; "" where it was not seen yet."""
        return choose(self._behavior, list(behaviors))

    def _no_such(self, behaviors: Mapping[str, unity_behaviors.Behavior], limit: str) -> str:
        seen = ", ".join(f"'{name}'" for name in behaviors)
        return (
            f"{self._label} has no behaviour '{self._behavior}': within {limit} it has shown "
            f"{seen}. Set game.behavior (or behavior in the build.toml) to one of these."
        )

    def _silence(self, behaviors: Mapping[str, unity_behaviors.Behavior], limit: str) -> str:
        wanted = f"no agent of behaviour '{self._behavior}'" if self._behavior else "no agent"
        seen = ", ".join(f"'{name}'" for name in behaviors) or "none"
        return (
            f"is connected, and {wanted} asked for a decision within {limit}; "
            f"behaviours seen: {seen}"
        )


def choose(wanted: str, names: list[str]) -> str:
    """Returns the behaviour that learns, out of those that the player announced so far.

    Args:
      wanted: "Car?team=0", or without the team where there is but one, or "" for the only one.
      names: as the player says them.

    Returns:
      Its name; "" where it is not among them yet.

    Raises:
      ConfigError: there are several; names them.
    """
    if wanted in names:
        return wanted
    found = [name for name in names if not wanted or name.partition("?")[0] == wanted]
    if len(found) > 1:
        found.sort()
        listed = ", ".join(f"'{name}'" for name in found)
        raise errors.ConfigError(
            f"{len(found)} behaviours could learn: {listed}. Choose one: game.behavior={found[0]} "
            "(the others are driven as `others` says)."
        )
    return found[0] if found else ""


def drive(
    batches: Mapping[str, unity_batches.Batch],
    policy: others.Policy,
) -> dict[str, encoding.Actions]:
    """Returns a policy's actions for all decisions of a message."""
    return {name: policy(batch) for name, batch in batches.items() if len(batch.ids)}
