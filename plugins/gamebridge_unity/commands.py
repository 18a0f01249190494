"""The commands `builds add`, `builds list` and `builds check`."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shlex
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from gamebridge import errors
from gamebridge_unity import adding, archives, builds

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def make() -> typer.Typer:
    """Returns the command."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.command("add")(add)
    app.command("list")(list_)
    app.command("check")(check)
    return app


def add(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="ARCHIVE_OR_FOLDER", help="A zip or tar.gz, or a folder.")
    ],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The game will be unity/NAME. [default: the file's]")
    ] = "",
    sha256: Annotated[
        str, typer.Option(metavar="DIGEST", help="Refuse an archive with another digest.")
    ] = "",
    into: Annotated[
        str,
        typer.Option(
            metavar="DIR",
            help="Where. [default: the first of $GAMEBRIDGE_UNITY_BUILDS, or ./unity_builds]",
        ),
    ] = "",
    executable: Annotated[
        str, typer.Option(metavar="PATH", help="Its executable. [default: found]")
    ] = "",
    max_size_gib: Annotated[
        int, typer.Option(min=1, metavar="GIB", help="Refuse what unpacks to more.")
    ] = 20,
    as_json: _Json = False,
) -> None:
    """Add a Unity build, so that it is a game.

    What the archive holds is looked at first: nothing is written outside of the build's folder.
    """
    if not source:
        raise errors.ConfigError("The archive or folder is ''; expected its path.")
    limits = archives.Limits(most_bytes=max_size_gib << 30)
    folder = pathlib.Path(into).expanduser().absolute() if into else None
    added = adding.add(
        pathlib.Path(source).expanduser(),
        name=name,
        sha256=sha256,
        into=folder,
        executable=executable,
        limits=limits,
    )
    build = added.build
    is_found = build.folder.parent in builds.folders()
    if as_json:
        values = {**_values(build), "sha256": added.sha256, "is_found": is_found}
        context.obj.result_json(values)
        return
    lines = [f"unity/{build.name} is added: {build.executable}"]
    if added.sha256:
        lines.append(f"sha256 {added.sha256}")
    if build.environment:
        lines.append(f"Its build.toml asks for these variables: {', '.join(build.environment)}")
    if not is_found:
        place = shlex.quote(str(build.folder.parent))
        lines.append(f"It is found once you run: export {builds.FOLDERS_VARIABLE}={place}")
    lines.append(f"See whether it plays: gamebridge builds check {build.name}")
    context.obj.result("\n".join(lines))


def list_(context: typer.Context, as_json: _Json = False) -> None:
    """List all Unity builds, broken ones too."""
    found, failed = builds.find()
    if as_json:
        context.obj.result_json(
            {
                "builds": [_values(build) for build in found],
                "failed": [
                    {"name": one.name, "folder": str(one.folder), "cause": str(one.cause)}
                    for one in failed
                ],
            }
        )
        return
    lines = []
    if found:
        rows = [("build", "agents", "behavior", "executable")]
        for build in found:
            agents = "?" if build.agents is None else str(build.agents)
            executable = _trouble(build) or str(build.executable)
            rows.append((build.name, agents, build.behavior or "?", executable))
        lines.append(_aligned(rows))
    if failed:
        lines += ["", "Folders with a build.toml that are no builds:"] if lines else []
        lines += [f"  {one.name}: {one.cause}" for one in failed]
    context.obj.result("\n".join(lines) or "There are none. `gamebridge builds add` adds one.")


def check(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A build's name, or the path of an executable.")
    ],
    graphics: Annotated[
        Literal["none", "virtual", "display"],
        typer.Option(help="Where it draws: nowhere, on a virtual display, on $DISPLAY."),
    ] = "none",
    timeout_s: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="How long it may take to start."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Start a build once and show what it says of itself.

    Its behaviours, what its agents see and do, and how many there are.
    """
    is_path = "/" in name and (not name.startswith("unity/") or pathlib.Path(name).exists())
    build = builds.for_path(name) if is_path else builds.named(name.removeprefix("unity/"))
    with context.obj.foreign_code():
        from gamebridge_unity import checking

        limit_s = timeout_s or build.start_timeout_s or 60.0
        report = checking.check(build, graphics=graphics, timeout_s=limit_s)
    if as_json:
        context.obj.result_json({**_values(build), "report": dataclasses.asdict(report)})
        return
    lines = [
        f"unity/{build.name} connected after {report.start_s:.1f} s: protocol "
        f"{report.communication_version}, ML-Agents package {report.package_version or 'unknown'}"
    ]
    for seen in report.behaviors:
        agents = "1 agent" if seen.num_agents == 1 else f"{seen.num_agents} agents"
        # It is a stranger's text: no letter of it may move the cursor.
        shown = "".join(letter if letter.isprintable() else "?" for letter in seen.name)
        lines += [f"behavior {shown}: {agents}"]
        lines += [f"  observation {line}" for line in seen.observations]
        lines += [f"  action {line}" for line in seen.actions]
    lines += [f"warning: {line}" for line in _differences(build, report.behaviors)]
    context.obj.result("\n".join(lines))


def _differences(build: builds.Build, found: Sequence[Any]) -> list[str]:
    names = [one.name for one in found]
    learning = [one for one in found if build.behavior in ("", one.name, one.name.split("?")[0])]
    lines = []
    if not learning:
        lines.append(
            f"build.toml says behavior = {json.dumps(build.behavior)}; the scene has "
            f"{', '.join(names)}."
        )
    elif len(learning) > 1:
        lines.append("the scene has several behaviours; say in build.toml which one learns.")
    elif build.agents is None:
        lines.append(f"add `agents = {learning[0].num_agents}` to build.toml.")
    elif build.agents != learning[0].num_agents:
        lines.append(
            f"build.toml says agents = {build.agents}; the scene showed {learning[0].num_agents} "
            "at first."
        )
    return lines


def _trouble(build: builds.Build) -> str:
    try:
        build.command()
    except errors.Error as error:
        return str(error)
    return ""


def _values(build: builds.Build) -> dict[str, Any]:
    return {
        "name": build.name,
        "folder": str(build.folder),
        "executable": str(build.executable),
        "summary": build.summary,
        "behavior": build.behavior,
        "agents": build.agents,
        "trouble": _trouble(build),
    }


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
