"""`Scratch`: a temporary folder that ends with its process, however that ends.

A process that is killed removes nothing. So each folder is locked by its process, which the
kernel undoes at its end, and who makes a folder first removes those of the same kind that
nobody holds any more. A folder that was kept for people to read is removed after a week. Never
touched is what another user owns, or what cannot be locked at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import stat
import tempfile
import time
import types

_KEPT_S = 7 * 86_400.0
# In a folder that goes with its process; written once it is locked.
_OWNED = ".owned"


class Scratch:
    """A folder for this user alone; see this module.

    Attributes:
      path: where it is.
    """

    def __init__(self, prefix: str) -> None:
        """Makes it, after `sweep` of the same prefix.

        Args:
          prefix: what its name begins with, such as "gamebridge-display-".

        Raises:
          OSError: it cannot be made.
        """
        sweep(prefix)
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
        self._lock_fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        # Where folders cannot be locked, or the disk is full, it is an unowned one.
        with contextlib.suppress(OSError):
            # One that sweeps may have it for a moment.
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
            (self.path / _OWNED).touch(mode=0o600)

    def __enter__(self) -> pathlib.Path:
        """Returns its path: `with` removes it."""
        return self.path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        """Removes it."""
        self.remove()

    def remove(self) -> None:
        """Removes it and all that is in it. May be called twice."""
        if self._lock_fd >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            self._unlock()

    def keep(self) -> None:
        """Leaves it for people to read, for a week. May be called twice."""
        if self._lock_fd >= 0:
            with contextlib.suppress(OSError):
                (self.path / _OWNED).unlink()
            self._unlock()

    def _unlock(self) -> None:
        os.close(self._lock_fd)
        self._lock_fd = -1


def sweep(prefix: str) -> None:
    """Removes what begins so in the folder of temporary files and is nobody's any more.

    Folders of processes that have ended, and what was kept, folders and files, after a week.
    """
    with contextlib.suppress(OSError):
        for path in pathlib.Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            with contextlib.suppress(OSError):
                _sweep(path)


def _sweep(path: pathlib.Path) -> None:
    status = path.lstat()
    if status.st_uid != os.getuid():
        return
    if stat.S_ISREG(status.st_mode):
        if _is_old([path]):
            path.unlink()
    elif stat.S_ISDIR(status.st_mode):
        lock_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Without that file it was kept, or is being made at this moment.
            if (path / _OWNED).exists() or _is_old([path, *path.iterdir()]):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock_fd)


def _is_old(paths: list[pathlib.Path]) -> bool:
    newest_s = max(path.lstat().st_mtime for path in paths)
    return time.time() - newest_s > _KEPT_S
