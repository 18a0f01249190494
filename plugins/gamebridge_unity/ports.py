"""`bind`: a port of 127.0.0.1 that is nobody else's."""

from __future__ import annotations

import errno
import socket
from typing import Any

from gamebridge import errors
from gamebridge_unity import sockets

HOST = "127.0.0.1"
_HOST_6 = "::1"
_MAX_TRIES = 16


def bind(server: Any, label: str, port: int) -> tuple[int, socket.socket | None]:
    """Binds a gRPC server's port.

    A player dials "localhost", which is ::1 first: whoever listens there would get its calls.
    So that port is held as well, without listening.

    Args:
      server: the server.
      label: whose it is, for messages.
      port: 0 for any that is free.

    Returns:
      The port, and what holds the same one of ::1, to be closed; None where there is no IPv6.

    Raises:
      errors.PlayerError: the port is taken.
    """
    for _ in range(1 if port else _MAX_TRIES):
        held = None
        tried = port
        try:
            held = _hold(port)
            tried = port or (held.getsockname()[1] if held is not None else 0)
            _probe(tried)
            return server.add_insecure_port(f"{HOST}:{tried}"), held
        except (OSError, RuntimeError) as error:
            if held is not None:
                held.close()
            cause = error
    pid = sockets.listener(tried)
    by = "another process" if pid is None else f"process {pid}"
    raise errors.PlayerError(
        f"{label}: port {tried} is taken by {by}. End that, or use another port; 0 takes any "
        "that is free."
    ) from cause


def _hold(port: int) -> socket.socket | None:
    try:
        held = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    except OSError:
        return None
    try:
        held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        held.bind((_HOST_6, port))
    except OSError as error:
        held.close()
        if error.errno == errno.EADDRINUSE:
            raise
        return None
    return held


def _probe(port: int) -> None:
    """Binds as gRPC would, which prints lines of its own where it cannot."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        # Two that only bind may share a port; of those that listen there is one.
        probe.listen(1)
