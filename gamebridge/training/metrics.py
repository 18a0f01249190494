"""`Metrics`: what a run reports as it goes: metrics.jsonl, TensorBoard and a running mean."""

from __future__ import annotations

import collections
import json
import pathlib
import types
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253

from gamebridge import errors
from gamebridge.wrappers import episodes as episode_logs

_WINDOW = 100


class Metrics:
    """Writes one line a report; steps never go back in the file."""

    def __init__(self, folder: pathlib.Path, start_step: int) -> None:
        """Opens the files; lines after `start_step`, left by a killed run, are dropped."""
        self._path = folder / "metrics.jsonl"
        _drop_after(self._path, start_step)
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close
        self._writer = tf.summary.create_file_writer(str(folder / "tensorboard"))
        self._recent: collections.deque[episode_logs.Episode] = collections.deque(maxlen=_WINDOW)
        self._num_episodes = 0

    @property
    def mean_return(self) -> float | None:
        """Mean return of the last 100 training episodes; None before the first."""
        if not self._recent:
            return None
        return float(np.mean([episode.episode_return for episode in self._recent]))

    @property
    def num_episodes(self) -> int:
        """Training episodes that ended since this object was made."""
        return self._num_episodes

    def add_episodes(self, episodes: Sequence[episode_logs.Episode]) -> None:
        """Takes note of training episodes that ended."""
        self._recent.extend(episodes)
        self._num_episodes += len(episodes)

    def report(self, step: int, values: dict[str, Any]) -> None:
        """Writes `values` and the episodes' means as of `step`.

        Raises:
          StorageError: the disk is full or not writable.
        """
        line: dict[str, Any] = {"step": step, **values}
        if self._recent:
            line["return_mean"] = self.mean_return
            line["length_mean"] = float(np.mean([episode.length for episode in self._recent]))
            for name in self._recent[-1].telemetry:
                line[f"telemetry/{name}"] = float(
                    np.mean([episode.telemetry[name] for episode in self._recent])
                )
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            with self._writer.as_default(step=step):
                for name, value in line.items():
                    if name != "step" and isinstance(value, (int, float)):
                        tf.summary.scalar(name, value)
        except (OSError, tf.errors.OpError) as error:
            raise errors.StorageError(
                f"Cannot write {self._path}: {error}. Free space or make the folder writable, "
                "then resume."
            ) from error

    def close(self) -> None:
        """Closes the files. May be called twice."""
        self._file.close()
        self._writer.close()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()


def _drop_after(path: pathlib.Path, step: int) -> None:
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue  # a line that a killed process had not finished
    path.write_text("".join(kept), encoding="utf-8")
