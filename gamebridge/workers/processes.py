"""`Process`: one worker process, as its pool sees it: started, spoken to, ended."""

from __future__ import annotations

import errno
import json
import os
import shlex
import socket
import sys
from collections.abc import Mapping
from typing import Any

from gamebridge import errors, interpreters
from gamebridge.supervision import children, logs
from gamebridge.workers import carrying
from gamebridge.workers import channel as channels

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# What starting a process may find too little of.
_TOO_FEW = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
# What is on its way over a socket is there at once, unless the machine is very busy.
_MESSAGE_S = 5.0


class Lost(Exception):
    """The worker is gone, or of no use; the message says why.

    Attributes:
      report: what the worker told of an exception (`worker.report`), if that is why.
    """

    def __init__(self, message: str, report: Mapping[str, str] | None = None) -> None:
        """Keeps the report."""
        super().__init__(message)
        self.report = report

    def error(self) -> errors.Error | None:
        """Returns the error of ours that the worker raised, with its traceback as cause."""
        if self.report is None or not self.report["ours"]:
            return None
        error: errors.Error = getattr(errors, self.report["ours"])(self.report["message"])
        error.__cause__ = self.cause()
        return error

    def cause(self) -> RemoteTraceback | None:
        """Returns what the worker's exception left, to be the cause of another."""
        return None if self.report is None else RemoteTraceback(self.report["traceback"])


class RemoteTraceback(Exception):
    """The text of a traceback in another process; the cause of the error that came of it."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class Process(children.Child):
    """A worker process, from its start to its end."""

    def __init__(self, label: str, python: str, module: str, memory_fd: int, log: logs.Log) -> None:
        """Starts the process; it will say hello over the channel.

        Args:
          label: names it in messages, such as "gym/Pong-v5, worker 1".
          python: the interpreter; "" for this one.
          module: the module of the game's plugin, which is carried along.
          memory_fd: the pool's shared memory.
          log: takes what it writes.

        Raises:
          ConfigError: the interpreter is not there or cannot be run.
        """
        ours, theirs = socket.socketpair()
        # A process that is stopped reads nothing.
        ours.settimeout(_MESSAGE_S)
        self._channel = channels.Channel(ours)
        is_same = python in ("", sys.executable)
        arguments = [
            shlex.quote(python),
            interpreters.pip(python),
            interpreters.OLDEST,
            [entry or os.getcwd() for entry in sys.path] if is_same else None,
            {} if is_same else carrying.carried(module),
            theirs.fileno(),
            memory_fd,
            os.getpid(),
        ]
        command = [python or sys.executable, "-c", carrying.PROGRAM, json.dumps(arguments)]
        environment = {**dict.fromkeys(_ONE_THREAD, "1"), **os.environ}
        if not is_same:
            # They are about the environment of this Python, not of that one.
            for name in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"):
                environment.pop(name, None)
        given = (theirs.fileno(), memory_fd)
        try:
            super().__init__(label, command, log, environment, pass_fds=given, is_foreign=False)
        except OSError as error:
            self._channel.close()
            if error.errno in _TOO_FEW:
                raise errors.PlayerError(
                    f"{label} cannot be started: {error.strerror}. Take fewer workers (--workers), "
                    "or raise the limits of this shell (ulimit)."
                ) from error
            raise errors.ConfigError(
                f"The Python {command[0]} cannot be run: {error.strerror}. Expected an "
                "interpreter, such as /path/to/venv/bin/python."
            ) from error
        finally:
            theirs.close()

    def fileno(self) -> int:
        """What becomes readable when there is something to `hear`."""
        return self._channel.fileno()

    def tell(self, message: Any) -> None:
        """Sends a message of plain values.

        Raises:
          Lost: the process is gone.
        """
        try:
            self._channel.send(message)
        except channels.Closed:
            raise Lost(self.ending()) from None

    def hear(self, timeout_s: float) -> tuple[Any, bytes] | None:
        """Returns the next message and its bytes; None where none comes within `timeout_s`.

        Raises:
          Lost: the process is gone, or tells of an exception.
        """
        try:
            message, payload = self._channel.receive(timeout_s)
        except TimeoutError:
            return None
        except channels.Closed:
            raise Lost(self.ending()) from None
        if isinstance(message, dict) and "failed" in message:
            report = message["failed"]
            raise Lost(f"raised {report['kind']}: {report['message']}", report)
        return message, payload

    def ending(self) -> str:
        """Says how it ended, waiting a moment for that where it is about to."""
        return super().ending() if self.wait(_MESSAGE_S) else "closed its channel"

    def end(self, timeout_s: float) -> None:
        """Waits so long for its end, then kills it and whatever it started. May be called twice."""
        super().end(timeout_s)
        self._channel.close()
