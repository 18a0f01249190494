"""Steps a second of 8 CartPoles under a TF-Agents driver with a random policy, ours and stock.

Every arrangement is driven by the same `DynamicStepDriver` and `RandomTFPolicy`, in a
process of its own: ours changes how TensorFlow's threads call Python, and in one process
the stock arrangements would be quicker for it. Rounds are interleaved and begin with each
arrangement in turn, since machines are noisy: what to read is the ratios of one run.
TF-Agents plays legacy gym's CartPole through `suite_gym`; ours plays gymnasium's, whose
step takes longer.

    python benchmarks/stepping.py [--rounds 9] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

NUM_GAMES = 8
STEPS_A_ROUND = 4_000
ARRANGEMENTS = {
    "gamebridge.make, gymnasium's game": "ours",
    "gamebridge's GamePyEnvironment under TFPyEnvironment": "ours-stock-door",
    "TF-Agents BatchedPyEnvironment, threads off": "batched",
    "TF-Agents BatchedPyEnvironment, threads on": "threaded",
    "TF-Agents ParallelPyEnvironment": "parallel",
}


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=ARRANGEMENTS.values(), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(arguments.serve)
        return
    rates: dict[str, list[float]] = {name: [] for name in ARRANGEMENTS}
    with contextlib.ExitStack() as opened:
        children = {name: opened.enter_context(_child(code)) for name, code in ARRANGEMENTS.items()}
        for child in children.values():
            _round(child)  # traces the graph
        names = list(children)
        for number in range(arguments.rounds):
            start_at = number % len(names)
            for name in names[start_at:] + names[:start_at]:
                rates[name].append(STEPS_A_ROUND / _round(children[name]))
    _report(rates, as_json=arguments.json)


@contextlib.contextmanager
def _child(code: str) -> object:
    command = [sys.executable, __file__, "--serve", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, text=True, **pipes) as child:
        yield child
        child.stdin.close()


def _round(child: subprocess.Popen[str]) -> float:
    """Lets a child play one round; returns the seconds that it took."""
    child.stdin.write("\n")
    child.stdin.flush()
    for line in child.stdout:
        if line.startswith("seconds "):
            return float(line.split()[1])
    raise SystemExit(f"{' '.join(child.args)} ended early. Run it by hand to see why.")


def _serve(code: str) -> None:
    """Plays one round for each line of the standard input."""
    warnings.simplefilter("ignore")
    from gamebridge.tf import start

    start.load()
    start.quieten()
    run = _driver(_environment(code))
    for _ in sys.stdin:
        began = time.perf_counter()
        run()
        print("seconds", time.perf_counter() - began, flush=True)


def _environment(code: str) -> object:
    from tf_agents.environments import batched_py_environment, suite_gym, tf_py_environment
    from tf_agents.environments import parallel_py_environment as parallel
    from tf_agents.system import multiprocessing

    import gamebridge
    from gamebridge.tf import environment

    if code == "ours":
        return gamebridge.make("gym/CartPole-v1", num_slots=NUM_GAMES)
    if code == "ours-stock-door":
        game = gamebridge.make_game("gym/CartPole-v1", NUM_GAMES)
        return tf_py_environment.TFPyEnvironment(environment.GamePyEnvironment(game))
    if code == "parallel":
        multiprocessing.enable_interactive_mode()
        games = parallel.ParallelPyEnvironment([_stock_game] * NUM_GAMES)
        return tf_py_environment.TFPyEnvironment(games)
    return tf_py_environment.TFPyEnvironment(
        batched_py_environment.BatchedPyEnvironment(
            [suite_gym.load("CartPole-v1") for _ in range(NUM_GAMES)],
            multithreading=code == "threaded",
        )
    )


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
