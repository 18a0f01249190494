"""Threads that TensorFlow made, as Python sees them.

Whenever such a thread calls Python, CPython makes it a new thread state, and drops it when
the call returns: since Python 3.11 with a stack that is mapped and unmapped each time,
which holds up the other cores as well. On a cheap game that is a quarter of a step.
"""

from __future__ import annotations

import ctypes
import threading

_kept = threading.local()


def keep_state() -> None:
    """Makes the calling thread keep its Python thread state until the process ends.

    For threads that live as long as the process, as those of TensorFlow's pools do: the
    state of one that ended sooner would never be freed.
    """
    # This lives in the state: it is missing exactly where the state is new.
    if not hasattr(_kept, "is_kept"):
        _kept.is_kept = True
        # The state goes when the last Ensure is released; this one never is.
        ctypes.pythonapi.PyGILState_Ensure()
