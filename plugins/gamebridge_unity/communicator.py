"""`Communicator`: the server that one player at a time calls, on loopback only.

A player calls `Exchange` and waits: the call is the player's news, its reply the next
order. So there is one call in hand at most. It waits in a thread of gRPC's, which is one
that the interpreter does not wait for, and is handed to the caller's thread as it came, in
bytes. One server and its port serve all the players that follow each other: `renew` forgets
one, and refuses whatever comes from it later.

Whoever on this machine finds the port can call. So the first to call is the player and
nobody else is heard; and where the player's process is known (`expect`), only that one.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from gamebridge_unity import calls, encoding, ports, sockets, wire

_log = logging.getLogger(__name__)

# Between two looks at whether the player still lives.
CHECK_EVERY_S = 0.2
# After a connection ended: for the process to be seen ending, which explains more.
_AFTERMATH_S = 1.0
_LOOK_EVERY_S = 0.05
_STOP_GRACE_S = 0.5
# Calls at a time; all but the player's are refused at once.
_MAX_CALLS = 64
# A message over the limit is read up to this far beyond it, so as to say how large it was.
_NAMED_BEYOND_BYTES = 64 << 20


class Late(Exception):
    """The player said nothing in time."""


class Broken(Exception):
    """The connection is of no more use: closed, garbled, too large a message."""


class Communicator:
    """The server side, for one player at a time."""

    def __init__(self, label: str, port: int = 0, max_message_bytes: int = -1) -> None:
        """Binds the port and serves.

        Args:
          label: whose it is, for messages.
          port: 0 for any that is free.
          max_message_bytes: of one message of the player; -1 for no limit.

        Raises:
          errors.PlayerError: the port is taken.
        """
        import grpc

        self._label = label
        self._limit = max_message_bytes
        self._lock = threading.Lock()
        self._arrivals: queue.SimpleQueue[calls.Call] = queue.SimpleQueue()
        self._peer: str | None = None
        self._pid: int | None = None
        self._old_peers: set[str] = set()
        self._call: calls.Call | None = None
        self._is_leaving = False
        self._is_closed = False
        self._lost = ""
        self.num_refused = 0
        far = -1 if max_message_bytes < 0 else max_message_bytes + _NAMED_BEYOND_BYTES
        self._threads = calls.Threads()
        self._server = grpc.server(
            self._threads,
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", far),
                ("grpc.max_send_message_length", -1),
            ],
            maximum_concurrent_rpcs=_MAX_CALLS,
        )
        # Neither reads nor writes protocol buffers: that is done where it is needed.
        handler = grpc.unary_unary_rpc_method_handler(self._exchange)
        handlers = {wire.METHOD: handler}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(wire.SERVICE, handlers),)
        )
        self.port, self._reserved = ports.bind(self._server, label, port)
        self._server.start()

    def expect(self, pid: int | None) -> None:
        """Hears only this process, those of its session and its descendants; None: anyone."""
        with self._lock:
            self._pid = pid

    def receive(self, timeout_s: float, check: Callable[[], None]) -> bytes:
        """Waits for the player's next call and returns its message.

        Args:
          timeout_s: seconds.
          check: called every now and then; raises if the player's process is gone.

        Raises:
          Late: nothing came in time.
          Broken: the connection ended, or the message is over the limit.
        """
        until_s = time.monotonic() + timeout_s
        while not self._lost:
            left_s = until_s - time.monotonic()
            try:
                call = self._arrivals.get(timeout=min(CHECK_EVERY_S, max(0.0, left_s)))
            except queue.Empty:
                check()
                if left_s <= CHECK_EVERY_S and time.monotonic() >= until_s:
                    # What it says later belongs to another step.
                    self._lost = f"{self._label} said nothing for {timeout_s:g} s"
                    raise Late(self._lost) from None
                continue
            if 0 <= self._limit < len(call.request):
                self._lost = self._too_large(len(call.request))
                raise Broken(self._lost)
            return call.request
        until_s = time.monotonic() + min(timeout_s, _AFTERMATH_S)
        while time.monotonic() < until_s:
            check()
            time.sleep(_LOOK_EVERY_S)
        raise Broken(self._lost)

    def reply(self, message: bytes) -> None:
        """Answers the call in hand; without one, `receive` will say that it was lost."""
        with self._lock:
            call, self._call = self._call, None
            if call is None or call.is_over:
                self._lost = f"{self._label} closed its connection"
                return
            call.answer(message)

    def say_goodbye(self) -> None:
        """Answers the call in hand, or the player's next one, with the order to quit."""
        with self._lock:
            self._is_leaving = True
            call, self._call = self._call, None
            if call is not None:
                call.answer(encoding.GOODBYE)
            with contextlib.suppress(queue.Empty):
                while True:
                    self._arrivals.get_nowait()

    def renew(self) -> None:
        """Forgets the player: the next to call is the next player."""
        self.say_goodbye()
        with self._lock:
            if self._peer is not None:
                self._old_peers.add(self._peer)
            self._peer = self._pid = None
            self._is_leaving = False
            self._lost = ""

    def close(self) -> None:
        """Says goodbye and ends the server. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        self.say_goodbye()
        self._server.stop(_STOP_GRACE_S).wait(2 * _STOP_GRACE_S)
        self._threads.shutdown()
        if self._reserved is not None:
            self._reserved.close()

    def _exchange(self, request: bytes, context: Any) -> bytes:
        """Runs in a thread of gRPC's, from a call to its reply."""
        import grpc

        call = calls.Call(request)
        refusal = self._refusal(context.peer(), call)
        if refusal:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, refusal)
        if not context.add_callback(call.end):
            call.end()
        return call.wait()

    def _refusal(self, peer: str, call: calls.Call) -> str:
        """Why this call is not heard; empty if it is, and then it has been passed on."""
        with self._lock:
            pid = self._pid if self._peer is None else None
        stranger = self._stranger(peer, pid) if pid is not None else ""
        with self._lock:
            if peer in self._old_peers:
                why = "it was dismissed"
            elif self._peer is not None and peer != self._peer:
                why = f"{self._peer} is the player"
            elif stranger:
                why = f"it is {stranger}, and process {pid} was started as the player"
            elif self._call is not None:
                why = "its last call has not been answered yet"
            else:
                self._peer = peer
                if self._is_leaving:
                    call.answer(encoding.GOODBYE)
                else:
                    self._call = call
                    self._arrivals.put(call)
                return ""
            self.num_refused += 1
        _log.warning("%s, port %d: refused a call of %s: %s.", self._label, self.port, peer, why)
        return f"{why}. This port takes one player, and only from this machine."

    def _stranger(self, peer: str, pid: int) -> str:
        """Who is behind a peer, if it is not the player; empty if it is, or cannot be told."""
        try:
            found = sockets.owner(int(peer.rpartition(":")[2]), self.port)
        except LookupError:
            return ""
        if found is None:
            return "a process of another user"
        return "" if sockets.belongs_to(found, pid) else f"process {found}"

    def _too_large(self, size: int) -> str:
        return (
            f"{self._label} sent a message of {size:,} bytes: max_message_bytes allows "
            f"{self._limit:,}. Use a compressed observation (PNG), fewer agents, or raise "
            "max_message_bytes"
        )
