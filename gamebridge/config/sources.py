"""Where values come from: a TOML file and `--set` assignments, and the place of each value."""

from __future__ import annotations

import bisect
import dataclasses
import os
import re
from typing import Any

from gamebridge import errors
from gamebridge.config import tables
from gamebridge.config.tables import Keys

_MAX_BYTES = 256 * 1024
# Characters that may be parsed to find a line: about a second's worth.
_MAX_SEARCH = 2 * 1024 * 1024
_AT_LINE = re.compile(r" \((?:at line (\d+), column \d+|at end of document)\)$")


@dataclasses.dataclass(frozen=True)
class Source:
    """Where values came from, so that an error can name the place.

    Attributes:
      path: the TOML file; "" without one.
      text: what is in it.
      assignments: each as it was given to `assign`; they win over the file.
    """

    path: str = ""
    text: str = ""
    assignments: tuple[str, ...] = ()

    def place(self, keys: Keys) -> str:
        """Returns "--set a.b=c", "file:line", or "file", whichever gave the value of `keys`."""
        set_keys = [(_split(given)[0], given) for given in reversed(self.assignments)]
        for some, given in set_keys:
            if keys[: len(some)] == some:
                return f"--set {given}"
        line = self.line(keys)
        if line is not None:
            return f"{self.path}:{line}"
        for some, given in set_keys:
            if some[: len(keys)] == keys:
                return f"--set {given}"
        return self.path

    def line(self, keys: Keys) -> int | None:
        """Returns the line, from 1, on which the file first names `keys`; None if it does not.

        The parser itself is asked, so that tables, dotted keys, inline tables and text that
        looks like a key are all told apart: the key's name is changed on all lines after
        the n-th, and the least n for which the file still holds the key is the answer.
        """
        while keys and isinstance(keys[-1], int):
            keys = keys[:-1]
        if not keys:
            return None
        name = str(keys[-1])
        named = re.compile(rf"""(?<![\w-])(["']?){re.escape(name)}\1(?=[ \t]*[.=\]])""")
        other = f"{name}-"
        while other in self.text:
            other += "-"

        def rename(match: re.Match[str]) -> str:
            return f"{match[1]}{other}{match[1]}"

        lines = self.text.split("\n")
        candidates = [index for index, line in enumerate(lines) if named.search(line)]
        if len(self.text) * len(candidates).bit_length() > _MAX_SEARCH:
            return None

        def is_held(last: int) -> bool:
            rest = [named.sub(rename, line) for line in lines[last + 1 :]]
            held = tables.parse("\n".join(lines[: last + 1] + rest))
            return tables.find(held, keys) is not None

        try:
            found = bisect.bisect_left(candidates, True, key=is_held)
        except ValueError:
            return None  # a value that reads like the key was changed as well
        return candidates[found] + 1 if found < len(candidates) else None


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the values of a TOML file; an empty file gives {}.

    Raises:
      ConfigError: the file cannot be read, is larger than 256 KiB, or is not TOML.
    """
    return read(path)[0]


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Source]:
    """Returns the values of a TOML file, and the file as a `Source` for `convert`.

    Raises:
      ConfigError: as in `load`.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise errors.ConfigError(
            f"{name}: cannot be read: {reason}. Give the path of a TOML file."
        ) from error
    if len(data) > _MAX_BYTES:
        raise errors.ConfigError(
            f"{name}: larger than {_MAX_BYTES // 1024} KiB; settings are a few lines of TOML. "
            "Give another file."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise errors.ConfigError(
            f"{name}:{line}: not UTF-8 (byte 0x{data[error.start]:02x}). Save the file as UTF-8."
        ) from error
    try:
        return tables.parse(text), Source(name, text)
    except ValueError as error:
        raise errors.ConfigError(_syntax_message(name, text, str(error))) from error


def assign(values: dict[str, Any], assignment: str) -> None:
    """Sets one value in place, as `--set path.to.key=value` asks.

    Args:
      values: nested dicts; missing tables are made.
      assignment: "path.to.key=value". The value is TOML; a bare word that is no TOML
        value, such as `ppo`, is a text.

    Raises:
      ConfigError: the form is another, or a part of the path is not a table.
    """
    keys, text = _split(assignment)
    value = _assigned_value(assignment, text)
    table = values
    for depth, key in enumerate(keys[:-1]):
        table = table.setdefault(str(key), {})
        if not isinstance(table, dict):
            name = tables.key_text(keys[: depth + 1])
            raise errors.ConfigError(
                f"--set {assignment}: '{name}' is {tables.short(table)}, not a table; "
                "nothing can be set inside it."
            )
    table[str(keys[-1])] = value


def _split(assignment: str) -> tuple[Keys, str]:
    key_text, equals, text = assignment.partition("=")
    wrong = errors.ConfigError(
        f"--set {assignment}: expected path.to.key=value, such as run.steps=1000."
    )
    if not equals or "\n" in assignment:
        raise wrong
    try:
        table: Any = tables.parse(f"{key_text} = 0")
    except ValueError as error:
        raise wrong from error
    keys: Keys = ()
    while isinstance(table, dict) and len(table) == 1:
        ((key, table),) = table.items()
        keys = (*keys, key)
    if table != 0:
        raise wrong
    return keys, text.strip()


def _assigned_value(assignment: str, text: str) -> Any:
    if not text:
        raise errors.ConfigError(
            f'--set {assignment}: no value after the "="; an empty text is written as \'""\'.'
        )
    try:
        return tables.parse(f"value = {text}")["value"]
    except ValueError as error:
        if text[0] in "[{\"'":
            raise errors.ConfigError(
                f"--set {assignment}: {tables.short(text)} is no TOML value. "
                "Close every bracket and quote, and keep the shell from eating the quotes."
            ) from error
        return text


def _syntax_message(name: str, text: str, reason: str) -> str:
    place = _AT_LINE.search(reason)
    if place is None:
        return f"{name}: {reason}."
    lines = text.rstrip().split("\n")
    line = int(place[1]) if place[1] else len(lines)
    shown = tables.short(lines[line - 1].strip()) if line <= len(lines) else "''"
    reason = reason[: place.start()]
    if reason.startswith("Cannot"):
        cure = "A key or table may be given only once."
    else:
        cure = "Expected TOML: key = value, texts in quotes."
    return f"{name}:{line}: {reason} in {shown}. {cure}"
