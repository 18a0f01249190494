"""`Aside`: a thread of its own that runs one call at a time, while whoever asked goes on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

_Answer = tuple[Any, BaseException | None]


class Aside:
    """Starts a call and hands over what it gave; to be used from one place at a time.

    The thread lives until `close`, and does not keep the process from ending. Queues of
    C wake it and its asker fastest of what Python has.
    """

    def __init__(self, name: str) -> None:
        """Names the thread, which is made when it is first needed."""
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.is_busy = False

    def begin(self, call: Callable[[], Any]) -> None:
        """Starts `call`; its outcome must be taken by `end` before the next one begins.

        Raises:
          RuntimeError: the outcome of the call before was not taken.
        """
        if self.is_busy:
            raise RuntimeError("A call is under way. Take its outcome with end() first.")
        if self._thread is None:
            # Of the queues only: a thread that held this object would keep it for ever.
            self._thread = threading.Thread(
                target=_serve, args=(self._calls, self._answers), name=self._name, daemon=True
            )
            self._thread.start()
        self.is_busy = True
        self._calls.put(call)

    def end(self, timeout_s: float | None = None) -> Any:
        """Waits for the call and returns what it returned, or raises what it raised.

        Raises:
          RuntimeError: no call was begun.
          TimeoutError: it is still under way.
        """
        if not self.is_busy:
            raise RuntimeError("No call is under way. Start one with begin() first.")
        try:
            given, error = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError(f"{self._name}: a call has not ended in {timeout_s:g} s.") from None
        self.is_busy = False
        if error is not None:
            raise error
        return given

    def close(self) -> None:
        """Lets the thread end after the call it is in, if any. May be called twice."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread = None

    def __del__(self) -> None:
        """Lets the thread end where nobody called `close`."""
        self.close()


def _serve(
    calls: queue.SimpleQueue[Callable[[], Any] | None], answers: queue.SimpleQueue[_Answer]
) -> None:
    while (call := calls.get()) is not None:
        # All that can be raised is the asker's to judge: here nobody would hear of it.
        try:
            answers.put((call(), None))
        except BaseException as error:  # noqa: BLE001
            answers.put((None, error))
        # Not kept until the next call comes.
        del call
