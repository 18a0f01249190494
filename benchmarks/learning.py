"""What each agent learns, in how many steps and in what time: a JSON file a row and seed.

A row is one agent on one game (`learning_rows`). At each checkpoint 20 greedy episodes are
played, always the same ones; the first checkpoint whose mean reaches the row's threshold
tells steps, wall time and CPU time. In the end the best checkpoint plays 20 others.

Each row and seed is a process of its own and goes on where it was when it was stopped. The
tables are made from the files, here or by `learning_table`:

    python benchmarks/learning.py [--rows cartpole-dqn ...] [--seeds 0 1 2]
    python benchmarks/learning.py --list
    python benchmarks/learning.py --table
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import clocks
import learning_rows
import learning_table

if TYPE_CHECKING:
    from gamebridge.evaluation.results import Evaluation
    from gamebridge.training.session import Progress

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "build" / "learning"
_EPISODES = 20


def main() -> None:
    """Trains what is missing, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=learning_rows.ROWS, metavar="ROW")
    parser.add_argument("--seeds", "--seed", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--table", action="store_true", help="the table of what is there")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    names = asked.rows or list(learning_rows.ROWS)
    if asked.list:
        print("\n".join(learning_rows.ROWS))
    elif asked.table:
        print(learning_table.markdown(read()))
    elif asked.here:
        _Trial(names[0], asked.seeds[0]).run()
    else:
        # One seed of every row before the next: what is there early tells most.
        for seed in asked.seeds:
            for name in names:
                _run_apart(name, seed)


def read() -> dict[tuple[str, int], dict[str, Any]]:
    """What is there: (row, seed) -> the contents of its file."""
    found = {}
    # Beside them lies what `learning_peers` measured.
    for path in sorted(FOLDER.glob("*-[0-9]*.json")):
        values = json.loads(path.read_text(encoding="utf-8"))
        found[values["row"], values["seed"]] = values
    return found


def _run_apart(name: str, seed: int) -> None:
    path = _path(name, seed)
    if path.exists() and json.loads(path.read_text(encoding="utf-8")).get("final"):
        print(f"{name}, seed {seed}: is there", flush=True)
        return
    command = [sys.executable, __file__, "--rows", name, "--seeds", str(seed), "--here"]
    if subprocess.run(command, check=False).returncode:
        print(f"{name}, seed {seed}: not finished; what it said is above", flush=True)


def _path(name: str, seed: int) -> pathlib.Path:
    return FOLDER / f"{name}-{seed}.json"


class _Trial:
    """A row with one seed, trained in this process."""

    def __init__(self, name: str, seed: int) -> None:
        self._name, self._seed = name, seed
        self._row = learning_rows.ROWS[name]
        self._run = FOLDER / "runs" / f"{name}-{seed}"
        self._marks: list[dict[str, float]] = []
        self._before = {"wall_s": 0.0, "cpu_s": 0.0, "judging_wall_s": 0.0, "judging_cpu_s": 0.0}
        self._trained = clocks.since_start()
        self._judged = {"wall_s": 0.0, "cpu_s": 0.0}

    def run(self) -> None:
        """Trains to the end from whatever is there, and judges.

        Raises:
          SystemExit: the agent cannot play the game, or the training failed.
        """
        from gamebridge import api, errors

        try:
            if (self._run / "run.toml").exists():
                self._go_on()
                api.resume(self._run, self._row.steps, watch=self._watch)
            else:
                api.train(
                    self._row.game,
                    self._row.agent,
                    self._row.steps,
                    self._run,
                    seed=self._seed,
                    settings=self._settings(),
                    watch=self._watch,
                )
            self._write(self._final(api.evaluate(self._run, _EPISODES)))
        except errors.Error as error:
            raise SystemExit(f"{self._name}, seed {self._seed}: {error}") from error

    def _settings(self) -> dict[str, dict[str, Any]]:
        settings = {name: dict(table) for name, table in self._row.settings.items()}
        settings["training"] = {
            "checkpoint_interval_steps": self._row.every,
            "validation_episodes": _EPISODES,
            **settings.get("training", {}),
        }
        # All in this process, whose clocks then tell everything.
        settings["workers"] = {"count": 0}
        return settings

    def _go_on(self) -> None:
        """Takes over what was measured up to the checkpoint that training goes on from."""
        kept = [int(path.name[5:]) for path in (self._run / "checkpoints").glob("step-*")]
        path = _path(self._name, self._seed)
        marks = json.loads(path.read_text(encoding="utf-8"))["marks"] if path.exists() else []
        self._marks = [mark for mark in marks if mark["step"] <= max(kept, default=0)]
        if self._marks:
            self._before = {name: self._marks[-1][name] for name in self._before}

    def _watch(self, progress: Progress) -> None:
        now = clocks.since_start()
        if not progress.note:
            self._trained = now
            return
        for name, value in now.items():
            self._judged[name] += value - self._trained[name]
        self._trained = now
        if progress.validation_return is None:
            return
        self._marks.append(
            {
                "step": progress.step,
                "return": progress.validation_return,
                **{name: self._before[name] + value for name, value in now.items()},
                **{
                    f"judging_{name}": self._before[f"judging_{name}"] + value
                    for name, value in self._judged.items()
                },
            }
        )
        self._write(None)
        print(
            f"{self._name}, seed {self._seed}: step {progress.step:,}, "
            f"return {progress.validation_return:.1f}, {now['cpu_s']:.0f} s of CPU",
            flush=True,
        )

    def _final(self, evaluation: Evaluation) -> dict[str, Any]:
        final: dict[str, Any] = {
            "mean": evaluation.return_mean,
            "std": evaluation.return_std,
            "step": evaluation.checkpoint_step,
        }
        laps = list(_laps(evaluation))
        if self._row.threshold is None:
            final["laps_over_limit"] = sum(laps) / len(laps) if laps else None
            final["finished"] = len(laps)
            final["contacts"] = evaluation.telemetry_means()["wall_contacts"]
        return final

    def _write(self, final: dict[str, Any] | None) -> None:
        values = {
            "row": self._name,
            "seed": self._seed,
            "game": self._row.game,
            "agent": self._row.agent,
            "steps": self._row.steps,
            "threshold": self._row.threshold,
            "python": platform.python_version(),
            "cores": len(os.sched_getaffinity(0)),
            "load": os.getloadavg()[0],
            "marks": self._marks,
            "final": final,
        }
        path = _path(self._name, self._seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, path)


def _laps(evaluation: Evaluation) -> Iterator[float]:
    for episode in evaluation.episodes:
        told = episode.telemetry
        if told.get("laps") and told["best_lap_s"]:
            yield told["best_lap_s"] / told["limit_lap_s"]


if __name__ == "__main__":
    main()
