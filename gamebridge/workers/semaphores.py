"""Semaphores of the C library that live in shared memory: one wake-up, one wait.

Python's own are named, and names outlive a process that was killed; these go with the
memory they live in. A post and a wait between two processes take half as long as a pipe.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import time

# sem_t has 32 bytes on 64-bit Linux; a cache line each keeps the cores out of each other's way.
SIZE = 64

_LIBC = ctypes.CDLL(None, use_errno=True)
# What never waits keeps the interpreter's lock: given up, it might be long in coming back.
_QUICK = ctypes.PyDLL(None)
# glibc before 2.30 can only wait by the wall clock.
_CLOCK_WAIT = getattr(_LIBC, "sem_clockwait", None)
_TIMED_WAIT = _LIBC.sem_timedwait
_POST = _QUICK.sem_post
_TRY = _QUICK.sem_trywait
_WAIT = _LIBC.sem_wait
_MONOTONIC = ctypes.c_int(time.CLOCK_MONOTONIC)


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Deadline:
    """A moment until which semaphores are waited for, some time ahead.

    Made anew only where it has come too near: that saves a good part of what a wait costs.
    """

    def __init__(self, ahead_s: float) -> None:
        """Is at least `ahead_s` ahead after each `refresh`, and no more than twice as far."""
        self._ahead_s = ahead_s
        self._refresh_s = 0.0
        self._until = _TimeSpec()
        self.pointer = ctypes.byref(self._until)

    def refresh(self, now_s: float) -> None:
        """Looks whether it is still far enough ahead of now, as time.monotonic() tells it."""
        if now_s < self._refresh_s:
            return
        self._refresh_s = now_s + self._ahead_s
        by_clock_s = now_s if _CLOCK_WAIT is not None else time.time()
        fraction, whole = math.modf(by_clock_s + 2 * self._ahead_s)
        self._until.seconds, self._until.nanoseconds = int(whole), int(fraction * 1e9)


class Semaphore:
    """One semaphore; every process that maps the memory makes an object of its own for it."""

    def __init__(self, address: int) -> None:
        """Takes the address, in this process, of `SIZE` bytes."""
        self._pointer = ctypes.c_void_p(address)

    def clear(self) -> None:
        """Sets it to zero. Nobody may be waiting for it, and at first it has to be called once.

        Raises:
          OSError: the system has no semaphores between processes.
        """
        if _LIBC.sem_init(self._pointer, 1, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"sem_init: {os.strerror(number)}")

    def post(self) -> None:
        """Adds one, and wakes whoever waits."""
        _POST(self._pointer)

    def wait(self) -> None:
        """Waits until there is one, and takes it. Signals are heard meanwhile."""
        while _WAIT(self._pointer) != 0:
            _check(errno.EINTR)

    def take(self) -> bool:
        """Takes one if there is one; returns whether there was."""
        return bool(_TRY(self._pointer) == 0)

    def wait_for(self, timeout_s: float) -> bool:
        """Waits no longer than that; returns whether one was taken. A signal may end it early."""
        deadline = Deadline(timeout_s / 2)
        deadline.refresh(time.monotonic())
        return self.wait_until(deadline)

    def wait_until(self, deadline: Deadline) -> bool:
        """Waits no longer than that; returns whether one was taken. A signal may end it early."""
        if _CLOCK_WAIT is not None:
            ended = _CLOCK_WAIT(self._pointer, _MONOTONIC, deadline.pointer)
        else:
            ended = _TIMED_WAIT(self._pointer, deadline.pointer)
        if ended == 0:
            return True
        _check(errno.EINTR, errno.ETIMEDOUT)
        return False


def _check(*expected: int) -> None:
    number = ctypes.get_errno()
    if number not in expected:
        raise OSError(number, f"semaphore: {os.strerror(number)}")
