"""Conversion of a library's nests, of specs and of values, to ours and back.

What libraries have in common is here; how one of them writes a leaf is its `Dialect`.

A part of an observation that cannot be numbers (text, a sequence, a graph) is left out
and named in `dropped`; in a tuple the parts after it move up by one. The whole of an
observation, and any part of an action, must be numbers.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gamebridge import errors
from gamebridge.adapters import limits, rows
from gamebridge.contract import specs
from gamebridge.contract.specs import ArraySpec

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Function: TypeAlias = "Callable[[Any], Any]"


class Dialect(abc.ABC):
    """How one library writes specs and actions."""

    @abc.abstractmethod
    def split(self, node: Any) -> dict[str, Any] | tuple[Any, ...] | None:
        """Returns the parts of a nest; None for a leaf. Keys are checked by the caller."""

    @abc.abstractmethod
    def leaf(self, node: Any, label: str, name: str, *, is_action: bool) -> ArraySpec | None:
        """Returns the spec of a leaf called `name`; None where it cannot be numbers.

        Raises:
          GameError: it is larger than `limits` allows.
        """

    @abc.abstractmethod
    def writer(self, node: Any) -> Function | None:
        """Returns what turns a leaf's action into the library's form; None for as it is."""

    def join(self, node: Any, parts: dict[str, Any] | tuple[Any, ...]) -> Any:
        """Returns the parts of an action as the library's own kind of nest."""
        return parts


@dataclasses.dataclass(frozen=True)
class Observation:
    """What became of an observation's spec.

    Attributes:
      spec: ours.
      read: turns the library's value into a nest that fits `spec`; None for as it is.
      dropped: paths of the parts left out, with their types.
    """

    spec: specs.Spec
    read: Function | None
    dropped: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Action:
    """What became of an action's spec.

    Attributes:
      spec: ours.
      write: turns one slot's action into the library's form; None for as it is.
    """

    spec: specs.Spec
    write: Function | None


def observation(dialect: Dialect, node: Any, game: str) -> Observation:
    """Converts the spec of an observation.

    Raises:
      GameError: no part of it is numbers, or a part is larger than `limits` allows.
    """
    dropped: list[str] = []
    spec, read = _observation(dialect, node, game, "", dropped)
    if spec is None:
        raise errors.GameError(
            f"{game}: nothing of the observation can be numbers: {', '.join(dropped) or 'empty'}. "
            "Encode it as numbers in the game."
        )
    return Observation(spec, read, tuple(dropped))


def action(dialect: Dialect, node: Any, game: str) -> Action:
    """Converts the spec of an action.

    Raises:
      GameError: a part of it is not numbers, or larger than `limits` allows.
    """
    return Action(*_action(dialect, node, game, ""))


def _observation(
    dialect: Dialect, node: Any, game: str, path: str, dropped: list[str]
) -> tuple[specs.Spec | None, Function | None]:
    parts = dialect.split(node)
    label = f"{game}: {rows.label(path)}"
    if parts is None:
        leaf = dialect.leaf(node, label, path or "observation", is_action=False)
        if leaf is None:
            dropped.append(f"'{path}' ({type(node).__name__})" if path else type(node).__name__)
        return leaf, None
    kept: dict[Any, specs.Spec] = {}
    readers: dict[Any, Function] = {}
    for key, part in _items(parts, label):
        where = _join(path, key)
        spec, read = _observation(dialect, part, game, where, dropped)
        if spec is not None:
            kept[key] = spec
            if read is not None:
                readers[key] = read
    if not kept:
        return None, None
    is_whole = len(kept) == len(parts) and not readers
    if isinstance(parts, dict):
        lost = frozenset(parts) - frozenset(kept)
        return kept, None if is_whole else functools.partial(_read_dict, readers, lost)
    reader = functools.partial(_read_tuple, readers, tuple(kept), len(parts), path)
    return tuple(kept.values()), None if is_whole else reader


def _read_dict(readers: dict[str, Function], lost: frozenset[str], value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        key: readers[key](part) if key in readers else part
        for key, part in value.items()
        if key not in lost
    }


def _read_tuple(
    readers: dict[int, Function], kept: tuple[int, ...], num_parts: int, path: str, value: Any
) -> Any:
    if not isinstance(value, (tuple, list)) or len(value) != num_parts:
        found = f"{len(value)}" if isinstance(value, (tuple, list)) else type(value).__name__
        raise rows.BadValue(f"{rows.label(path)} has parts: {found}, expected {num_parts}")
    return tuple(readers[i](value[i]) if i in readers else value[i] for i in kept)


def _action(
    dialect: Dialect, node: Any, game: str, path: str
) -> tuple[specs.Spec, Function | None]:
    parts = dialect.split(node)
    label = f"{game}: action '{path}'" if path else f"{game}: the action"
    if parts is None:
        spec = dialect.leaf(node, label, path or "action", is_action=True)
        if spec is None:
            raise errors.GameError(
                f"{label} is {type(node).__name__}, which cannot be numbers: an agent can only "
                "give numbers. Give the game another action space."
            )
        return spec, dialect.writer(node)
    if not parts:
        raise errors.GameError(f"{label} has no parts: expected at least one.")
    children: dict[Any, specs.Spec] = {}
    writers: dict[Any, Function | None] = {}
    for key, part in _items(parts, label):
        children[key], writers[key] = _action(dialect, part, game, _join(path, key))
    write = functools.partial(_write_parts, dialect, node, writers)
    return (children if isinstance(parts, dict) else tuple(children.values())), write


def _write_parts(
    dialect: Dialect, node: Any, writers: dict[Any, Function | None], value: Any
) -> Any:
    written = {
        key: value[key] if write is None else write(value[key]) for key, write in writers.items()
    }
    return dialect.join(node, written if isinstance(value, dict) else tuple(written.values()))


def _items(parts: dict[str, Any] | tuple[Any, ...], label: str) -> Iterable[tuple[str | int, Any]]:
    if isinstance(parts, dict):
        return [(limits.check_name(label, key), part) for key, part in parts.items()]
    return list(enumerate(parts))


def _join(path: str, key: str | int) -> str:
    return f"{path}/{key}" if path else str(key)
