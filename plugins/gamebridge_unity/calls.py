"""`Call`: a player's call from its arrival to its reply; `Threads`: where it waits meanwhile."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from typing import Any


class Call:
    """A call of the player, from its arrival to its reply."""

    def __init__(self, request: bytes) -> None:
        """Takes what the player said."""
        self.request = request
        self.is_over = False
        self._reply = b""
        self._waiting = threading.Lock()
        self._waiting.acquire()
        self._answered = threading.Lock()

    def wait(self) -> bytes:
        """Waits for the reply; empty if nobody is there any more to read it."""
        with self._waiting:
            return self._reply

    def answer(self, reply: bytes) -> None:
        """Lets the call return. Only the first answer counts."""
        if self._answered.acquire(blocking=False):
            self._reply = reply
            self._waiting.release()

    def end(self) -> None:
        """The player is not there any more, or has its reply."""
        self.is_over = True
        self.answer(b"")


class Threads(concurrent.futures.Executor):
    """Threads that end with the interpreter.

    Those of concurrent.futures are joined when a script ends, and one of them always waits
    for the next order: a script that forgot to close would never end.
    """

    def __init__(self) -> None:
        """Starts none yet."""
        self._work: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._num_threads = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Runs a call in a thread that is free, or in a new one."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._work.put((future, fn, args, kwargs))
        if not self._idle.acquire(blocking=False):
            self._num_threads += 1
            name = f"gamebridge-unity-{self._num_threads}"
            threading.Thread(target=self._run, name=name, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the threads that are idle, and the others when they are."""
        for _ in range(self._num_threads):
            self._work.put(None)

    def _run(self) -> None:
        while True:
            item = self._work.get()
            if item is None:
                return
            future, fn, args, kwargs = item
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - gRPC's, which it reads there
                future.set_exception(error)
            item = future = fn = args = kwargs = None
            self._idle.release()
