"""Memory, files and threads of a pool over a long run of games of pictures.

Samples the resident memory of this process and of the workers, its open files and threads;
drops the first third and fits a line. Wanted: less than 20 MiB an hour, the rest flat.

    python benchmarks/soak.py [--steps 1000000] [--seconds S] [--game pictures|ID] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import time

import numpy as np

from gamebridge.contract import GameRecord, NoSettings, hookimpl, seeding
from gamebridge.testing import fakes, playing
from gamebridge.workers import origins, pool, staffs
from gamebridge.wrappers.settings import ImageSettings, WrapperSettings

NUM_SLOTS = 8
NUM_WORKERS = 2
MOST_MIB_PER_HOUR = 20.0
_NUM_ACTIONS = 64
_PAGE = os.sysconf("SC_PAGE_SIZE")


@hookimpl
def gamebridge_games():
    """A light game of pictures, for the workers."""
    yield GameRecord("soak/pictures", "Catch.", lambda r: fakes.Catch(r.num_slots, 84))


def order(game_id: str) -> staffs.Order:
    """What is played: eight slots, stacks of four grey pictures of 84 x 84."""
    images = ImageSettings(stack=4)
    if game_id == "soak/pictures":
        origin = origins.Origin(game_id, "soak", "", os.path.abspath(__file__))
        settings = NoSettings()
    else:
        origin = origins.Origin(game_id, "gamebridge_gym")
        settings = origin.record().settings()
        images = ImageSettings(grey=True, height=84, width=84, stack=4)
    shares = staffs.even_shares(NUM_SLOTS, NUM_WORKERS)
    return staffs.Order(origin, settings, WrapperSettings(images), NUM_SLOTS, shares)


def resident_mib(pid: int | str) -> float:
    """Returns the private and file memory of a process, without what is shared with others."""
    total, resident, shared = pathlib.Path(f"/proc/{pid}/statm").read_text().split()[:3]
    del total
    return (int(resident) - int(shared)) * _PAGE / 2**20


def sample(game: pool.Pool) -> dict[str, float]:
    """Returns what is watched."""
    return {
        "time_s": time.monotonic(),
        "parent": resident_mib("self"),
        **{f"worker {n}": resident_mib(pid) for n, pid in enumerate(game.pids)},
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "worker files": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in game.pids),
    }


def main() -> int:
    """Plays and prints; 1 where something grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000, help="of all slots together")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stops before that")
    parser.add_argument("--game", default="soak/pictures", help="or such as gym/ALE/Pong-v5")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    game_id = "soak/pictures" if asked.game == "pictures" else asked.game
    samples = []
    with pool.Pool(order(game_id)) as game:
        generator = np.random.default_rng(0)
        actions = [
            playing.random_action(game.action_spec(), NUM_SLOTS, generator)
            for _ in range(_NUM_ACTIONS)
        ]
        game.reset(seeding.slot_seeds(0, NUM_SLOTS))
        num_batches = -(-asked.steps // NUM_SLOTS)
        every = max(1, min(1000, num_batches // 100))
        began_s = time.monotonic()
        done = 0
        while done < num_batches and time.monotonic() - began_s < asked.seconds:
            for number in range(every):
                game.step(actions[number % _NUM_ACTIONS])
            done += every
            samples.append(sample(game))
        seconds = time.monotonic() - began_s
    kept = samples[len(samples) // 3 :]
    hours = np.array([one["time_s"] for one in kept]) / 3600
    memory = [name for name in kept[0] if name == "parent" or name[-1].isdigit()]
    slopes = {
        name: float(np.polyfit(hours - hours[0], [one[name] for one in kept], 1)[0])
        for name in memory
    }
    flat = {
        name: len({one[name] for one in kept}) == 1 for name in ("files", "threads", "worker files")
    }
    thirds = np.diff([one["time_s"] for one in samples])
    third = max(1, len(thirds) // 3)
    drift = float(np.median(thirds[:third]) / np.median(thirds[-third:]))
    found = {
        "game": game_id,
        "steps": done * NUM_SLOTS,
        "seconds": seconds,
        "steps_per_s": done * NUM_SLOTS / seconds,
        "speed_last_to_first_third": drift,
        "mib": {name: kept[-1][name] for name in memory},
        "mib_per_hour": slopes,
        "kept_bytes_per_step": (kept[-1]["parent"] - kept[0]["parent"])
        * 2**20
        / max(1, (len(kept) - 1) * every * NUM_SLOTS),
        "is_flat": flat,
    }
    if asked.json:
        print(json.dumps(found))
    else:
        print(
            f"{game_id}: {found['steps']} steps in {seconds:.0f} s, {found['steps_per_s']:.0f} a "
            f"second; last third at {drift:.2f} x the speed of the first"
        )
        for name in memory:
            print(f"  {name}: {kept[-1][name]:.1f} MiB, {slopes[name]:+.1f} MiB an hour")
        for name, is_flat in flat.items():
            print(f"  {name}: {kept[-1][name]:.0f}, {'flat' if is_flat else 'NOT FLAT'}")
    is_right = all(slope < MOST_MIB_PER_HOUR for slope in slopes.values()) and all(flat.values())
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
