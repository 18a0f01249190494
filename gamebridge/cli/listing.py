"""The commands `games`, `agents` and `plugins`: what there is, and one of it in detail."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamebridge import errors
from gamebridge.cli import terminal as terminals

if TYPE_CHECKING:
    from gamebridge.host import Host, Listed

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def games(
    context: typer.Context,
    game: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Make this game and show its specs.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """List all games, or show one of them.

    With an ID: what it shows, takes and measures, and what can be set.
    """
    terminal: terminals.Terminal = context.obj
    from gamebridge import opening

    with terminal.foreign_code():
        host = opening.discover()
        found = _game(host, game) if game is not None else _listing(host, "games", host.games())
    if as_json:
        terminal.result_json(found)
    else:
        terminal.result(_listing_text(found) if game is None else _game_text(found))


def agents(
    context: typer.Context,
    agent: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Show this agent's settings.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """List all agents, or show one of them.

    With an ID: what it can play, and what can be set.
    """
    terminal: terminals.Terminal = context.obj
    from gamebridge import opening

    with terminal.foreign_code():
        host = opening.discover()
        found = (
            _agent(host, agent) if agent is not None else _listing(host, "agents", host.agents())
        )
    if as_json:
        terminal.result_json(found)
    else:
        terminal.result(_listing_text(found) if agent is None else _agent_text(found))


def plugins(context: typer.Context, as_json: _Json = False) -> None:
    """List all plugins, broken ones too.

    Imports none of them.
    """
    terminal: terminals.Terminal = context.obj
    from gamebridge import opening

    infos = opening.discover().plugins()
    if as_json:
        terminal.result_json({"plugins": [dataclasses.asdict(info) for info in infos]})
        return
    rows = [
        (info.name, f"{info.distribution} {info.version}".strip(), info.file or info.module)
        for info in infos
    ]
    terminal.result(terminals.aligned(rows) if rows else "No plugins.")


def _listing(host: Host, kind: str, listed: Iterable[Listed[Any]]) -> dict[str, Any]:
    entries = []
    for one in listed:
        is_family = not hasattr(one.record, "id")
        entries.append(
            {
                "id": one.record.pattern if is_family else one.record.id,
                "summary": one.record.summary,
                "plugin": _plugin(one.plugin),
                **({"is_family": is_family} if kind == "games" else {}),
            }
        )
    clashes = {
        name: infos for name, infos in host.clashes().items() if ("/" in name) == (kind == "games")
    }
    return {
        kind: entries,
        "failed": [
            {"plugin": _plugin(failure.plugin), "cause": failure.cause}
            for failure in host.failures()
        ],
        "clashes": [
            {
                "id": name,
                "plugins": [_plugin(info) for info in infos],
                "cause": _clash_text(host, name),
            }
            for name, infos in clashes.items()
        ],
    }


def _plugin(info: Any) -> dict[str, str]:
    return {
        "name": info.name,
        "distribution": info.distribution,
        "version": info.version,
    }


def _clash_text(host: Host, name: str) -> str:
    try:
        (host.find_game if "/" in name else host.find_agent)(name)
    except errors.Error as error:
        return str(error)
    return ""


def _listing_text(found: dict[str, Any]) -> str:
    (kind, entries), *_ = found.items()
    rows = [(entry["id"], entry["plugin"]["name"], entry["summary"]) for entry in entries]
    lines = [terminals.aligned(rows) if rows else f"No {kind}."]
    if found["failed"]:
        lines += ["", "Plugins that failed, so that what they bring is missing here:"]
        for failure in found["failed"]:
            plugin = failure["plugin"]
            source = f"{plugin['distribution']} {plugin['version']}".strip()
            lines.append(f"  {plugin['name']} of {source}: {failure['cause']}")
    if found["clashes"]:
        lines += ["", "Ids that several plugins bring:"]
        lines += [f"  {clash['cause']}" for clash in found["clashes"]]
    return "\n".join(lines)


def _game(host: Host, game_id: str) -> dict[str, Any]:
    import contextlib

    from gamebridge import api
    from gamebridge.cli import fields
    from gamebridge.contract import specs
    from gamebridge.wrappers import settings as wrapper_settings

    record = host.find_game(game_id)
    with contextlib.closing(api.make_game(game_id)) as made:
        observation, action = made.observation_spec(), made.action_spec()
        telemetry = {
            name: {"unit": spec.unit, "reduce": spec.reduce, "summary": spec.summary}
            for name, spec in made.telemetry_spec().items()
        }
    settings = [
        *fields.of(record.settings, "game"),
        *fields.of(wrapper_settings.WrapperSettings, "wrappers", dict(record.wrappers)),
    ]
    if not any(leaf.kind == "frame" for leaf in specs.leaves(observation)):
        settings = [field for field in settings if not field.path.startswith("wrappers.images.")]
    return {
        "id": game_id,
        "summary": record.summary,
        "observation": _leaves(observation),
        "action": _leaves(action),
        "telemetry": telemetry,
        "settings": [dataclasses.asdict(field) for field in settings],
        "presets": {name: dict(preset) for name, preset in record.presets.items()},
        "agent_wrappers": {name: dict(suited) for name, suited in record.agent_wrappers.items()},
    }


def _leaves(spec: Any) -> list[dict[str, Any]]:
    from gamebridge.contract import specs

    return [
        {
            "path": path,
            "kind": leaf.kind,
            "dtype": str(leaf.dtype),
            "shape": list(leaf.shape),
            "spec": str(leaf),
        }
        for path, leaf in specs.named_leaves(spec)
    ]


def _agent(host: Host, agent_id: str) -> dict[str, Any]:
    from gamebridge.cli import fields

    record = host.find_agent(agent_id)
    return {
        "id": record.id,
        "summary": record.summary,
        "actions": list(record.needs.actions),
        "num_slots": record.num_slots,
        "settings": [dataclasses.asdict(field) for field in fields.of(record.settings, "agent")],
        "presets": {name: dict(preset) for name, preset in record.presets.items()},
    }


def _game_text(found: dict[str, Any]) -> str:
    lines = [f"{found['id']}  {found['summary']}"]
    for what in ("observation", "action"):
        lines += ["", what]
        names = ("path", "spec") if len(found[what]) > 1 else ("spec",)
        rows = [[leaf[name] for name in names] for leaf in found[what]]
        lines.append(terminals.aligned(rows, indent=2))
    if found["telemetry"]:
        rows = [
            [name, spec["unit"], spec["reduce"], spec["summary"]]
            for name, spec in found["telemetry"].items()
        ]
        lines += ["", "telemetry", terminals.aligned(rows, indent=2)]
    return "\n".join([*lines, *_settings_lines(found)])


def _agent_text(found: dict[str, Any]) -> str:
    lines = [
        f"{found['id']}  {found['summary']}",
        "",
        f"plays games of {' or '.join(found['actions'])} actions, by default with "
        f"{found['num_slots']} slots",
    ]
    return "\n".join([*lines, *_settings_lines(found)])


def _settings_lines(found: dict[str, Any]) -> list[str]:
    lines = []
    if found["settings"]:
        lines += ["", "settings and their defaults"]
        for field in found["settings"]:
            default = "nothing"
            if field["default"] is not None:
                default = json.dumps(field["default"], default=str)
            lines.append(f"  {field['path']} = {default}  ({field['kind']})")
            if field["summary"]:
                lines.append(f"      {field['summary']}")
    for what, tables in (("preset", "presets"), ("wrappers", "agent_wrappers")):
        for name, table in found.get(tables, {}).items():
            listed = ", ".join(f"{key}={value}" for key, value in table.items())
            lines += ["", f"{what} for {name}", f"  {listed}"]
    return lines
