"""`Curve`: the learning curve of a run, a point for each checkpoint that was evaluated.

It is a line a point in evaluation/curve.jsonl. The evaluator alone writes there, and the
trainer reads, so that neither needs the other to be there.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from gamebridge import errors
from gamebridge.training import lines


@dataclasses.dataclass(frozen=True)
class Point:
    """What the greedy episodes of one checkpoint brought.

    Attributes:
      step: the checkpoint's step.
      return_mean: mean return of the episodes.
      return_stderr: its standard error; None of a single episode.
      return_interval_95: its bootstrap interval, low and high.
      num_episodes: how many were played.
      evaluation_s: how long that took, in seconds.
      time_s: the clock when it was done, in seconds since 1970.
    """

    step: int
    return_mean: float
    return_stderr: float | None
    return_interval_95: tuple[float, float]
    num_episodes: int
    evaluation_s: float
    time_s: float


def point(step: int, returns: Sequence[float], evaluation_s: float) -> Point:
    """Returns the point of a checkpoint of which one or more episodes were played.

    Args:
      step: the checkpoint's step.
      returns: of the episodes.
      evaluation_s: how long they took.
    """
    # It loads TensorFlow, which nobody needs who reads a curve.
    from gamebridge.evaluation import results

    count = len(returns)
    return Point(
        step=step,
        return_mean=float(np.mean(returns)),
        return_stderr=float(np.std(returns, ddof=1) / np.sqrt(count)) if count > 1 else None,
        return_interval_95=results.confidence_interval(returns),
        num_episodes=count,
        evaluation_s=round(evaluation_s, 3),
        time_s=round(time.time(), 3),
    )


class Curve:
    """The points of one run folder, in the order of their steps."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Names the file; nothing is read or written yet.

        Args:
          folder: the run folder.
        """
        self._path = folder / "evaluation" / "curve.jsonl"
        self._seen: Any = None
        self._points: list[Point] = []

    def points(self) -> list[Point]:
        """Returns the points that are there by now; quick where nothing was added.

        Raises:
          StorageError: the file cannot be read.
        """
        try:
            found = self._path.stat()
            seen = (found.st_ino, found.st_size, found.st_mtime_ns)
            if seen != self._seen:
                self._points = [
                    Point(**{**line, "return_interval_95": tuple(line["return_interval_95"])})
                    for line in lines.read(self._path)
                ]
                self._seen = seen
        except FileNotFoundError:
            self._points = []
        except (OSError, KeyError, TypeError) as error:
            raise errors.StorageError(
                f"Cannot read {self._path}: {type(error).__name__}: {error}. Expected a line of "
                "JSON for each checkpoint; move the file away, then resume."
            ) from error
        return list(self._points)

    def add(self, point: Point) -> None:
        """Writes a point, synced to the disk.

        Raises:
          StorageError: the disk is full or not writable.
        """
        line = json.dumps(dataclasses.asdict(point)) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # In one write: whoever is killed leaves the line or none.
            with open(self._path, "ab", buffering=0) as file:
                file.write(line.encode())
                os.fsync(file.fileno())
        except OSError as error:
            raise self._failure(error) from error

    def mend(self, last_step: float = math.inf) -> None:
        """Drops what a killed process had not finished, and the points after `last_step`.

        Raises:
          StorageError: the disk is full or not writable.
        """
        try:
            lines.drop_after(self._path, last_step)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> errors.StorageError:
        return errors.StorageError(
            f"Cannot write {self._path}: {error}. Free space or make the folder writable, then "
            "resume."
        )
