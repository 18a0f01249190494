"""The tables of what was learned, from the files that `learning` wrote.

    python benchmarks/learning_table.py --write docs/learning.md README.md

writes them between the lines `<!-- learning -->` and `<!-- /learning -->` of the files that
have those; a README gets the short form.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import learning_rows

# A lap in so many times the limit's, and so many contacts an episode.
_LAPS, _CONTACTS = 1.10, 0.1
_BEGIN, _END = "<!-- learning -->", "<!-- /learning -->"

Files = Mapping[tuple[str, int], Mapping[str, Any]]


def main() -> None:
    """Writes the tables into files."""
    import learning

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", nargs="+", type=pathlib.Path, required=True, metavar="FILE")
    files = learning.read()
    for path in parser.parse_args().write:
        text = path.read_text(encoding="utf-8")
        if not (_BEGIN in text and _END in text.partition(_BEGIN)[2]):
            parser.error(f"{path} has no line {_BEGIN} with a line {_END} after it")
        head, _, rest = text.partition(_BEGIN)
        table = short(files) if path.name == "README.md" else markdown(files)
        path.write_text(f"{head}{_BEGIN}\n{table}\n{_END}{rest.partition(_END)[2]}", "utf-8")


def markdown(files: Files) -> str:
    """Returns the whole table: a line a row and seed, and what others published."""
    lines = [
        "| game | agent | seed | asked | final, 20 episodes | reached at step | of | wall | CPU |"
        " published |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in learning_rows.ROWS.items():
        for (_, seed), values in _of(files, name):
            step, wall, cpu = _reached(row, values)
            published = "; ".join(
                f"{other.who} {other.mean:,.0f} in {other.steps:,}" for other in row.published
            )
            lines.append(
                f"| {row.game} | {row.agent} | {seed} | {_asked(row)} | {_final(row, values)} | "
                f"{step} | {row.steps:,} | {wall} | {cpu} | {published} |"
            )
    return "\n".join(lines)


def short(files: Files) -> str:
    """Returns the table of the README: a line a row, its seeds beside each other."""
    lines = [
        "| game | agent | seeds | final, 20 episodes each | reached at step | CPU s | published |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in learning_rows.ROWS.items():
        found = [(seed, values) for (_, seed), values in _of(files, name) if values["final"]]
        if not found:
            continue
        reached = [_reached(row, values) for _, values in found]
        published = "; ".join(
            f"{other.who} {other.mean:,.0f} in {other.steps:,}" for other in row.published
        )
        lines.append(
            f"| {row.game} | {row.agent} | {', '.join(str(seed) for seed, _ in found)} | "
            f"{', '.join(_final(row, values) for _, values in found)} | "
            f"{', '.join(step for step, _, _ in reached)} | "
            f"{', '.join(cpu.removesuffix(' s') for _, _, cpu in reached)} | {published} |"
        )
    return "\n".join(lines)


def is_met(row: learning_rows.Row, values: Mapping[str, Any]) -> bool | None:
    """Whether the final episodes reach what was asked; None while they are not played."""
    final = values["final"]
    if final is None:
        return None
    if row.threshold is not None:
        return final["mean"] >= row.threshold
    return (
        final["laps_over_limit"] is not None
        and final["laps_over_limit"] <= _LAPS
        and final["contacts"] <= _CONTACTS
    )


def _of(files: Files, name: str) -> Iterator[tuple[tuple[str, int], Mapping[str, Any]]]:
    return ((key, values) for key, values in sorted(files.items()) if key[0] == name)


def _asked(row: learning_rows.Row) -> str:
    return f">= {row.threshold:g}" if row.threshold is not None else f"laps <= {_LAPS:.2f}"


def _final(row: learning_rows.Row, values: Mapping[str, Any]) -> str:
    final = values["final"]
    if final is None:
        return "not finished"
    missed = "" if is_met(row, values) else " MISSED"
    if row.threshold is not None:
        return f"{final['mean']:.1f}{missed}"
    laps = final["laps_over_limit"]
    return (
        f"{'no lap' if laps is None else f'{laps:.3f} x the limit'}, "
        f"{final['contacts']:.2f} contacts{missed}"
    )


def _reached(row: learning_rows.Row, values: Mapping[str, Any]) -> tuple[str, str, str]:
    """(step, wall time, CPU time) of the first checkpoint that was good enough.

    The time of its own 20 episodes, and of those before, is not in it.
    """
    for mark in values["marks"]:
        good = row.threshold is not None and mark["return"] >= row.threshold
        # A drive is judged once, at the end: the time is that to the checkpoint judged.
        judged = row.threshold is None and is_met(row, values)
        if good or (judged and mark["step"] == values["final"]["step"]):
            wall = mark["wall_s"] - mark["judging_wall_s"]
            cpu = mark["cpu_s"] - mark["judging_cpu_s"]
            return f"{mark['step']:,}", f"{wall:.0f} s", f"{cpu:.0f} s"
    return "-", "-", "-"


if __name__ == "__main__":
    main()
