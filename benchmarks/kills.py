"""Workers killed by SIGKILL again and again, and no wrong transition.

Games number their steps (`gamebridge.testing.numbered`), and a ledger checks every row:
it is the next of its episode, the first of one that was never played, or LAST where the
game was lost. The pool's own count of restarts has to be exactly the number of kills.

    python benchmarks/kills.py [--seconds 300] [--every 5] [--seed 0] [--json]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time

import numpy as np

from gamebridge.contract import GameRecord, NoSettings, hookimpl, seeding
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge.testing import numbered
from gamebridge.workers import origins, pool, staffs
from gamebridge.wrappers.settings import WrapperSettings

NUM_SLOTS = 8
NUM_WORKERS = 4


@hookimpl
def gamebridge_games():
    """The game, for the workers."""
    yield GameRecord("kills/numbered", "Numbers.", lambda r: numbered.Numbered(r.num_slots))


def main() -> int:
    """Plays, kills and prints; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds from kill to kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    order = staffs.Order(
        origins.Origin("kills/numbered", "kills", "", os.path.abspath(__file__)),
        NoSettings(),
        WrapperSettings(),
        NUM_SLOTS,
        staffs.even_shares(NUM_SLOTS, NUM_WORKERS),
        supervision=SupervisionSettings(max_restarts=-1),
    )
    generator = np.random.default_rng(asked.seed)
    ledger = numbered.Ledger(NUM_SLOTS)
    num_kills = num_steps = 0
    longest_s, down_since_s, downs = 0.0, 0.0, []
    with pool.Pool(order) as game:
        ledger.note(None, game.reset(seeding.slot_seeds(asked.seed, NUM_SLOTS)))
        began_s = time.monotonic()
        due_s = began_s + asked.every
        while True:
            now_s = time.monotonic()
            is_over = now_s - began_s >= asked.seconds
            if is_over and not down_since_s:
                break
            if not is_over and now_s >= due_s and not down_since_s:
                # One kill at a time: of two in one worker the pool would see one.
                victim = generator.integers(NUM_WORKERS)
                os.kill(game.pids[victim], signal.SIGKILL)
                num_kills += 1
                down_since_s = now_s
                due_s = now_s + asked.every * generator.uniform(0.8, 1.2)
            action = generator.integers(0, 1000, NUM_SLOTS)
            time_step = game.step(action)
            longest_s = max(longest_s, time.monotonic() - now_s)
            ledger.note(action, time_step)
            num_steps += 1
            if down_since_s and game.num_restarts == num_kills and game.is_whole:
                downs.append(time.monotonic() - down_since_s)
                down_since_s = 0.0
        seconds = time.monotonic() - began_s
        found = {
            "seconds": seconds,
            "steps": num_steps,
            "kills": num_kills,
            "restarts": game.num_restarts,
            "transitions": ledger.num_transitions,
            "wrong_transitions": 0,  # or the ledger would have raised
            "lost_episodes": ledger.num_lost,
            "longest_step_s": longest_s,
            "median_down_s": float(np.median(downs)) if downs else None,
        }
    is_right = found["restarts"] == num_kills > 0
    if asked.json:
        print(json.dumps(found))
    else:
        print(
            f"{num_steps} steps of {NUM_SLOTS} slots in {seconds:.0f} s: {num_kills} kills, "
            f"{found['restarts']} restarts; {ledger.num_transitions} transitions checked, none "
            f"wrong; {ledger.num_lost} episodes cut short; longest step {longest_s * 1e3:.0f} ms, "
            f"worker back after {found['median_down_s'] or 0:.2f} s (median)"
        )
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
