"""`manifest.json`: what a checkpoint needs to be whole, each file with size and SHA-256.

It is sealed with a SHA-256 of its own, so that a change in it is seen too.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
from typing import Any

import tensorflow as tf  # noqa: TID253

from gamebridge import files

NAME = "manifest.json"
_FORMAT = 1


class Damaged(Exception):
    """A checkpoint that is not whole."""


def write(
    folder: pathlib.Path, step: int, state: dict[str, Any], segments: list[dict[str, Any]]
) -> None:
    """Writes the manifest of the files in a folder, which are then on the disk.

    Args:
      folder: what is to become a checkpoint.
      step: of the training.
      state: JSON, for whoever restores it.
      segments: of the replay buffer, as `describe` and more tell of each.

    Raises:
      OSError: the disk is full or not writable.
    """
    manifest = {
        "format": _FORMAT,
        "step": step,
        "state": state,
        "files": {path.name: describe(path) for path in sorted(folder.iterdir())},
        "segments": segments,
    }
    manifest["sha256"] = seal(manifest)
    for path in folder.iterdir():
        files.sync(path)
    files.write_text(folder / NAME, json.dumps(manifest, indent=1))


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Reads the manifest of a checkpoint.

    Raises:
      Damaged: it is not whole, or of another format.
    """
    try:
        manifest = json.loads((folder / NAME).read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT:
            raise Damaged(f"its format is {manifest['format']}, this gamebridge reads {_FORMAT}")
        if manifest.pop("sha256") != seal(manifest):
            raise Damaged("its manifest has changed since it was saved")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"its manifest cannot be read ({cause(error)})") from error
    return dict(manifest)


def seal(manifest: dict[str, Any]) -> str:
    """Returns the SHA-256 of all that a manifest says."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def describe(path: pathlib.Path) -> dict[str, Any]:
    """Returns "bytes" and "sha256" of a file.

    Raises:
      OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def check(path: pathlib.Path, described: dict[str, Any]) -> None:
    """Compares a file with what `describe` told of it.

    Raises:
      Damaged: it is missing or another.
      OSError: it cannot be read.
    """
    if not path.is_file():
        raise Damaged(f"{path.name} is missing")
    found = describe(path)
    if found["bytes"] != described["bytes"]:
        raise Damaged(f"{path.name} has {found['bytes']} bytes instead of {described['bytes']}")
    if found["sha256"] != described["sha256"]:
        raise Damaged(f"{path.name} has changed since it was saved")


def cause(error: BaseException) -> str:
    """Returns in a line why a file could not be written or read."""
    text = str(error).strip()
    if not text:
        return type(error).__name__
    line = text.splitlines()[0]
    if isinstance(error, tf.errors.OpError):
        # "{{node ...}} path of a file; what the system says [Op:SaveV2]"
        line = re.sub(r"\{\{.*?\}\}|\[Op:\w+\]", "", line).strip()
        _, found, told = line.rpartition("; ")
        if found:
            return told
    return f"{type(error).__name__}: {line[:300]}"
