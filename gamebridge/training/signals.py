"""`StopRequest`: SIGINT and SIGTERM ask a run to save and leave; a second one leaves at once."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import types
from typing import Any

_WATCHED = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Remembers that a signal came. A context manager; outside the main thread it only waits.

    TensorFlow keeps the main thread inside one call for as long as a graph runs, and a
    Python handler would wait for it. So the signal's number goes through a socket
    (`signal.set_wakeup_fd`) to a thread of its own, which also ends the process when a
    second signal comes.
    """

    def __init__(self) -> None:
        """Nothing is installed before `with`."""
        self.signal_number: int | None = None
        self._previous: dict[int, Any] = {}
        self._previous_fd = -1
        self._sockets: tuple[socket.socket, socket.socket] | None = None

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is not threading.main_thread():
            return self
        receiver, sender = socket.socketpair()
        sender.setblocking(False)
        self._sockets = (receiver, sender)
        threading.Thread(target=self._watch, args=(receiver,), daemon=True).start()
        self._previous_fd = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        for number in _WATCHED:
            self._previous[number] = signal.signal(number, lambda *_: None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        if self._sockets is None:
            return
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        receiver, sender = self._sockets
        with contextlib.suppress(OSError):
            receiver.shutdown(socket.SHUT_RDWR)
        sender.close()
        self._sockets = None

    def _watch(self, receiver: socket.socket) -> None:
        with receiver:
            while True:
                try:
                    numbers = receiver.recv(16)
                except OSError:
                    return
                if not numbers:
                    return
                for number in numbers:
                    if number not in _WATCHED:
                        continue
                    if self.signal_number is not None:
                        os._exit(128 + number)
                    self.signal_number = number
