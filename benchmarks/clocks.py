"""What a process has taken so far; knows nothing but Python, for any peer's environment."""

from __future__ import annotations

import os
import pathlib
import time


def since_start() -> dict[str, float]:
    """Seconds since this process began: on the wall, and of CPU with its children's."""
    fields = pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    began_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return {
        "wall_s": time.clock_gettime(time.CLOCK_BOOTTIME) - began_s,
        "cpu_s": sum(os.times()[:4]),
    }
