"""The commands `env create` and `env list`."""

from __future__ import annotations

import pathlib
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamebridge.cli import terminal as terminals

if TYPE_CHECKING:
    from gamebridge.environments import Environment

app = typer.Typer(
    help="Make environments for games that cannot share this one's packages.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.command()
def create(
    context: typer.Context,
    game: Annotated[
        str, typer.Argument(metavar="GAME", help="A game's id; `gamebridge games` lists all.")
    ],
    path: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Where. [default: gamebridge/environments/ in $XDG_DATA_HOME or ~/.local/share]",
        ),
    ] = None,
    python: Annotated[
        str,
        typer.Option(metavar="PYTHON", help="The interpreter it is made of. [default: this one]"),
    ] = "",
    also: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="PACKAGE", help="Install this too; may be given again."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make it anew where there is one already.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make an environment of what a game requires.

    What its plugin requires is installed by pip, with numpy. Nothing of gamebridge is:
    worker processes carry it along.
    """
    terminal: terminals.Terminal = context.obj
    from gamebridge import environments, opening

    with terminal.foreign_code():
        record = opening.discover().find_game(game)
        made = environments.create(
            record,
            pathlib.Path(path) if path is not None else None,
            python,
            also or (),
            force=force,
        )
        needs_none = path is None and environments.is_automatic(record)
    if as_json:
        terminal.result_json(_values(made))
        return
    plugins = [] if terminal.plugin_folder is None else ["--plugins", terminal.plugin_folder]
    command = ["gamebridge", *plugins, "train", game]
    if not needs_none:
        command += ["--game-python", made.python]
    terminal.result(
        f"The environment is in {made.folder} (Python {made.version})\n"
        f"Go on with: {shlex.join(command)}"
    )


@app.command("list")
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the environments in the default place."""
    terminal: terminals.Terminal = context.obj
    from gamebridge import environments

    found = environments.listed()
    if as_json:
        terminal.result_json([_values(one) for one in found])
    elif not found:
        terminal.result("There are none. `gamebridge env create GAME` makes one.")
    else:
        rows = [("game", "python", "version", "requirements")]
        rows += [(one.game, one.python, one.version, " ".join(one.requirements)) for one in found]
        terminal.result(terminals.aligned(rows))


def _values(made: Environment) -> dict[str, Any]:
    return {
        "game": made.game,
        "folder": str(made.folder),
        "python": made.python,
        "version": made.version,
        "requirements": list(made.requirements),
    }
