"""`Gauges`: the instruments at the bottom of a picture."""

from __future__ import annotations

import math

import cv2  # noqa: TID253 - drawing is the point of this module
import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing.car import Car
from gamebridge_racing.drawing import views
from gamebridge_racing.drawing.frames import Frame
from gamebridge_racing.drawing.lettering import Lettering
from gamebridge_racing.drawing.views import SHIFT, fixed
from gamebridge_racing.roads import tracks

HEIGHT, WIDTH = 720, 1280
TOP = 536  # the first row that gauges use
Colour = tuple[int, int, int]
_PANEL, _COVER = (14, 17, 24), 178
_WHITE, _GREY, _DIM = (244, 245, 248), (168, 174, 186), (70, 76, 90)
_GREEN, _RED, _AMBER, _BLUE = (66, 214, 116), (246, 70, 62), (255, 190, 60), (92, 164, 255)
_DIAL, _RADIUS = (640, 628), 76
_DIAL_FROM, _DIAL_TO = math.radians(135), math.radians(405)
_TIMES, _PEDALS, _MAP = (16, 556, 292, 704), (404, 580, 876, 704), (1012, 548, 1264, 704)
_WHEEL, _SLIP = (462, 642), (818, 642)
_FULL_SLIP_RAD = 0.5


