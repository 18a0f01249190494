"""Lines: a file of JSON objects, one a line, that a process may be killed in the midst of."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from gamebridge import files


def read(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the whole lines of a file, none where there is no file.

    Left out is what a killed process had not finished.

    Raises:
      OSError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def drop_after(path: pathlib.Path, step: float) -> None:
    """Drops the lines that tell of a later "step" or of none, and those that are not whole.

    Raises:
      OSError: it cannot be read or written; it is as it was.
    """
    if not path.exists():
        return
    kept = []
    for line in read(path):
        found = line.get("step")
        if isinstance(found, int) and found <= step:
            kept.append(json.dumps(line) + "\n")
    files.write_text(path, "".join(kept))
