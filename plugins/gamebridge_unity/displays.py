"""`Display`: an X display in memory, for players that draw where there is no screen.

Xvfb draws into a file, which is read here as it is: no X library is needed to see what a
player shows. The display is ours alone: it listens to no network, asks for a cookie that
only this user can read, and ends with us.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import select
import shutil
import signal
import struct
import time
import types

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge.supervision import children, logs, scratch

DEPTH = 24
_SCREEN_FILE = "Xvfb_screen0"
_GRACE_S = 2.0
_MISSING = (
    "Xvfb is not installed, and graphics=virtual needs it. Install it (Debian, Ubuntu: "
    "apt-get install xvfb; Fedora: dnf install xorg-x11-server-Xvfb), or use a display "
    "(graphics=display)."
)


class Display:
    """A running Xvfb.

    Attributes:
      name: such as ":99", what $DISPLAY is to be.
      environment: what a program needs to draw on it.
      width, height: of the screen, in pixels.
    """

    def __init__(
        self, width: int = 1280, height: int = 720, *, label: str = "Xvfb", timeout_s: float = 20.0
    ) -> None:
        """Starts it and waits until it is there.

        Args:
          width: of the screen, in pixels.
          height: of the screen, in pixels.
          label: names it in messages.
          timeout_s: how long it may take.

        Raises:
          PlayerError: there is no Xvfb, or it does not start: names the cure.
        """
        self.width, self.height = width, height
        self._child: children.Child | None = None
        self._mapped: Array | None = None
        program = shutil.which("Xvfb")
        if program is None:
            raise errors.PlayerError(_MISSING)
        with contextlib.ExitStack() as opened:
            # Only this user may enter it: the screen and the cookie are in it.
            folder = opened.enter_context(scratch.Scratch("gamebridge-display-"))
            log = logs.Log()
            opened.callback(log.close)
            cookie = _write_cookie(folder / "cookie")
            number = self._start(program, folder, cookie, label, log, timeout_s)
            self.name = f":{number}"
            self.environment = {"DISPLAY": self.name, "XAUTHORITY": str(cookie)}
            self._screen = folder / _SCREEN_FILE
            self._opened = opened.pop_all()

    def __enter__(self) -> Display:
        """Returns the display itself: `with` closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        """Closes the display."""
        self.close()

    @property
    def pid(self) -> int:
        """Of Xvfb; -1 once it is closed."""
        return -1 if self._child is None else self._child.pid

    def check(self) -> None:
        """Looks whether it still runs.

        Raises:
          PlayerError: it does not.
        """
        if self._child is None:
            raise errors.PlayerError(f"The display {self.name} is closed.")
        if not self._child.is_alive():
            raise errors.PlayerError(
                f"The virtual display {self.name} (Xvfb, pid {self.pid}) "
                f"{self._child.ending()}.{_said(self._child)} Start anew."
            )

    def picture(self) -> Array:
        """Returns what the screen shows now, uint8 [height, width, 3] RGB, a copy.

        Raises:
          PlayerError: the display has ended, or its file is not what this reads.
        """
        self.check()
        if self._mapped is None:
            self._mapped = _map(self._screen)
        # Blue first; the copy is what may be half of one frame, half of the next.
        return np.ascontiguousarray(self._mapped[..., 2::-1])

    def close(self) -> None:
        """Ends Xvfb and removes its files. May be called twice."""
        child, self._child = self._child, None
        self._mapped = None
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)  # so that it removes its lock
            child.end(_GRACE_S)
            self._opened.close()

    def _start(
        self,
        program: str,
        folder: pathlib.Path,
        cookie: pathlib.Path,
        label: str,
        log: logs.Log,
        timeout_s: float,
    ) -> int:
        read_fd, write_fd = os.pipe()
        command = [program, "-displayfd", str(write_fd), "-screen", "0"]
        command += [f"{self.width}x{self.height}x{DEPTH}", "-fbdir", str(folder)]
        command += ["-nolisten", "tcp", "-auth", str(cookie), "-noreset"]
        try:
            try:
                self._child = child = children.Child(
                    label, command, log, _environment(), folder, pass_fds=[write_fd]
                )
            except OSError as error:
                raise errors.PlayerError(
                    f"{program} cannot be started: {error.strerror}. Mend its installation."
                ) from error
            finally:
                os.close(write_fd)
            try:
                return _number(child, read_fd, timeout_s)
            except BaseException:
                self._child = None
                child.end(0)
                raise
        finally:
            os.close(read_fd)


def _number(child: children.Child, read_fd: int, timeout_s: float) -> int:
    """Waits for what Xvfb says of itself: the display's number, once it is ready."""
    until_s, text = time.monotonic() + timeout_s, b""
    while not text.endswith(b"\n"):
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise errors.PlayerError(
                f"Xvfb was not ready within {timeout_s:g} s. Start it by hand to see why: "
                "Xvfb -displayfd 1"
            )
        if not select.select([read_fd], [], [], left_s)[0]:
            continue
        data = os.read(read_fd, 64)
        if not data:
            child.wait(_GRACE_S)
            raise errors.PlayerError(
                f"Xvfb {child.ending()} before it was ready.{_said(child)} Start it by hand to "
                "see why: Xvfb -displayfd 1"
            )
        text += data
    return int(text)


def _environment() -> dict[str, str]:
    names = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in names if name in os.environ}


def _said(child: children.Child) -> str:
    lines = child.tail()[-3:]
    return f" It wrote last: {' | '.join(lines)}." if lines else ""


def _write_cookie(path: pathlib.Path) -> pathlib.Path:
    """Writes an X authority file of one cookie that is good for any display of this machine."""
    wild, name = 0xFFFF, b"MIT-MAGIC-COOKIE-1"
    fields = [b"", b"", name, secrets.token_bytes(16)]
    data = struct.pack(">H", wild) + b"".join(
        struct.pack(">H", len(field)) + field for field in fields
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
    return path


# The head of an XWD file, version 7: 25 numbers, then the window's name, then the colours.
_NUM_FIELDS, _VERSION, _Z_PIXMAP, _COLOUR_BYTES = 25, 7, 2, 12


def _map(path: pathlib.Path) -> Array:
    """Returns the pixels of the file that Xvfb draws into, uint8 [height, width, 4], as they are.

    Raises:
      PlayerError: it is not what this reads.
    """
    data = np.memmap(path, np.uint8, mode="r")
    head = np.frombuffer(data[: 4 * _NUM_FIELDS].tobytes(), ">u4")
    size, version, form, _, width, height = (int(number) for number in head[:6])
    bits, line_bytes = int(head[11]), int(head[12])
    red, blue, num_colours = int(head[14]), int(head[16]), int(head[19])
    is_little = int(head[7]) == 0
    if (version, form, bits, red, blue) != (_VERSION, _Z_PIXMAP, 32, 0xFF0000, 0xFF):
        raise errors.PlayerError(
            f"{path} has pixels of another kind than 24-bit colours: version {version}, format "
            f"{form}, {bits} bits, red {red:#x}. Use another Xvfb."
        )
    start = size + num_colours * _COLOUR_BYTES
    rows = data[start : start + height * line_bytes].reshape(height, line_bytes)
    pixels = rows[:, : 4 * width].reshape(height, width, 4)
    return pixels if is_little else pixels[..., ::-1]
