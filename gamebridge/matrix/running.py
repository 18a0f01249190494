"""Running the matrix: a process a game tries the agents out, and is replaced where it dies.

TensorFlow takes five seconds to load, so one process tries all agents on its game. What
brings it down, or takes too long, costs the cell that was being tried and no other. Every
cell is kept in a file, so that a matrix that was stopped goes on where it was.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import sys
import time
from collections.abc import Callable, Sequence
from concurrent import futures

from gamebridge import errors
from gamebridge.contract import records
from gamebridge.matrix import trials
from gamebridge.matrix.cells import Cell
from gamebridge.supervision import children, logs

_LOOK_S = 0.5
_START_S, _END_S = 120.0, 5.0


def run(
    games: Sequence[str],
    agents: Sequence[records.AgentRecord],
    folder: pathlib.Path,
    steps: int = 300,
    jobs: int = 1,
    limit_s: float = 600.0,
    announce: Callable[[str], None] = lambda line: None,
) -> list[trials.Trial]:
    """Tries out every agent on every game.

    Args:
      games: their ids.
      agents: their records.
      folder: keeps the cells; those that did not pass are tried again.
      steps: of each training.
      jobs: how many games are tried at once.
      limit_s: how long one cell may take.
      announce: told in a line what came of a cell.

    Raises:
      StorageError: the folder cannot be written.
    """
    with contextlib.closing(logs.Log()) as log, futures.ThreadPoolExecutor(jobs) as pool:
        rows = [_Row(game, agents, folder, steps, limit_s, log, announce) for game in games]
        tried = [pool.submit(row.run) for row in rows]
        try:
            found = [future.result() for future in tried]
        except BaseException:
            for row in rows:
                row.stop()
            raise
    return [trial for row_found in found for trial in row_found]


class _Row:
    """One game with all agents."""

    def __init__(
        self,
        game: str,
        agents: Sequence[records.AgentRecord],
        folder: pathlib.Path,
        steps: int,
        limit_s: float,
        log: logs.Log,
        announce: Callable[[str], None],
    ) -> None:
        self._game, self._agents, self._steps = game, [agent.id for agent in agents], steps
        self._folder = folder / re.sub(r"[^A-Za-z0-9.-]+", "-", game)
        self._limit_s, self._log, self._announce = limit_s, log, announce
        self._is_stopped = False

    def stop(self) -> None:
        """Ends its process soon, and starts no other."""
        self._is_stopped = True

    def run(self) -> list[trials.Trial]:
        """Tries what is not there yet.

        Raises:
          StorageError: its folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            found = {agent: trial for agent in self._agents if (trial := self._kept(agent))}
            while len(found) < len(self._agents) and not self._is_stopped:
                wanted = [agent for agent in self._agents if agent not in found]
                for agent in wanted:
                    (self._folder / f"{agent}.json").unlink(missing_ok=True)
                found |= self._try(wanted)
        except OSError as error:
            raise errors.StorageError(
                f"Cannot write {self._folder}: {error}. Free space, or choose another --output."
            ) from error
        return [found[agent] for agent in self._agents if agent in found]

    def _kept(self, agent: str) -> trials.Trial | None:
        trial = self._read(agent)
        # What was refused costs nothing to ask again, and may have been joined since.
        is_done = trial is not None and trial.outcome == "passed" and trial.steps == self._steps
        return trial if is_done else None

    def _try(self, wanted: Sequence[str]) -> dict[str, trials.Trial]:
        """Runs a process until it ends; returns what it came to, at least one cell."""
        command = [sys.executable, "-m", trials.__name__, self._game, str(self._steps)]
        found: dict[str, trials.Trial] = {}
        child = children.Child(self._game, [*command, str(self._folder), *wanted], self._log)
        try:
            since_s, limit_s = time.monotonic(), self._limit_s + _START_S
            while not self._is_stopped:
                has_ended = child.wait(_LOOK_S)
                for agent in wanted:
                    trial = None if agent in found else self._read(agent)
                    if trial is not None:
                        found[agent] = trial
                        since_s, limit_s = time.monotonic(), self._limit_s
                        self._tell(trial)
                too_long = time.monotonic() - since_s > limit_s
                if len(found) == len(wanted):
                    break
                if has_ended or too_long:
                    agent = next(agent for agent in wanted if agent not in found)
                    how = f"took longer than {self._limit_s:g} s" if too_long else child.ending()
                    said = " | ".join(child.tail()[-3:])
                    reason = f"its process {how}" + (f": {said}" if said else "")
                    cell = Cell(agent, self._game, fits=True, reason=reason)
                    found[agent] = trials.Trial(
                        cell, "failed", time.monotonic() - since_s, self._steps
                    )
                    self._tell(found[agent])
                    break
        finally:
            child.end(_END_S if len(found) == len(wanted) else 0)
        return found

    def _read(self, agent: str) -> trials.Trial | None:
        """What a cell's file holds; None while there is none, or none that is whole."""
        try:
            text = (self._folder / f"{agent}.json").read_text(encoding="utf-8")
            return trials.from_dict(json.loads(text))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _tell(self, trial: trials.Trial) -> None:
        cell = trial.cell
        said = f": {cell.reason}" if cell.reason else ""
        self._announce(
            f"{cell.game} with {cell.agent}: {trial.outcome} in {trial.seconds:.0f} s{said}"
        )
