"""Memory of processes, as Linux counts it."""

from __future__ import annotations

import os
import re


def resident_bytes(pid: int | None = None) -> int:
    """Returns what a process holds in memory; this one unless told otherwise, 0 if it is gone."""
    try:
        with open(f"/proc/{pid or 'self'}/status", encoding="utf-8", errors="replace") as file:
            found = re.search(r"^VmRSS:\s*(\d+) kB", file.read(), re.M)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def children() -> set[int]:
    """Returns the processes that this one started and that still run."""
    pids: set[int] = set()
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
                pids.update(map(int, file.read().split()))
        except OSError:
            continue  # the thread has ended, or the kernel does not tell
    return pids
