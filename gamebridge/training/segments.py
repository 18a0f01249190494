"""`Segments`: a replay buffer on the disk, in files that are each written once.

    replay/rows-0-10240.npy    rows of all slots together from that one on to that one

A checkpoint names the segments that hold its rows; the next one adds what came since. Plain
.npy arrays, no pickles.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

import numpy as np

from gamebridge import errors, files
from gamebridge.contract.specs import Array
from gamebridge.training import manifests, stores


class Segments:
    """The segments of one run folder.

    Attributes:
      folder: where they lie.
    """

    def __init__(self, folder: pathlib.Path, replay: stores.AnyReplay, *, is_saved: bool) -> None:
        """Watches over `folder`, which is made when the first segment is saved.

        Args:
          folder: of the segments alone.
          replay: what is saved and restored.
          is_saved: whether to save it; one that was saved is restored all the same.
        """
        self.folder = folder
        self._replay = replay
        self._is_saved = is_saved
        self._newest: list[dict[str, Any]] = []

    def save(self) -> list[dict[str, Any]]:
        """Saves what came since the checkpoint of `keep`.

        Returns:
          All segments that hold the replay buffer now, oldest first.

        Raises:
          OSError: the disk is full or not writable.
        """
        replay = self._replay
        if not self._is_saved or not replay.num_added.any():
            return []
        self.folder.mkdir(parents=True, exist_ok=True)
        stop = replay.num_added
        oldest = np.maximum(0, stop - replay.length)
        kept = [segment for segment in self._newest if (oldest < segment["stop"]).any()]
        start = np.maximum(oldest, kept[-1]["stop"]) if kept else oldest
        if (start == stop).all():
            return kept
        name = f"rows-{start.sum()}-{stop.sum()}.npy"
        temporary = self.folder / f"{files.TEMPORARY}{name}"
        # One array after the other: numpy's zip files complain on a full disk twice, the
        # second time where nobody can catch it.
        with open(temporary, "wb") as file:
            for rows in replay.rows(start, stop).values():
                np.save(file, rows, allow_pickle=False)
        files.sync(temporary)
        os.rename(temporary, self.folder / name)
        files.sync(self.folder)
        ends = {"start": start.tolist(), "stop": stop.tolist()}
        return [*kept, {"name": name, **ends, **manifests.describe(self.folder / name)}]

    def keep(self, segments: list[dict[str, Any]]) -> None:
        """Says which segments the newest checkpoint has."""
        self._newest = segments

    def prune(self, needed: set[str]) -> None:
        """Removes all but the segments of these names."""
        for path in self.folder.glob("rows-*.npy"):
            if path.name not in needed:
                path.unlink()

    def check(self, segments: list[dict[str, Any]]) -> None:
        """Looks at whether all of these are there and whole.

        Raises:
          Damaged: one is not.
          StorageError: they are of another number of slots.
        """
        for segment in segments:
            saved, now = len(segment["stop"]), self._replay.num_slots
            if saved != now:
                raise errors.StorageError(
                    f"{self.folder} was saved by a run of {saved} slots, and this one has {now}. "
                    f"Give run.num_slots = {saved} in run.toml back, or start a new run."
                )
            manifests.check(self.folder / segment["name"], segment)

    def restore(self, segments: list[dict[str, Any]]) -> None:
        """Fills the replay buffer from these, oldest first; it is empty where there are none.

        Raises:
          Damaged: one holds something else than this replay buffer does.
        """
        replay = self._replay
        nothing = np.zeros(replay.num_slots, np.int64)
        replay.set_num_added(nothing)
        if not segments:
            # What was kept beside the rows is of no use without them.
            replay.clear()
        empty = replay.rows(nothing, nothing)
        for segment in segments:
            rows = _load(self.folder / segment["name"], empty)
            replay.restore_rows(segment["start"], segment["stop"], rows)
            replay.set_num_added(segment["stop"])
        self._newest = segments


def _load(path: pathlib.Path, empty: dict[str, Array]) -> dict[str, Array]:
    """Reads a segment; `empty` has what it should hold, without any rows."""
    try:
        with open(path, "rb") as file:
            rows = {name: np.load(file) for name in empty}
    except (EOFError, ValueError) as error:
        raise manifests.Damaged(f"{path.name} cannot be read ({manifests.cause(error)})") from error
    for name, like in empty.items():
        if rows[name].shape[1:] != like.shape[1:]:
            raise manifests.Damaged(f"{path.name} holds stacks of frames, not single ones")
    return rows
