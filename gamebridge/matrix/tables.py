"""The matrix as tables: text for a terminal, Markdown for a file."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Sequence

from gamebridge import errors, files
from gamebridge.matrix.cells import Cell
from gamebridge.matrix.trials import Trial

_BEGIN, _END = "<!-- matrix -->", "<!-- /matrix -->"
# What stands in a cell: joined as it is, by adaptors, not at all; and after a trial.
_PLAIN, _ADAPTED, _REFUSED, _FAILED = "yes", "yes*", "-", "FAILED"
_LEGEND = (
    f"{_PLAIN}: as it is; {_ADAPTED}: by adaptors, which `gamebridge matrix` names; "
    f"{_REFUSED}: cannot be joined"
)


def text(cells: Sequence[Cell], trials: Sequence[Trial] = ()) -> str:
    """Returns the table, and under it the adaptors and reasons."""
    grid = _grid(cells, trials)
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in grid
    ]
    lines += ["", _summary(cells, trials)]
    for title, notes in _notes(cells):
        lines += ["", title, *(f"  {note}" for note in notes)]
    return "\n".join(lines)


def markdown(cells: Sequence[Cell], trials: Sequence[Trial] = ()) -> str:
    """Returns the table as Markdown, without adaptors and reasons."""
    head, *rows = _grid(cells, trials)
    lines = [f"| {' | '.join(head)} |", f"|---{'|:-:' * (len(head) - 1)}|"]
    lines += [f"| {' | '.join(row)} |".replace("yes*", "yes\\*") for row in rows]
    lines += ["", _summary(cells, trials).replace("yes*", "yes\\*")]
    return "\n".join(lines)


def write(path: pathlib.Path, table: str) -> None:
    """Puts a table between the marks of a Markdown file.

    Raises:
      ConfigError: the file is not there or has no marks.
      StorageError: it cannot be written.
    """
    try:
        before = path.read_text(encoding="utf-8")
    except OSError as error:
        raise errors.ConfigError(
            f"Cannot read {path}: {error.strerror}. Expected a Markdown file with the lines "
            f"{_BEGIN} and {_END}."
        ) from error
    head, begin, rest = before.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not (begin and end):
        raise errors.ConfigError(
            f"{path} has no line {_BEGIN} with a line {_END} after it: the table goes between "
            "them. Add both."
        )
    try:
        files.write_text(path, f"{head}{_BEGIN}\n{table}\n{_END}{tail}")
    except OSError as error:
        raise errors.StorageError(
            f"Cannot write {path}: {error}. Free space or make it writable."
        ) from error


def _grid(cells: Sequence[Cell], trials: Sequence[Trial]) -> list[list[str]]:
    agents = list(dict.fromkeys(cell.agent for cell in cells))
    words = {(cell.game, cell.agent): _word(cell) for cell in cells}
    for trial in trials:
        if trial.outcome == "failed":
            words[trial.cell.game, trial.cell.agent] = _FAILED
    games = dict.fromkeys(cell.game for cell in cells)
    rows = [[game, *(words.get((game, agent), "") for agent in agents)] for game in games]
    return [["game", *agents], *rows]


def _word(cell: Cell) -> str:
    if not cell.fits:
        return _REFUSED
    return _ADAPTED if cell.adaptors else _PLAIN


def _summary(cells: Sequence[Cell], trials: Sequence[Trial]) -> str:
    if not trials:
        num_fits = sum(cell.fits for cell in cells)
        return f"{_LEGEND}. {num_fits} of {len(cells)} pairs can be joined."
    counts = {
        outcome: sum(trial.outcome == outcome for trial in trials)
        for outcome in ("passed", "refused", "failed")
    }
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    seconds = sum(trial.seconds for trial in trials)
    steps = max(trial.steps for trial in trials)
    return (
        f"{_LEGEND}. {len(trials)} pairs, {steps} steps of training each: {said}; "
        f"{seconds / 60:.0f} minutes."
    )


def _notes(cells: Iterable[Cell]) -> list[tuple[str, list[str]]]:
    """Each game and its lines: who is joined by what, who is not and why."""
    games: dict[str, dict[tuple[str, ...], list[str]]] = {}
    for cell in cells:
        # Without the names, so that those who are refused for one reason share a line.
        reason = cell.reason.removeprefix(f"{cell.agent} cannot play {cell.game}: ")
        said = (reason,) if reason else cell.adaptors
        if said:
            games.setdefault(cell.game, {}).setdefault(said, []).append(cell.agent)
    return [
        (game, [f"{', '.join(agents)}: {'; '.join(said)}" for said, agents in told.items()])
        for game, told in games.items()
    ]
