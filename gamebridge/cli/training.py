"""The command `train`."""

from __future__ import annotations

import json
import pathlib
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from gamebridge import errors
from gamebridge.cli import progress, requests
from gamebridge.cli import terminal as terminals

if TYPE_CHECKING:
    from gamebridge.training.runs import Run


def train(
    context: typer.Context,
    game: Annotated[
        str | None,
        typer.Argument(metavar="[GAME]", help="A game's id; `gamebridge games` lists all."),
    ] = None,
    agent: Annotated[
        str | None, typer.Option(metavar="ID", help="An agent's id. [default: ppo]")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps to train for, all slots together. [default: 100000]"),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The run folder. [default: a new one under runs/]"),
    ] = None,
    num_slots: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many slots step together. [default: what suits game and agent]"
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes that play the game; 0 for this one. [default: what is quickest]",
        ),
    ] = None,
    game_python: Annotated[
        str | None,
        typer.Option(metavar="PYTHON", help="The interpreter that the game runs in."),
    ] = None,
    players: Annotated[
        int | None,
        typer.Option(min=1, help="How many players of a Unity build are run; game.players."),
    ] = None,
    graphics: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="none, virtual or display: what a Unity build draws on; game.graphics.",
        ),
    ] = None,
    evaluator: Annotated[
        bool | None,
        typer.Option(
            "--evaluator/--no-evaluator",
            help="Validate in a process beside the training. [default: where cores are idle]",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Fixes games, networks and exploration. [default: 0]"),
    ] = None,
    settings_file: Annotated[
        str | None,
        typer.Option("--config", metavar="FILE", help="A TOML file of settings, as run.toml is."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting; may be given again."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on with this run; --steps is then its new total."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON; progress is on stderr.")
    ] = False,
) -> None:
    """Train an agent on a game.

    Checkpoints are saved on the way, and the one that validates best is kept.

    Settings come from flags, else from --set, else from the file of --config, which has
    the tables [run], [game], [wrappers], [agent], [training], [workers] and [supervision];
    a run's own run.toml is such a file. `gamebridge games ID` and `gamebridge agents ID`
    list what can be set, for example --set agent.gamma=0.98 --set
    training.checkpoint_interval_steps=5000.

    Ctrl-C saves a checkpoint and leaves; a second one leaves at once. --resume goes on
    exactly where the run stopped.
    """
    terminal: terminals.Terminal = context.obj
    flags = {"game": game, "agent": agent, "seed": seed, "num_slots": num_slots}
    if resume is not None:
        others = {"run": run, "config": settings_file, "set": assignments}
        processes = {"workers": workers, "players": players, "graphics": graphics}
        processes["evaluator"] = evaluator
        _refuse_beside_resume({**flags, **others, **processes, "game_python": game_python})
    from gamebridge import api, opening
    from gamebridge.tf import start
    from gamebridge.training import runs

    with terminal.foreign_code():
        if resume is None:
            request = requests.read(
                {**flags, "steps": steps},
                settings_file,
                assignments or (),
                {
                    "workers": {"count": workers, "python": game_python},
                    "game": {"players": players, "graphics": graphics},
                    "training": {"evaluator": evaluator},
                },
            )
            requests.check(request, opening.discover())
        else:
            runs.Run(resume).plan()
        with progress.Watcher(terminal) as watcher:
            start.load()
            start.quieten()
            if resume is None:
                made = api.train(
                    request.run.game,
                    agent=request.run.agent,
                    steps=request.run.steps,
                    run=run,
                    num_slots=request.run.num_slots,
                    seed=request.run.seed if request.is_seeded else None,
                    settings=request.settings,
                    source=request.source,
                    watch=watcher.watch,
                    announce=watcher.announce,
                )
            else:
                made = api.resume(resume, steps, watch=watcher.watch, announce=watcher.announce)
    _show(made, terminal, watcher, as_json=as_json)


def _refuse_beside_resume(given: dict[str, object]) -> None:
    named = [
        "GAME" if name == "game" else "--" + name.replace("_", "-")
        for name, value in given.items()
        if value is not None and value != []
    ]
    if named:
        raise errors.ConfigError(
            f"--resume goes on with a run as it was made, so {' and '.join(named)} cannot be "
            "given with it. Leave out all but --steps, or start a new run."
        )


def _show(
    made: Run, terminal: terminals.Terminal, watcher: progress.Watcher, *, as_json: bool
) -> None:
    best = _best_validation(made.folder)
    if as_json:
        terminal.result_json(
            {
                "run": str(made.folder),
                "step": watcher.last.step if watcher.last else None,
                "best_validation_return": best,
            }
        )
        return
    plugins = [] if terminal.plugin_folder is None else ["--plugins", terminal.plugin_folder]
    command = ["gamebridge", *plugins, "evaluate", str(made.folder), "--record"]
    lines = [f"The run is in {made.folder}"]
    if best is not None:
        lines.append(f"Best validation return: {best:,.2f}")
    lines.append(f"Go on with: {shlex.join(command)}")
    terminal.result("\n".join(lines))


def _best_validation(folder: pathlib.Path) -> float | None:
    """Reads it from metrics.jsonl, which knows earlier sittings of a resumed run too."""
    try:
        with open(folder / "metrics.jsonl", encoding="utf-8") as file:
            found = [json.loads(line).get("validation_return") for line in file]
    except (OSError, ValueError):
        return None
    return max((value for value in found if value is not None), default=None)
