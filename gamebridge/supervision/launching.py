"""The thread that starts processes: the kernel ends a child when the thread that made it ends.

That is what a child asks for by PR_SET_PDEATHSIG, so that none outlives a process that was
killed. The thread has to live as long as the process, which no caller's thread promises.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar

Result = TypeVar("Result")

_PATIENCE_S = 5.0

_lock = threading.Lock()
_jobs: queue.SimpleQueue[tuple[futures.Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
_thread: threading.Thread | None = None


def launch(start: Callable[[], Result]) -> Result:
    """Calls `start` in that thread; returns what it returns, raises what it raises."""
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_serve, name="gamebridge-launcher", daemon=True)
            _thread.start()
    future: futures.Future[Result] = futures.Future()
    _jobs.put((future, start))
    try:
        return future.result()
    except BaseException:
        # Where Ctrl-C broke this off, the caller has to know what was started.
        futures.wait([future], timeout=_PATIENCE_S)
        raise


def _serve() -> None:
    while True:
        future, start = _jobs.get()
        try:
            future.set_result(start())
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            future.set_exception(error)
        # Nothing of the last job may be kept alive until the next one.
        del future, start
