"""`PixelView`: the road about the car as a small picture, for agents that see.

The car heads up; above it lies what comes. A strip of gauges at the bottom holds what one
picture cannot show: speed, steering angle, yaw rate, and whether the car touches a wall.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing import kernels
from gamebridge_racing.car import Car
from gamebridge_racing.drawing import maps
from gamebridge_racing.roads import tracks

_kernel = kernels.kernel()
SIZE = 96
METRES_A_PIXEL = 0.625
# The pixel in whose middle the car's centre of gravity is.
CAR_ROW, CAR_COLUMN = 66, 48
GAUGE_ROW = 90  # the first row of the strip of gauges
FULL_YAW_RATE_RAD_S = 2.0
# First and last column of each gauge. Two centred ones share the lower line.
SPEED_COLUMNS = (2, 65)
STEER_COLUMNS = (2, 32)
YAW_COLUMNS = (35, 65)
CONTACT_COLUMNS = (70, 93)

_MAX_BYTES = 256_000_000
_BODY, _GLASS = (255, 208, 0), (30, 40, 60)
_SPEED, _STEER, _YAW = (255, 255, 255), (60, 230, 60), (90, 140, 255)
_CONTACT = (255, 28, 28)
_FAR_M = 1e7


class PixelView:
    """Draws what each slot's car sees, row by row of a batch.

    Maps of tracks are kept between episodes, up to `max_bytes`.
    """

    def __init__(self, num_slots: int, car: Car, max_bytes: int = _MAX_BYTES) -> None:
        self._store = maps.MapStore(max_bytes)
        self._maps: list[maps.TrackMap | None] = [None] * num_slots
        self._groups: list[tuple[maps.TrackMap, Array]] | None = None
        self._sprite = _sprite(car)
        self._full = (car.top_speed_m_s(), car.steer_rad, FULL_YAW_RATE_RAD_S)

    def set_track(self, slot: int, track: tracks.Track) -> None:
        """Puts a slot on a track. Give the same object again to have its map at once."""
        track_map = self._store.get(track)
        if track_map is not self._maps[slot]:
            self._maps[slot] = track_map
            self._groups = None

    def draw(
        self,
        out: Array,
        slots: Array,
        x: Array,
        y: Array,
        heading_rad: Array,
        speed_m_s: Array,
        steer_rad: Array,
        yaw_rate_rad_s: Array,
        wall_contact: Array,
    ) -> None:
        """Draws the rows of `slots`; other rows stay as they are.

        Args:
          out: uint8 [B, 96, 96, 3] RGB, C-contiguous, written in place.
          slots: bool [B], the rows to draw. Each has had its track set.
          x: float64 [B], of the centre of gravity, in metres; finite, as all below.
          y: float64 [B].
          heading_rad: float64 [B].
          speed_m_s: float64 [B].
          steer_rad: float64 [B].
          yaw_rate_rad_s: float64 [B].
          wall_contact: bool or number [B]; above 0 lights the red bar.

        Raises:
          ValueError: a row is to be drawn whose track was not set.
        """
        if self._groups is None:
            self._groups = self._grouped()
        drawn = 0
        touching = np.asarray(wall_contact) > 0
        for track_map, rows in self._groups:
            drawn += _draw(
                out,
                rows,
                slots,
                (x, y, heading_rad, speed_m_s, steer_rad, yaw_rate_rad_s, touching),
                track_map.cells,
                (track_map.left_m, track_map.low_m, track_map.cell_m),
                maps.PALETTE,
                self._sprite,
                self._full,
            )
        if drawn != np.count_nonzero(slots):
            missing = [slot for slot in np.flatnonzero(slots) if self._maps[slot] is None]
            raise ValueError(f"Slots {missing} have no track to draw. Call `set_track` first.")

    def _grouped(self) -> list[tuple[maps.TrackMap, Array]]:
        """Slots on one map are drawn by one call."""
        groups: dict[int, tuple[maps.TrackMap, list[int]]] = {}
        for slot, track_map in enumerate(self._maps):
            if track_map is not None:
                groups.setdefault(id(track_map), (track_map, []))[1].append(slot)
        return [(track_map, np.array(rows)) for track_map, rows in groups.values()]


def _sprite(car: Car) -> Array:
    """Returns uint8 [K, 5], the car's pixels: row, column, and colour."""
    # The outline is centred between the axles, not at the centre of gravity.
    middle = CAR_ROW - (car.front_m - car.rear_m) / 2 / METRES_A_PIXEL
    first = round(middle - car.length_m / 2 / METRES_A_PIXEL + 0.5)
    last = round(middle + car.length_m / 2 / METRES_A_PIXEL - 0.5)
    half = max(1, round((car.width_m / METRES_A_PIXEL - 1) / 2))
    pixels = []
    for row in range(first, last + 1):
        for column in range(CAR_COLUMN - half, CAR_COLUMN + half + 1):
            # The glass is nearer to the front: so one sees which end that is.
            glass = row == first + (last - first) // 3 and abs(column - CAR_COLUMN) < half
            pixels.append((row, column, *(_GLASS if glass else _BODY)))
    return np.array(pixels, np.uint8)