class Gauges:
    """Draws instruments on pictures of 1280 x 720."""

    def __init__(self, car: Car, *, minimap: bool) -> None:
        """Draws what does not change.

        Args:
          car: for the ends of the scales.
          minimap: whether there is a map in the right corner.
        """
        self._steer_rad = car.steer_rad
        self._full_km_h = 20 * math.ceil(car.top_speed_m_s() * 3.6 / 20)
        self._huge = Lettering(32, 0.15)
        self._large, self._small = Lettering(20, 0.14), Lettering(11, 0.13)
        self._has_map = minimap
        self._map_view: views.View | None = None
        self._paint, self._kept = self._panels([])

    def set_track(self, track: tracks.Track) -> None:
        """Draws the map of a track."""
        lines = []
        if self._has_map:
            box = (_MAP[0] + 18, _MAP[1] + 18, _MAP[2] - 18, _MAP[3] - 18)
            self._map_view = views.fitted(np.concatenate([track.left, track.right]), box)
            lines = [track.centre, np.stack([track.left[0], track.right[0]])]
        self._paint, self._kept = self._panels(lines)

    def _panels(self, lines: list[Array]) -> tuple[Array, Array]:
        """Returns what is added to the picture, and 255 times what is kept of it."""
        colour = np.zeros((HEIGHT - TOP, WIDTH, 3), np.uint8)
        cover = np.zeros((HEIGHT - TOP, WIDTH), np.uint8)
        boxes = [_TIMES, _PEDALS] + ([_MAP] if self._has_map else [])
        for box in boxes:
            _rounded(cover, box, 14, _COVER)
        at = (_DIAL[0] * 16, (_DIAL[1] - TOP) * 16)
        cv2.circle(cover, at, (_RADIUS + 12) * 16, 235, -1, cv2.LINE_AA, SHIFT)
        colour[:] = _PANEL
        ink = np.zeros_like(colour)
        self._draw_scale(ink)
        for text, column in (("STEER", _WHEEL[0]), ("SLIP", _SLIP[0])):
            self._small.draw(ink, text, (column, 698 - TOP), _GREY, 0.5)
        for row, text in ((630, "LAST"), (653, "BEST"), (676, "LIMIT")):
            self._small.draw(ink, text, (_TIMES[0] + 16, row - TOP), _GREY)
        if lines and self._map_view is not None:
            for line, closed, shade, thick in (
                (lines[0], True, _DIM, 9),
                (lines[0], True, _WHITE, 2),
                (lines[1], False, _RED, 3),
            ):
                at_map = self._map_view.points(line) - (0, TOP)
                cv2.polylines(ink, [fixed(at_map)], closed, shade, thick, cv2.LINE_AA, SHIFT)
        # Ink is laid over the panels, and covers wholly.
        full = np.maximum(cover, ink.max(-1))
        paint = cv2.multiply(colour, cv2.merge([cover] * 3), scale=1 / 255)
        paint = cv2.max(paint, ink)
        return paint, 255 - cv2.merge([full] * 3)

    def _draw_scale(self, ink: Array) -> None:
        """Ticks and numbers of the dial."""
        for km_h in range(0, self._full_km_h + 1, 10):
            angle = self._angle(km_h)
            ray = np.array([math.cos(angle), math.sin(angle)])
            major = km_h % 40 == 0
            ends = np.stack([ray * (_RADIUS + 5), ray * (_RADIUS - (4 if major else 0))])
            points = fixed(ends + _DIAL - (0, TOP))
            shade = _WHITE if major else _GREY
            cv2.polylines(ink, [points], False, shade, 2 if major else 1, cv2.LINE_AA, SHIFT)
            if major:
                place = ray * (_RADIUS - 20) + _DIAL - (0, TOP) + (0, 5)
                self._small.draw(ink, str(km_h), (place[0], place[1]), _GREY, 0.5)
        self._small.draw(ink, "KM/H", (_DIAL[0], _DIAL[1] + 46 - TOP), _GREY, 0.5)

    def _angle(self, km_h: float) -> float:
        share = min(max(km_h / self._full_km_h, 0.0), 1.0)
        return _DIAL_FROM + (_DIAL_TO - _DIAL_FROM) * share

    def draw(self, picture: Array, frame: Frame, contacts: int) -> None:
        """Draws the instruments.

        Args:
          picture: uint8 [720, 1280, 3] RGB, drawn on.
          frame: what they show.
          contacts: how many times a wall was touched in this episode.
        """
        band = picture[TOP:]
        cv2.multiply(band, self._kept, dst=band, scale=1 / 255)
        cv2.add(band, self._paint, dst=band)
        self._draw_dial(picture, frame)
        self._draw_times(picture, frame, contacts)
        for column, level, colour in (
            (530, frame.throttle, _GREEN),
            (738, -frame.throttle, _RED),
        ):
            _bar(picture, (column, 592, column + 12, 692), min(max(level, 0.0), 1.0), colour)
        self._draw_wheel(picture, frame.steer_rad)
        self._draw_slip(picture, frame)
        if self._map_view is not None:
            at = fixed(self._map_view.points(np.array([[frame.x, frame.y]])))[0]
            at = np.clip(at, np.array(_MAP[:2]) * 16 + 96, np.array(_MAP[2:]) * 16 - 96).tolist()
            cv2.circle(picture, at, 7 * 16, (0, 0, 0), -1, cv2.LINE_AA, SHIFT)
            cv2.circle(picture, at, 5 * 16 + 8, _AMBER, -1, cv2.LINE_AA, SHIFT)

    def _draw_dial(self, picture: Array, frame: Frame) -> None:
        km_h = frame.speed_m_s * 3.6
        start, end = math.degrees(_DIAL_FROM), math.degrees(self._angle(abs(km_h)))
        axes = (_RADIUS + 2, _RADIUS + 2)
        if end > start + 0.5:
            cv2.ellipse(picture, _DIAL, axes, 0, start, end, _BLUE, 5, cv2.LINE_AA)
        angle = math.radians(end)
        ray, side = (
            np.array([math.cos(angle), math.sin(angle)]),
            np.array([-math.sin(angle), math.cos(angle)]),
        )
        needle = np.stack([ray * (_RADIUS - 2), ray * 44 + side * 3, ray * 44 - side * 3]) + _DIAL
        cv2.fillConvexPoly(picture, fixed(needle), _RED, cv2.LINE_AA, SHIFT)
        self._huge.draw(picture, f"{abs(km_h):.0f}", (_DIAL[0], _DIAL[1] + 18), _WHITE, 0.5)

    def _draw_times(self, picture: Array, frame: Frame, contacts: int) -> None:
        left, right = _TIMES[0] + 16, _TIMES[2] - 16
        self._large.draw(picture, f"LAP {frame.lap}", (left, 598), _AMBER)
        self._large.draw(picture, _clock(frame.lap_time_s), (right, 598), _WHITE, 1.0)
        limit = frame.limit_lap_s
        for row, value in ((630, frame.last_lap_s), (653, frame.best_lap_s), (676, limit)):
            self._small.draw(picture, _clock(value), (left + 122, row), _WHITE, 1.0)
            if row != 676 and math.isfinite(value) and math.isfinite(limit):
                behind = value - limit
                colour = _GREEN if behind < 0.03 * limit else _AMBER
                self._small.draw(picture, f"{behind:+.3f}", (right, row), colour, 1.0)
        colour = _RED if contacts else _GREY
        text = f"WALL HITS {contacts}"
        self._small.draw(picture, text, (right, 676), colour, 1.0)
        share = frame.lap_time_s / limit if math.isfinite(limit) and limit > 0 else 0.0
        cv2.rectangle(picture, (left, 686), (right, 690), _DIM, -1)
        if share > 0:
            end = left + round((right - left) * min(share, 1.0))
            cv2.rectangle(picture, (left, 686), (end, 690), _BLUE if share < 1 else _RED, -1)

    def _draw_wheel(self, picture: Array, steer_rad: float) -> None:
        """A steering wheel, turned three times as far as the road wheels."""
        turn = -3.0 * steer_rad
        centre = (_WHEEL[0] * 16, _WHEEL[1] * 16)
        cv2.circle(picture, centre, 32 * 16, _WHITE, 5, cv2.LINE_AA, SHIFT)
        for spoke in (0.0, math.pi, math.pi / 2):
            ray = np.array([math.cos(spoke + turn), math.sin(spoke + turn)])
            ends = fixed(np.stack([ray * 6, ray * 30]) + _WHEEL)
            cv2.polylines(picture, [ends], False, _WHITE, 4, cv2.LINE_AA, SHIFT)
        top = math.degrees(turn) - 90
        cv2.ellipse(picture, _WHEEL, (32, 32), 0, top - 10, top + 10, _AMBER, 6, cv2.LINE_AA)
        cv2.circle(picture, centre, 8 * 16, _AMBER, -1, cv2.LINE_AA, SHIFT)

    def _draw_slip(self, picture: Array, frame: Frame) -> None:
        """Where the car moves, seen from the car: straight up when it does not slip."""
        up = -math.pi / 2
        first, last = math.degrees(up - _FULL_SLIP_RAD * 2), math.degrees(up + _FULL_SLIP_RAD * 2)
        centre = (_SLIP[0], _SLIP[1] + 22)
        cv2.ellipse(picture, centre, (52, 52), 0, first, last, _DIM, 6, cv2.LINE_AA)
        slip = min(max(frame.slip_rad, -_FULL_SLIP_RAD), _FULL_SLIP_RAD)
        end = math.degrees(up - 2 * slip)
        size = abs(slip)
        colour = _GREEN if size < 0.08 else _AMBER if size < 0.2 else _RED
        low, high = min(end, -90.0) - 2, max(end, -90.0) + 2
        cv2.ellipse(picture, centre, (52, 52), 0, low, high, colour, 6, cv2.LINE_AA)
        text = f"{math.degrees(frame.slip_rad):+.0f}"
        self._large.draw(picture, text, (_SLIP[0], _SLIP[1] + 16), _WHITE, 0.5)


def _clock(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "-:--.---"
    minutes, rest = divmod(max(seconds, 0.0), 60)
    return f"{minutes:.0f}:{rest:06.3f}"


def _rounded(cover: Array, box: tuple[int, int, int, int], radius: int, level: int) -> None:
    left, top, right, bottom = box[0], box[1] - TOP, box[2], box[3] - TOP
    mask = np.zeros_like(cover)
    cv2.rectangle(mask, (left + radius, top + radius), (right - radius, bottom - radius), level, -1)
    cv2.rectangle(
        mask, (left + radius, top + radius), (right - radius, bottom - radius), level, 2 * radius
    )
    np.maximum(cover, mask, out=cover)


def _bar(picture: Array, box: tuple[int, int, int, int], share: float, colour: Colour) -> None:
    left, top, right, bottom = box
    cv2.rectangle(picture, (left, top), (right, bottom), _DIM, -1)
    if share > 0:
        filled = bottom - round((bottom - top) * share)
        cv2.rectangle(picture, (left, filled), (right, bottom), colour, -1)
