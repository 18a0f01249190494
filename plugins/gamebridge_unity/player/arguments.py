"""The command line of a player, read as a Unity build reads it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

PORT_FLAG = "--mlagents-port"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What a trainer said on the command line.

    Attributes:
      port: where the trainer listens; None where none was named, or no number.
      log_path: the file for the log; "-" for standard output, None for standard error.
      no_graphics: whether `-nographics` was given: a Unity build draws nothing then.
      others: the rest, in its order.
    """

    port: int | None
    log_path: str | None
    no_graphics: bool
    others: tuple[str, ...]


def scan(argv: Sequence[str]) -> Arguments:
    """Scans a command line, without the program's name.

    Flags of a Unity player have one dash and any case. As there, the last one wins, a flag
    that is unknown is left alone, and a port that is no number counts as none.
    """
    port: int | None = None
    log_path: str | None = None
    no_graphics = False
    others = []
    rest = iter(argv)
    for word in rest:
        if word == PORT_FLAG:
            value = next(rest, "")
            # At least one digit, none of another script.
            port = int(value) if value.isascii() and value.isdigit() else None
        elif word.lower() == "-logfile":
            log_path = next(rest, None)
        elif word.lower() == "-nographics":
            no_graphics = True
        elif word.lower() != "-batchmode":
            others.append(word)
    return Arguments(port, log_path, no_graphics, tuple(others))


def take(others: Sequence[str], flag: str, default: str) -> str:
    """Returns the word after the last `flag` of a program's own; `default` without it."""
    found = default
    for word, following in itertools.pairwise(others):
        if word == flag:
            found = following
    return found
