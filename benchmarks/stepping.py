"""Steps a second of 8 CartPoles under a TF-Agents driver with a random policy, ours and stock.

Every arrangement is driven by the same `DynamicStepDriver` and `RandomTFPolicy`. Rounds
are interleaved and begin with each arrangement in turn, since machines are noisy: what to
read is the ratios of one run. TF-Agents plays legacy gym's CartPole through `suite_gym`;
ours plays gymnasium's, whose step takes longer.

    python benchmarks/stepping.py [--rounds 9] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable

NUM_GAMES = 8
STEPS_A_ROUND = 4_000


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    from gamebridge.tf import start

    start.load()
    start.quieten()
    arrangements = _arrangements()
    rates: dict[str, list[float]] = {name: [] for name in arrangements}
    for run in arrangements.values():
        run()  # traces the graph
    names = list(arrangements)
    for number in range(arguments.rounds):
        # Each begins a round in its turn: what runs after eight processes has a cold cache.
        start_at = number % len(names)
        for name in names[start_at:] + names[:start_at]:
            run = arrangements[name]
            began = time.perf_counter()
            run()
            rates[name].append(STEPS_A_ROUND / (time.perf_counter() - began))
    _report(rates, as_json=arguments.json)


def _arrangements() -> dict[str, Callable[[], object]]:
    from tf_agents.environments import batched_py_environment, suite_gym, tf_py_environment
    from tf_agents.environments import parallel_py_environment as parallel
    from tf_agents.system import multiprocessing

    import gamebridge
    from gamebridge.tf import environment

    def batched(*, multithreading: bool) -> object:
        return tf_py_environment.TFPyEnvironment(
            batched_py_environment.BatchedPyEnvironment(
                [suite_gym.load("CartPole-v1") for _ in range(NUM_GAMES)],
                multithreading=multithreading,
            )
        )

    multiprocessing.enable_interactive_mode()
    games = parallel.ParallelPyEnvironment([_stock_game] * NUM_GAMES)
    ours_stock_door = tf_py_environment.TFPyEnvironment(
        environment.GamePyEnvironment(gamebridge.make_game("gym/CartPole-v1", NUM_GAMES))
    )
    return {
        "gamebridge.make, gymnasium's game": _driver(
            gamebridge.make("gym/CartPole-v1", num_slots=NUM_GAMES)
        ),
        "gamebridge's GamePyEnvironment under TFPyEnvironment": _driver(ours_stock_door),
        "TF-Agents BatchedPyEnvironment, threads off": _driver(batched(multithreading=False)),
        "TF-Agents BatchedPyEnvironment, threads on": _driver(batched(multithreading=True)),
        "TF-Agents ParallelPyEnvironment": _driver(tf_py_environment.TFPyEnvironment(games)),
    }


def _stock_game() -> object:
    from tf_agents.environments import suite_gym

    return suite_gym.load("CartPole-v1")


def _driver(environment: object) -> Callable[[], object]:
    from tf_agents.drivers import dynamic_step_driver
    from tf_agents.policies import random_tf_policy
    from tf_agents.utils import common

    policy = random_tf_policy.RandomTFPolicy(
        environment.time_step_spec(), environment.action_spec()
    )
    driver = dynamic_step_driver.DynamicStepDriver(
        environment, policy, observers=[], num_steps=STEPS_A_ROUND
    )
    return common.function(driver.run)


def _report(rates: dict[str, list[float]], *, as_json: bool) -> None:
    ours = next(iter(rates))
    rows = {
        name: {
            "steps_per_s": statistics.median(values),
            "ours_over_this": statistics.median(
                mine / theirs for mine, theirs in zip(rates[ours], values, strict=True)
            ),
        }
        for name, values in rates.items()
    }
    if as_json:
        print(json.dumps({"load": os.getloadavg()[0], "rows": rows}, indent=1))
        return
    rounds = len(rates[ours])
    print(f"8 CartPole-v1, medians of {rounds} interleaved rounds, load {os.getloadavg()[0]:.1f}")
    for name, row in rows.items():
        print(f"{row['steps_per_s']:>10,.0f} steps/s   {row['ours_over_this']:>6.2f}   {name}")
    print("the second column: how many times faster the first row was, round by round")


if __name__ == "__main__":
    main()
