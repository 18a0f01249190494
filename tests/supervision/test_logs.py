"""A log can be closed at any moment, whatever its children write."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

import pytest

from gamebridge.supervision import logs


@pytest.fixture
def impatient():
    """Threads take turns as often as can be."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_a_log_is_closed_while_its_children_write(impatient):
    num_files = len(os.listdir("/proc/self/fd"))
    for _ in range(300):
        log = logs.Log()
        fds = [log.open(f"child {number}").write_fd for number in range(3)]

        def write(fds=fds):
            with contextlib.suppress(BrokenPipeError):  # nobody reads it any more
                for _ in range(20):
                    for fd in fds:
                        os.write(fd, b"a line\n")

        writer = threading.Thread(target=write)
        writer.start()
        log.close()
        writer.join()
        for fd in fds:
            os.close(fd)
    assert len(os.listdir("/proc/self/fd")) == num_files
