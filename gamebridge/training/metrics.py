"""`Metrics`: what a run reports as it goes: metrics.jsonl, TensorBoard and a running mean."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import logging
import pathlib
import time
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253

from gamebridge import errors
from gamebridge.training import lines
from gamebridge.wrappers import episodes as episode_logs

_LOG = logging.getLogger(__name__)

_WINDOW = 100


class Metrics:
    """Writes one line a report; steps never go back in the file."""

    def __init__(
        self, folder: pathlib.Path, start_step: int, episodes: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Opens the files.

        Args:
          folder: the run folder.
          start_step: lines after it, left by a killed run, are dropped.
          episodes: what `recent_episodes` gave at that step.

        Raises:
          StorageError: the disk is full or not writable.
        """
        self._path = folder / "metrics.jsonl"
        try:
            lines.drop_after(self._path, start_step)
            self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 - see close
            self._writer = tf.summary.create_file_writer(str(folder / "tensorboard"))
        except (OSError, tf.errors.OpError) as error:
            raise self._failure(error) from error
        self._recent: collections.deque[episode_logs.Episode] = collections.deque(
            (episode_logs.Episode(**values) for values in episodes), _WINDOW
        )
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

    def recent_episodes(self) -> list[dict[str, Any]]:
        """The episodes of `mean_return` as plain values, for a checkpoint."""
        return [dataclasses.asdict(episode) for episode in self._recent]

    def report(self, step: int, values: dict[str, Any]) -> None:
        """Writes `values`, the episodes' means as of `step`, and when that was.

        Raises:
          StorageError: the disk is full or not writable.
        """
        line: dict[str, Any] = {"step": step, **values, "time_s": round(time.time(), 3)}
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
            with _default(self._writer, step):
                for name, value in line.items():
                    if name != "step" and isinstance(value, (int, float)):
                        tf.summary.scalar(name, value)
        except (OSError, tf.errors.OpError) as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Closes the files. May be called twice."""
        # What could not be written cannot be written here either; an error must not take
        # the place of the one that `report` raised.
        for file in (self._file, self._writer):
            try:
                file.close()
            except (OSError, tf.errors.OpError) as error:
                _LOG.warning("%s", self._failure(error))

    def _failure(self, error: Exception) -> errors.StorageError:
        return errors.StorageError(
            f"Cannot write {self._path}: {str(error).splitlines()[0]}. Free space or make the "
            "folder writable, then resume."
        )

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()


def restarts(log: episode_logs.EpisodeLog) -> dict[str, float]:
    """What is reported of lost games: those of this session. Most are never lost."""
    return {"restarts": log.num_restarts} if log.num_restarts else {}


@contextlib.contextmanager
def _default(writer: Any, step: int) -> Iterator[None]:
    """As `writer.as_default`, which for ever stays the default where its flush fails."""
    context = writer.as_default(step=step)
    context.__enter__()
    try:
        yield
    finally:
        try:
            context.__exit__(None, None, None)
        except tf.errors.OpError:
            with contextlib.suppress(tf.errors.OpError):
                writer.close()
            # A closed writer has nothing to flush.
            context.__exit__(None, None, None)
            raise
