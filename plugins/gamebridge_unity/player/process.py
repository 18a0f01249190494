"""A player as a process: its log, and the signals that end it."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
import types
from collections.abc import Iterator
from typing import IO

# All that this package and a scene log below it.
_LOG = logging.getLogger("gamebridge_unity")


class Quit(Exception):
    """The player is to go, by a signal or by its own wish: `raise player.Quit("why")`."""


@contextlib.contextmanager
def logged_to(path: str | None) -> Iterator[None]:
    """Sends the log, and what the scene prints, to the file that a trainer asked for."""
    with contextlib.ExitStack() as opened:
        stream: IO[str] = sys.stdout if path == "-" else sys.stderr
        if path is not None and path != "-":
            stream = opened.enter_context(open(path, "w", buffering=1, encoding="utf-8"))
            opened.enter_context(contextlib.redirect_stdout(stream))
            opened.enter_context(contextlib.redirect_stderr(stream))
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        opened.callback(_LOG.setLevel, _LOG.level)
        opened.callback(_LOG.removeHandler, handler)
        _LOG.addHandler(handler)
        _LOG.setLevel(logging.INFO)
        yield


@contextlib.contextmanager
def quit_on_signals() -> Iterator[None]:
    """Turns SIGTERM and Ctrl-C into `Quit`; in a thread other than the main one nothing."""

    def leave(number: int, frame: types.FrameType | None) -> None:
        raise Quit(f"{signal.Signals(number).name} came")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
