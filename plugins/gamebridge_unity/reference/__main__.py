"""The program: `python -m gamebridge_unity.reference --scene NAME --mlagents-port PORT`."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, get_args

from gamebridge_unity import player
from gamebridge_unity.player import arguments, connection, records
from gamebridge_unity.reference import faults, ledger, racing, scenes

_MISUSED = 2
_LAYOUTS = get_args(records.Layout)
_CAMERAS = get_args(racing.Camera)
# Switches that take a word, and what it is.
_SWITCHES = {
    "--scene": "NAME, one of those below",
    "--agents": "N, how many",
    "--game": "ID, any game of gamebridge in place of a scene, such as gym/CartPole-v1",
    "--set": "NAME=VALUE, a setting of the game; may be repeated",
    "--track": "NAME, of the racing scene: oval, random, ...",
    "--camera": "rgb or grey, for the racing scene",
    "--period": "N, of the basic scene: a decision in every N-th step",
    "--layout": "hwc or chw, instead of what the trainer's version expects",
    "--ledger": "FILE, for a log of every transition",
    "--fault": "NAME or NAME:NUMBER, one of those below; may be repeated",
    "--at": "STEP of the fault, 0 for the first message with agents",
    "--once": "FILE that the fault makes; no fault where it is there",
}


class Misused(Exception):
    """The command line asks for something that there is not."""


def main(argv: Sequence[str]) -> int:
    """Plays; returns the exit code.

    Unknown words are passed over, as a Unity build does.
    """
    given = arguments.scan(argv)
    if "--help" in given.others:
        sys.stdout.write(_help())
        return 0
    try:
        words = _words(given.others)
        name = _one_of("--scene", words["--scene"], list(scenes.SCENES), "racing")
        layout: Any = _one_of("--layout", words["--layout"], [*_LAYOUTS], "") or None
        plan = faults.Plan(
            faults.parse(words["--fault"]), _number("--at", words["--at"], 0, 0) or 0,
            words["--once"][-1] if words["--once"] else "",
        )  # fmt: skip
        choice = _choice(words, no_graphics=given.no_graphics)
    except (Misused, ValueError) as error:
        sys.stderr.write(f"{error} --help tells what there is.\n")
        return _MISUSED
    # What gRPC itself would say of a trainer that ended is no news, and looks like some.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    watch = ledger.Ledger(words["--ledger"][-1]) if words["--ledger"] else None
    dial: Any = connection.Connection
    if plan.is_due():
        dial = functools.partial(faults.FaultyConnection, plan=plan)
    return player.serve(
        functools.partial(scenes.make, name, choice), argv, layout=layout, watch=watch, dial=dial
    )


def _choice(words: dict[str, list[str]], *, no_graphics: bool) -> scenes.Choice:
    settings = {}
    for word in words["--set"]:
        setting, equals, value = word.partition("=")
        if not equals:
            raise Misused(f"--set {word}: expected NAME=VALUE.")
        settings[setting] = _value(value)
    camera: Any = _one_of("--camera", words["--camera"], [*_CAMERAS], "")
    return scenes.Choice(
        agents=_number("--agents", words["--agents"], 1, None),
        period=_number("--period", words["--period"], 1, 1) or 1,
        track=words["--track"][-1] if words["--track"] else "oval",
        camera=camera,
        game=words["--game"][-1] if words["--game"] else "",
        settings=settings,
        no_graphics=no_graphics,
    )


def _words(others: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {switch: [] for switch in _SWITCHES}
    rest = iter(others)
    for word in rest:
        if word in found:
            value = next(rest, None)
            if value is None:
                raise Misused(f"{word} is the last word; expected {word} {_SWITCHES[word]}.")
            found[word].append(value)
    return found


def _one_of(switch: str, words: list[str], known: list[str], default: str) -> str:
    if not words:
        return default
    if words[-1] not in known:
        raise Misused(f"{switch} {words[-1]}: expected one of {', '.join(filter(None, known))}.")
    return words[-1]


def _number(switch: str, words: list[str], least: int, default: int | None) -> int | None:
    if not words:
        return default
    if not words[-1].isdecimal() or int(words[-1]) < least:
        raise Misused(f"{switch} {words[-1]}: expected a number of {least} or more.")
    return int(words[-1])


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _help() -> str:
    kinds = {name: kind.summary for name, kind in scenes.SCENES.items()}
    tables = [
        ("Switches", _SWITCHES),
        ("Scenes", kinds),
        ("Faults at the start", faults.AT_START),
        ("Faults at a step", faults.AT_STEP),
    ]
    lines = ["A player of the ML-Agents protocol, to be started by a trainer."]
    for title, table in tables:
        lines += ["", f"{title}:", *(f"  {name:<16} {what}" for name, what in table.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
