"""The command `matrix`."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated, Any

import typer

from gamebridge import errors
from gamebridge.cli import terminal as terminals


def matrix(
    context: typer.Context,
    games: Annotated[
        list[str] | None,
        typer.Argument(metavar="[GAME]...", help="Games' ids. [default: all that need no help]"),
    ] = None,
    agents: Annotated[
        str | None,
        typer.Option(metavar="ID,ID...", help="Agents' ids. [default: all]"),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Train each pair for a few hundred steps.")
    ] = False,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each training.")] = 300,
    jobs: Annotated[int, typer.Option(min=1, help="How many games are tried at once.")] = 1,
    limit: Annotated[
        float, typer.Option(min=1.0, help="Seconds after which one training is given up.")
    ] = 600.0,
    output: Annotated[
        str,
        typer.Option(metavar="DIR", help="Keeps what was tried; named again, it goes on there."),
    ] = "runs/matrix",
    markdown: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Write the table between the lines <!-- matrix --> and <!-- /matrix --> of FILE.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; progress is on stderr.")
    ] = False,
) -> None:
    """Show which agent can play which game.

    From their specs alone, within seconds: as it is, by adaptors, or why
    not. With --run each pair is trained for --steps steps: its losses have
    to be finite, its weights to change, and a greedy episode is played.
    What passed is kept in --output, and is not tried again.
    Leaves with 1 where a training failed.
    """
    terminal: terminals.Terminal = context.obj
    from gamebridge import opening
    from gamebridge.matrix import cells, running, tables, trials

    with terminal.foreign_code():
        named = [name for name in (agents or "").split(",") if name]
        ids, records = cells.chosen(opening.discover(), games or [], named)
        tried: list[trials.Trial] = []
        if run:
            tried = running.run(
                ids, records, pathlib.Path(output), steps, jobs, limit, terminal.say
            )
            found = [trial.cell for trial in tried]
        else:
            found = cells.table(ids, records, terminal.say)
    for name in markdown or ():
        tables.write(pathlib.Path(name), tables.markdown(found, tried))
    values: list[Any] = [trials.to_dict(trial) for trial in tried]
    if as_json:
        terminal.result_json(values or [dataclasses.asdict(cell) for cell in found])
    else:
        terminal.result(tables.text(found, tried))
    num_failed = sum(trial.outcome == "failed" for trial in tried)
    if num_failed:
        raise errors.Error(
            f"{num_failed} of {len(tried)} trainings failed; the lines above say why. Mend the "
            "agent or the game, and run it again: what passed is not tried again."
        )
