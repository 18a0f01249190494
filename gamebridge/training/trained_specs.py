"""The specs that a run was trained on, kept in its folder as specs.json.

A network fits one kind of observation and action: whoever loads its weights for another
game hears which leaf differs. A line each leaf says that, for people too; under "specs" are
the specs themselves, the action's as the game has it, for who makes the network without a game.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from gamebridge import errors, files
from gamebridge.contract import game as games
from gamebridge.contract import specs
from gamebridge.workers import values
from gamebridge.wrappers import actions

if TYPE_CHECKING:
    from gamebridge.training.runs import Plan, Run

_SPECS = "specs"


def write(run: Run, game: games.Game) -> None:
    """Writes them, or checks those that are there already.

    Raises:
      StorageError: the file cannot be written or read.
      FitError: they differ.
    """
    path = run.folder / "specs.json"
    if path.exists():
        check(run, run.plan(), game)
        return
    packed = {
        "observation": values.pack_spec(game.observation_spec()),
        "action": values.pack_spec(_own(game).action_spec()),
    }
    try:
        files.write_text(path, json.dumps({**_texts(game), _SPECS: packed}, indent=1) + "\n")
    except OSError as error:
        raise errors.StorageError(
            f"Cannot write {path}: {error}. Free space or make the folder writable."
        ) from error


def read(run: Run) -> tuple[specs.Spec, specs.Spec]:
    """Returns the specs that a run was trained on: the observation's and the game's own action's.

    Raises:
      StorageError: the file cannot be read.
    """
    trained = _load(run)[_SPECS]
    return values.unpack_spec(trained["observation"]), values.unpack_spec(trained["action"])


def check(run: Run, plan: Plan, game: games.Game) -> None:
    """Compares the game's specs with those that the run was trained on.

    Raises:
      StorageError: the file cannot be read.
      FitError: they differ.
    """
    trained, found = _load(run), _texts(game)
    del trained[_SPECS]
    for name in sorted({*trained, *found}):
        if trained.get(name) != found.get(name):
            raise errors.FitError(
                f"{game.name} has other specs than {plan.run.game}, which {run.folder} was trained "
                f"on: {name} is {found.get(name, 'missing')}, and was "
                f"{trained.get(name, 'missing')}. Choose a game of the same specs."
            )


def without_bounds(spec: specs.Spec) -> specs.Spec:
    """Returns an observation spec without bounds of floats: no network depends on them."""
    return specs.map_leaves(
        lambda leaf: (
            dataclasses.replace(leaf, minimum=None, maximum=None)
            if leaf.dtype.kind == "f"
            else leaf
        ),
        spec,
    )


def _load(run: Run) -> dict[str, Any]:
    path = run.folder / "specs.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or _SPECS not in found:
            raise ValueError(f'it has no "{_SPECS}"')
    except (OSError, ValueError) as error:
        raise errors.StorageError(f"Cannot read {path}: {error}. Is this a whole run?") from error
    return found


def _own(game: games.Game) -> games.Game:
    """Returns the game without what adapts its actions to an agent."""
    while isinstance(game, actions.Adaptor):
        game = game.game
    return game


def _texts(game: games.Game) -> dict[str, str]:
    """Each leaf as a text."""
    texts = {}
    for what, spec in (
        ("observation", without_bounds(_own(game).observation_spec())),
        ("action", actions.canonical(_own(game))[0].action_spec()),
    ):
        for path, leaf in specs.named_leaves(spec):
            texts["/".join(part for part in (what, path) if part)] = str(leaf)
    return texts
