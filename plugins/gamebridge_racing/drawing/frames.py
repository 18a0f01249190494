"""`Frame`: what is drawn of one car at one moment."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Frame:
    """One car at one moment; NaN where there is no such time yet.

    Attributes:
      x: of the centre of gravity, in metres.
      y: of the centre of gravity, in metres.
      heading_rad: counter-clockwise from the x axis.
      speed_m_s: along its path.
      steer_rad: of the front wheels, to the left positive.
      throttle: 1 is full throttle, -1 full braking.
      slip_rad: from the heading to the direction of motion.
      yaw_rate_rad_s: counter-clockwise.
      wall_contact: whether the car touches a wall.
      wall_impulse: of the wall on the car since the last frame, N s.
      lap: number of the running lap; 1 is the first.
      lap_time_s: of the running lap, so far.
      last_lap_s: of the lap before.
      best_lap_s: of this episode.
      limit_lap_s: least time that the tyres allow.
      time_s: since the episode began.
      progress_m: along the track since the episode began.
    """

    x: float
    y: float
    heading_rad: float
    speed_m_s: float
    steer_rad: float = 0.0
    throttle: float = 0.0
    slip_rad: float = 0.0
    yaw_rate_rad_s: float = 0.0
    wall_contact: bool = False
    wall_impulse: float = 0.0
    lap: int = 1
    lap_time_s: float = 0.0
    last_lap_s: float = math.nan
    best_lap_s: float = math.nan
    limit_lap_s: float = math.nan
    time_s: float = 0.0
    progress_m: float = 0.0
