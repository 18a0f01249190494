"""`Painter`: the race as people see it, 1280 x 720."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import cv2  # noqa: TID253 - drawing is the point of this module
import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing.car import Car
from gamebridge_racing.drawing import frames, gauges, ground, scenery, views
from gamebridge_racing.drawing.sprites import CarSprite
from gamebridge_racing.drawing.traces import Traces
from gamebridge_racing.roads import tracks

HEIGHT, WIDTH = gauges.HEIGHT, gauges.WIDTH
Frame = frames.Frame

# Of the following camera: how much is seen across, at a stand and at full speed.
_NEAR_M, _FAR_M, _FAR_M_S = 76.0, 98.0, 45.0
_SCALE = WIDTH / _NEAR_M
_LOOK_S, _LOOK_SHARE = 0.45, 0.17
_LOOK_SLOWNESS_S, _ZOOM_SLOWNESS_S = 0.6, 1.2
# The car is a little above the middle: gauges cover the lower edge.
_MIDDLE_PX = (WIDTH / 2, 335.0)
_GROUND_BYTES = 64_000_000
_FARTHEST_M = 1e7
# Of the camera that sees the whole track: where the track is, clear of words and gauges.
_BOX = (30, 66, WIDTH - 30, 530)
_LEAST_CAR_PX = 30.0


class Painter:
    """Paints one car's frames in turn.

    The camera "follow" stays with the car, north up; "track" shows the whole track.
    """

    def __init__(self, car: Car, camera: Literal["follow", "track"] = "follow") -> None:
        """Makes a painter without a track.

        Raises:
          ValueError: there is no such camera.
        """
        if camera not in ("follow", "track"):
            raise ValueError(f"Camera is {camera!r}; expected 'follow' or 'track'.")
        self._camera = camera
        self._car = car
        self._sprite = CarSprite(car)
        self._traces = Traces(car)
        self._gauges = gauges.Gauges(car, minimap=camera == "follow")
        self._picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        self._track: tracks.Track | None = None
        self._limit_lap_s: float | None = None
        self._ground: ground.Ground | None = None
        self._whole: tuple[views.View, Array] | None = None
        self._layer = np.empty((0, 0, 3), np.uint8)
        self._view = views.north_up(0.0, 0.0, _SCALE)
        self.reset()

    @property
    def view(self) -> views.View:
        """Where in the last picture what is."""
        return self._view

    def set_track(
        self,
        track: tracks.Track,
        limit_line: Array | None = None,
        limit_lap_s: float | None = None,
    ) -> None:
        """Puts the painter on a track, at the beginning of an episode.

        Args:
          track: to paint.
          limit_line: float64 [M, 2], the fastest line, in metres; drawn dashed.
          limit_lap_s: its lap time, for frames that have none.
        """
        self._track = track
        self._limit_lap_s = limit_lap_s
        self._gauges.set_track(track)
        surroundings = scenery.Scenery(track, limit_line)
        if self._camera == "follow":
            self._ground = ground.Ground(surroundings, _SCALE, _GROUND_BYTES)
        else:
            view = views.fitted(np.concatenate([track.left, track.right]), _BOX)
            self._whole = (view, surroundings.draw(view, HEIGHT, WIDTH))
        self.reset()

    def reset(self) -> None:
        """Clears trail, marks and smoke: an episode begins."""
        self._traces.clear()
        self._time_s = math.nan
        self._look = np.zeros(2)
        self._across_m = _NEAR_M
        self._drawn = 0
        if self._whole is not None:
            self._layer = self._whole[1].copy()

    def paint(self, frame: Frame) -> Array:
        """Paints the next frame.

        Returns:
          uint8 [720, 1280, 3] RGB, valid until the next call.

        Raises:
          ValueError: there is no track yet.
        """
        if self._track is None:
            raise ValueError("There is no track to paint. Call `set_track` first.")
        if self._limit_lap_s is not None and math.isnan(frame.limit_lap_s):
            frame = dataclasses.replace(frame, limit_lap_s=self._limit_lap_s)
        self._traces.add(frame, self._track)
        picture = self._picture
        if self._ground is not None:
            view = self._follow(frame, self._ground)
            self._traces.draw_trail(picture, view)
            enlarged = 1.0
        else:
            view = self._stay()
            enlarged = max(1.0, _LEAST_CAR_PX / (self._car.length_m * view.scale))
        self._view = view
        self._traces.draw_marks(picture, view, frame.time_s)
        self._sprite.draw(picture, view, frame, enlarged)
        self._traces.draw_smoke(picture, view, frame.time_s)
        self._gauges.draw(picture, frame, self._traces.contacts)
        return picture

    def _stay(self) -> views.View:
        """Copies the whole track, on which the trail is drawn only once."""
        if self._whole is None:
            raise ValueError("There is no track to paint. Call `set_track` first.")
        self._drawn = self._traces.draw_trail(self._layer, self._whole[0], self._drawn)
        np.copyto(self._picture, self._layer)
        return self._whole[0]

    def _follow(self, frame: Frame, about: ground.Ground) -> views.View:
        """Moves the camera and lays the ground."""
        passed = frame.time_s - self._time_s
        self._time_s = frame.time_s
        course = frame.heading_rad + frame.slip_rad
        fast = min(max(frame.speed_m_s / _FAR_M_S, 0.0), 1.0)
        across = _NEAR_M + (_FAR_M - _NEAR_M) * fast
        size = np.array([across, across * HEIGHT / WIDTH])
        look = np.array([math.cos(course), math.sin(course)]) * frame.speed_m_s * _LOOK_S
        look = np.clip(look, -_LOOK_SHARE * size, _LOOK_SHARE * size)
        if math.isnan(passed) or passed < 0:
            self._look, self._across_m = look, across
        else:
            self._look += (look - self._look) * (1 - math.exp(-passed / _LOOK_SLOWNESS_S))
            self._across_m += (across - self._across_m) * (1 - math.exp(-passed / _ZOOM_SLOWNESS_S))
        middle = np.clip([frame.x, frame.y], -_FARTHEST_M, _FARTHEST_M) + self._look
        width = round(self._across_m * _SCALE)
        height = round(width * HEIGHT / WIDTH)
        left = round(middle[0] * _SCALE - width * _MIDDLE_PX[0] / WIDTH)
        top = round(-middle[1] * _SCALE - height * _MIDDLE_PX[1] / HEIGHT)
        window = about.window(left, top, height, width)
        cv2.resize(window, (WIDTH, HEIGHT), dst=self._picture, interpolation=cv2.INTER_LINEAR)
        world = views.north_up(0.0, 0.0, _SCALE)
        return world.cropped(left, top, width / WIDTH, height / HEIGHT)
