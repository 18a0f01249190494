"""The errors that gamebridge raises, each with the exit code of its kind.

    Error                  anything gamebridge says itself
    +-- ConfigError        2  a command line, a settings file, a run folder in use
    |   +-- UnknownId      2  no such game, agent or plugin
    +-- PluginError        3  a plugin that cannot be loaded or used
    +-- GameError          4  a game breaks its own spec, or raises
    |   +-- FitError       4  this agent cannot play this game
    |   +-- ActionError    4  an action breaks the game's spec: not the game is to blame
    +-- PlayerError        5  a player or worker process is lost for good
    +-- StorageError       6  a checkpoint or recording cannot be read or written
    +-- DivergenceError    7  training left the finite numbers
    +-- SecurityError      8  refused because it is not safe
    +-- Stopped       128+n  a signal ended the run after its checkpoint was saved

Every message says in one line what happened with its values, what was expected,
and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Error(Exception):
    """Base of all errors of gamebridge; `exit_code` is what the CLI leaves with."""

    exit_code = 1


class ConfigError(Error):
    """The caller asked for something that settings or arguments do not allow."""

    exit_code = 2


class UnknownId(ConfigError):
    """No game, agent or plugin has this id."""


class PluginError(Error):
    """A plugin cannot be loaded, or yields something that is not a record."""

    exit_code = 3


class GameError(Error):
    """A game raised, or gave a value that breaks its own spec."""

    exit_code = 4


class FitError(GameError):
    """The agent's needs and the game's specs cannot be joined."""


class ActionError(GameError):
    """An action breaks the game's action spec: whoever acts is to blame, not the game."""


class PlayerError(Error):
    """A player or worker process is gone and its restart budget is spent."""

    exit_code = 5


class StorageError(Error):
    """A checkpoint, run folder or recording cannot be read or written."""

    exit_code = 6


class DivergenceError(Error):
    """A loss, a weight or a return is no longer a finite number."""

    exit_code = 7


class SecurityError(Error):
    """Refused because going on would not be safe."""

    exit_code = 8


class Stopped(Error):
    """A signal ended the run; its state was saved before."""

    def __init__(self, message: str, signal_number: int) -> None:
        """Keeps the signal's number: the exit code is 128 plus it, as a shell has it."""
        super().__init__(message)
        self.exit_code = 128 + signal_number


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?", or "" where nothing known is near `word`."""
    candidates = list(dict.fromkeys(known))
    near = difflib.get_close_matches(word, candidates, n=3, cutoff=0.6)
    if not near:
        folded = {name.lower(): name for name in candidates}
        near = [folded[name] for name in difflib.get_close_matches(word.lower(), folded, n=3)]
    if not near:
        return ""
    return " Did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
