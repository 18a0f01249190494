"""The command `evaluate`."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from gamebridge.cli import requests
from gamebridge.cli import terminal as terminals

if TYPE_CHECKING:
    from gamebridge.evaluation.results import Evaluation


def evaluate(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder.")],
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes to play.")] = 20,
    record: Annotated[
        bool, typer.Option("--record", help="Record the first three as MP4 videos.")
    ] = False,
    record_episodes: Annotated[
        int | None, typer.Option(min=0, metavar="K", help="Record the first K instead.")
    ] = None,
    game: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Judge the policy on another game of the same specs."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="game.KEY=VALUE", help="A setting of the game; may be given again."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the set of episodes.")] = 0,
    num_slots: Annotated[
        int | None, typer.Option(min=1, help="How many episodes are played at once.")
    ] = None,
    max_steps: Annotated[
        int, typer.Option(min=1, help="An episode is cut after so many steps.")
    ] = 20_000,
    fps: Annotated[
        float | None,
        typer.Option(min=1.0, help="Steps a second of the videos. [default: the game's own]"),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where results go. [default: RUN/evaluation]"),
    ] = None,
    save_episodes: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="Save the episodes here, to learn from; docs/episodes.md."
        ),
    ] = None,
    graphics: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="none, virtual or display: what a Unity build draws on. [default: the run's]",
        ),
    ] = None,
    game_python: Annotated[
        str | None,
        typer.Option(
            metavar="PYTHON",
            help="The interpreter that the game runs in. [default: the run's]",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what evaluation.json holds, and nothing else.")
    ] = False,
) -> None:
    """Play, measure and record what a run has learned.

    Plays greedy episodes of its best checkpoint, on seeds that training never used. Prints
    returns and what the game measured, and writes them to RUN/evaluation/evaluation.json.
    """
    terminal: terminals.Terminal = context.obj
    from gamebridge import api
    from gamebridge.tf import start
    from gamebridge.training import runs

    with terminal.foreign_code():
        # A wrong folder is said before TensorFlow is loaded, which takes seconds.
        runs.Run(run).plan()
        settings = requests.game_settings(assignments or ())
        if graphics is not None:
            settings["graphics"] = graphics
        start.load()
        start.quieten()
        evaluation = api.evaluate(
            run,
            episodes=episodes,
            record=record if record_episodes is None else record_episodes,
            game=game,
            settings=settings,
            num_slots=num_slots,
            seed=seed,
            max_steps=max_steps,
            fps=fps,
            output=output,
            python=game_python,
            save_episodes=save_episodes,
        )
    if as_json:
        terminal.result_json(evaluation.to_dict())
    else:
        folder = pathlib.Path(output) if output else pathlib.Path(run) / "evaluation"
        terminal.result(f"{_text(evaluation)}\n\nresults\n  {folder / 'evaluation.json'}")


def _text(evaluation: Evaluation) -> str:
    low, high = evaluation.confidence_interval()
    count = len(evaluation.episodes)
    rows = [("episode", "seed", "return", "length", "ended")]
    for number, episode in enumerate(evaluation.episodes):
        rows.append(
            (
                str(number),
                str(episode.seed),
                f"{episode.episode_return:,.2f}",
                f"{episode.length:,}",
                episode.ended,
            )
        )
    lines = [
        f"{evaluation.agent} on {evaluation.game}, checkpoint of step "
        f"{evaluation.checkpoint_step:,}, {count} episode{'s' if count > 1 else ''}",
        "",
        terminals.aligned(rows, indent=2),
        "",
        f"mean return {evaluation.return_mean:,.2f}, 95 % interval {low:,.2f} to {high:,.2f}, "
        f"standard deviation {evaluation.return_std:,.2f}",
    ]
    names = list(evaluation.episodes[0].telemetry)
    if names:
        table = [("an episode's telemetry", "mean", "least", "greatest")]
        for name in names:
            values = [episode.telemetry[name] for episode in evaluation.episodes]
            mean, least, most = sum(values) / count, min(values), max(values)
            table.append((name, f"{mean:,.4g}", f"{least:,.4g}", f"{most:,.4g}"))
        lines += ["", terminals.aligned(table, indent=2)]
    if evaluation.videos:
        lines += ["", "videos"]
        lines += [f"  {video.path}  ({video.num_frames} frames)" for video in evaluation.videos]
    if evaluation.saved:
        lines += ["", "saved episodes", f"  {evaluation.saved}"]
    return "\n".join(lines)
