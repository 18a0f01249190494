"""Circuits in files: centre lines with widths, as the racetrack database of TUM has them.

A line of the file is a point of the centre line, in metres: x, y, and from there to the
wall on the driver's right and on the left. The points are in the order of driving, and the
last is followed by the first. Lines that begin with '#' are comments.

    # x_m,y_m,w_tr_right_m,w_tr_left_m
    -1.109596,0.066431,5.076,5.462
    3.451092,2.113262,5.075,5.473

A file that is none of a circuit is a mistake in a setting: each error names the line.
"""

from __future__ import annotations

import math
import os
import pathlib
import stat

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge_racing.roads import tracks

COLUMNS = ("x_m", "y_m", "w_tr_right_m", "w_tr_left_m")
MAX_BYTES = 10_000_000
MAX_POINTS = 100_000
MIN_POINTS = 10
# Two points may be so far apart, and the road may turn by so much at one: beyond, a spline
# through the points is not the road that was measured.
MAX_SPACING_M = 30.0
MAX_TURN_DEG = 60.0
# Points nearer than this are one point; a spline through both would kick.
LEAST_SPACING_M = 1e-3
# The last point may be so many times further from the first than two points are elsewhere.
MAX_GAP = 5.0
# Grids of whole countries end here.
MAX_COORDINATE_M = 1e7
# The longest circuits of the world have 25 km. No lap is timed on less than 50 m.
LENGTH_M = (50.0, 100_000.0)
WIDTH_M = 100.0


def read(path: str | os.PathLike[str]) -> tracks.Track:
    """Returns the track of a circuit's file; it is called as the file is.

    Args:
      path: of a CSV file with `COLUMNS`.

    Raises:
      ConfigError: the file cannot be read, a line of it is wrong, or it is no circuit; or the
        track folds or meets itself somewhere.
    """
    path = pathlib.Path(path)
    rows, lines = _rows(path, _text(path))
    if len(rows) > 1 and np.hypot(*(rows[0, :2] - rows[-1, :2])) < LEAST_SPACING_M:
        # The lap is closed anyway.
        rows, lines = rows[:-1], lines[:-1]
    if len(rows) < MIN_POINTS:
        raise errors.ConfigError(
            f"{path}: {len(rows)} points; expected at least {MIN_POINTS}. Is this a whole lap?"
        )
    _check_spacing(path, rows, lines)
    try:
        return tracks.from_centre_line(path.stem, rows[:, :2], rows[:, 2], rows[:, 3])
    except tracks.Unfit as error:
        line = lines[int(np.argmin(np.hypot(*(rows[:, :2] - error.place).T)))]
        raise errors.ConfigError(f"{path}:{line}: {error}") from error


