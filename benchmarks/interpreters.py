"""Steps a second of one game whose workers run in another interpreter.

Acrobot-v1 takes 50 to 100 us a step, as a small game of one's own may. It is played from
here by workers in that interpreter and by workers in this one; by the same pool started
in that interpreter itself; and by a bare loop over gymnasium there, the most that there
is to be had. What another interpreter costs is the first row beside the one where pool
and workers share it: the game is the same, and nothing but the pool's side differs.

    gamebridge env create gym/Acrobot-v1 --python python3.13
    python benchmarks/interpreters.py [--python PATH] [--rounds 9] [--json]
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

import rounds

_GAME = "Acrobot-v1"
_ROOT = pathlib.Path(__file__).resolve().parents[1]
_ROWS = {
    "workers there, pool here": "across",
    "workers there, pool there": "there",
    "workers here, pool here": "here",
    "a bare loop there": "bare",
}
# Slots and workers: one worker is compared with a bare loop, two share the machine.
_TABLES = {"4 slots, 1 worker": (4, 1), "8 slots, 2 workers": (8, 2)}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", metavar="PATH", default="")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(*arguments.serve)
        return
    from gamebridge import environments, interpreters

    made = environments.read(environments.default_folder(f"gym/{_GAME}"))
    if not arguments.python and made is None:
        parser.error(f"name a --python, or run: gamebridge env create gym/{_GAME}")
    python = interpreters.find(arguments.python or made.python)
    load = os.getloadavg()[0]
    tables, targets = {}, {}
    for title, (num_slots, num_workers) in _TABLES.items():
        arrangements = []
        for name, kind in _ROWS.items():
            if kind == "bare" and num_workers > 1:
                continue  # it is one process
            starter = python if kind in ("there", "bare") else sys.executable
            workers = python if kind == "across" else ""
            serve = ["--serve", kind, str(num_slots), str(num_workers), workers]
            arrangements.append(rounds.Arrangement(name, [starter, __file__, *serve]))
        tables[title] = rounds.measure(arrangements, arguments.rounds)
        names = list(_ROWS)
        targets[title] = [rounds.Target("f", names[0], names[1:2], 0.95)]
    rounds.report(tables, targets, load=load, as_json=arguments.json)


def _serve(kind: str, num_slots: str, num_workers: str, python: str) -> None:
    count = int(num_slots)
    if kind == "bare":
        _serve_bare(count)
    else:
        _serve_pool(count, int(num_workers), python)


def _serve_bare(num_slots: int) -> None:
    import gymnasium
    import numpy as np

    games = [gymnasium.make(_GAME).unwrapped for _ in range(num_slots)]
    elapsed = [0] * num_slots
    actions = np.random.default_rng(0).integers(0, 3, (997, num_slots))
    for number, game in enumerate(games):
        game.reset(seed=number)

    def play(num_batches: int) -> int:
        for batch in range(num_batches):
            row = actions[batch % len(actions)]
            for slot, game in enumerate(games):
                _, _, terminated, _, _ = game.step(int(row[slot]))
                elapsed[slot] += 1
                if terminated or elapsed[slot] == 500:
                    game.reset()
                    elapsed[slot] = 0
        return num_batches * num_slots

    rounds.serve(play)


def _serve_pool(num_slots: int, num_workers: int, python: str) -> None:
    sys.path[:0] = [str(_ROOT), str(_ROOT / "plugins")]
    import numpy as np

    from gamebridge.workers import origins, pool, staffs
    from gamebridge.wrappers.settings import WrapperSettings

    origin = origins.Origin(f"gym/{_GAME}", "gamebridge_gym")
    settings = origin.record().settings()
    shares = staffs.even_shares(num_slots, num_workers)
    order = staffs.Order(origin, settings, WrapperSettings(), num_slots, shares, python=python)
    actions = np.random.default_rng(0).integers(0, 3, (997, num_slots))
    with pool.Pool(order) as game:
        game.reset(np.arange(num_slots))

        def play(num_batches: int) -> int:
            for batch in range(num_batches):
                game.step(actions[batch % len(actions)])
            return num_batches * num_slots

        rounds.serve(play)


if __name__ == "__main__":
    main()
