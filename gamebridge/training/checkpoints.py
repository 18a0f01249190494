"""`Checkpoints`: the saved states of one run, each whole or not there at all.

    checkpoints/step-000000010240/   manifest.json  weights.index  weights.data-...
    best/step-000000010240/          the one with the best validation return
    best/.tmp-candidate/             one that is being judged, by hard links: pruning leaves it
    replay/rows-0-10240.npy          the replay buffer in segments, each saved once; of
                                     all slots together from that row on to that one

A checkpoint is written beside its place, synced and renamed; its manifest holds the size
and SHA-256 of every file it needs. Restoring walks from the newest back to the first
that is whole. No pickles: TensorFlow's own format, JSON and plain .npy arrays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge.training import stores

_LOG = logging.getLogger(__name__)
_MANIFEST = "manifest.json"
_FORMAT = 1
_CANDIDATE = ".tmp-candidate"


@dataclasses.dataclass(frozen=True)
class Restored:
    """What was restored.

    Attributes:
      step: the checkpoint's step.
      state: what was given to `save`.
      lost: one line for each newer checkpoint that was walked past.
    """

    step: int
    state: dict[str, Any]
    lost: tuple[str, ...]


class Checkpoints:
    """Saves, prunes and restores the checkpoints of one run folder."""

    def __init__(
        self,
        folder: pathlib.Path,
        trackables: dict[str, Any],
        replay: stores.AnyReplay | None = None,
        keep: int = 3,
        *,
        saves_replay: bool = True,
    ) -> None:
        """Watches over `folder`, which is made when the first checkpoint is saved.

        Args:
          folder: the run folder.
          trackables: what to save, by name; the same names when restoring.
          replay: the replay buffer, saved in segments.
          keep: how many checkpoints to keep besides the best.
          saves_replay: whether to save it; one that was saved is restored all the same.
        """
        self._folder = folder
        self._checkpoint = tf.train.Checkpoint(**trackables)
        self._names = set(trackables)
        self._replay = replay
        self._saves_replay = saves_replay
        self._keep = keep
        self._segments: list[dict[str, Any]] = []

    def steps(self, which: str = "checkpoints") -> list[int]:
        """The steps of the checkpoints that are there, whole or not, oldest first."""
        return [int(path.name[5:]) for path in _step_folders(self._folder / which)]

    def sweep(self) -> None:
        """Removes what a killed process left half written."""
        for which in ("checkpoints", "best", "replay"):
            for path in (self._folder / which).glob(".tmp-*"):
                _LOG.info("removing the half-written %s", path.name)
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Saves a checkpoint at `step` with JSON `state` beside it; prunes older ones.

        Raises:
          StorageError: the disk is full or not writable. Older checkpoints are intact.
        """
        try:
            segments = self._save_segments()
            self._write(self._folder / "checkpoints", step, state, segments)
            self._segments = segments
            self._prune()
        except (OSError, tf.errors.OpError) as error:
            self.sweep()
            free = shutil.disk_usage(_existing(self._folder)).free
            raise errors.StorageError(
                f"Cannot save the checkpoint of step {step:,} in {self._folder}: "
                f"{_first_line(error)} ({free / 2**20:,.0f} MiB free). Older checkpoints are "
                "intact; free space or make the folder writable, then resume."
            ) from error

    def save_best(self, step: int, state: dict[str, Any]) -> None:
        """Saves the weights as the best so far, in place of the last best.

        Raises:
          StorageError: as `save`.
        """
        best = self._folder / "best"
        with self._saving_best():
            self._write(best, step, state, [])
            _keep_only(best, step)

    def hold_newest(self, after: int) -> int | None:
        """Holds the newest checkpoint, whose files then outlive its pruning, and restores it.

        Another process may save and prune meanwhile. What was held before is let go.

        Args:
          after: a checkpoint of this step, or an older one, is not wanted.

        Returns:
          Its step; None where there is none, or it went or is damaged.

        Raises:
          StorageError: it cannot be held, or is of another network.
        """
        self.let_go()
        steps = self.steps()
        if not steps or steps[-1] <= after:
            return None
        source, held = self._folder / "checkpoints" / _name(steps[-1]), self._candidate
        try:
            held.mkdir(parents=True)
            for path in source.iterdir():
                _link(path, held / path.name)
            self._restore_one(held, False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise errors.StorageError(
                f"Cannot hold {source} in {held}: {_first_line(error)}. Free space or make the "
                "folder writable."
            ) from error
        except _Damaged as damage:
            # One that was half pruned when it was held looks like that too.
            _LOG.info("%s is passed over: %s", source.name, damage)
            return None
        return steps[-1]

    def crown(self, step: int, state: dict[str, Any]) -> None:
        """Makes the checkpoint that is held, of that step, the best so far.

        Raises:
          StorageError: as `save`.
        """
        with self._saving_best():
            # A link to that of the checkpoint, which is not to change.
            (self._candidate / _MANIFEST).unlink()
            self._finish(self._candidate, step, state, [])
            _keep_only(self._candidate.parent, step)

    def let_go(self) -> None:
        """Lets go of the checkpoint that is held, if there is one."""
        shutil.rmtree(self._candidate, ignore_errors=True)

    def best_return(self) -> float | None:
        """The return with which the best checkpoint became that; None where there is none."""
        for path in _step_folders(self._folder / "best")[::-1]:
            with contextlib.suppress(_Damaged):
                found: float | None = _read_manifest(path)["state"].get("best")
                return found
        return None

    @property
    def _candidate(self) -> pathlib.Path:
        return self._folder / "best" / _CANDIDATE

    @contextlib.contextmanager
    def _saving_best(self) -> Iterator[None]:
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            self.sweep()
            raise errors.StorageError(
                f"Cannot save the best checkpoint in {self._folder / 'best'}: "
                f"{_first_line(error)}. Free space or make the folder writable, then resume."
            ) from error

    def restore(self, which: str = "checkpoints", with_replay: bool = True) -> Restored | None:
        """Restores the newest whole checkpoint; None where there has never been one.

        Raises:
          StorageError: checkpoints are there and none can be restored. Training never
            starts from zero in silence.
        """
        folders = _step_folders(self._folder / which)[::-1]
        for replay_too in (True, False) if self._replay and with_replay else (False,):
            lost: list[str] = []
            for path in folders:
                try:
                    restored = self._restore_one(path, replay_too)
                except _Damaged as damage:
                    lost.append(f"{path.name} is lost: {damage}")
                    continue
                if self._replay and with_replay and not replay_too:
                    lost.append("the replay buffer is lost and starts empty")
                for line in lost:
                    _LOG.warning("%s; going on from %s", line, path.name)
                return Restored(int(path.name[5:]), restored, tuple(lost))
        if not folders:
            return None
        raise errors.StorageError(
            f"None of the {len(folders)} checkpoints in {self._folder / which} can be restored: "
            f"{'; '.join(lost)}. Restore the folder from a copy, or start "
            "a new run in another folder."
        )

    def drop_newer_than(self, step: int) -> None:
        """Removes checkpoints after `step`: those that a resume had to walk past."""
        for path in _step_folders(self._folder / "checkpoints"):
            if int(path.name[5:]) > step:
                shutil.rmtree(path)

    def _write(
        self,
        parent: pathlib.Path,
        step: int,
        state: dict[str, Any],
        segments: list[dict[str, Any]],
    ) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        temporary = parent / f".tmp-{step:012d}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        self._checkpoint.write(str(temporary / "weights"))
        self._finish(temporary, step, state, segments)

    def _finish(
        self,
        temporary: pathlib.Path,
        step: int,
        state: dict[str, Any],
        segments: list[dict[str, Any]],
    ) -> None:
        """Gives a folder with weights its manifest and its place."""
        manifest = {
            "format": _FORMAT,
            "step": step,
            "state": state,
            "files": {path.name: _fingerprint(path) for path in sorted(temporary.iterdir())},
            "segments": segments,
        }
        manifest["sha256"] = _seal(manifest)
        with open(temporary / _MANIFEST, "w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
        for path in temporary.iterdir():
            _sync(path)
        target = temporary.parent / _name(step)
        if target.exists():
            shutil.rmtree(target)
        os.rename(temporary, target)
        _sync(temporary.parent)

    def _save_segments(self) -> list[dict[str, Any]]:
        if self._replay is None or not self._saves_replay or not self._replay.num_added.any():
            return []
        folder = self._folder / "replay"
        folder.mkdir(parents=True, exist_ok=True)
        stop = self._replay.num_added
        oldest = np.maximum(0, stop - self._replay.length)
        kept = [segment for segment in self._segments if (oldest < segment["stop"]).any()]
        start = np.maximum(oldest, kept[-1]["stop"]) if kept else oldest
        if (start == stop).all():
            return kept
        name = f"rows-{start.sum()}-{stop.sum()}.npy"
        temporary = folder / f".tmp-{name}"
        # One array after the other: numpy's zip files complain on a full disk twice, the
        # second time where nobody can catch it.
        with open(temporary, "wb") as file:
            for rows in self._replay.rows(start, stop).values():
                np.save(file, rows, allow_pickle=False)
        _sync(temporary)
        os.rename(temporary, folder / name)
        _sync(folder)
        ends = {"start": start.tolist(), "stop": stop.tolist()}
        entry = {"name": name, **ends, **_fingerprint(folder / name)}
        return [*kept, entry]

    def _prune(self) -> None:
        folders = _step_folders(self._folder / "checkpoints")
        for path in folders[: -self._keep]:
            shutil.rmtree(path)
        needed = {
            segment["name"] for path in folders[-self._keep :] for segment in _segments_of(path)
        }
        for path in (self._folder / "replay").glob("rows-*.npy"):
            if path.name not in needed:
                path.unlink()

    def _restore_one(self, path: pathlib.Path, with_replay: bool) -> dict[str, Any]:
        manifest = _read_manifest(path)
        for name, expected in manifest["files"].items():
            _check(path / name, expected)
        segments: list[dict[str, Any]] = manifest["segments"] if with_replay else []
        for segment in segments:
            _check(self._folder / "replay" / segment["name"], segment)
        try:
            self._refuse_leftovers(str(path / "weights"))
            status = self._checkpoint.read(str(path / "weights"))
            status.assert_existing_objects_matched().expect_partial()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise errors.StorageError(
                f"{path} holds the weights of another network: {_first_line(error)}. "
                "Resume with the settings in the run's own run.toml."
            ) from error
        if self._replay is not None:
            self._restore_replay(self._replay, segments)
        self._segments = segments
        return dict(manifest["state"])

    def _restore_replay(self, replay: stores.AnyReplay, segments: list[dict[str, Any]]) -> None:
        nothing = np.zeros(replay.num_slots, np.int64)
        replay.set_num_added(nothing)
        if not segments:
            # What was kept beside the rows is of no use without them.
            replay.clear()
        empty = replay.rows(nothing, nothing)
        for segment in segments:
            rows = _load(self._folder / "replay" / segment["name"], empty)
            start, stop = segment["start"], segment["stop"]
            if isinstance(start, int):
                # As they were while all slots had one count: [rows, B, ...].
                start, stop = nothing + start, nothing + stop
                rows = {name: np.concatenate(array.swapaxes(0, 1)) for name, array in rows.items()}
            replay.restore_rows(start, stop, rows)
            replay.set_num_added(stop)

    def _refuse_leftovers(self, weights: str) -> None:
        """Refuses a larger network's weights: TensorFlow would restore the part that fits."""
        view = tf.train.CheckpointView(weights)
        leftover = set(view.diff(self._checkpoint)[1])
        parts = [item for item in view.children(0).items() if item[0] in self._names]
        seen = set()
        while parts:
            name, node = parts.pop()
            if node in leftover:
                raise ValueError(f"{name} has no place in this network")
            if node not in seen:
                seen.add(node)
                parts += [(f"{name}/{key}", child) for key, child in view.children(node).items()]


def _load(path: pathlib.Path, empty: dict[str, Array]) -> dict[str, Array]:
    """Reads a segment; `empty` has what it should hold, without any rows."""
    try:
        with open(path, "rb") as file:
            rows = {name: np.load(file) for name in empty}
    except EOFError as error:
        raise _Damaged(f"{path.name} cannot be read ({_first_line(error)})") from error
    for name, like in empty.items():
        # Segments of an older gamebridge are [rows, B, ...].
        if rows[name].shape[rows[name].ndim - like.ndim + 1 :] != like.shape[1:]:
            raise _Damaged(f"{path.name} holds stacks of frames, not single ones")
    return rows


class _Damaged(Exception):
    """A checkpoint that is not whole."""


def _read_manifest(path: pathlib.Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT:
            raise _Damaged(f"its format is {manifest['format']}, this gamebridge reads {_FORMAT}")
        if manifest.pop("sha256") != _seal(manifest):
            raise _Damaged("its manifest has changed since it was saved")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _Damaged(f"its manifest cannot be read ({_first_line(error)})") from error
    return dict(manifest)


def _seal(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _segments_of(path: pathlib.Path) -> list[dict[str, Any]]:
    with contextlib.suppress(_Damaged):
        return list(_read_manifest(path)["segments"])
    return []


def _name(step: int) -> str:
    return f"step-{step:012d}"


def _keep_only(parent: pathlib.Path, step: int) -> None:
    for path in _step_folders(parent):
        if path.name != _name(step):
            shutil.rmtree(path)


def _link(path: pathlib.Path, target: pathlib.Path) -> None:
    try:
        os.link(path, target)
    except FileNotFoundError:
        raise
    except OSError:  # some file systems of networks and of sticks have no links
        shutil.copyfile(path, target)


def _step_folders(parent: pathlib.Path) -> list[pathlib.Path]:
    if not parent.is_dir():
        return []
    found: Iterator[pathlib.Path] = parent.glob("step-*")
    return sorted(path for path in found if path.is_dir() and path.name[5:].isdigit())


def _fingerprint(path: pathlib.Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _check(path: pathlib.Path, expected: dict[str, Any]) -> None:
    if not path.is_file():
        raise _Damaged(f"{path.name} is missing")
    found = _fingerprint(path)
    if found["bytes"] != expected["bytes"]:
        raise _Damaged(f"{path.name} has {found['bytes']} bytes instead of {expected['bytes']}")
    if found["sha256"] != expected["sha256"]:
        raise _Damaged(f"{path.name} has changed since it was saved")


def _sync(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _existing(path: pathlib.Path) -> pathlib.Path:
    return path if path.exists() else _existing(path.parent)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    if not text:
        return type(error).__name__
    line = text.splitlines()[0]
    if isinstance(error, tf.errors.OpError):
        # "{{node ...}} path of a file; what the system says [Op:SaveV2]"
        line = re.sub(r"\{\{.*?\}\}|\[Op:\w+\]", "", line).strip()
        _, found, cause = line.rpartition("; ")
        if found:
            return cause
    return f"{type(error).__name__}: {line[:300]}"
