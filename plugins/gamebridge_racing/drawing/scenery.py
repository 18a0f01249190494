"""`Scenery`: the track and its surroundings; what moves is drawn on top of them."""

from __future__ import annotations

import cv2  # noqa: TID253 - drawing is the point of this module
import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing.drawing import outlines, strokes, textures, trees
from gamebridge_racing.drawing.views import View
from gamebridge_racing.roads import tracks

_WHITE, _BLACK, _RED, _BLUE = (232, 232, 228), (24, 24, 26), (200, 40, 38), (44, 84, 168)
_CONCRETE, _SEAM, _EDGE, _FACE = (192, 193, 190), (140, 141, 140), (84, 86, 90), (234, 234, 230)
_DUST, _RUBBER, _LIMIT, _SHADOW = (150, 146, 96), (38, 39, 43), (92, 126, 140), (8, 12, 20)
_WALL_M, _KERB_M, _LINE_M = 0.8, 0.95, 1.15
# The shadow of a wall, in the picture, to the right and down.
_SUN_M = np.array([0.7, 0.7])
_BLOCKS_RADIUS_M = 60.0  # corners tighter than this have coloured blocks on their outside
_MARGIN_M = 12.0
# Pixels a metre; from farther away lines and kerbs would hide the road.
_FINE = 1.5


