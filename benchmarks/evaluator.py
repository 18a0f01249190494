"""What an evaluator costs the training beside it, and what validating in the training game costs.

The same run three times a round, in turns: without validation, with validation in the
training game at each checkpoint, and with an evaluator. Told is the median over the rounds
of the steps a second of the training as such, from its first report to its last
checkpoint, and of the whole command; how many points the curve got; and the median slowdown
beside no validation at all, round by round.

    python benchmarks/evaluator.py [--game gym/CartPole-v1] [--agent dqn] [--steps 50000]
        [--interval 5000] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

_MAIN = "import sys; from gamebridge.cli import main; sys.exit(main())"
_KINDS = {
    "none": ("--set", "training.validation_episodes=0"),
    "in the game": ("--no-evaluator",),
    "evaluator": ("--evaluator",),
}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--game", default="gym/CartPole-v1")
    parser.add_argument("--agent", default="dqn")
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--interval", type=int, default=5_000, help="steps between checkpoints")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in _KINDS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.rounds):
            # Whatever else the machine does meets each of them alike.
            for place in range(len(_KINDS)):
                kind = list(_KINDS)[(place + number) % len(_KINDS)]
                run = pathlib.Path(folder) / f"{number} {kind}"
                found[kind].append(_measure(asked, run, _KINDS[kind]))
    if asked.json:
        print(json.dumps({"cores": len(os.sched_getaffinity(0)), "rounds": found}))
        return
    print(f"{'validation':12} {'steps/s':>9} {'slowdown':>9} {'command s':>10} {'points':>7}")
    for kind, rounds in found.items():
        slowdowns = [
            1 - one["steps_per_s"] / base["steps_per_s"]
            for one, base in zip(rounds, found["none"], strict=True)
        ]
        middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        print(
            f"{kind:12} {middle['steps_per_s']:9,.0f} {statistics.median(slowdowns):9.1%} "
            f"{middle['command_s']:10.1f} {middle['points']:7.0f}"
        )


def _measure(
    asked: argparse.Namespace, run: pathlib.Path, arguments: tuple[str, ...]
) -> dict[str, float]:
    began_s = time.monotonic()
    flags = {"--agent": asked.agent, "--steps": str(asked.steps), "--seed": "0", "--run": str(run)}
    flags["--set"] = f"training.checkpoint_interval_steps={asked.interval}"
    words = [word for flag in flags.items() for word in flag]
    subprocess.run(
        [sys.executable, "-c", _MAIN, "train", asked.game, *words, "--json", *arguments],
        check=True,
        capture_output=True,
    )
    command_s = time.monotonic() - began_s
    reports = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    reports = [line for line in reports if "steps_per_s" in line]
    steps, seconds = (reports[-1][name] - reports[0][name] for name in ("step", "time_s"))
    curve = run / "evaluation" / "curve.jsonl"
    return {
        "steps_per_s": steps / seconds,
        "command_s": command_s,
        "points": len(curve.read_text().splitlines()) if curve.exists() else 0,
    }


if __name__ == "__main__":
    main()
