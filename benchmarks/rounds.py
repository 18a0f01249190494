"""Rounds: arrangements measured side by side, each in a process of its own.

A process of its own keeps what one arrangement does to its interpreter (threads, imports,
a library's own versions) away from the others. Rounds are interleaved and begin with each
arrangement in turn, since machines are noisy: what to read is the ratios of one run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

# Seconds that a round of one arrangement takes, about.
ROUND_S = 0.5
_CLOSE_TIMEOUT_S = 20.0


class LeftOut(Exception):
    """An arrangement cannot be measured here; says why."""


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """What plays one row of a table.

    Attributes:
      name: the row's.
      command: starts the process, which calls `serve`.
      why_not: why it cannot be started here; empty if it can.
    """

    name: str
    command: Sequence[str]
    why_not: str = ""


@dataclasses.dataclass(frozen=True)
class Target:
    """A ratio that was asked for.

    Attributes:
      line: the list's letter.
      ours: the row of ours.
      peers: the rows to compare with, of which the best counts.
      at_least: how many times the best peer ours should be.
    """

    line: str
    ours: str
    peers: Sequence[str]
    at_least: float


@dataclasses.dataclass(frozen=True)
class Table:
    """Steps a second of every row, round by round; why rows were left out."""

    rates: Mapping[str, Sequence[float]]
    left_out: Mapping[str, str]

    def median(self, name: str) -> float:
        """Steps a second of one row."""
        return statistics.median(self.rates[name])

    def ratio(self, ours: str, theirs: str) -> float:
        """How many times faster `ours` was: the median over the rounds."""
        pairs = zip(self.rates[ours], self.rates[theirs], strict=True)
        return statistics.median(mine / other for mine, other in pairs)

    def judge(self, target: Target) -> dict[str, object]:
        """The target beside what was measured; `measured` is None if a row is missing."""
        rows = [target.ours, *target.peers]
        measured, best = None, " or ".join(target.peers)
        if all(row in self.rates for row in rows):
            measured, best = min((self.ratio(target.ours, peer), peer) for peer in target.peers)
        return {
            "line": target.line,
            "ours": target.ours,
            "peer": best,
            "asked": target.at_least,
            "measured": measured,
            "met": None if measured is None else measured >= target.at_least,
        }


def measure(
    arrangements: Sequence[Arrangement], num_rounds: int, round_s: float = ROUND_S
) -> Table:
    """Plays the rounds.

    Args:
      arrangements: the rows.
      num_rounds: how many each of them plays, those that warm it up aside.
      round_s: seconds that a round takes, about.
    """
    left_out: dict[str, str] = {}
    counts: dict[str, int] = {}
    with contextlib.ExitStack() as opened:
        children: dict[str, _Child] = {}
        for arrangement in arrangements:
            if arrangement.why_not:
                left_out[arrangement.name] = arrangement.why_not
                continue
            child = opened.enter_context(_open(arrangement))
            try:
                counts[arrangement.name] = _count(child, round_s)
            except LeftOut as error:
                left_out[arrangement.name] = str(error)
            else:
                children[arrangement.name] = child
        names = list(children)
        rates: dict[str, list[float]] = {name: [] for name in names}
        for number in range(num_rounds):
            start_at = number % len(names) if names else 0
            for name in names[start_at:] + names[:start_at]:
                if name in left_out:
                    continue
                try:
                    steps, seconds = children[name].play(counts[name])
                except LeftOut as error:
                    left_out[name] = f"ended in round {number + 1}: {error}"
                    del rates[name]
                else:
                    rates[name].append(steps / seconds)
    return Table(rates, left_out)


def serve(run: Callable[[int], int], clock: Callable[[], float] = time.perf_counter) -> None:
    """The child's side: plays a round for each count on the standard input.

    Args:
      run: takes a count, does that often what it does (steps a batch, calls a driver) and
        returns how many steps all slots together took.
      clock: seconds, on the wall or of CPU (`time.process_time`).
    """
    for line in sys.stdin:
        began = clock()
        steps = run(int(line))
        print("round", steps, clock() - began, flush=True)


def report(
    tables: Mapping[str, Table],
    targets: Mapping[str, Sequence[Target]],
    *,
    load: float,
    as_json: bool,
) -> None:
    """Prints the tables, and for each ratio that was asked for whether it was met.

    Args:
      tables: by title; the first row of each is what the ratios compare with.
      targets: by the same titles.
      load: of the machine, before the first round.
      as_json: for programs.
    """
    if as_json:
        print(json.dumps(_as_json(tables, targets, load), indent=1))
        return
    for title, table in tables.items():
        first = next(iter(table.rates), "")
        num_rounds = len(table.rates.get(first, ()))
        print(f"{title}: medians of {num_rounds} interleaved rounds, load {load:.1f} before")
        for name in table.rates:
            times = table.ratio(first, name)
            print(f"{table.median(name):>11,.0f} steps/s {times:>7.2f} x   {name}")
        for name, reason in table.left_out.items():
            print(f"{'-':>11} steps/s {'-':>7} x   {name}: {reason}")
        print()
    print("x: how many times faster the first row was, the median of the rounds' ratios")
    for title, table in tables.items():
        for verdict in map(table.judge, targets.get(title, ())):
            measured, said = "not measured", ""
            if verdict["measured"] is not None:
                measured = f"{verdict['measured']:.2f}"
                said = "met" if verdict["met"] else "MISSED"
            print(
                f"{verdict['line']}. {title}: {verdict['ours']} / {verdict['peer']}: "
                f"{measured}, asked {verdict['asked']:.3g}  {said}".rstrip()
            )


def _as_json(
    tables: Mapping[str, Table], targets: Mapping[str, Sequence[Target]], load: float
) -> object:
    return {
        "load": load,
        "tables": {
            title: {
                "rows": {
                    name: {
                        "steps_per_s": table.median(name),
                        "first_row_over_this": table.ratio(next(iter(table.rates)), name),
                    }
                    for name in table.rates
                },
                "left_out": dict(table.left_out),
                "targets": [table.judge(target) for target in targets.get(title, ())],
            }
            for title, table in tables.items()
        },
    }


class _Child:
    """A process that plays rounds."""

    def __init__(self, process: subprocess.Popen[str], errors: object) -> None:
        self._process = process
        self._errors = errors

    def play(self, count: int) -> tuple[int, float]:
        """Lets it play one round; returns the steps of all slots, and seconds."""
        # A child that has ended is told by its answer that is missing.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{count}\n")
            self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("round "):
                _, steps, seconds = line.split()
                return int(steps), float(seconds)
        self._errors.seek(0)
        said = [line for line in self._errors.read().splitlines() if line.strip()]
        raise LeftOut(said[-1].strip() if said else "it ended without a word")


@contextlib.contextmanager
def _open(arrangement: Arrangement) -> Iterator[_Child]:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            list(arrangement.command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        try:
            yield _Child(process, errors)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Lets a child end by itself, then ends it and whatever it started."""
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_CLOSE_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def _count(child: _Child, round_s: float) -> int:
    """The count that fills a round; what comes first loads, traces and resets."""
    child.play(1)
    count = 1
    while True:
        _, taken = child.play(count)
        if taken > round_s / 4 or count >= 2**20:
            return max(1, int(count * round_s / taken))
        count *= 2
