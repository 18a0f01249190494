"""A game 20 times slower than the other seven: how much it holds them up, and how little.

Eight games; seven take 1 ms a step and one 20 ms, on a worker of its own, by sleeping (a
simulator that keeps real time, a remote player) or by computing. The synchronous pool waits
for it at every step; the asynchronous one does not. Rounds take turns; what to read is the
ratios.

    python benchmarks/waiting.py [--rounds 7] [--seconds 1] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import time

import gymnasium  # noqa: TID253
import numpy as np

from gamebridge.contract import GameRecord, NoSettings, hookimpl, seeding
from gamebridge.workers import asynchronous, origins, pool, staffs
from gamebridge.wrappers.settings import WrapperSettings

NUM_GAMES = 8
QUICK_S, SLOW_S = 0.001, 0.020
# id -> how the seven quick games are spread over workers, and the ratio that was asked for.
CASES = {"waiting/sleep": ((1,) * NUM_GAMES, 8.0), "waiting/compute": ((7, 1), 2.0)}


class Waiting(gymnasium.Env):
    """Does nothing for a while; episodes with an odd seed take longer at it."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, *, computes: bool) -> None:
        self._computes = computes
        self._observation = np.zeros(4, np.float32)

    def reset(self, *, seed=None, options=None):  # noqa: D102
        self._step_s = SLOW_S if seed % 2 else QUICK_S
        return self._observation, {}

    def step(self, action):  # noqa: D102
        if self._computes:
            until_s = time.process_time() + self._step_s
            while time.process_time() < until_s:
                pass
        else:
            time.sleep(self._step_s)
        return self._observation, 0.0, False, False, {}


@hookimpl
def gamebridge_games():
    """Yields the two games: this file is their plugin."""
    yield GameRecord("waiting/sleep", "Sleeps.", lambda _: Waiting(computes=False))
    yield GameRecord("waiting/compute", "Computes.", lambda _: Waiting(computes=True))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    found = {name: _measure(name, arguments.rounds, arguments.seconds) for name in CASES}
    if arguments.json:
        print(json.dumps({"load": load, "games": found}, indent=1))
        return
    print(f"{NUM_GAMES} games, one 20 times slower; {arguments.rounds} rounds, load {load:.1f}")
    for name, row in found.items():
        verdict = "met" if row["ratio"] >= row["asked"] else "MISSED"
        print(
            f"{name:16} workers {row['shares']}: {row['synchronous']:,.0f} steps/s waiting for "
            f"all, {row['asynchronous']:,.0f} not waiting: {row['ratio']:.2f} x, asked "
            f"{row['asked']:g} x  {verdict}"
        )


def _measure(name: str, num_rounds: int, seconds: float) -> dict[str, object]:
    shares, asked = CASES[name]
    order = staffs.Order(
        origins.Origin(name, "benchmarks_waiting", "", os.path.abspath(__file__)),
        NoSettings(),
        WrapperSettings(),
        NUM_GAMES,
        shares,
    )
    rates: dict[str, list[float]] = {"synchronous": [], "asynchronous": []}
    with contextlib.ExitStack() as opened:
        games = {
            "synchronous": opened.enter_context(pool.Pool(order)),
            "asynchronous": opened.enter_context(asynchronous.AsynchronousPool(order)),
        }
        for number in range(num_rounds):
            for kind in sorted(games, reverse=bool(number % 2)):
                rates[kind].append(_steps_per_s(games[kind], seconds))
    pairs = zip(rates["asynchronous"], rates["synchronous"], strict=True)
    return {
        "shares": list(shares),
        **{kind: statistics.median(values) for kind, values in rates.items()},
        "ratio": statistics.median(mine / theirs for mine, theirs in pairs),
        "asked": asked,
    }


def _steps_per_s(game: pool.Pool, seconds: float) -> float:
    action = np.zeros(NUM_GAMES, np.int64)
    game.reset(_seeds())
    began_s, steps = time.perf_counter(), 0
    while (elapsed_s := time.perf_counter() - began_s) < seconds:
        steps += int(np.count_nonzero(game.step(action).valid))
    return steps / elapsed_s


def _seeds() -> np.ndarray:
    """Returns slot seeds: the last one's first episode has an odd seed, those of others even."""
    found: list[int] = []
    candidate = 0
    while len(found) < NUM_GAMES:
        slot_seed = np.array([candidate])
        is_odd = int(seeding.episode_seeds(slot_seed, np.zeros(1, np.int64))[0]) % 2 == 1
        if is_odd == (len(found) == NUM_GAMES - 1):
            found.append(candidate)
        candidate += 1
    return np.array(found)


if __name__ == "__main__":
    main()
