"""The command `tune`."""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
from typing import Annotated

import typer

from gamebridge.cli import requests
from gamebridge.cli import terminal as terminals


def tune(
    context: typer.Context,
    game: Annotated[str, typer.Argument(metavar="GAME", help="A game's id.")],
    agent: Annotated[
        str | None, typer.Option(metavar="ID", help="An agent's id. [default: ppo]")
    ] = None,
    trials: Annotated[
        int, typer.Option(min=1, help="How many trainings, earlier sittings included.")
    ] = 30,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of each training. [default: 100000]")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many are trained at once.")] = 1,
    study: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The study's folder. [default: under tunings/]"),
    ] = None,
    num_slots: Annotated[
        int | None, typer.Option(min=1, help="How many slots step together.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="That of the first training. [default: 0]")
    ] = None,
    settings_file: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="A TOML file of settings.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting; may be given again."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON; progress is on stderr.")
    ] = False,
) -> None:
    """Search for the best settings of an agent on a game.

    Trains again and again with other settings, gives up early what does worse than most, and
    writes the best to best.toml, which `train --config` takes. The first training has the
    defaults and presets. What --set or --config say of the agent is not searched for.

    The same command goes on with a study that was stopped, or makes it longer by --trials.
    """
    terminal: terminals.Terminal = context.obj
    from gamebridge import opening
    from gamebridge.training import runs
    from gamebridge.tuning import standard
    from gamebridge.tuning import study as studies

    with terminal.foreign_code():
        flags = {"game": game, "agent": agent, "seed": seed, "num_slots": num_slots}
        request = requests.read({**flags, "steps": steps}, settings_file, assignments or ())
        found = opening.discover()
        requests.check(request, found)
        parent = pathlib.Path("tunings")
        folder = pathlib.Path(study) if study else runs.folder_of(parent, game, request.run.agent)
        best = studies.Study(
            folder,
            request.run,
            request.settings,
            found.find_agent(request.run.agent),
            standard.settings(request.run, request.settings),
            terminal.say,
        ).search(trials, jobs)
    if as_json:
        outcome = best and {**dataclasses.asdict(best), "file": str(best.file)}
        terminal.result_json({"study": str(folder), "best": outcome})
        return
    if best is None:
        terminal.result(f"No training was played to its end; see {folder}")
        return
    terminal.result(
        f"Best of the study in {folder}: trial {best.number}, {best.value:,.2f}\n"
        f"{studies.assignments(best.settings)}\n"
        f"Go on with: gamebridge train --config {shlex.quote(str(best.file))} --steps N"
    )
