"""`Trial`: one training of a study, in a process of its own that ends with the study's."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import sys
from collections.abc import Mapping
from typing import Any

from gamebridge import api, config, errors
from gamebridge.supervision import children, logs
from gamebridge.training import curve as curves

# A training that is told to stop saves a checkpoint first.
_ENDING_S = 20.0
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from gamebridge.tuning import trials; sys.exit(trials.main(*sys.argv[2:]))"
)


class Trial:
    """A training that runs, or has ended.

    Attributes:
      number: its number in the study.
      folder: its run folder.
    """

    def __init__(
        self, number: int, folder: pathlib.Path, tables: Mapping[str, Any], log: logs.Log
    ) -> None:
        """Starts it.

        Args:
          number: its number in the study.
          folder: its run folder, which is not there yet.
          tables: those of run.toml.
          log: takes what it writes.

        Raises:
          StorageError: its settings cannot be written.
          PlayerError: it cannot be started.
        """
        self.number = number
        self.folder = folder
        self._curve = curves.Curve(folder)
        wanted = folder.with_suffix(".toml")
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            wanted.write_text(config.to_toml(tables), encoding="utf-8")
        except OSError as error:
            raise errors.StorageError(
                f"Cannot write {wanted}: {error}. Free space or make the folder writable."
            ) from error
        path = json.dumps([entry or os.getcwd() for entry in sys.path])
        command = [sys.executable, "-c", _PROGRAM, path, str(wanted), str(folder)]
        try:
            self._child = children.Child(f"trial {number}", command, log)
        except OSError as error:
            raise errors.PlayerError(
                f"Trial {number} cannot be started: {error.strerror}. Take fewer --jobs."
            ) from error

    def is_alive(self) -> bool:
        """Whether it trains."""
        return self._child.is_alive()

    def points(self) -> list[curves.Point]:
        """Returns what its checkpoints brought so far."""
        return self._curve.points()

    def close(self) -> int:
        """Ends it where it still trains; returns its exit code, less than 0 after a signal."""
        if self._child.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child.pid, signal.SIGTERM)
            self._child.end(_ENDING_S)
            return -signal.SIGTERM
        words = self._child.ending().split()
        self._child.end(0.0)
        return int(words[-1]) if words[0] == "exited" else -signal.SIGKILL

    def last_words(self) -> str:
        """The newest line that it wrote, once it has ended: its error; else how it ended."""
        return ([*self._child.tail()] or [f"it {self._child.ending()} and said nothing"])[-1]


def main(settings: str, folder: str) -> int:
    """Trains with the tables of the file `settings` in `folder`; returns the exit code."""
    from gamebridge.tf import start

    tables = config.load(settings)
    run = tables.pop("run")
    start.load()
    start.quieten()
    try:
        api.train(
            run["game"],
            run["agent"],
            run["steps"],
            folder,
            run.get("num_slots"),
            run["seed"],
            tables,
        )
    except errors.Error as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0
