"""`CarSprite`: the car from above, with wheels that steer and lights that brake."""

from __future__ import annotations

import cv2  # noqa: TID253 - drawing is the point of this module
import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing.car import Car
from gamebridge_racing.drawing.frames import Frame
from gamebridge_racing.drawing.views import SHIFT, View, fixed

_FINE = 56.0  # pixels a metre of the pictures of the body; each frame shrinks them
_EDGE_M = 1.4  # about the body: room for its shadow
_SHADOW_M = (0.34, 0.34)  # in the picture, right and down
_TYRE, _RIM = (26, 26, 29), (92, 94, 100)
_PAINT, _DARK, _LIGHT = (226, 52, 36), (150, 26, 22), (255, 118, 84)
_TRIM, _GLASS, _WHITE, _HELMET = (30, 31, 36), (44, 52, 66), (240, 240, 236), (250, 208, 40)
_TYRE_M = (0.66, 0.34)
_BRAKING = -0.05


class CarSprite:
    """Draws a car of a given size, a formula car in looks."""

    def __init__(self, car: Car) -> None:
        """Draws the body once, large."""
        self._car = car
        nose = car.length_m / 2 + (car.front_m - car.rear_m) / 2
        self._nose_m, self._tail_m = nose, nose - car.length_m
        width = round((car.length_m + 2 * _EDGE_M) * _FINE)
        height = round((car.width_m + 2 * _EDGE_M) * _FINE)
        # Of the centre of gravity in these pictures, in which the car heads to the right.
        self._origin = np.array([_EDGE_M - self._tail_m, _EDGE_M + car.width_m / 2]) * _FINE
        self._body = np.zeros((height, width, 3), np.uint8)
        self._cover = np.zeros((height, width), np.uint8)
        self._draw_body()
        shadow = np.zeros((height, width), np.uint8)
        low = self._pixels(np.array([[self._tail_m, -0.46], [nose, 0.46]]) * (1, car.width_m))
        cv2.rectangle(shadow, low[0].astype(int).tolist(), low[1].astype(int).tolist(), 165, -1)
        self._shadow = cv2.GaussianBlur(shadow, (0, 0), 0.16 * _FINE)

    def _pixels(self, metres: Array) -> Array:
        """From metres ahead and to the left, to pixels of the body's picture."""
        return np.asarray(self._origin + metres * (_FINE, -_FINE))

    def _part(self, points: list[tuple[float, float]], colour: tuple[int, int, int]) -> None:
        """Fills a part, and the same one on the other side of the car.

        Args:
          points: metres ahead of the centre of gravity, and shares of half the width.
          colour: RGB.
        """
        for side in (1, -1):
            places = np.array(points) * (1.0, side * self._car.width_m / 2)
            at = fixed(self._pixels(places))
            cv2.fillPoly(self._body, [at], colour, cv2.LINE_AA, SHIFT)
            cv2.fillPoly(self._cover, [at], 255, cv2.LINE_AA, SHIFT)

    def _draw_body(self) -> None:
        nose, tail = self._nose_m, self._tail_m
        front, rear = self._car.front_m, -self._car.rear_m
        # Suspension arms, then from the ground up.
        for axle in (front, rear):
            self._part([(axle + 0.16, 0), (axle + 0.05, 0.8), (axle, 0.8), (axle + 0.06, 0)], _TRIM)
            self._part([(axle - 0.16, 0), (axle - 0.05, 0.8), (axle, 0.8), (axle - 0.06, 0)], _TRIM)
        wing = [(nose, 0), (nose - 0.06, 0.96), (nose - 0.42, 1.0), (nose - 0.34, 0)]
        self._part(wing, _PAINT)
        self._part(
            [(nose - 0.05, 0.8), (nose - 0.05, 0.98), (nose - 0.46, 1.0), (nose - 0.46, 0.9)],
            _WHITE,
        )
        self._part(
            [(nose - 0.22, 0), (nose - 0.24, 0.86), (nose - 0.30, 0.87), (nose - 0.28, 0)], _DARK
        )
        self._part(
            [
                (0.62, 0),
                (0.55, 0.52),
                (0.2, 0.72),
                (rear + 0.55, 0.66),
                (rear - 0.1, 0.2),
                (rear - 0.1, 0),
            ],
            _DARK,
        )
        self._part(
            [
                (0.56, 0),
                (0.46, 0.46),
                (0.16, 0.64),
                (rear + 0.6, 0.56),
                (rear - 0.05, 0.16),
                (rear - 0.05, 0),
            ],
            _PAINT,
        )
        self._part(
            [(nose - 0.02, 0), (nose - 0.1, 0.1), (front, 0.2), (0.35, 0.36), (0.35, 0)], _PAINT
        )
        self._part([(nose - 0.2, 0), (nose - 0.2, 0.05), (0.5, 0.11), (0.5, 0)], _WHITE)
        # Light falls from the upper left of a car that heads right.
        self._part([(0.42, 0.46), (0.16, 0.6), (rear + 0.7, 0.52), (rear + 0.75, 0.44)], _LIGHT)
        self._part([(0.42, 0), (0.36, 0.26), (-0.05, 0.34), (-0.62, 0.28), (-0.72, 0)], _TRIM)
        self._part([(0.42, 0), (0.36, 0.26), (0.22, 0.28), (0.26, 0)], _GLASS)
        self._part([(-0.5, 0), (-0.55, 0.2), (rear + 0.1, 0.1), (rear + 0.05, 0)], _DARK)
        self._part([(-0.6, 0), (-0.62, 0.05), (rear, 0.05), (rear, 0)], _WHITE)
        self._part(
            [(tail + 0.5, 0), (tail + 0.5, 0.88), (tail + 0.02, 0.88), (tail + 0.02, 0)], _TRIM
        )
        self._part(
            [(tail + 0.34, 0), (tail + 0.34, 0.84), (tail + 0.06, 0.84), (tail + 0.06, 0)], _PAINT
        )
        self._part([(tail + 0.56, 0.84), (tail + 0.56, 0.95), (tail, 0.95), (tail, 0.84)], _WHITE)
        at = fixed(self._pixels(np.array([[-0.16, 0.0]])))[0].tolist()
        cv2.circle(self._body, at, round(0.2 * _FINE * 16), _HELMET, -1, cv2.LINE_AA, SHIFT)
        visor = fixed(self._pixels(np.array([[-0.1, 0.0]])))[0].tolist()
        axes = (round(0.09 * _FINE), round(0.15 * _FINE))
        cv2.ellipse(self._body, [p // 16 for p in visor], axes, 0, -75, 75, _TRIM, -1, cv2.LINE_AA)

    def draw(self, picture: Array, view: View, frame: Frame, enlarged: float = 1.0) -> None:
        """Draws the car with its shadow; what reaches beyond the picture is cut off.

        Args:
          picture: uint8 [height, width, 3] RGB, drawn on.
          view: of the picture.
          frame: the car's moment.
          enlarged: how much larger than it is; 1 is its true size.
        """
        scale = view.scale * enlarged
        at = view.points(np.array([[frame.x, frame.y]]))[0]
        angle = view.angle_rad(frame.heading_rad)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        reach = int((self._car.length_m / 2 + _EDGE_M) * scale * 1.1) + 2
        left, top = np.round(at).astype(int) - reach
        rows = slice(max(top, 0), min(top + 2 * reach, picture.shape[0]))
        columns = slice(max(left, 0), min(left + 2 * reach, picture.shape[1]))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        part = picture[rows, columns]
        at = at - (columns.start, rows.start)
        shift = np.array(_SHADOW_M) * scale
        shadow = self._warped(self._shadow, part, turn * (scale / _FINE), at + shift)
        _cover(part, np.zeros_like(part), shadow)
        self._draw_wheels(part, at, turn, scale, frame)
        shape = turn * (scale / _FINE)
        body = self._warped(self._body, part, shape, at)
        _cover(part, body, self._warped(self._cover, part, shape, at), premultiplied=True)
        if frame.throttle < _BRAKING:
            self._draw_lights(part, at, turn, scale, min(1.0, -frame.throttle))

    def _warped(self, image: Array, part: Array, shape: Array, at: Array) -> Array:
        matrix = np.column_stack([shape, at - shape @ self._origin])
        size = (part.shape[1], part.shape[0])
        if np.hypot(*shape[0]) < 0.5:  # shrunk by more than half: averaged first
            half = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            matrix[:, :2] *= 4
            return cv2.warpAffine(half, matrix, size, flags=cv2.INTER_LINEAR)
        return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR)

    def _draw_wheels(self, part: Array, at: Array, turn: Array, scale: float, frame: Frame) -> None:
        aside = self._car.width_m / 2 - _TYRE_M[1] / 2
        corners = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * 0.5
        # The picture's rows go down: a turn to the left is one against the clock.
        cos, sin = np.cos(frame.steer_rad), np.sin(frame.steer_rad)
        steered = np.array([[cos, sin], [-sin, cos]])
        for axle, wheel in ((self._car.front_m, steered), (-self._car.rear_m, np.eye(2))):
            for side in (aside, -aside):
                hub = np.array([axle, side])
                for size, colour in ((_TYRE_M, _TYRE), ((0.34, 0.12), _RIM)):
                    places = hub + (corners * size) @ wheel.T
                    pixels = at + (places * scale) @ turn.T
                    cv2.fillConvexPoly(part, fixed(pixels), colour, cv2.LINE_AA, SHIFT)

    def _draw_lights(
        self, part: Array, at: Array, turn: Array, scale: float, strength: float
    ) -> None:
        """Two red lights with a glow about each."""
        glow = np.zeros(part.shape[:2], np.uint8)
        for side in (1, -1):
            place = np.array([self._tail_m + 0.02, side * self._car.width_m * 0.3])
            centre = fixed(at + turn @ place * scale).tolist()
            radius = round((0.24 + 0.12 * strength) * scale * 16)
            cv2.circle(glow, centre, radius, round(255 * strength), -1, cv2.LINE_AA, SHIFT)
        red = np.empty_like(part)
        red[:] = (255, 30, 20)
        _cover(part, red, cv2.GaussianBlur(glow, (0, 0), max(0.5, 0.1 * scale)))


def _cover(part: Array, colour: Array, cover: Array, *, premultiplied: bool = False) -> None:
    """Lays a picture over a part, in place; premultiplied ones are black where not covered."""
    weight = cv2.merge([cover, cover, cover])
    kept = cv2.multiply(part, cv2.bitwise_not(weight), scale=1 / 255)
    paint = colour if premultiplied else cv2.multiply(colour, weight, scale=1 / 255)
    part[:] = cv2.add(kept, paint)