@_kernel
def _bar(
    picture: Array, row: int, columns: tuple[int, int], start: int, share: float, colour: Any
) -> None:
    """Fills two rows of a gauge from `start` over a share of its length, -1 to 1.

    The last pixel is as bright as it is full, so that little steps can be seen.
    """
    for column in range(columns[0], columns[1] + 1):
        if start > columns[0]:  # centred; to the left is positive, as angles are
            half = columns[1] - start
            near = (start - column) if share > 0 else (column - start)
            full = min(max(abs(share) * half - near + 0.5, 0.0), 1.0) if near >= 0 else 0.0
            if column == start:
                full = 1.0
        else:
            length = columns[1] - columns[0] + 1
            full = min(max(share * length - (column - columns[0]), 0.0), 1.0)
        for channel in range(3):
            level = np.uint8(max(28.0, colour[channel] * full))
            picture[row, column, channel] = level
            picture[row + 1, column, channel] = level


@_kernel
def _draw(
    out: Array,
    rows: Array,
    slots: Array,
    cars: tuple[Array, ...],
    cells: Array,
    place: tuple[float, float, float],
    palette: Array,
    sprite: Array,
    full: tuple[float, ...],
) -> int:
    """Draws rows that share a map; returns how many."""
    height, width = cells.shape
    left_m, low_m, cell_m = place
    one = 1 << 16  # positions are fixed-point: a step is one addition
    step = METRES_A_PIXEL / cell_m * one
    drawn = 0
    for slot in rows:
        if not slots[slot]:
            continue
        drawn += 1
        picture = out[slot]
        x, y = cars[0][slot], cars[1][slot]
        heading = cars[2][slot]
        right_x, right_y = np.sin(heading) * step, -np.cos(heading) * step
        up_x, up_y = np.cos(heading) * step, np.sin(heading) * step
        at_x = (min(max(x, -_FAR_M), _FAR_M) - left_m) / cell_m * one
        at_y = (min(max(y, -_FAR_M), _FAR_M) - low_m) / cell_m * one
        across_x, across_y = np.int64(right_x), np.int64(right_y)
        for row in range(GAUGE_ROW):
            ahead = CAR_ROW - row
            u = np.int64(at_x + ahead * up_x - CAR_COLUMN * right_x)
            v = np.int64(at_y + ahead * up_y - CAR_COLUMN * right_y)
            end_u, end_v = u + (SIZE - 1) * across_x, v + (SIZE - 1) * across_y
            # A row of pixels is a straight line: inside if both its ends are.
            inside = (
                min(u, end_u) >= 0
                and min(v, end_v) >= 0
                and max(u, end_u) < width * one
                and max(v, end_v) < height * one
            )
            if inside:
                for column in range(SIZE):
                    index = cells[v >> 16, u >> 16]
                    picture[row, column, 0] = palette[index, 0]
                    picture[row, column, 1] = palette[index, 1]
                    picture[row, column, 2] = palette[index, 2]
                    u += across_x
                    v += across_y
            else:
                for column in range(SIZE):
                    index = np.uint8(0)
                    if 0 <= u < width * one and 0 <= v < height * one:
                        index = cells[v >> 16, u >> 16]
                    picture[row, column, 0] = palette[index, 0]
                    picture[row, column, 1] = palette[index, 1]
                    picture[row, column, 2] = palette[index, 2]
                    u += across_x
                    v += across_y
        for pixel in range(sprite.shape[0]):
            for channel in range(3):
                picture[sprite[pixel, 0], sprite[pixel, 1], channel] = sprite[pixel, 2 + channel]
        picture[GAUGE_ROW:] = 0
        upper, lower = GAUGE_ROW + 1, GAUGE_ROW + 4
        _bar(picture, upper, SPEED_COLUMNS, 2, cars[3][slot] / full[0], _SPEED)
        _bar(picture, lower, STEER_COLUMNS, 17, cars[4][slot] / full[1], _STEER)
        _bar(picture, lower, YAW_COLUMNS, 50, cars[5][slot] / full[2], _YAW)
        touch = 1.0 if cars[6][slot] else 0.0
        _bar(picture, upper, CONTACT_COLUMNS, CONTACT_COLUMNS[0], touch, _CONTACT)
        _bar(picture, lower, CONTACT_COLUMNS, CONTACT_COLUMNS[0], touch, _CONTACT)
    return drawn
