"""`Field`: one setting as a person sets it, with its type, default and documentation."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

_ATTRIBUTES = re.compile(r"^( *)Attributes:\n((?:\1 +.*\n|\n)*)", re.M)


@dataclasses.dataclass(frozen=True)
class Field:
    """A setting.

    Attributes:
      path: what `--set` calls it, such as "agent.learning_rate".
      kind: its type, for people.
      default: its default, a plain value.
      summary: what its class says of it; "" for nothing.
    """

    path: str
    kind: str
    default: Any
    summary: str


def of(settings: type[Any], path: str, values: dict[str, Any] | None = None) -> Iterator[Field]:
    """Yields the settings of a dataclass, those of dataclasses within it too.

    Args:
      settings: a dataclass, each field with a default.
      path: of the table, such as "agent".
      values: plain values that are laid over the defaults.
    """
    hints, summaries = typing.get_type_hints(settings), _summaries(settings)
    for field in dataclasses.fields(settings):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        default = (values or {}).get(field.name, default)
        inner = _record_in(hints[field.name])
        name = f"{path}.{field.name}"
        if inner is None:
            kind = _kind_text(hints[field.name])
            yield Field(name, kind, default, summaries.get(field.name, ""))
        else:
            given = dataclasses.asdict(default) if dataclasses.is_dataclass(default) else default
            yield from of(inner, name, given)


def _record_in(hint: Any) -> type[Any] | None:
    """Returns the dataclass that a hint is, or is beside None; None for any other."""
    for member in (hint, *typing.get_args(hint)):
        if isinstance(member, type) and dataclasses.is_dataclass(member):
            return member
    return None


def _kind_text(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " | ".join(repr(choice) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_kind_text(member) for member in arguments)
    if hint is type(None):
        return "None"
    if isinstance(hint, type) and origin is None:
        return hint.__name__
    return str(hint).replace("typing.", "")


def _summaries(settings: type[Any]) -> dict[str, str]:
    """Reads the sections "Attributes:" of the Google docstrings of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(settings.__mro__):
        found.update(_own_summaries(base))
    return found


def _own_summaries(settings: type[Any]) -> dict[str, str]:
    section = _ATTRIBUTES.search(f"{settings.__doc__ or ''}\n")
    if section is None:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    body = section[2].rstrip("\n").split("\n")
    depth = min((len(line) - len(line.lstrip()) for line in body if line.strip()), default=0)
    for line in body:
        entry = re.fullmatch(r"([\w, ]+): +(.*)", line[depth:])
        if entry and not line[depth:].startswith(" "):
            names = [name.strip() for name in entry[1].split(",")]
            found.update(dict.fromkeys(names, entry[2]))
        elif line.strip():
            for name in names:
                found[name] += f" {line.strip()}"
    return found
