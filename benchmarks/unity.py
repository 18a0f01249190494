"""Unity players: our client beside mlagents_envs' own, the same player, interleaved.

A step is a player's message turned into arrays, and actions on their way back. The player
sends messages made beforehand. Stock is mlagents_envs 0.28.0, unmodified, once with the
protobuf that it can be imported with (3.20.3, which has no compiled form for Python 3.11)
and once on the protobuf that the project runs it on. The floor is one bare gRPC call of the
same sizes to a server that does nothing. `decode` rows have no player: one message in
memory, which stock has parsed before and ours has not.

    python benchmarks/unity.py [--cases 1x8 32x64 ...] [--rounds 9] [--json]
"""

from __future__ import annotations

import argparse
import os
import pathlib
import stat
import sys

import environments
import rounds
import unity_cases

_OURS = "gamebridge"
_HERE = "mlagents_envs 0.28.0 on protobuf 4 (upb)"
_THEIRS = "mlagents_envs 0.28.0 with protobuf 3.20.3"
_BARE = "a bare gRPC call of the same sizes"
_SIDES = pathlib.Path(__file__).resolve().with_name("unity_sides.py")
_DECODED = ("8-raw", "1000x32")
# Case: how many times faster a step has to be than stock on upb, and with 3.20.3.
_STEP_TARGETS = {"32x64": (2.0, 20.0)}
_DECODE_TARGETS = {"8-raw": 50.0}
# Messages a second.
_DECODE_1000_MS = 3.0


def main() -> None:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=list(unity_cases.CASES), metavar="CASE")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    unknown = sorted(set(asked.cases) - set(unity_cases.CASES))
    if unknown:
        parser.error(f"unknown case {unknown[0]}: expected {', '.join(unity_cases.CASES)}")
    load = os.getloadavg()[0]
    player = _write_player()
    tables: dict[str, rounds.Table] = {}
    targets: dict[str, list[rounds.Target]] = {}
    for name in asked.cases:
        case = unity_cases.CASES[name]
        unity_cases.write(case)
        title = f"step, {case.title}"
        sides = {_OURS: "ours", _HERE: "stock-here", _THEIRS: "stock", _BARE: "bare"}
        tables[title] = _measure(sides, case, player, asked.rounds)
        on_upb, on_old = _STEP_TARGETS.get(name, (1.0, 1.0))
        targets[title] = [
            rounds.Target("d", _OURS, [_HERE], on_upb),
            rounds.Target("d", _OURS, [_THEIRS], on_old),
        ]
        if name in _DECODED:
            title = f"decode, {case.title}"
            sides = {_OURS: "decode-ours", _HERE: "decode-stock-here", _THEIRS: "decode-stock"}
            tables[title] = _measure(sides, case, player, asked.rounds)
            at_least = _DECODE_TARGETS.get(name, 1.0)
            targets[title] = [rounds.Target("d", _OURS, [_HERE], at_least)]
    rounds.report(tables, targets, load=load, as_json=asked.json)
    if not asked.json:
        _say_more(tables)


def _measure(
    sides: dict[str, str], case: unity_cases.Case, player: str, num_rounds: int
) -> rounds.Table:
    old = environments.interpreter("mlagents")
    arrangements = []
    for row, side in sides.items():
        python, why_not = sys.executable, ""
        if row == _THEIRS:
            python, why_not = str(old or ""), "" if old else environments.MISSING
        # The stock package warns of numpy's and Python's old times.
        command = [python, "-W", "ignore", str(_SIDES), side, case.name, player]
        arrangements.append(rounds.Arrangement(row, command, why_not))
    return rounds.measure(arrangements, num_rounds)


def _say_more(tables: dict[str, rounds.Table]) -> None:
    for title, table in tables.items():
        if _OURS not in table.rates:
            continue
        ms = 1e3 / table.median(_OURS)
        line = f"{title}: {ms:.3f} ms"
        if _BARE in table.rates:
            line += f", {table.ratio(_BARE, _OURS):.2f} x a bare gRPC call of the same sizes"
        if title == f"decode, {unity_cases.CASES['1000x32'].title}":
            said = "met" if ms < _DECODE_1000_MS else "MISSED"
            line += f", asked below {_DECODE_1000_MS:g}  {said}"
        print(line)


def _write_player() -> str:
    """Returns a program that starts the player, as mlagents_envs wants to have it."""
    folder = unity_cases.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "player.x86_64"
    script = _SIDES.with_name("unity_player.py")
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


if __name__ == "__main__":
    main()
