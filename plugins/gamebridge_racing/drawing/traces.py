"""`Traces`: what a car leaves behind: its trail, skid marks, smoke, and marks of wall hits."""

from __future__ import annotations

import itertools

import cv2  # noqa: TID253 - drawing is the point of this module
import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing.car import Car
from gamebridge_racing.drawing import lettering
from gamebridge_racing.drawing.frames import Frame
from gamebridge_racing.drawing.views import SHIFT, View, fixed
from gamebridge_racing.roads import tracks

_MAX_POINTS = 4_000
_STEP_M = 0.8  # between points of the trail
_COLOURS = 24
_SLIPPING_RAD, _SLIPPING_M_S = 0.13, 5.0
_SKID = (42, 42, 45)
_PUFF_S, _BURST_S = 0.9, 0.7
_PUFF_PX = 64
# While a car scrapes along a wall, a mark every so far.
_MARK_M = 2.5
_MAX_MARKS = 400
X, Y, HEADING, SPEED, SLIPPING = range(5)


class Traces:
    """Collects an episode's traces frame by frame, and draws them."""

    def __init__(self, car: Car) -> None:
        self._car = car
        self._top_m_s = 0.75 * car.top_speed_m_s()
        ramp: Array = np.linspace(20, 235, _COLOURS).astype(np.uint8)[None]
        self._colours = np.flip(cv2.applyColorMap(ramp, cv2.COLORMAP_TURBO)[0], 1).tolist()
        y, x = np.meshgrid(*[np.linspace(-1, 1, _PUFF_PX)] * 2)
        self._puff = (255 * np.clip(1 - np.hypot(x, y), 0, 1) ** 1.5).astype(np.float32)
        self.clear()

    def clear(self) -> None:
        """Forgets everything: an episode begins."""
        self._trail = np.empty((_MAX_POINTS, 5))
        self._count = 0
        self._marks: list[tuple[float, float, float, float]] = []
        self._puffs: list[tuple[float, float, float]] = []
        self._touching = False
        self.contacts = 0

    @property
    def num_marks(self) -> int:
        """Of wall hits."""
        return len(self._marks)

    def add(self, frame: Frame, track: tracks.Track) -> None:
        """Takes note of a frame."""
        slipping = abs(frame.slip_rad) > _SLIPPING_RAD and frame.speed_m_s > _SLIPPING_M_S
        trail = self._trail
        last = trail[self._count - 1]
        if not self._count or np.hypot(frame.x - last[X], frame.y - last[Y]) >= _STEP_M:
            if self._count == _MAX_POINTS:
                half = _MAX_POINTS // 2
                trail[:half] = trail[half:].copy()
                self._count = half
            row = (frame.x, frame.y, frame.heading_rad, frame.speed_m_s, slipping)
            trail[self._count] = row
            self._count += 1
            if slipping:
                self._puffs += [(*wheel, frame.time_s) for wheel in self._rear_wheels(frame)]
        self._puffs = [puff for puff in self._puffs if 0 <= frame.time_s - puff[2] < _PUFF_S]
        if frame.wall_contact:
            self.contacts += not self._touching
            x, y = self._touched(frame, track)
            far = not self._marks or np.hypot(x - self._marks[-1][0], y - self._marks[-1][1])
            if not self._touching or far > _MARK_M:
                self._marks.append((x, y, frame.time_s, frame.wall_impulse))
                del self._marks[:-_MAX_MARKS]
        self._touching = frame.wall_contact

    def _rear_wheels(self, frame: Frame) -> list[tuple[float, float]]:
        cos, sin = np.cos(frame.heading_rad), np.sin(frame.heading_rad)
        back, side = -self._car.rear_m, 0.4 * self._car.width_m
        return [
            (frame.x + back * cos - aside * sin, frame.y + back * sin + aside * cos)
            for aside in (side, -side)
        ]

    def _touched(self, frame: Frame, track: tracks.Track) -> tuple[float, float]:
        """The corner of the car's outline that is nearest to a wall."""
        middle = (self._car.front_m - self._car.rear_m) / 2
        ahead = middle + np.array([1, 1, -1, -1]) * self._car.length_m / 2
        aside = np.array([1, -1, -1, 1]) * self._car.width_m / 2
        cos, sin = np.cos(frame.heading_rad), np.sin(frame.heading_rad)
        x = frame.x + ahead * cos - aside * sin
        y = frame.y + ahead * sin + aside * cos
        corners = np.stack([x, y], 1)
        gate = int(np.argmin(((track.centre - (frame.x, frame.y)) ** 2).sum(1)))
        around = np.arange(gate - 4, gate + 5) % track.num_gates
        start = np.concatenate([track.left[around], track.right[around]])
        after = (around + 1) % track.num_gates
        along = np.concatenate([track.left[after], track.right[after]]) - start
        away = corners[:, None] - start[None]
        share = (away * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
        nearest = away - np.clip(share, 0, 1)[..., None] * along
        corner = int(np.argmin(np.hypot(nearest[..., 0], nearest[..., 1]).min(1)))
        return float(x[corner]), float(y[corner])

    def draw_trail(self, picture: Array, view: View, since: int = 0) -> int:
        """Draws skid marks and, over them, the trail, coloured by speed.

        Args:
          picture: uint8 [height, width, 3] RGB, drawn on.
          view: of the picture.
          since: points that are drawn already.

        Returns:
          How many points there are now; `since` of the next call on the same picture.
        """
        points = self._trail[max(0, since - 1) : self._count]
        at = view.points(points[:, :2])
        size = (picture.shape[1], picture.shape[0])
        near = ((at > -40) & (at < np.array(size) + 40)).all(1)
        for first, last in _stretches(near & (points[:, SLIPPING] > 0)):
            self._draw_skids(picture, view, points[first:last])
        thick = max(2, round(0.28 * view.scale))
        level = np.clip(points[:, SPEED] / self._top_m_s * _COLOURS, 0, _COLOURS - 1).astype(int)
        pixels = fixed(at)
        for first, last in _stretches(near):
            changes = np.flatnonzero(np.diff(level[first:last])) + first + 1
            bounds = [first, *changes.tolist(), last - 1]
            for start, end in itertools.pairwise(bounds):
                line = pixels[start : end + 1]
                colour = self._colours[level[start]]
                cv2.polylines(picture, [line], False, colour, thick, cv2.LINE_AA, SHIFT)
        return self._count

    def _draw_skids(self, picture: Array, view: View, points: Array) -> None:
        cos, sin = np.cos(points[:, HEADING]), np.sin(points[:, HEADING])
        back, side = -self._car.rear_m, 0.4 * self._car.width_m
        for aside in (side, -side):
            x = points[:, X] + back * cos - aside * sin
            y = points[:, Y] + back * sin + aside * cos
            line = view.fixed(np.stack([x, y], 1))
            thick = max(1, round(0.26 * view.scale))
            cv2.polylines(picture, [line], False, _SKID, thick, cv2.LINE_AA, SHIFT)

    def draw_marks(self, picture: Array, view: View, time_s: float) -> None:
        """Draws where walls were hit: a burst at first, a small mark for ever."""
        if not self._marks:
            return
        at = view.points(np.array(self._marks)[:, :2])
        inside = ((at > -60) & (at < np.array(picture.shape[1::-1]) + 60)).all(1)
        size = max(3.5, 0.34 * view.scale)
        for index in np.flatnonzero(inside):
            centre = fixed(at[index])
            for radius, colour in ((size + 1.5, (20, 20, 22)), (size, (255, 196, 40))):
                ring = round(radius * 16)
                cv2.circle(picture, centre.tolist(), ring, colour, -1, cv2.LINE_AA, SHIFT)
            arm = round(size * 0.5 * 16)
            for offset in np.array([(arm, arm), (arm, -arm)], np.int32):
                ends = np.stack([centre - offset, centre + offset])
                cv2.polylines(picture, [ends], False, (160, 24, 16), 2, cv2.LINE_AA, SHIFT)
            age = time_s - self._marks[index][2]
            if 0 <= age < _BURST_S:
                self._draw_burst(picture, at[index], age / _BURST_S, view.scale, int(index))

    def _draw_burst(
        self, picture: Array, at: Array, share: float, scale: float, number: int
    ) -> None:
        """Sparks that fly off a hit and a flash that fades."""
        strength = min(1.0, 0.45 + self._marks[number][3] / 8_000.0)
        reach = max(16.0, 3.4 * scale) * strength
        side = max(4, round(2.6 * reach * (0.5 + 0.5 * share)))
        mask = cv2.resize(self._puff, (side, side)) * (0.9 * (1 - share) ** 1.5)
        corner = np.round(at - side / 2).astype(int).tolist()
        lettering.blend(picture, mask.astype(np.uint8), (corner[0], corner[1]), (255, 214, 120))
        random = np.random.Generator(np.random.PCG64(number))
        angles, lengths = random.uniform(0, 2 * np.pi, 14), random.uniform(0.45, 1.0, 14)
        far = reach * (1 - (1 - share) ** 2)
        colour = (255, round(90 + 150 * (1 - share)), round(110 * (1 - share)))
        for angle, length in zip(angles, lengths, strict=True):
            ray = np.array([np.cos(angle), np.sin(angle)]) * length
            ends = np.stack([at + ray * far * (0.35 + 0.6 * share), at + ray * far])
            thick = max(1, round(3 * (1 - share)))
            cv2.polylines(picture, [fixed(ends)], False, colour, thick, cv2.LINE_AA, SHIFT)

    def draw_smoke(self, picture: Array, view: View, time_s: float) -> None:
        """Draws puffs over slipping tyres, which grow and thin out."""
        for x, y, born in self._puffs:
            share = (time_s - born) / _PUFF_S
            if not 0 <= share < 1:
                continue
            at = view.points(np.array([[x, y]]))[0]
            side = max(3, round((1.3 + 2.6 * share) * view.scale))
            mask = cv2.resize(self._puff, (side, side)) * (0.34 * (1 - share))
            corner = np.round(at - side / 2 + (share * 4, -share * 6)).astype(int).tolist()
            lettering.blend(picture, mask.astype(np.uint8), (corner[0], corner[1]), (226, 226, 230))


def _stretches(shown: Array) -> list[tuple[int, int]]:
    """Returns [first, last) of runs of at least two shown points."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shown.astype(np.int8), [0]])))
    pairs = edges.reshape(-1, 2).tolist()
    return [(first, last) for first, last in pairs if last - first > 1]
