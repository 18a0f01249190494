"""`Log`: what children write to their stdout and stderr, read so that none is ever held up.

The newest lines are kept for error messages; all go to this module's logger, and into a file
where one is named, but for a child that floods: it is named once, and what it writes beyond a
limit is dropped.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import pathlib
import selectors
import threading
import time

_LOG = logging.getLogger(__name__)

_KEPT_LINES = 20
_LONGEST_LINE = 300
_FLOOD_BYTES = 64 * 1024  # within a second
_READ_BYTES = 1 << 16
_MOST_READS = 32


class Log:
    """Reads the pipes of several children in one thread."""

    def __init__(self) -> None:
        """Starts the thread."""
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._read, name="gamebridge-logs", daemon=True)
        self._thread.start()

    def open(self, label: str, kept: pathlib.Path | None = None) -> Output:
        """Returns a child's output, whose `write_fd` is to be given to it as stdout and stderr.

        Args:
          label: names the child in the log.
          kept: a file that gets it too, anew.

        Raises:
          OSError: that file cannot be written.
        """
        kept_fd = None
        if kept is not None:
            kept_fd = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        read_fd, write_fd = os.pipe()
        output = Output(label, write_fd, kept_fd)
        os.set_blocking(read_fd, False)
        with self._lock:
            self._selector.register(read_fd, selectors.EVENT_READ, output)
        os.write(self._wake_write, b"\0")
        return output

    def close(self) -> None:
        """Ends the thread and closes all pipes. May be called twice."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        # A thread that had something to read just now has seen it by itself, and is gone.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._wake_write, b"\0")
        self._thread.join(timeout=5)
        os.close(self._wake_write)

    def _read(self) -> None:
        while not self._is_closed:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(key.fd, _READ_BYTES)
                    continue
                try:
                    data = os.read(key.fd, _READ_BYTES)
                except BlockingIOError:
                    continue
                key.data.take(data)
                if not data:
                    with self._lock:
                        self._selector.unregister(key.fd)
                    os.close(key.fd)
        with self._lock:
            for key in list(self._selector.get_map().values()):
                if key.data is not None:
                    key.data.take_rest(key.fd)
                os.close(key.fd)
            self._selector.close()


class Output:
    """What one child wrote.

    Attributes:
      write_fd: the pipe's end for the child; to be closed here once it has it.
    """

    def __init__(self, label: str, write_fd: int, kept_fd: int | None = None) -> None:
        """Starts empty.

        Args:
          label: names the child in the log.
          write_fd: see the class.
          kept_fd: of the file that gets it too; it is closed at the child's end.
        """
        self.write_fd = write_fd
        self._kept_fd = kept_fd
        self._label = label
        self._lines: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        self._rest = b""
        self._second = 0
        self._num_bytes = 0
        self._is_flooding = False
        self._has_ended = threading.Event()

    def tail(self, timeout_s: float = 0.0) -> list[str]:
        """Returns the newest lines, the oldest of them first, waiting so long for the end."""
        self._has_ended.wait(timeout_s)
        return list(self._lines)

    def take_rest(self, fd: int) -> None:
        """Takes what is left in the pipe, if that is not without end."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_READS):
                data = os.read(fd, _READ_BYTES)
                self.take(data)
                if not data:
                    return
        self.take(b"")

    def take(self, data: bytes) -> None:
        """Takes what was read, at most some KiB; nothing means the child has ended."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if not data and self._rest:
            whole, self._rest = [self._rest], b""
        if len(self._rest) > _LONGEST_LINE:
            whole, self._rest = [*whole, self._rest], b""
        is_dropped = self._is_flood(len(data))
        if not is_dropped:
            self._keep(data)
        for raw in whole[-_KEPT_LINES:] if is_dropped else whole:
            line = raw[:_LONGEST_LINE].decode("utf-8", "replace").rstrip()
            if line:
                self._lines.append(line)
                if not is_dropped:
                    _LOG.info("%s: %s", self._label, line)
        if not data:
            if self._kept_fd is not None:
                os.close(self._kept_fd)
                self._kept_fd = None
            self._has_ended.set()

    def _keep(self, data: bytes) -> None:
        if self._kept_fd is not None:
            # A full disk is no reason to read no more.
            with contextlib.suppress(OSError):
                os.write(self._kept_fd, data)

    def _is_flood(self, num_bytes: int) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._num_bytes = second, 0
        self._num_bytes += num_bytes
        if self._num_bytes <= _FLOOD_BYTES:
            return False
        if not self._is_flooding:
            self._is_flooding = True
            _LOG.warning(
                "%s floods its output: more than %d KiB in a second. The newest lines are kept "
                "for error messages, the rest is dropped. Let the game write less.",
                self._label,
                _FLOOD_BYTES // 1024,
            )
        return True
