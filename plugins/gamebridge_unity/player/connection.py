"""`Connection`: the player's side of the wire, one call after the other."""

from __future__ import annotations

import logging
import time
from typing import Any

from gamebridge_unity import wire

_LOG = logging.getLogger(__name__)

_RETRY_S = 0.1


class Closed(Exception):
    """The trainer is done, or gone; the message says how it was noticed."""


class Unreachable(Exception):
    """Nobody listens where the trainer should."""


class Connection:
    """Calls of `Exchange`, each answered by the trainer's next order."""

    def __init__(self, port: int, connect_s: float = 10.0) -> None:
        """Prepares to dial the trainer on this machine.

        Args:
          port: where it listens.
          connect_s: how long it may take until somebody does.
        """
        # Half of a player's start, which a command line that names no port is spared.
        import grpc

        self._port, self._connect_s = port, connect_s
        self._failure: type[Exception] = grpc.RpcError
        self._missing = grpc.StatusCode.UNAVAILABLE
        self._channel = grpc.insecure_channel(
            f"localhost:{port}",
            options=[
                ("grpc.enable_http_proxy", 0),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", -1),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 500),
            ],
        )
        # Requests are bytes already.
        self._call = self._channel.unary_unary(
            wire.PATH, None, wire.messages().UnityMessageProto.FromString
        )

    def dial(self, message: bytes) -> Any:
        """Sends the first message, trying again until somebody listens.

        Raises:
          Unreachable: nobody did in time.
          Closed: somebody did and does not want us.
        """
        deadline = time.monotonic() + self._connect_s
        while True:
            try:
                return self._checked(self._call(message))
            except self._failure as error:
                if _code(error) != self._missing:
                    raise Closed(_told(error)) from error
                if time.monotonic() >= deadline:
                    raise Unreachable(
                        f"No trainer listens on localhost:{self._port}; tried for "
                        f"{self._connect_s:g} s. ({_told(error)}) Start the trainer first."
                    ) from error
            time.sleep(_RETRY_S)

    def exchange(self, message: bytes) -> Any:
        """Sends a message and returns the trainer's next order; waits for it for ever.

        Raises:
          Closed: the trainer said goodbye, ended, or cannot take the message.
        """
        try:
            return self._checked(self._call(message))
        except self._failure as error:
            raise Closed(_told(error)) from error

    def say_goodbye(self, message: bytes) -> None:
        """Tells the trainer that the player quits; waits for no answer."""
        try:
            self._call(message, timeout=1.0)
        except self._failure as error:
            _LOG.debug("Nobody heard the goodbye: %s", _told(error))

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _checked(self, reply: Any) -> Any:
        status = reply.header.status
        if status != wire.NORMAL:
            raise Closed(f"the trainer said goodbye (status {status})")
        return reply


def _code(error: Any) -> Any:
    return error.code()


def _told(error: Any) -> str:
    return f"{error.code().name}: {error.details()}"
