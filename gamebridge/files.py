"""Files that are there whole or as they were before, whatever stops the writing of them."""

from __future__ import annotations

import os
import pathlib
import shutil

# What begins with this was left by a process that was stopped; nobody reads it.
TEMPORARY = ".tmp-"


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file in place of what was there, on the disk when this returns.

    Raises:
      OSError: the disk is full or not writable; what was there is as it was.
    """
    temporary = path.with_name(TEMPORARY + path.name)
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: pathlib.Path) -> None:
    """Returns when what a file holds, or which names a folder has, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_mib(path: pathlib.Path) -> float:
    """MiB that are free where a file or folder lies.

    Raises:
      OSError: it is not there, or its disk cannot be looked at.
    """
    return shutil.disk_usage(path).free / 2**20


def remove(path: pathlib.Path) -> None:
    """Removes a file, a folder with all that is in it, or a link and not what it leads to.

    Raises:
      OSError: it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
