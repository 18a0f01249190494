"""What goes wrong with players, on purpose: a connection that misbehaves at a given step.

Faults spoil what a sound player would have sent, so that any scene can have any of them.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from gamebridge_unity import wire
from gamebridge_unity.player import connection, messages
from gamebridge_unity.reference import spoiling

_LOG = logging.getLogger(__name__)

# At the start, and what a value after a colon means.
AT_START = {
    "exit-early": "exits with code 3 before it connects",
    "never-connect": "never connects",
    "slow-start": "waits so many seconds before it connects",
    "wrong-version": "speaks version 2.0.0 of the protocol",
    "exit-between": "exits with code 3 between the two messages of the handshake",
    "no-agents": "connects, and has nobody who asks for a decision",
    "ignore-sigterm": "is deaf to SIGTERM",
    "ignore-goodbye": "stays when the trainer says goodbye or is gone",
    "grandchildren": "has two child processes that outlive it",
}
AT_STEP = {
    "exit": "exits with code 3",
    "kill9": "kills itself with SIGKILL",
    "hang": "says nothing more",
    "slow": "takes so many seconds for each step from then on",
    "flood": "makes so many calls at once from other connections",
    "flood-log": "writes so many MiB to its log",
    "status": "sends this status",
    **spoiling.KINDS,
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which faults, and when.

    Attributes:
      faults: names and the numbers after their colons.
      at: the step, counted in messages with infos from 0.
      once: a file; where it is there the player is sound, and a fault makes it first.
    """

    faults: dict[str, float]
    at: int = 0
    once: str = ""

    def is_due(self) -> bool:
        """Whether this player is the one to have them."""
        return bool(self.faults) and not (self.once and pathlib.Path(self.once).exists())


def parse(names: Sequence[str]) -> dict[str, float]:
    """Reads faults such as "kill9" or "slow:0.5".

    Raises:
      ValueError: there is no such fault, or the value is no number.
    """
    known = {**AT_START, **AT_STEP}
    faults = {}
    for word in names:
        name, _, value = word.partition(":")
        if name not in known:
            raise ValueError(f"--fault {word}: expected one of {', '.join(sorted(known))}.")
        try:
            faults[name] = float(value) if value else 1.0
        except ValueError as error:
            raise ValueError(f"--fault {word}: expected a number after the colon.") from error
    return faults


class FaultyConnection(connection.Connection):
    """A connection of a player with faults."""

    def __init__(self, port: int, plan: Plan) -> None:
        """Has those that come before the connection.

        Args:
          port: where the trainer listens.
          plan: which faults, and when.
        """
        self._plan, self._trainer_port = plan, port
        self._step = -1
        if self._has("ignore-sigterm"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self._has("grandchildren"):
            sleep = [sys.executable, "-c", "import time; time.sleep(3600)"]
            pids = [subprocess.Popen(sleep).pid for _ in range(2)]
            _LOG.info("Grandchildren: %s.", pids)
        if self._has("exit-early"):
            self._exit()
        if self._has("never-connect"):
            _stay()
        if self._has("slow-start"):
            time.sleep(self._plan.faults["slow-start"])
        super().__init__(port)

    def dial(self, message: bytes) -> Any:
        """Has the handshake's faults."""
        if self._has("wrong-version"):
            self._mark()
            message = messages.hello("2.0.0")
        answer = super().dial(message)
        if self._has("exit-between"):
            self._exit()
        return answer

    def exchange(self, message: bytes) -> Any:
        """Has the faults of a step."""
        if self._step >= self._plan.at:
            message = self._spoil(message)
        try:
            answer = super().exchange(message)
        except connection.Closed as error:
            if self._has("ignore-goodbye"):
                _LOG.info("Staying although %s.", error)
                _stay()
            raise
        if self._has("no-agents"):
            _LOG.info("Nobody asks for decisions.")
            _stay()
        self._step += 1
        return answer

    def _spoil(self, message: bytes) -> bytes:
        is_first = self._step == self._plan.at
        if is_first and self._plan.faults.keys() & AT_STEP:
            self._mark()
        if is_first:
            deeds: dict[str, Callable[[], None]] = {
                "flood-log": self._flood_log,
                "flood": lambda: self._flood(message),
                "exit": self._exit,
                "kill9": lambda: os.kill(os.getpid(), signal.SIGKILL),
                "hang": _stay,
            }
            for name, deed in deeds.items():
                if self._has(name):
                    _LOG.info("Fault: %s.", name)
                    deed()
        if self._has("slow"):
            time.sleep(self._plan.faults["slow"])
        if self._has("status"):
            return messages.header(int(self._plan.faults["status"]))
        for name, value in self._plan.faults.items():
            if name in spoiling.KINDS and (is_first or name in spoiling.LASTING):
                message = spoiling.spoil(name, value, message)
        return message

    def _has(self, name: str) -> bool:
        return name in self._plan.faults

    def _mark(self) -> None:
        if self._plan.once:
            pathlib.Path(self._plan.once).touch()

    def _exit(self) -> None:
        self._mark()
        _LOG.error("This player ends itself, as it was told to by --fault.")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(3)

    def _flood_log(self) -> None:
        line = "x" * 1023 + "\n"
        for _ in range(int(self._plan.faults["flood-log"] * 1024)):
            sys.stderr.write(line)

    def _flood(self, message: bytes) -> None:
        """Calls from other connections; whatever the trainer does with them is right."""
        import grpc

        def call() -> None:
            with grpc.insecure_channel(
                f"localhost:{self._trainer_port}",
                options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)],
            ) as channel:
                try:
                    channel.unary_unary(wire.PATH)(message, timeout=5.0)
                except grpc.RpcError as error:
                    _LOG.info("A rogue call was refused: %s.", error.code())

        count = max(1, math.ceil(self._plan.faults["flood"]))
        callers = [threading.Thread(target=call, daemon=True) for _ in range(count)]
        for caller in callers:
            caller.start()
        time.sleep(0.2)


def _stay() -> None:
    while True:
        time.sleep(60)
