"""What a step costs as slots are added: CartPole, played by Python, and racing, by kernels.

Three lines for each: "bare" is the raw loop over gymnasium's environments, or the racing
game with nothing around it; "game" is `gamebridge.make_game`; "driver" is
`gamebridge.make` under TF-Agents' `DynamicStepDriver` with a random policy. All in one
process each. What a slot's step costs beyond bare is the bridge.

    python benchmarks/growth.py [--slots 1 8 64] [--rounds 7] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import peers
import rounds
import stepping

SLOTS = (1, 2, 4, 8, 16, 64, 256)
_GAMES = {"cartpole": "gym/CartPole-v1", "racing": "racing/oval"}
_KINDS = ("bare", "game", "driver")
_BATCHES_A_CALL = 100


def main() -> None:
    """Measures and prints the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", nargs="+", type=int, default=list(SLOTS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=rounds.ROUND_S / 2, help="of a round")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        game_id, kind, num_slots = chosen.serve
        rounds.serve(_run(game_id, kind, int(num_slots)))
        return
    load = os.getloadavg()[0]
    # Microseconds of a slot's step by game, number of slots and kind.
    costs = {
        game_id: {
            num_slots: _costs(game_id, num_slots, chosen.rounds, chosen.seconds)
            for num_slots in chosen.slots
        }
        for game_id in _GAMES
    }
    if chosen.json:
        print(json.dumps({"load": load, "us_a_slot": costs}, indent=1))
        return
    print(f"medians of {chosen.rounds} interleaved rounds, load {load:.1f} before")
    for game_id, curve in costs.items():
        print(f"\n{_GAMES[game_id]}, us a slot and step")
        print(
            f"{'slots':>7}{'bare':>9}{'game':>9}{'driver':>9}{'driver - bare':>16}{'a batch':>10}"
        )
        for num_slots, cost in curve.items():
            bare, game, driver = (cost[kind] for kind in _KINDS)
            added = driver - bare
            print(
                f"{num_slots:>7}{bare:>9.2f}{game:>9.2f}{driver:>9.2f}"
                f"{added:>16.2f}{added * num_slots:>10.1f}"
            )


def _costs(game_id: str, num_slots: int, num_rounds: int, round_s: float) -> dict[str, float]:
    table = rounds.measure(
        [
            rounds.Arrangement(
                kind, (sys.executable, __file__, "--serve", game_id, kind, str(num_slots))
            )
            for kind in _KINDS
        ],
        num_rounds,
        round_s,
    )
    for kind, reason in table.left_out.items():
        raise SystemExit(f"{_GAMES[game_id]}, {num_slots} slots, {kind}: {reason}")
    return {kind: 1e6 / table.median(kind) for kind in _KINDS}


def _run(game_id: str, kind: str, num_slots: int) -> Callable[[int], int]:
    if kind == "driver":
        from gamebridge.tf import start

        start.load()
        start.quieten()
    import gamebridge

    arguments: dict[str, Any] = {
        "game_id": _GAMES[game_id],
        "num_slots": num_slots,
        "seed": 0,
        "workers": 0,
        "wrappers": {"images": None, "action_repeat": 1},
    }
    if kind == "driver":
        environment = gamebridge.make(**arguments)
        return stepping.drive(environment, num_slots, _BATCHES_A_CALL)
    if game_id == "cartpole":
        actions = peers.draw(2, num_slots)
        if kind == "bare":
            environments = [peers.make_single(game_id) for _ in range(num_slots)]
            return peers.repeat(peers.loop(environments), actions)
    else:
        shape = (64, num_slots, 2)
        actions = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        if kind == "bare":
            arguments["wrappers"]["guard"] = "off"
    game = gamebridge.make_game(**arguments)
    game.reset()
    return peers.repeat(game.step, actions)


if __name__ == "__main__":
    main()
