"""What a step of a pool costs beside its games: an empty game, against the semaphores below it.

The floor is what the kernel takes to wake processes up and to be woken by them, measured by
the same semaphores in the same run: with one child (post, wait), and with as many children
as the pool has workers (post all, wait for all). Rounds are interleaved; medians are shown.

    python benchmarks/roundtrip.py [--rounds N] [--seconds S]
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import mmap
import os
import signal
import statistics
import time
from collections.abc import Callable

import numpy as np

from gamebridge import contract
from gamebridge.contract import GameRecord, NoSettings, hookimpl, specs
from gamebridge.workers import origins, pool, semaphores, staffs
from gamebridge.wrappers.settings import WrapperSettings

NUM_WORKERS = 2
NUM_SLOTS = 8
TARGET = 2.5


class Empty(contract.Game):
    """Does nothing at all."""

    def __init__(self, num_slots: int) -> None:
        """Makes the rows."""
        self.num_slots = num_slots
        self.rows = contract.new_time_step(self.observation_spec(), num_slots)

    def observation_spec(self) -> specs.Spec:
        """Four numbers."""
        return specs.box((4,))

    def action_spec(self) -> specs.Spec:
        """One of two."""
        return specs.discrete(2)

    def reset(self, seeds=None, slots=None) -> contract.TimeStep:
        """Starts."""
        self.rows.step_type[...] = contract.FIRST
        return self.rows

    def step(self, action, active=None) -> contract.TimeStep:
        """Goes on."""
        self.rows.step_type[...] = contract.MID
        return self.rows


@hookimpl
def gamebridge_games():
    """The game, for the workers."""
    yield GameRecord("roundtrip/empty", "Nothing.", lambda request: Empty(request.num_slots))


def fork_echo(go: semaphores.Semaphore, done: semaphores.Semaphore) -> int:
    """Starts a child that answers each post with one; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    while True:
        go.wait()
        done.post()


def measure(call: Callable[[], object], seconds: float) -> float:
    """Returns microseconds a call."""
    count, began = 0, time.perf_counter()
    while True:
        for _ in range(100):
            call()
        count += 100
        took = time.perf_counter() - began
        if took > seconds:
            return took / count * 1e6


def main() -> None:
    """Measures and prints one line, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.2, help="of a round of each")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()

    memory = mmap.mmap(-1, mmap.PAGESIZE)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    pairs = [
        [semaphores.Semaphore(base + (2 * child + side) * semaphores.SIZE) for side in range(2)]
        for child in range(NUM_WORKERS)
    ]
    for semaphore in itertools.chain(*pairs):
        semaphore.clear()
    children = [fork_echo(*pair) for pair in pairs]

    def wake(pairs):
        for go, _ in pairs:
            go.post()
        for _, done in pairs:
            done.wait()

    order = staffs.Order(
        origins.Origin("roundtrip/empty", "roundtrip", "", os.path.abspath(__file__)),
        NoSettings(),
        WrapperSettings(guard="off"),
        NUM_SLOTS,
        staffs.even_shares(NUM_SLOTS, NUM_WORKERS),
    )
    load = os.getloadavg()[0]
    try:
        with pool.Pool(order) as game:
            action = np.zeros(NUM_SLOTS, np.int64)
            game.reset()
            calls = {
                "one": lambda: wake(pairs[:1]),
                "all": lambda: wake(pairs),
                "pool": lambda: game.step(action),
            }
            rounds = [
                {name: measure(call, asked.seconds) for name, call in calls.items()}
                for _ in range(asked.rounds)
            ]
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    median = {name: statistics.median(found[name] for found in rounds) for name in calls}
    ratios = {
        name: statistics.median(found["pool"] / found[name] for found in rounds)
        for name in ("one", "all")
    }
    if asked.json:
        print(json.dumps({"load": load, "microseconds": median, "ratios": ratios}))
        return
    print(
        f"floor, one child: {median['one']:.1f} us; {NUM_WORKERS} children: {median['all']:.1f} us;"
        f" a step of a pool of {NUM_WORKERS} workers: {median['pool']:.1f} us\n"
        f"{ratios['all']:.2f} x the floor of {NUM_WORKERS} children (wanted: at most {TARGET} x), "
        f"{ratios['one']:.2f} x that of one; load {load:.1f}, {asked.rounds} rounds"
    )


if __name__ == "__main__":
    main()
