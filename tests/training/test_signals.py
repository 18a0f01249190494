"""SIGINT and SIGTERM: the first one is remembered, the second one ends the process."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from gamebridge.training import signals


def wait_for(stop, timeout_s=5.0):
    deadline = time.monotonic() + timeout_s
    while stop.signal_number is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return stop.signal_number


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_remembered_and_raises_nothing(number):
    with signals.StopRequest() as stop:
        assert stop.signal_number is None
        os.kill(os.getpid(), number)
        assert wait_for(stop) == number


def test_the_handlers_of_before_come_back():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for _ in range(3):
        with signals.StopRequest():
            assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in before} == before
    assert signal.set_wakeup_fd(-1) == -1


def test_nothing_is_left_open():
    gc.collect()
    num_threads, num_files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with signals.StopRequest():
            pass
    deadline = time.monotonic() + 5
    while threading.active_count() > num_threads and time.monotonic() < deadline:
        time.sleep(0.005)
    assert threading.active_count() <= num_threads
    assert len(os.listdir("/proc/self/fd")) <= num_files


def test_an_error_inside_passes():
    with pytest.raises(KeyError), signals.StopRequest():
        raise KeyError("wheel")


def test_outside_the_main_thread_nothing_is_installed():
    seen = []

    def run():
        with signals.StopRequest() as stop:
            seen.append((stop.signal_number, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(None, before)]


CHILD = """
import sys, time
from gamebridge.training import signals

with signals.StopRequest():
    print("ready", flush=True)
    time.sleep(60)
sys.exit(9)
"""


def test_a_second_signal_ends_the_process_within_a_second():
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        begun = time.monotonic()
        assert child.wait(10) == 130
        assert time.monotonic() - begun < 1.0
