"""unity/racing beside racing/oval: the same training over the wire, and with players killed.

For each seed three runs of PPO: the racing game in this process; the same game as two
players of the ML-Agents protocol; and those with one of them killed by SIGKILL every few
seconds. All are evaluated on the same game of this process, over the same episodes. A run
that is there already is gone on with, so this can be stopped and started again.

    python benchmarks/unity_training.py [--seeds 0 1 2] [--steps 1500000] [--every 20] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

_RUNS = pathlib.Path("runs/unity")
_KINDS = {
    "racing/oval, in this process": "racing/oval",
    "unity/racing, 2 players": "unity/racing",
    "unity/racing, 2 players, killed": "unity/racing",
}
_EPISODES = 20
_KILLED = "killed"
# A player may not be killed before there is anything to lose.
_FIRST_KILL_S = 15.0


def main() -> None:
    """Trains, evaluates and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1_500_000)
    parser.add_argument("--every", type=float, default=20.0, help="seconds from kill to kill")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = []
    for seed in asked.seeds:
        for title, game_id in _KINDS.items():
            folder = (
                _RUNS / f"{title.replace(', ', '-').replace(' ', '-').replace('/', '-')}-{seed}"
            )
            every_s = asked.every if _KILLED in title else 0.0
            rows.append(
                {"kind": title, "seed": seed, **_row(game_id, folder, seed, asked, every_s)}
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps(rows, indent=1) if asked.json else "\n".join(_table(rows)))


def _row(
    game_id: str, folder: pathlib.Path, seed: int, asked: argparse.Namespace, every_s: float
) -> dict[str, Any]:
    report = folder / "report.json"
    if not report.exists():
        if (folder / "run.toml").exists():
            command = ["train", "--resume", str(folder), "--steps", str(asked.steps)]
        else:
            command = ["train", game_id, "--agent", "ppo", "--run", str(folder)]
            command += ["--steps", str(asked.steps), "--seed", str(seed)]
            command += ["--set", "training.checkpoint_interval_steps=400000"]
            if game_id.startswith("unity/"):
                command += ["--players", "2", "--graphics", "none"]
                command += ["--set", "supervision.max_restarts=-1"]
        began_s = time.monotonic()
        kills = _train(command, every_s)
        took_s = time.monotonic() - began_s
        # The judge is one and the same for all of them.
        judged = ["evaluate", str(folder), "--episodes", str(_EPISODES), "--game", "racing/oval"]
        outcome = json.loads(_gamebridge([*judged, "--json"]).stdout)
        own = [*judged[:-2], "--json", "--output", str(folder / "own")]
        restarts = [line.get("restarts", 0) for line in _metrics(folder)]
        row = {
            "return": outcome["return_mean"],
            "contacts": outcome["telemetry_mean"]["wall_contacts"],
            "lap_over_limit": float(np.mean(list(_laps(outcome)))) if any(_laps(outcome)) else None,
            "finished": sum(1 for _ in _laps(outcome)),
            "return_of_its_own_game": json.loads(_gamebridge(own).stdout)["return_mean"],
            "kills": kills,
            "restarts": max(restarts, default=0),
            "train_s": round(took_s, 1),
        }
        report.write_text(json.dumps(row), encoding="utf-8")
    return dict(json.loads(report.read_text(encoding="utf-8")))


def _train(command: list[str], every_s: float) -> int:
    """Trains; returns how many players were killed meanwhile."""
    training = subprocess.Popen(_command(command), stdout=subprocess.DEVNULL)
    kills, next_s = 0, time.monotonic() + _FIRST_KILL_S
    while training.poll() is None:
        time.sleep(0.2)
        if every_s and time.monotonic() > next_s:
            pids = sorted(_players(training.pid))
            if pids:
                os.kill(pids[kills % len(pids)], signal.SIGKILL)
                kills += 1
                next_s = time.monotonic() + every_s
    if training.returncode:
        raise SystemExit(f"gamebridge {' '.join(command)} ended with {training.returncode}.")
    return kills


def _players(parent: int) -> Iterator[int]:
    """Yields the players among the children of a process, those that are up."""
    for task in pathlib.Path(f"/proc/{parent}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except OSError:  # a thread that has just ended
            continue
        for pid in map(int, children):
            try:
                if b"--mlagents-port" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                    yield pid
            except OSError:
                continue


def _laps(outcome: dict[str, Any]) -> Iterator[float]:
    for episode in outcome["episodes"]:
        told = episode["telemetry"]
        if told["laps"] and told["best_lap_s"]:
            yield told["best_lap_s"] / told["limit_lap_s"]


def _metrics(folder: pathlib.Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _gamebridge(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(arguments), check=True, capture_output=True, text=True)


def _command(arguments: list[str]) -> list[str]:
    program = "import sys; from gamebridge.cli import main; sys.exit(main())"
    return [sys.executable, "-c", program, *arguments]


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    for title in _KINDS:
        mine = [row for row in rows if row["kind"] == title]
        yield title
        for row in mine:
            lap = row["lap_over_limit"]
            yield (
                f"  seed {row['seed']}: return {row['return']:.1f}, "
                f"{row['contacts']:.2f} contacts, laps finished {row['finished']} of {_EPISODES}"
                + (f" at {lap:.3f} x the limit" if lap else "")
                + (f", {row['kills']} kills, {row['restarts']} restarts" if row["kills"] else "")
                + f"; trained in {row['train_s']:.0f} s"
            )
        yield f"  mean return {np.mean([row['return'] for row in mine]):.1f}"


if __name__ == "__main__":
    main()
