"""Nested dicts of plain values, as TOML has them: parsed, merged, searched, written."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# A value's path: names of tables and keys, and indices into arrays.
Keys = tuple[str | int, ...]

_MAX_DEPTH = 32
# tomllib takes the square of a dotted key's length: minutes for one of 256 KiB.
_KEY_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DEEP_KEY = re.compile(rf"(?:^|[{{,])[ \t\[]*(?:{_KEY_PART}[ \t]*\.[ \t]*){{{_MAX_DEPTH}}}", re.M)


def parse(text: str) -> dict[str, Any]:
    """Returns the values of TOML text.

    Raises:
      ValueError: it is not TOML, or nested too deeply; ends in "(at line 3, column 1)"
        where the line is known.
    """
    too_deep = f"Tables or arrays are nested more than {_MAX_DEPTH} deep"
    deep = _DEEP_KEY.search(text)
    if deep:
        line = text.count("\n", 0, deep.end()) + 1
        raise ValueError(f"{too_deep} (at line {line}, column 1)")
    try:
        values = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(too_deep) from error
    layer: list[Any] = [values]
    for _ in range(_MAX_DEPTH):
        layer = [inner for outer in layer for _, inner in items(outer)]
    if layer:
        raise ValueError(too_deep)
    return values


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a new dict: `over` laid upon `base`, tables merged, other values replaced."""
    merged = {k: merge(v, {}) if isinstance(v, Mapping) else v for k, v in base.items()}
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping):
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def to_toml(values: Mapping[str, Any]) -> str:
    """Returns the values as TOML text; keys whose value is None are left out.

    Raises:
      TypeError: a value is none of TOML's kinds.
    """
    import tomli_w

    return tomli_w.dumps(_without_none(values))


def items(value: Any) -> Iterator[tuple[str | int, Any]]:
    """Yields what is directly inside a table (by key) or an array (by index)."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)


def find(value: Any, keys: Keys) -> Any:
    """Returns what is at `keys` inside nested tables and arrays; None if there is nothing."""
    for key in keys:
        value = dict(items(value)).get(key)
    return value


def key_text(keys: Keys) -> str:
    """Returns a path as people write it: train.games[0].id."""
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return "".join(parts).removeprefix(".")


def short(value: Any) -> str:
    """Returns a value for a message, cut where it would fill more than a line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [_without_none(inner) for inner in value]
    return value