def _text(path: pathlib.Path) -> str:
    """Returns what a file says."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise errors.ConfigError(
                f"{path} is not a file; expected a CSV file with the columns {_named()}."
            )
        if about.st_size > MAX_BYTES:
            raise errors.ConfigError(
                f"{path} has {about.st_size:,} bytes; expected at most {MAX_BYTES:,}. Is this a "
                "circuit? If so, keep a point every few metres."
            )
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.ConfigError(
            f"{path} is not text in UTF-8 (byte {error.start:,}); expected a CSV file with the "
            f"columns {_named()}."
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise errors.ConfigError(
            f"{path} cannot be read: {reason}. Expected the path of a circuit's CSV file."
        ) from error


def _rows(path: pathlib.Path, text: str) -> tuple[Array, list[int]]:
    """Returns float64 [K, 4], the points, and the line of the file that each is in."""
    rows: list[list[float]] = []
    lines: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split(",")]
        # A spreadsheet drops the '#' of the first line.
        if not rows and tuple(cells) == COLUMNS:
            continue
        where = f"{path}:{number}"
        if len(cells) != len(COLUMNS):
            raise errors.ConfigError(
                f"{where}: {len(cells)} columns; expected {_named()}, separated by commas."
            )
        if len(rows) == MAX_POINTS:
            raise errors.ConfigError(
                f"{where}: more than {MAX_POINTS:,} points. Keep one every few metres."
            )
        rows.append([_value(where, *pair) for pair in zip(COLUMNS, cells, strict=True)])
        lines.append(number)
    return np.array(rows, np.float64).reshape(-1, len(COLUMNS)), lines


def _value(where: str, column: str, cell: str) -> float:
    """Returns the number of a cell."""
    try:
        value = float(cell)
    except ValueError as error:
        shown = _shown(cell)
        raise errors.ConfigError(
            f"{where}: {column} is {shown!r}; expected a number, in metres."
        ) from error
    if not math.isfinite(value):
        raise errors.ConfigError(f"{where}: {column} is {_shown(cell)}; expected a finite number.")
    if abs(value) > MAX_COORDINATE_M:
        raise errors.ConfigError(
            f"{where}: {column} is {value:g}; expected at most {MAX_COORDINATE_M:,.0f}, in metres."
        )
    if column.startswith("w_") and not 0 < value <= WIDTH_M:
        raise errors.ConfigError(
            f"{where}: {column} is {value:g}; expected more than 0 and at most {WIDTH_M:g}, in "
            "metres from the centre line to the wall."
        )
    return value


def _check_spacing(path: pathlib.Path, rows: Array, lines: list[int]) -> None:
    """Refuses points that are no closed line.

    Raises:
      ConfigError: two points in a row are one or far apart, the lap is open, its length is
        none of a circuit in metres, or the points are too few for its corners.
    """
    legs = np.roll(rows[:, :2], -1, 0) - rows[:, :2]
    steps = np.hypot(legs[:, 0], legs[:, 1])
    same = np.flatnonzero(steps < LEAST_SPACING_M)
    if len(same):
        raise errors.ConfigError(
            f"{path}:{lines[same[0] + 1]}: the same point as in line {lines[same[0]]}; expected "
            "points that differ. Delete one of the two lines."
        )
    length = float(steps.sum())
    if not LENGTH_M[0] <= length <= LENGTH_M[1]:
        raise errors.ConfigError(
            f"{path}: a lap of {length:,.1f} m; expected {LENGTH_M[0]:g} to {LENGTH_M[1]:,.0f} m. "
            "Are the numbers in metres?"
        )
    usual = float(np.median(steps))
    if steps[-1] > max(MAX_GAP * usual, 1.5 * steps[:-1].max()):
        raise errors.ConfigError(
            f"{path}:{lines[-1]}: the last point is {steps[-1]:.1f} m away from the first, where "
            f"points are {usual:.1f} m apart; expected a closed lap. Add what is missing."
        )
    furthest = int(np.argmax(steps))
    if steps[furthest] > MAX_SPACING_M:
        raise errors.ConfigError(
            f"{path}:{lines[furthest]}: the next point is {steps[furthest]:.1f} m away; expected "
            f"at most {MAX_SPACING_M:g} m. Add points between the two."
        )
    heading = np.arctan2(legs[:, 1], legs[:, 0])
    turn = np.degrees(
        np.abs(np.remainder(heading - np.roll(heading, 1) + np.pi, 2 * np.pi) - np.pi)
    )
    sharpest = int(np.argmax(turn))
    if turn[sharpest] > MAX_TURN_DEG:
        raise errors.ConfigError(
            f"{path}:{lines[sharpest]}: the road turns by {turn[sharpest]:.0f} degrees at this "
            f"point; expected at most {MAX_TURN_DEG:g}. Add points to the corner, or remove a "
            "stray one."
        )


def _named() -> str:
    return ", ".join(COLUMNS)


def _shown(cell: str) -> str:
    """A cell's text, short enough for one line."""
    return cell if len(cell) <= 30 else f"{cell[:27]}..."
