"""`Garage`: the tracks that a game has met so far, laid end to end for the kernels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing import car as cars
from gamebridge_racing import columns
from gamebridge_racing.roads import limits, tracks

# The two top bits of an episode's seed tell what it is for (`contract.seeding`).
_PURPOSE, _VALUE = 0x6000_0000, 0x1FFF_FFFF
# Circuits of validation and evaluation, of each as many.
_NUM_HELD_OUT = 100_000
# About; of the line that drivers are shown.
LINE_SPACING_M = 3.0
# At the limit nothing is left for a mistake. The line that drivers are shown is the limit's
# of a car with so much more room at each side, for its slip angle and its driver's error,
# and with this share of the grip: for the drag of cornering, for the load that braking takes
# off the rear tyres, both beyond the limit's model, and for steering. It costs half a
# percent of the lap and three.
SHOWN_ROOM_M = 0.4
SHOWN_GRIP = 0.95


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which track an episode is driven on.

    Attributes:
      number: of the track that belongs to an episode's seed.
      make: makes the track of a number.
    """

    number: Callable[[int], int]
    make: Callable[[int], tracks.Track]


def always(track: tracks.Track) -> Choice:
    """Returns the choice of one track."""
    return Choice(lambda seed: 0, lambda number: track)


def by_seed(num_circuits: int, make: Callable[[int], tracks.Track]) -> Choice:
    """Returns the choice among circuits: training meets `num_circuits`, and no others do."""

    def number(seed: int) -> int:
        purpose, value = seed & _PURPOSE, seed & _VALUE
        return purpose + value % (_NUM_HELD_OUT if purpose else num_circuits)

    return Choice(number, make)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A track of the garage.

    Attributes:
      track: the track.
      limit: its race line and lap time.
      line: float64 [M, 2], the line that drivers are shown, at about LINE_SPACING_M.
      first: its first row in `Garage.road`.
      line_first: its first row in `Garage.lines`.
    """

    track: tracks.Track
    limit: limits.Limit
    line: Array
    first: int
    line_first: int


class Garage:
    """Makes tracks when they are first driven, and keeps them.

    Attributes:
      road: float64 [R, NUM_ROAD], the cross lines of all tracks.
      lines: float64 [L, NUM_LINE], the lines that drivers are shown, of all tracks.
    """

    def __init__(self, choice: Choice, car: cars.Car, *, shows_line: bool = False) -> None:
        """Starts empty.

        Args:
          choice: which track an episode is driven on.
          car: whose limit it is.
          shows_line: whether drivers see `lines`; else they are the limit's, at no cost.
        """
        self._choice = choice
        self._car = self._shown_car = car
        if shows_line:
            self._shown_car = dataclasses.replace(
                car, width_m=car.width_m + 2 * SHOWN_ROOM_M, grip=car.grip * SHOWN_GRIP
            )
        self._entries: dict[int, Entry] = {}
        self._road = _Rows(columns.NUM_ROAD)
        self._lines = _Rows(columns.NUM_LINE)

    @property
    def road(self) -> Array:
        """The cross lines; a new array whenever a track was added."""
        return self._road.array

    @property
    def lines(self) -> Array:
        """The lines that drivers are shown; a new array whenever a track was added."""
        return self._lines.array

    def entry(self, seed: int) -> Entry:
        """Returns the track of an episode's seed."""
        number = self._choice.number(seed)
        entry = self._entries.get(number)
        if entry is None:
            track = self._choice.make(number)
            limit = shown = limits.lap_limit(track, self._car)
            if self._shown_car is not self._car:
                shown = limits.lap_limit(track, self._shown_car)
            line = _line(shown)
            entry = self._entries[number] = Entry(
                track, limit, line[:, :2], self._road.append(_road(track)), self._lines.append(line)
            )
        return entry


class _Rows:
    """Rows that grow in doubling steps: a view of what is filled is handed out."""

    def __init__(self, num_columns: int) -> None:
        self._buffer = np.zeros((1024, num_columns))
        self._count = 0

    @property
    def array(self) -> Array:
        return self._buffer[: self._count]

    def append(self, rows: Array) -> int:
        first, self._count = self._count, self._count + len(rows)
        if self._count > len(self._buffer):
            grown = np.zeros((2 * self._count, self._buffer.shape[1]))
            grown[:first] = self._buffer[:first]
            self._buffer = grown
        self._buffer[first : self._count] = rows
        return first


def _road(track: tracks.Track) -> Array:
    rows = np.zeros((track.num_gates + 1, columns.NUM_ROAD))
    rows[:-1, columns.LEFT_X : columns.LEFT_Y + 1] = track.left
    rows[:-1, columns.RIGHT_X : columns.RIGHT_Y + 1] = track.right
    rows[:-1, columns.PER_WIDTH] = 1.0 / track.width_m
    for wall, column, side in (
        (track.left, columns.LEFT_NORMAL_X, 1.0),
        (track.right, columns.RIGHT_NORMAL_X, -1.0),
    ):
        edge = np.roll(wall, -1, 0) - wall
        edge *= side / np.hypot(*edge.T)[:, None]
        rows[:-1, column], rows[:-1, column + 1] = edge[:, 1], -edge[:, 0]
    rows[-1] = rows[0]
    rows[:, columns.DISTANCE] = track.s_m
    return rows


def _line(limit: limits.Limit) -> Array:
    length = limit.s_m[-1]
    s = np.arange(round(length / LINE_SPACING_M)) * length / round(length / LINE_SPACING_M)
    values = np.column_stack([limit.line, limit.speed_m_s])
    return np.column_stack([np.interp(s, limit.s_m[:-1], v, period=length) for v in values.T])
