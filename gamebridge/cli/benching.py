"""The command `bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamebridge.cli import requests
from gamebridge.cli import terminal as terminals

if TYPE_CHECKING:
    from gamebridge.benching.results import Report

_PARTS = {
    "game": "the game alone",
    "bridge": "bridge: adapter, wrappers, workers",
    "door": "door to TensorFlow",
    "acting": "{agent} acts",
    "learning": "{agent} learns",
}


def bench(
    context: typer.Context,
    game: Annotated[
        str, typer.Argument(metavar="GAME", help="A game's id; `gamebridge games` lists all.")
    ],
    agent: Annotated[
        str | None, typer.Option(metavar="ID", help="Measure a training of this agent too.")
    ] = None,
    num_slots: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many slots step together. [default: what suits game and agent]"
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="How long do so many steps take?")] = 1_000_000,
    seconds: Annotated[float, typer.Option(min=0.01, help="Seconds of each measurement.")] = 1.0,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting; may be given again."),
    ] = None,
    game_python: Annotated[
        str | None,
        typer.Option(metavar="PYTHON", help="The interpreter that the game runs in."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; progress is on stderr.")
    ] = False,
) -> None:
    """Measure a game and say what machine it needs.

    What a step costs: the bare game, each layer around it, here and in
    worker processes, under a TF-Agents driver and, with --agent, in
    training; what the bottleneck is, and how long a training would take.
    Settings are those of `gamebridge train`.
    """
    terminal: terminals.Terminal = context.obj
    from gamebridge import api, opening
    from gamebridge.benching import advice

    with terminal.foreign_code():
        request = requests.read(
            {"game": game, "agent": agent, "steps": steps, "num_slots": num_slots},
            None,
            assignments or (),
            {"workers": {"python": game_python}},
        )
        requests.check(request, opening.discover())
        report = api.bench(
            request.run.game,
            agent=agent,
            num_slots=request.run.num_slots,
            steps=request.run.steps,
            seconds=seconds,
            settings=request.settings,
            source=request.source,
            announce=terminal.say,
        )
    if as_json:
        terminal.result_json(advice.to_dict(report))
    else:
        terminal.result(_text(report))


def _text(report: Report) -> str:
    from gamebridge.benching import advice, results, rounds

    slots, cores = report.num_slots, report.cores
    head = (
        f"{report.game}, {slots} slot{'s' if slots > 1 else ''}, {cores} "
        f"core{'s' if cores > 1 else ''}, load {report.load:.1f} before; medians of "
        f"{rounds.NUM_ROUNDS} interleaved rounds"
    )
    tables = []
    if report.layers:
        title = ("played in this process", "us a step", "share", "steps/s so far")
        tables.append([title, *_rows(results.table(report.layers), {"game": "the game alone"})])
    if report.workers:
        title = ("played by", "us a step", "", "steps/s")
        rows = [title]
        best = advice.suited(report.workers, report.automatic)
        for count, cost_us in sorted(report.workers.items()):
            mark = "best" if count == best else ""
            if report.is_asked:
                mark = "asked" if count == report.played_by else ""
            rows.append((_players(count), f"{cost_us:,.2f}", mark, f"{1e6 / cost_us:,.0f}"))
        tables.append(rows)
    title = (
        "in training" if report.agent else "under a TF-Agents driver",
        "us a step", "share", "steps/s so far",
    )  # fmt: skip
    names = {name: text.format(agent=report.agent) for name, text in _PARTS.items()}
    if not report.layers:
        names["game"] = "the game and its workers"  # which cannot be looked into from here
    tables.append([title, *_rows(results.table(report.parts), names)])
    width = max(len(row[0]) for rows in tables for row in rows)
    lines = [head]
    for rows in tables:
        lines.append("")
        lines += [
            f"{name:<{width}}  {cost:>12}  {share:>6}  {rate:>14}"
            for name, cost, share, rate in rows
        ]
    return "\n".join([*lines, "", *advice.lines(report)])


def _rows(table: list[dict[str, Any]], names: dict[str, str]) -> list[tuple[str, str, str, str]]:
    return [
        (
            "  " + names.get(row["name"], f"+ {row['name']}"),
            f"{row['us']:,.2f}",
            f"{100 * row['share']:.0f} %",
            f"{row['steps_per_s']:,.0f}",
        )
        for row in table
    ]


def _players(count: int) -> str:
    if count == 0:
        return "  this process"
    return f"  {count} worker{'s' if count > 1 else ''}"
