"""`Easel`: one slot's picture, from the kernels' columns to what the painter is told."""

from __future__ import annotations

import math

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing import columns, garage, settings
from gamebridge_racing.drawing import frames, picture


class Easel:
    """Paints one car; sees to it that a new episode begins on a clean track."""

    def __init__(self, chosen: settings.Racing) -> None:
        """Makes the painter."""
        self._painter = picture.Painter(chosen.car, chosen.camera)
        self._entry: garage.Entry | None = None
        self._episode = -1

    def paint(self, entry: garage.Entry, episode: int, car: Array, counts: Array) -> Array:
        """Returns uint8 [720, 1280, 3] RGB, good until the next call.

        Args:
          entry: the track.
          episode: its number; with a new one trail and marks are gone.
          car: float64 [NUM_CAR].
          counts: int64 [NUM_COUNTS].
        """
        if entry is not self._entry:
            self._entry = entry
            self._painter.set_track(entry.track, entry.limit.line, entry.limit.lap_s)
        elif episode != self._episode:
            self._painter.reset()
        self._episode = episode
        along, across = car[columns.SPEED_ALONG], car[columns.SPEED_ACROSS]
        return self._painter.paint(
            frames.Frame(
                x=float(car[columns.X]),
                y=float(car[columns.Y]),
                heading_rad=float(car[columns.HEADING]),
                speed_m_s=math.hypot(along, across),
                steer_rad=float(car[columns.STEER]),
                throttle=float(car[columns.PEDAL]),
                slip_rad=math.atan2(across, along) if abs(along) > 1.0 else 0.0,
                yaw_rate_rad_s=float(car[columns.YAW_RATE]),
                wall_contact=bool(counts[columns.TOUCHED]),
                wall_impulse=float(car[columns.IMPULSE]),
                lap=int(counts[columns.LAPS]) + 1,
                lap_time_s=float(car[columns.TIME] - car[columns.LAP_BEGAN]),
                last_lap_s=float(car[columns.LAST_LAP]) or np.nan,
                best_lap_s=float(car[columns.BEST_LAP]) or np.nan,
                limit_lap_s=float(car[columns.LIMIT_LAP]),
                time_s=float(car[columns.TIME]),
                progress_m=float(car[columns.PROGRESS]),
            )
        )
