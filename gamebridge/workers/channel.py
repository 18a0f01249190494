"""`Channel`: what pool and worker say to each other off the path of a step.

Messages over a socket pair: a line of JSON, with raw bytes after it where it says so.
"""

from __future__ import annotations

import json
import select
import socket
from typing import Any

_MOST_BYTES = 1 << 30


class Closed(Exception):
    """The other side is gone."""


class Channel:
    """One end of a socket pair."""

    def __init__(self, end: socket.socket) -> None:
        """Takes over the closing of `end`."""
        self._socket = end
        self._file = end.makefile("rb")

    def fileno(self) -> int:
        """The socket's file descriptor."""
        return self._socket.fileno()

    def send(self, message: Any, payload: bytes = b"") -> None:
        """Sends a message of plain values, and bytes if there are any.

        Raises:
          Closed: the other side is gone.
        """
        line = json.dumps([message, len(payload)]).encode("ascii") + b"\n"
        try:
            self._socket.sendall(line + payload)
        except OSError as error:
            raise Closed(str(error)) from error

    def receive(self, timeout_s: float | None = None) -> tuple[Any, bytes]:
        """Waits for a message and its bytes.

        Raises:
          Closed: the other side is gone, or what it sent is no message.
          TimeoutError: nothing came within `timeout_s`.
        """
        try:
            self._socket.settimeout(timeout_s)
            line = self._file.readline()
            message, size = json.loads(line)
            payload = self._file.read(size) if 0 <= size <= _MOST_BYTES else b""
            if len(payload) != size:
                raise Closed("it ended in the middle of a message")
        except socket.timeout as error:  # noqa: UP041 - not the same before Python 3.10
            raise TimeoutError(f"nothing came within {timeout_s:g} s") from error
        except (OSError, ValueError, TypeError) as error:
            raise Closed(str(error)) from error
        return message, payload

    def is_ready(self) -> bool:
        """Whether `receive` has something to read, or the other side is gone."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Closes the socket. May be called twice."""
        self._file.close()
        self._socket.close()
