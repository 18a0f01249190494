"""`Checkpoints`: the saved states of one run, each whole or not there at all.

    checkpoints/step-000000010240/   manifest.json  weights.index  weights.data-...
    best/step-000000010240/          the one with the best validation return
    best/.tmp-candidate/             one that is being judged, by hard links: pruning leaves it
    replay/                          the replay buffer; see `segments`

A checkpoint is written beside its place, synced and renamed. Restoring walks from the newest
back to the first that is whole by its manifest. No pickles: TensorFlow's own format, JSON and
plain .npy arrays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import tensorflow as tf  # noqa: TID253

from gamebridge import errors, files
from gamebridge.training import manifests, segments, stores

_LOG = logging.getLogger(__name__)
_CANDIDATE = f"{files.TEMPORARY}candidate"


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
        self._keep = keep
        self._segments: segments.Segments | None = None
        if replay is not None:
            self._segments = segments.Segments(folder / "replay", replay, is_saved=saves_replay)

    def steps(self, which: str = "checkpoints") -> list[int]:
        """The steps of the checkpoints that are there, whole or not, oldest first."""
        return [int(path.name[5:]) for path in _step_folders(self._folder / which)]

    def sweep(self) -> None:
        """Removes what a killed process left half written."""
        for which in ("checkpoints", "best", "replay"):
            for path in (self._folder / which).glob(f"{files.TEMPORARY}*"):
                _LOG.info("removing the half-written %s", path.name)
                files.remove(path)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Saves a checkpoint at `step` with JSON `state` beside it; prunes older ones.

        Raises:
          StorageError: the disk is full or not writable. Older checkpoints are intact.
        """
        try:
            saved = self._segments.save() if self._segments else []
            self._write(self._folder / "checkpoints", step, state, saved)
            if self._segments:
                self._segments.keep(saved)
            self._prune()
        except (OSError, tf.errors.OpError) as error:
            self.sweep()
            raise errors.StorageError(
                f"Cannot save the checkpoint of step {step:,} in {self._folder}: "
                f"{manifests.cause(error)} ({_free(self._folder)}). Older checkpoints are intact; "
                "free space or make the folder writable, then resume."
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
                f"Cannot hold {source} in {held}: {manifests.cause(error)}. Free space or make the "
                "folder writable."
            ) from error
        except manifests.Damaged as damage:
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
            (self._candidate / manifests.NAME).unlink()
            _finish(self._candidate, step, state, [])
            _keep_only(self._candidate.parent, step)

    def let_go(self) -> None:
        """Lets go of the checkpoint that is held, if there is one."""
        shutil.rmtree(self._candidate, ignore_errors=True)

    def best_return(self) -> float | None:
        """The return with which the best checkpoint became that; None where there is none."""
        for path in _step_folders(self._folder / "best")[::-1]:
            with contextlib.suppress(manifests.Damaged):
                found: float | None = manifests.read(path)["state"].get("best")
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
                f"{manifests.cause(error)}. Free space or make the folder writable, then resume."
            ) from error

    def restore(self, which: str = "checkpoints", with_replay: bool = True) -> Restored | None:
        """Restores the newest whole checkpoint; None where there has never been one.

        Raises:
          StorageError: checkpoints are there and none can be restored. Training never
            starts from zero in silence.
        """
        folders = _step_folders(self._folder / which)[::-1]
        for replay_too in (True, False) if self._segments and with_replay else (False,):
            lost: list[str] = []
            for path in folders:
                try:
                    restored = self._restore_one(path, replay_too)
                except manifests.Damaged as damage:
                    lost.append(f"{path.name} is lost: {damage}")
                    continue
                if self._segments and with_replay and not replay_too:
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
                files.remove(path)

    def _write(
        self,
        parent: pathlib.Path,
        step: int,
        state: dict[str, Any],
        saved_segments: list[dict[str, Any]],
    ) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        temporary = parent / f"{files.TEMPORARY}{step:012d}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        self._checkpoint.write(str(temporary / "weights"))
        _finish(temporary, step, state, saved_segments)

    def _prune(self) -> None:
        folders = _step_folders(self._folder / "checkpoints")
        for path in folders[: -self._keep]:
            files.remove(path)
        if self._segments:
            kept = folders[-self._keep :]
            self._segments.prune({one["name"] for path in kept for one in _segments_of(path)})

    def _restore_one(self, path: pathlib.Path, with_replay: bool) -> dict[str, Any]:
        manifest = manifests.read(path)
        for name, described in manifest["files"].items():
            manifests.check(path / name, described)
        saved = manifest["segments"] if with_replay else []
        if self._segments:
            self._segments.check(saved)
        try:
            self._refuse_leftovers(str(path / "weights"))
            status = self._checkpoint.read(str(path / "weights"))
            status.assert_existing_objects_matched().expect_partial()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise errors.StorageError(
                f"{path} holds the weights of another network: {manifests.cause(error)}. "
                "Resume with the settings in the run's own run.toml."
            ) from error
        if self._segments:
            self._segments.restore(saved)
        return dict(manifest["state"])

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


def _finish(
    temporary: pathlib.Path,
    step: int,
    state: dict[str, Any],
    saved_segments: list[dict[str, Any]],
) -> None:
    """Gives a folder with weights its manifest and its place."""
    manifests.write(temporary, step, state, saved_segments)
    target = temporary.parent / _name(step)
    if target.exists():
        files.remove(target)
    os.rename(temporary, target)
    files.sync(temporary.parent)


def _free(folder: pathlib.Path) -> str:
    while not folder.exists():
        folder = folder.parent
    return f"{files.free_mib(folder):,.0f} MiB free"


def _segments_of(path: pathlib.Path) -> list[dict[str, Any]]:
    with contextlib.suppress(manifests.Damaged):
        return list(manifests.read(path)["segments"])
    return []


def _name(step: int) -> str:
    return f"step-{step:012d}"


def _keep_only(parent: pathlib.Path, step: int) -> None:
    for path in _step_folders(parent):
        if path.name != _name(step):
            files.remove(path)


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
