"""`check`: starts a build once and reports what it says of itself."""

from __future__ import annotations

import contextlib
import dataclasses
import time

from gamebridge import errors
from gamebridge.supervision import scratch
from gamebridge_unity import (
    behaviors,
    builds,
    channels,
    client,
    desktops,
    diagnosis,
    displays,
    players,
)

_SEED = 0
# A scene may take some steps until its first agent asks for a decision.
_MOST_STEPS = 1_000
_AGENTS_S = 10.0
_GRACE_S = 2.0


@dataclasses.dataclass(frozen=True)
class Seen:
    """One behaviour of a build.

    Attributes:
      name: such as "Car?team=0".
      num_agents: how many agents asked for a decision at first.
      observations: one line each.
      actions: one line each.
    """

    name: str
    num_agents: int
    observations: tuple[str, ...]
    actions: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Report:
    """What a build said of itself.

    Attributes:
      communication_version: of the protocol.
      package_version: of the ML-Agents package in it.
      start_s: seconds until it had connected.
      behaviors: those that its first scene showed.
    """

    communication_version: str
    package_version: str
    start_s: float
    behaviors: tuple[Seen, ...]


def check(
    build: builds.Build, *, graphics: players.Graphics = "none", timeout_s: float = 60.0
) -> Report:
    """Starts a build, shakes hands, resets it once, and ends it.

    Args:
      build: what is started.
      graphics: how it is started.
      timeout_s: how long it may take to start.

    Raises:
      PlayerError: it cannot be started, does not connect, or shows no agents; names the likely
        cause and what it wrote last.
      GameError: what it says does not fit together.
    """
    label = f"unity/{build.name}"
    if graphics == "display":
        desktops.check(label)
    with contextlib.ExitStack() as opened:
        folder = opened.enter_context(scratch.Scratch("gamebridge-check-"))
        display = opened.enter_context(displays.Display()) if graphics == "virtual" else None
        connection = client.Client(label, channels=channels.Channels())
        opened.callback(connection.close)
        player = players.Player(
            build,
            label=label,
            port=connection.port,
            graphics=graphics,
            display=display,
            log_folder=folder,
        )
        opened.callback(player.end, _GRACE_S)
        opened.callback(connection.say_goodbye)
        connection.expect(player.pid)
        stage: diagnosis.Stage = "connect"
        began_s = time.monotonic()
        try:
            hello = connection.handshake(_SEED, 1, timeout_s, player.check)
            start_s = time.monotonic() - began_s
            stage = "agents"
            counts = _first_agents(connection, player, timeout_s)
        except (client.Late, client.Broken, players.Gone) as error:
            raise errors.PlayerError(_why(label, stage, error, player)) from error
        if not counts:
            cause = player.likely_cause("agents")
            raise errors.PlayerError(f"{label} connected, but shows no agents. {cause}".rstrip())
        seen = [_seen(connection, name, count) for name, count in sorted(counts.items())]
    return Report(
        hello.communication_version, hello.package_version, round(start_s, 2), tuple(seen)
    )


def _first_agents(
    connection: client.Client, player: players.Player, timeout_s: float
) -> dict[str, int]:
    connection.send_reset()
    until_s = time.monotonic() + _AGENTS_S
    for _ in range(_MOST_STEPS):
        batches = connection.receive(timeout_s, player.check)
        counts = {name: len(batch.ids) for name, batch in batches.items() if len(batch.ids)}
        if counts or time.monotonic() > until_s:
            return counts
        connection.send_step({})
    return {}


def _seen(connection: client.Client, name: str, count: int) -> Seen:
    behavior = connection.behaviors[name]
    observations = []
    for one in behavior.observations:
        kind = "frame" if one.is_frame else "array"
        words = [behaviors.shown(one.name), kind, str(list(one.shape))]
        words += ["(goal)"] * one.is_goal + ["(rows may be unused)"] * one.is_variable
        observations.append(" ".join(words))
    actions = []
    if behavior.num_continuous:
        actions.append(f"{behavior.num_continuous} continuous, -1 to 1")
    if behavior.branches:
        sizes = ", ".join(map(str, behavior.branches))
        actions.append(f"{len(behavior.branches)} discrete of {sizes}")
    return Seen(name, count, tuple(observations), tuple(actions))


def _why(label: str, stage: diagnosis.Stage, error: Exception, player: players.Player) -> str:
    with contextlib.suppress(players.Gone):
        # A connection that ended has most often ended with its player.
        deadline_s = time.monotonic() + 1.0
        while isinstance(error, client.Broken) and time.monotonic() < deadline_s:
            player.check()
            time.sleep(0.01)
    text = str(error)
    if isinstance(error, players.Gone):
        doing = "before it had connected" if stage == "connect" else "before it showed its agents"
        text = f"{label} {error} {doing}"
    text = text.rstrip(".") + "."
    cause = player.likely_cause(stage)
    lines = player.tail(5)
    said = f" It wrote last: {' | '.join(lines)}" if lines else ""
    return f"{text} {cause}".rstrip() + said
