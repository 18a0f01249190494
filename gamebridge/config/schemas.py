"""From plain values to a typed record: `convert`, and what it says of a wrong value."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from gamebridge import errors
from gamebridge.config import sources, tables
from gamebridge.config.tables import Keys

T = TypeVar("T")

# What msgspec's messages look like.
_AT_PATH = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.S)
_EXPECTED = re.compile(r"Expected `(.+?)`(.*), got ")
_MISSING = re.compile(r"Object missing required field `(.+)`")


def convert(
    values: Mapping[str, Any],
    schema: type[T],
    *,
    path: str = "",
    source: sources.Source | None = None,
) -> T:
    """Returns an instance of `schema` made of plain values.

    Args:
      values: nested dicts; an int may stand for a float, nothing else is converted.
      schema: a dataclass of str, bool, int, float, Literal, Optional, tuple, dict and
        dataclasses.
      path: the dotted path of the table that `values` is, for messages and lines.
      source: where the values came from.

    Raises:
      ConfigError: a key is unknown or missing, a value has the wrong type or is not a
        finite number, or a `__post_init__` raised ValueError or TypeError.
      PluginError: `schema` itself cannot be read.
    """
    import msgspec

    source = source or sources.Source()
    base: Keys = tuple(path.split(".")) if path else ()
    try:
        _refuse_unknown(values, schema, base, source)
        _refuse_infinite(values, base, source)
        return msgspec.convert(dict(values), schema, strict=True)
    except msgspec.ValidationError as error:
        raise _explained(error, values, schema, base, source) from error
    except errors.Error:
        raise
    except Exception as error:
        # The schema is a plugin's: its types and its __post_init__ may do anything.
        raise errors.PluginError(
            f"The settings class '{schema.__module__}.{schema.__qualname__}' cannot be used: "
            f"{type(error).__name__}: {error}. It must be a dataclass of str, bool, int, float, "
            "Literal, tuple, dict and dataclasses, and refuse a value by ValueError."
        ) from error


def _refuse_unknown(value: Any, hint: Any, keys: Keys, source: sources.Source) -> None:
    """Walks values and types side by side; msgspec would pass over keys it does not know."""
    known = _hints_inside(hint, value)
    is_record = dataclasses.is_dataclass(_member(hint, value))
    for key, part in tables.items(value):
        full = (*keys, key)
        if key in known:
            _refuse_unknown(part, known[key], full, source)
        elif is_record:
            near = errors.nearest(str(key), known)
            allowed = ", ".join(f"'{name}'" for name in known) or "none"
            text = f"unknown key '{tables.key_text(full)}'.{near} Allowed here: {allowed}."
            raise _error(source, full, text)


def _refuse_infinite(value: Any, keys: Keys, source: sources.Source) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        text = f"'{tables.key_text(keys)}' is {value}; expected a finite number."
        raise _error(source, keys, text)
    for key, inner in tables.items(value):
        _refuse_infinite(inner, (*keys, key), source)


def _member(hint: Any, value: Any) -> Any:
    """Returns the member of a union that tells what is inside `value`, or `hint` itself."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint
    members = typing.get_args(hint)
    wanted = (dict, Mapping) if isinstance(value, Mapping) else (list, tuple)
    for member in members:
        if dataclasses.is_dataclass(member) and isinstance(value, Mapping):
            return member
        if (typing.get_origin(member) or member) in wanted:
            return member
    return hint


def _hints_inside(hint: Any, value: Any) -> dict[Any, Any]:
    """Returns the type of each part of a value, by key or index, where `hint` tells it."""
    hint = _member(hint, value)
    if dataclasses.is_dataclass(hint):
        known = typing.get_type_hints(hint)
        return {field.name: known[field.name] for field in dataclasses.fields(hint) if field.init}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(value, Mapping) and len(arguments) == 2:
        return dict.fromkeys(value, arguments[1])
    if isinstance(value, (list, tuple)) and origin in (list, tuple):
        is_repeated = origin is list or arguments[-1:] == (...,)
        return dict(enumerate(arguments[:1] * len(value) if is_repeated else arguments))
    return {}


def _explained(
    error: Exception, value: Any, hint: Any, base: Keys, source: sources.Source
) -> errors.ConfigError:
    """Says what msgspec says of `value`, which is found at `base`, in the words of a TOML file."""
    message, path = _AT_PATH.fullmatch(str(error)).groups(default="")  # type: ignore[union-attr]
    before, in_dict, _ = path.partition("[...]")
    keys: Keys = ()
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", before):
        keys = (*keys, name or int(index))
        hint, value = _hints_inside(hint, value)[keys[-1]], value[keys[-1]]
    keys = (*base, *keys)
    if in_dict:
        return _explained_inside(value, hint, keys, source)

    label = f"'{tables.key_text(keys)}'" if keys else "settings"
    if error.__cause__ is not None:
        # A __post_init__ speaks of its fields by name: the first one named is to blame.
        message = " ".join(str(error.__cause__).split())
        known = value if isinstance(value, Mapping) else {}
        keys = (*keys, *[word for word in re.findall(r"\w+", message) if word in known][:1])
        return _error(source, keys, f"'{tables.key_text(keys)}': {message}" if keys else message)
    missing = _MISSING.fullmatch(message)
    if missing:
        text = f"'{tables.key_text((*keys, missing[1]))}' is missing; give it a value."
        return _error(source, keys, text)
    expected = _EXPECTED.match(message)
    got = f"{label} is {tables.short(value)}"
    if message.startswith("Invalid enum value"):
        choices = _choices(hint)
        wanted = " or ".join(repr(choice) for choice in choices)
        text = f"{got}; expected {wanted}.{errors.nearest(str(value), map(str, choices))}"
    elif expected:
        # TOML has no null, and calls msgspec's object a table.
        kind = expected[1].replace(" | null", "").replace("object", "table").replace(" | ", " or ")
        text = f"{got} ({type(value).__name__}); expected {kind}{expected[2]}."
    else:
        text = f"{got}; {message[:1].lower()}{message[1:]}."
    return _error(source, keys, text)


def _explained_inside(
    value: Mapping[str, Any], hint: Any, keys: Keys, source: sources.Source
) -> errors.ConfigError:
    """Finds the first wrong value of a dict: msgspec does not say which one it is."""
    import msgspec

    hints = _hints_inside(hint, value)
    for key, inner in value.items():
        try:
            msgspec.convert(inner, hints[key], strict=True)
        except msgspec.ValidationError as error:
            return _explained(error, inner, hints[key], (*keys, key), source)
    return _error(source, keys, f"'{tables.key_text(keys)}' has a key of the wrong type.")


def _choices(hint: Any) -> list[Any]:
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    return [choice for argument in typing.get_args(hint) for choice in _choices(argument)]


def _error(source: sources.Source, keys: Keys, text: str) -> errors.ConfigError:
    place = source.place(keys)
    return errors.ConfigError(f"{place}: {text}" if place else text)
