"""Car steps a second of the racing games, beside gymnasium's CarRacing-v3.

Each line is the median of some interleaved rounds, in one process held to one core, so
that what to read is the ratios of one run. "raw" steps the numpy game, what random
actions do; "driver" is `gamebridge.make` under TF-Agents' `DynamicStepDriver` with a
random policy, value guard and all.

    python benchmarks/racing.py [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable

NUM_RAYS = 11
CURVE = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
# Seconds that a round of one line takes, about.
ROUND_S = 0.5


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    # TensorFlow's pools are as large as the cores that the process may use when it starts.
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    from gamebridge.tf import start

    start.load()
    start.quieten()
    runs = _runs()
    counts = {name: _count(run) for name, run in runs.items()}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            steps = run(counts[name])
            rates[name].append(steps / (time.perf_counter() - began))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    peer = medians["gymnasium CarRacing-v3, pixels, 1 car"]
    rows = {
        name: {"steps_per_s": rate, "over_car_racing": rate / peer}
        for name, rate in medians.items()
    }
    if arguments.json:
        print(json.dumps({"load": os.getloadavg()[0], "rows": rows}, indent=1))
        return
    print(f"one core, medians of {arguments.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for name, row in rows.items():
        print(f"{row['steps_per_s']:>11,.0f} steps/s {row['over_car_racing']:>9,.1f} x   {name}")


def _count(run: Callable[[int], int]) -> int:
    """How often a run has to step to fill a round; the first call compiles and traces."""
    run(2)
    count = 2
    while True:
        began = time.perf_counter()
        run(count)
        taken = time.perf_counter() - began
        if taken > ROUND_S / 4 or count >= 2**16:
            return max(2, int(count * ROUND_S / taken))
        count *= 2


def _runs() -> dict[str, Callable[[int], int]]:
    runs = {
        "raw, 11 rays, 64 cars": _raw("racing/oval", 64),
        "driver, 11 rays, 64 cars": _driver("racing/oval", 64),
        "raw, 11 rays, 64 cars on 64 circuits": _raw("racing/random", 64, num_circuits=64),
        "raw, pixels 96x96x3, 64 cars": _raw("racing/oval-pixels", 64),
        "driver, pixels 96x96x3, 64 cars": _driver("racing/oval-pixels", 64),
        "gymnasium CarRacing-v3, pixels, 1 car": _car_racing(),
    }
    for num_cars in CURVE:
        runs[f"raw, 11 rays, {num_cars} cars (curve)"] = _raw("racing/oval", num_cars)
    for num_cars in CURVE:
        runs[f"driver, 11 rays, {num_cars} cars (curve)"] = _driver("racing/oval", num_cars)
    return runs


def _raw(game_id: str, num_cars: int, **settings: object) -> Callable[[int], int]:
    import numpy as np

    import gamebridge

    game = gamebridge.make_game(
        game_id,
        num_cars,
        seed=0,
        wrappers={"guard": "off", "images": None, "action_repeat": 1},
        num_rays=NUM_RAYS,
        **settings,
    )
    # Often enough that each circuit was met, and made, before the clock runs.
    for _ in range(8):
        game.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (64, num_cars, 2)).astype(np.float32)

    def run(count: int) -> int:
        for number in range(count):
            game.step(actions[number % 64])
        return count * num_cars

    return run


def _driver(game_id: str, num_cars: int) -> Callable[[int], int]:
    from tf_agents.drivers import dynamic_step_driver
    from tf_agents.policies import random_tf_policy
    from tf_agents.utils import common

    import gamebridge

    batches = 64
    environment = gamebridge.make(
        game_id,
        num_cars,
        seed=0,
        wrappers={"images": None, "action_repeat": 1},
        num_rays=NUM_RAYS,
    )
    policy = random_tf_policy.RandomTFPolicy(
        environment.time_step_spec(), environment.action_spec()
    )
    driver = dynamic_step_driver.DynamicStepDriver(
        environment, policy, observers=[], num_steps=batches * num_cars
    )
    call = common.function(driver.run)

    def run(count: int) -> int:
        calls = max(1, count // batches)
        for _ in range(calls):
            call()
        return calls * batches * num_cars

    return run


def _car_racing() -> Callable[[int], int]:
    import gymnasium

    environment = gymnasium.make("CarRacing-v3")
    environment.action_space.seed(0)
    environment.reset(seed=0)

    def run(count: int) -> int:
        for _ in range(count):
            _, _, terminated, truncated, _ = environment.step(environment.action_space.sample())
            if terminated or truncated:
                environment.reset()
        return count

    return run


if __name__ == "__main__":
    main()