class Scenery:
    """Draws parts of a track's surroundings; two that overlap are the same where they do."""

    def __init__(self, track: tracks.Track, limit_line: Array | None = None) -> None:
        """Works out the shapes.

        Args:
          track: to draw.
          limit_line: float64 [M, 2], the fastest line, or None.
        """
        self._track = track
        self._limit_line = limit_line
        self._across = (track.right - track.left) / track.width_m[:, None]
        self._kerbs = outlines.kerbs(track)
        self._bend = outlines.curvature(track)
        self._heading = track.heading_rad()

    def draw(self, view: View, height: int, width: int) -> Array:
        """Returns uint8 [height, width, 3] RGB.

        Args:
          view: what is where; its offset should be whole pixels.
          height: of the picture.
          width: of the picture.
        """
        left, top = (-np.round(view.matrix[:, 2]).astype(np.int64)).tolist()
        picture = textures.laid(textures.grass(), height, width, left, top)
        margin = float(self._track.width_m.max()) + _MARGIN_M
        near = strokes.shown(view, self._track.centre, margin, (height, width))
        grove = trees.grown(self._track, view, height, width)
        if near.any():
            walls = [wall[run] for wall in self._walls() for run in strokes.runs(near)]
            self._draw_ground(picture, view, near, walls)
            if view.scale > _FINE:
                self._draw_kerbs(picture, view, np.flatnonzero(near))
            self._draw_lines(picture, view, near)
            self._draw_start(picture, view, near)
            self._draw_shadows(picture, view, walls, grove)
            self._draw_walls(picture, view, near)
        else:
            self._draw_shadows(picture, view, [], grove)
        trees.draw(picture, view, grove)
        return picture

    def _walls(self) -> tuple[Array, Array]:
        return self._track.left, self._track.right

    def _draw_ground(self, picture: Array, view: View, near: Array, walls: list[Array]) -> None:
        """Dust along the walls, the road's surface, and the rubber on it."""
        dust = strokes.coarse(picture)
        strokes.soft_lines(dust, view, walls, 165, 5.5)
        strokes.tint(picture, dust, 1.1, view, _DUST)

        gates = np.flatnonzero(near)
        after = (gates + 1) % len(near)
        road = np.zeros(picture.shape[:2], np.uint8)
        left, right = (np.stack([wall[gates], wall[after]], 1) for wall in self._walls())
        strokes.strip(road, view, left, right, [(255, 0, 0)] * len(gates))
        corner = (-np.round(view.matrix[:, 2]).astype(np.int64)).tolist()
        surface = textures.laid(textures.asphalt(), *picture.shape[:2], *corner)
        cv2.copyTo(surface, road, picture)

        rubber = strokes.coarse(picture)
        if self._limit_line is None:
            centre = [self._track.centre[run] for run in strokes.runs(near)]
            strokes.soft_lines(rubber, view, centre, 60, 5.0)
        else:
            strokes.soft_lines(rubber, view, self._limit_runs(picture, view), 110, 2.6)
        strokes.tint(picture, rubber, 0.9, view, _RUBBER)

    def _limit_runs(self, picture: Array, view: View) -> list[Array]:
        line = self._limit_line
        if line is None or len(line) < 2:
            return []
        size = (picture.shape[0], picture.shape[1])
        return [line[run] for run in strokes.runs(strokes.shown(view, line, _MARGIN_M, size))]

    def _draw_kerbs(self, picture: Array, view: View, gates: Array) -> None:
        """Red and white, each half a gate long."""
        for edge, inwards, kerb in zip(
            self._walls(), (self._across, -self._across), self._kerbs, strict=True
        ):
            first = gates[kerb[gates]]
            after = (first + 1) % len(edge)
            outer = np.stack([edge[first], edge[after]], 1)
            inner = outer + _KERB_M * np.stack([inwards[first], inwards[after]], 1)
            middles = [side.mean(1) for side in (outer, inner)]
            for end, colour in ((0, _RED), (1, _WHITE)):
                halves = [
                    np.stack([side[:, end], middle], 1)
                    for side, middle in zip((outer, inner), middles, strict=True)
                ]
                strokes.strip(picture, view, halves[0], halves[1], [colour] * len(first))

    def _draw_lines(self, picture: Array, view: View, near: Array) -> None:
        """The edges of the road, and the limit's line, dashed."""
        for edge, inwards in zip(self._walls(), (self._across, -self._across), strict=True):
            if view.scale > _FINE:
                line: Array = edge + inwards * _LINE_M
                pieces = [line[run] for run in strokes.runs(near)]
                strokes.lines(picture, view, pieces, _WHITE, 0.17)
        # From afar dashes are longer, so that they can be seen.
        dash = max(1.2, 5 / view.scale)
        for run in self._limit_runs(picture, view):
            at = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(run, axis=0).T))])
            places = np.arange(0.0, at[-1], 2.5 * dash)[:, None] + np.linspace(0, dash, 3)
            x, y = (np.interp(places, at, run[:, axis]) for axis in (0, 1))
            strokes.lines(picture, view, list(np.stack([x, y], -1)), _LIMIT, 0.11)

    def _draw_start(self, picture: Array, view: View, near: Array) -> None:
        """A chequered line across the first cross line, and brackets where cars would stand."""
        if not near[0]:
            return
        left, across, width = self._track.left[0], self._across[0], self._track.width_m[0]
        along = np.array([-across[1], across[0]])
        columns = 2 * max(4, round(width / 1.6))
        side = width / columns
        row, column = (grid.ravel() for grid in np.mgrid[0:3, 0:columns])
        corner = left + across * side * column[:, None] + along * side * (row[:, None] - 1.5)
        quads = np.stack([corner, corner + across * side], 1)
        colours = [_WHITE if odd else _BLACK for odd in (row + column) % 2]
        strokes.strip(picture, view, quads, quads + along * side, colours)
        for place in range(8):
            s = self._track.length_m - 6.0 - 7.0 * place
            gate = int(np.searchsorted(self._track.s_m, s)) - 1
            heading = self._heading[gate]
            if gate < 0 or np.cos(heading - self._heading[0]) < 0.97:
                break
            ahead = np.array([np.cos(heading), np.sin(heading)])
            aside = np.array([-ahead[1], ahead[0]]) * (1 if place % 2 else -1)
            middle = self._track.centre[gate] + ahead * (s - self._track.s_m[gate])
            middle = middle + aside * self._track.width_m[gate] * 0.2
            bracket = np.outer([-1.1, -1.1, 1.1, 1.1], aside) + np.outer([-0.9, 0, 0, -0.9], ahead)
            strokes.lines(picture, view, [middle + bracket], _WHITE, 0.15)

    def _draw_shadows(
        self, picture: Array, view: View, walls: list[Array], grove: trees.Grove
    ) -> None:
        shade = strokes.coarse(picture)
        strokes.soft_lines(shade, view, walls, 135, 1.1, _SUN_M)
        trees.draw_shadows(shade, view, grove)
        strokes.tint(picture, shade, 0.35, view, _SHADOW)

    def _draw_walls(self, picture: Array, view: View, near: Array) -> None:
        """Concrete blocks; on the outside of corners every other one is blue."""
        gates = np.flatnonzero(near)
        tight = self._bend * _BLOCKS_RADIUS_M
        # From afar walls are thicker, so that they can be seen.
        thick = max(_WALL_M, 1.5 / view.scale)
        for wall, outwards, outside in zip(
            self._walls(), (-self._across, self._across), (tight < -1, tight > 1), strict=True
        ):
            # Beside the road, not on it: the inner face is where cars are stopped.
            middle = wall + outwards * thick / 2
            runs = strokes.runs(near)
            strokes.lines(picture, view, [middle[run] for run in runs], _EDGE, thick + 0.15)
            strokes.lines(picture, view, [middle[run] for run in runs], _CONCRETE, thick)
            blue = gates[outside[gates] & (gates % 2 == 1)]
            after = (blue + 1) % len(wall)
            inner = np.stack([wall[blue], wall[after]], 1)
            outer = inner + thick * np.stack([outwards[blue], outwards[after]], 1)
            strokes.strip(picture, view, inner, outer, [_BLUE] * len(blue))
            if view.scale > 8:
                ends = np.stack([wall, wall + outwards * thick], 1)[gates[~outside[gates]]]
                strokes.lines(picture, view, list(ends), _SEAM, 0.05)
                face = wall + outwards * 0.14
                strokes.lines(picture, view, [face[run] for run in runs], _FACE, 0.16)
