"""The specs that a run was trained on, kept in its folder as specs.json.

A network fits one kind of observation and action: whoever loads its weights for another
game hears which leaf differs.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING

from gamebridge import errors
from gamebridge.contract import game as games
from gamebridge.contract import specs
from gamebridge.wrappers import actions

if TYPE_CHECKING:
    from gamebridge.training.runs import Plan, Run


def write(run: Run, game: games.Game) -> None:
    """Writes them, or checks those that are there already.

    Raises:
      StorageError: the file cannot be written or read.
      FitError: they differ.
    """
    text = json.dumps(_texts(game), indent=1) + "\n"
    path = run.folder / "specs.json"
    if not path.exists():
        temporary = run.folder / ".tmp-specs.json"
        try:
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, path)
        except OSError as error:
            raise errors.StorageError(
                f"Cannot write {path}: {error}. Free space or make the folder writable."
            ) from error
    check(run, run.plan(), game)


def check(run: Run, plan: Plan, game: games.Game) -> None:
    """Compares the game's specs with those that the run was trained on.

    Raises:
      StorageError: the file cannot be read.
      FitError: they differ.
    """
    path = run.folder / "specs.json"
    try:
        trained = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise errors.StorageError(f"Cannot read {path}: {error}. Is this a whole run?") from error
    found = _texts(game)
    for name in sorted({*trained, *found}):
        if trained.get(name) != found.get(name):
            raise errors.FitError(
                f"{game.name} has other specs than {plan.run.game}, which {run.folder} was trained "
                f"on: {name} is {found.get(name, 'missing')}, and was "
                f"{trained.get(name, 'missing')}. Choose a game of the same specs."
            )


def _texts(game: games.Game) -> dict[str, str]:
    """Each leaf as a text; bounds of floats do not count, as no network depends on them."""
    texts = {}
    for what, spec in (
        ("observation", game.observation_spec()),
        ("action", actions.canonical(game)[0].action_spec()),
    ):
        for path, leaf in specs.named_leaves(spec):
            if what == "observation" and leaf.dtype.kind == "f":
                leaf = dataclasses.replace(leaf, minimum=None, maximum=None)
            texts["/".join(part for part in (what, path) if part)] = str(leaf)
    return texts
