"""Seconds that the command line takes to answer, each the median of some runs.

python benchmarks/startup.py [--runs 5]
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import subprocess
import sys
import time

COMMANDS = (
    ["--help"],
    ["games"],
    ["agents"],
    ["plugins"],
    ["games", "gym/CartPole-v1"],
)


def main() -> None:
    """Times each command as a whole process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    program = str(pathlib.Path(sys.executable).with_name("gamebridge"))
    for command in COMMANDS:
        seconds = []
        for _ in range(arguments.runs + 1):
            began = time.perf_counter()
            subprocess.run([program, *command], check=True, capture_output=True)
            seconds.append(time.perf_counter() - began)
        # The first run fills the file cache and is not counted.
        line = " ".join(["gamebridge", *command])
        print(f"{statistics.median(seconds[1:]):6.2f} s   {line}")


if __name__ == "__main__":
    main()
