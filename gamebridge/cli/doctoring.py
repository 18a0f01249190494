"""The command `doctor`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from gamebridge import errors
from gamebridge.cli import terminal as terminals

_MARKS = {True: "ok", None: "warning", False: "WRONG"}


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find what is wrong with this environment.

    Each fault is named with its cure. Ends with 0 if nothing is
    wrong (there may be warnings), else with 2.
    """
    terminal: terminals.Terminal = context.obj
    from gamebridge import doctor as doctors

    with terminal.foreign_code():
        findings = doctors.examine()
    if as_json:
        terminal.result_json([dataclasses.asdict(finding) for finding in findings])
    else:
        rows = []
        for finding in findings:
            rows.append((_MARKS[finding.ok], finding.name, finding.found))
            if finding.cure:
                rows.append(("", "", f"Cure: {finding.cure}"))
        terminal.result(terminals.aligned(rows))
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(errors.ConfigError.exit_code)
