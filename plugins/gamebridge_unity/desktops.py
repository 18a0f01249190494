"""`check`: whether the display that $DISPLAY names is there, before a player is started on it."""

from __future__ import annotations

import os
import re
import socket

from gamebridge import errors

# host:number.screen, where no host means this machine.
_NAME = re.compile(r"(?P<host>.*):(?P<number>\d{1,5})(\.\d+)?")
_TCP_PORT = 6000
_PATIENCE_S = 5.0
_CURE = "set DISPLAY to one that runs, or use graphics=virtual (or none)."


def check(label: str) -> None:
    """Refuses a display that is not there; whether it lets the player in is not asked.

    Args:
      label: names the player.

    Raises:
      PlayerError: DISPLAY is not set, names nothing, or nobody listens there.
    """
    name = os.environ.get("DISPLAY", "")
    if not name:
        raise errors.PlayerError(
            f"{label} cannot be started: graphics=display, and DISPLAY is not set. Start it "
            f"from a desktop, {_CURE}"
        )
    matched = _NAME.fullmatch(name)
    reason = "it is no name of a display, such as ':0'"
    for family, address in _addresses(matched["host"], int(matched["number"])) if matched else ():
        try:
            with socket.socket(family) as asked:
                asked.settimeout(_PATIENCE_S)
                asked.connect(address)
                return
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
    raise errors.PlayerError(
        f"{label} cannot be started: graphics=display, and no X server answers at DISPLAY={name}: "
        f"{reason}. Start it from a desktop, {_CURE}"
    )


def _addresses(host: str, number: int) -> list[tuple[socket.AddressFamily, str | tuple[str, int]]]:
    """Returns where X libraries look for a display; the place that tells most why not is last."""
    if host.startswith("/"):  # a socket itself, as on macOS
        return [(socket.AF_UNIX, f"{host}:{number}")]
    beyond = (socket.AF_INET, (host or "localhost", _TCP_PORT + number))
    if host not in ("", "unix"):
        return [beyond]
    path = f"/tmp/.X11-unix/X{number}"
    return [beyond, (socket.AF_UNIX, f"\0{path}"), (socket.AF_UNIX, path)]
