"""`Channel`: what pool and worker say to each other off the path of a step.

Messages over a socket pair: a line of JSON, with raw bytes after it where it says so.
"""

from __future__ import annotations

import json
import select
import socket
import time
from typing import Any

_MOST_BYTES = 1 << 30
_READ_BYTES = 1 << 16


class Closed(Exception):
    """The other side is gone."""


class Channel:
    """One end of a socket pair."""

    def __init__(self, end: socket.socket) -> None:
        """Takes over the closing of `end`."""
        self._socket = end
        # What was read of messages that are not whole yet: a wait may be broken off.
        self._rest = bytearray()

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
          TimeoutError: no whole message came within `timeout_s`.
        """
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while True:
                found = self._next()
                if found is not None:
                    return found
                left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
                if not self._is_readable(left_s):
                    break
                data = self._socket.recv(_READ_BYTES)
                if not data:
                    raise Closed("it ended")
                self._rest += data
        except (OSError, ValueError, TypeError) as error:
            raise Closed(str(error)) from error
        raise TimeoutError(f"nothing came within {timeout_s:g} s")

    def close(self) -> None:
        """Closes the socket. May be called twice."""
        self._socket.close()

    def _next(self) -> tuple[Any, bytes] | None:
        """Takes the next message out of what was read, if all of it is there."""
        end = self._rest.find(b"\n") + 1
        if not end:
            return None
        message, size = json.loads(self._rest[:end])
        if not 0 <= size <= _MOST_BYTES:
            raise ValueError(f"a message of {size} bytes")
        if len(self._rest) < end + size:
            return None
        payload = bytes(self._rest[end : end + size])
        del self._rest[: end + size]
        return message, payload

    def _is_readable(self, timeout_s: float | None) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(None if timeout_s is None else timeout_s * 1e3))
