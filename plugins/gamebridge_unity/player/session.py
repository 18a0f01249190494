"""`serve`: a scene meets its trainer, plays as long as it is wanted, and goes.

What is called when:

1. the trainer is met (two messages), then `Scene.begin`;
2. at each of the trainer's resets, the first one included, `Scene.reset`;
3. `Scene.step` until somebody said something, which goes to the trainer in one message; its
   answer holds the actions of all who asked, or a reset. Side channels are heard first.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gamebridge import errors
from gamebridge_unity import wire
from gamebridge_unity.player import (
    actions,
    agents,
    arguments,
    connection,
    messages,
    process,
    records,
    telemetry,
    watching,
)
from gamebridge_unity.player import scene as scenes

_LOG = logging.getLogger(__name__)

# What a player leaves with.
DONE, BROKEN, NO_PORT, NO_TRAINER = 0, 1, 2, 5
# Steps in which nobody says anything before the player lets the machine breathe.
_QUIET_STEPS = 1_000


class Mismatch(Exception):
    """The trainer speaks another protocol."""


Dial = Callable[[int], connection.Connection]


def serve(
    make: Callable[[], scenes.Scene],
    argv: Sequence[str] | None = None,
    *,
    layout: records.Layout | None = None,
    watch: watching.Watch | None = None,
    dial: Dial = connection.Connection,
) -> int:
    """Offers a scene to the trainer that started this program; returns the exit code.

    Args:
      make: makes what is played, such as a class of yours; it is closed at the end.
      argv: the command line without the program's name; this program's by default.
      layout: the order of a frame's axes; by default what the trainer's version expects.
      watch: is told of all that passes.
      dial: makes the connection.

    Returns:
      0 when the trainer ended it or a signal did, 1 when the scene broke, 2 when no port was
      named, 5 when there is no trainer there, or one of another protocol; for an error of
      `gamebridge.errors` its own. The log has a line that says what happened.
    """
    given = arguments.scan(sys.argv[1:] if argv is None else argv)
    with contextlib.ExitStack() as opened:
        if watch is not None:
            opened.callback(watch.close)
        opened.enter_context(process.logged_to(given.log_path))
        if given.port is None:
            _LOG.error(
                "No trainer: %s PORT is not on the command line. Start this player from one, "
                "such as `gamebridge train` or mlagents_envs' UnityEnvironment.",
                arguments.PORT_FLAG,
            )
            return NO_PORT
        try:
            with process.quit_on_signals():
                scene = make()
                opened.callback(scene.close)
                link = dial(given.port)
                opened.callback(link.close)
                session = Session(scene, link, watch)
                session.meet(given, layout)
                session.play()
        except (connection.Closed, process.Quit) as error:
            _LOG.info("Ending: %s.", error)
        except (connection.Unreachable, Mismatch) as error:
            _LOG.error("%s", error)
            return NO_TRAINER
        except errors.Error as error:
            _LOG.error("%s", error)
            return error.exit_code
        except Exception:  # noqa: BLE001 - foreign code; the log must tell
            _LOG.exception("The scene broke.")
            return BROKEN
    return DONE


class Session:
    """One scene and one trainer."""

    def __init__(
        self, scene: scenes.Scene, link: connection.Connection, watch: watching.Watch | None = None
    ) -> None:
        """Takes both; `meet` comes first."""
        self._scene, self._link, self._watch = scene, link, watch
        self._introduced: set[str] = set()
        self._telemetry_wanted = False
        self._described: set[str] = set()
        self._waits = False
        scene.channels.receive(telemetry.CHANNEL, self._subscribe)

    def meet(self, given: arguments.Arguments, layout: records.Layout | None = None) -> None:
        """Exchanges the first message, and tells the scene who is there.

        Raises:
          Mismatch: the trainer speaks another protocol.
          Unreachable: nobody listens.
          Closed: the trainer does not want us.
        """
        answer = self._link.dial(messages.hello()).unity_input.rl_initialization_input
        ours, theirs = wire.COMMUNICATION_VERSION, answer.communication_version
        if wire.major(theirs) != wire.major(ours):
            raise Mismatch(
                f"The trainer speaks version '{theirs}' of the protocol, this player {ours}; "
                "expected the same first number. Use mlagents-envs 0.26 to 1.1, or gamebridge."
            )
        major = wire.major(answer.package_version)
        chosen = layout or ("chw" if major is not None and major >= 1 else "hwc")
        self._scene.use(records.Wire(chosen, answer.capabilities.compressedChannelMapping))
        _LOG.info(
            "Met a trainer of mlagents-envs %s, seed %d; frames go %s.",
            answer.package_version, answer.seed, chosen,
        )  # fmt: skip
        self._scene.begin(
            scenes.Trainer(answer.seed, answer.num_areas, answer.package_version, given.no_graphics)
        )

    def play(self) -> None:
        """Plays until the trainer, a signal or the scene ends it.

        Raises:
          Closed: the trainer ended it.
          Quit: something else did.
        """
        try:
            order = self._exchange(messages.header())
            while True:
                self._obey(order)
                self._move()
                order = self._exchange(self._news())
        except process.Quit:
            # The trainer that has our call in hand learns it from the connection's end.
            if not self._waits:
                self._link.say_goodbye(messages.header(wire.CLOSING))
            raise

    def _exchange(self, message: bytes) -> Any:
        self._waits = True
        order = self._link.exchange(message).unity_input.rl_input
        self._waits = False
        return order

    def _obey(self, order: Any) -> None:
        self._scene.channels.deliver(order.side_channel)
        if order.command == wire.QUIT:
            raise process.Quit("the trainer's command")
        if order.command == wire.RESET:
            for crowd in self._scene.agents:
                crowd.forget()
            if self._watch is not None:
                self._watch.reset()
            self._scene.reset()
            return
        for crowd in self._scene.agents:
            rows = actions.take(crowd, order.agent_actions)
            if self._watch is not None and len(rows):
                self._watch.acted(crowd, rows)

    def _move(self) -> None:
        """Steps the scene until somebody has said something."""
        for quiet in itertools.count():
            if any(crowd.has_said for crowd in self._scene.agents):
                return
            if quiet == _QUIET_STEPS:
                _LOG.warning(
                    "Nobody asked for a decision in %d steps; is the scene without agents?", quiet
                )
            if quiet >= _QUIET_STEPS:
                time.sleep(0.01)
            self._scene.step()

    def _news(self) -> bytes:
        if self._watch is not None:
            self._watch.sends()
        infos: dict[str, list[bytes]] = {}
        introduced = []
        for crowd in self._scene.agents:
            name = crowd.behavior.name
            pieces = infos.setdefault(name, [])
            said = list(crowd.take())
            if not said and name not in self._introduced:
                del infos[name]
                continue
            pieces += [each.data for each in said]
            if name not in self._introduced:
                self._introduced.add(name)
                introduced.append(crowd.behavior)
            if said and crowd.fields and self._telemetry_wanted:
                self._tell_telemetry(crowd, said)
            if self._watch is not None:
                for each in said:
                    self._watch.said(crowd, each)
        return messages.news(infos, introduced, self._scene.channels.take())

    def _subscribe(self, message: bytes) -> None:
        self._telemetry_wanted = self._telemetry_wanted or message == telemetry.SUBSCRIBE

    def _tell_telemetry(self, crowd: agents.Agents, said: Sequence[agents.Said]) -> None:
        name, send = crowd.behavior.name, self._scene.channels.send
        if name not in self._described:
            self._described.add(name)
            send(telemetry.CHANNEL, telemetry.write_fields(name, crowd.fields))
        ids, done, values = (
            np.concatenate(columns)
            for columns in zip(
                *((each.numbers.ids, each.numbers.done, each.telemetry) for each in said),
                strict=True,
            )
        )
        send(telemetry.CHANNEL, telemetry.write_values(name, ids, done, values))
