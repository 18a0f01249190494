"""Strokes: strips, lines and soft shades, in metres, on a picture."""

from __future__ import annotations

import cv2  # noqa: TID253 - drawing is the point of this module
import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing.drawing.views import SHIFT, View, fixed

Colour = tuple[int, int, int]

COARSER = 4  # what is blurred is drawn so much smaller
_BAND = 256  # rows


def runs(shown: Array) -> list[Array]:
    """Returns the stretches of a closed line that are shown, each as int64 indices of points.

    Args:
      shown: bool [N], of the pieces from each point to the next one.
    """
    pieces = np.flatnonzero(shown)
    if not len(pieces):
        return []
    stretches = np.split(pieces, np.flatnonzero(np.diff(pieces) > 1) + 1)
    return [np.append(stretch, (stretch[-1] + 1) % len(shown)) for stretch in stretches]


def shown(view: View, line: Array, margin_m: float, size: tuple[int, int]) -> Array:
    """Returns bool [N]: the points of a line that are within (height, width) or near it."""
    at = view.points(line)
    margin = margin_m * view.scale
    return np.asarray(((at > -margin) & (at < np.array(size[::-1]) + margin)).all(1))


def strip(picture: Array, view: View, one: Array, other: Array, colours: list[Colour]) -> None:
    """Fills quads between two lines.

    Args:
      picture: drawn on.
      view: of the picture.
      one: float64 [K, 2, 2], from where to where each quad reaches on one line.
      other: the same on the other line.
      colours: K of them.
    """
    quads = view.fixed(np.concatenate([one, other[:, ::-1]], 1).reshape(-1, 2)).reshape(-1, 4, 2)
    for quad, colour in zip(quads, colours, strict=True):
        cv2.fillConvexPoly(picture, quad, colour, cv2.LINE_AA, SHIFT)


def lines(picture: Array, view: View, points: list[Array], colour: Colour, width_m: float) -> None:
    """Draws open lines of points in metres, a pixel wide at least."""
    wide = max(1, round(width_m * view.scale))
    cv2.polylines(
        picture, [view.fixed(line) for line in points], False, colour, wide, cv2.LINE_AA, SHIFT
    )


def coarse(picture: Array) -> Array:
    """Returns a mask for a picture, all 0, on which soft things are drawn smaller."""
    return np.zeros([-(-side // COARSER) for side in picture.shape[:2]], np.uint8)


def soft_lines(
    mask: Array,
    view: View,
    points: list[Array],
    level: int,
    width_m: float,
    moved_m: Array | float = 0.0,
) -> None:
    """Draws lines on a coarse mask, moved in the picture to the right and down."""
    scale = view.scale / COARSER
    at = [fixed(view.points(line) / COARSER + np.multiply(moved_m, scale)) for line in points]
    cv2.polylines(mask, at, False, level, max(1, round(width_m * scale)), cv2.LINE_AA, SHIFT)


def tint(picture: Array, mask: Array, blur_m: float, view: View, colour: Colour) -> None:
    """Paints a colour through a coarse mask, blurred."""
    if not mask.any():
        return
    blurred = cv2.GaussianBlur(mask, (0, 0), max(0.4, blur_m * view.scale / COARSER))
    height, width = picture.shape[:2]
    whole = (mask.shape[1] * COARSER, mask.shape[0] * COARSER)
    smooth = cv2.resize(blurred, whole, interpolation=cv2.INTER_LINEAR)[:height, :width]
    # In bands of rows: a great picture has no room beside it.
    for top in range(0, height, _BAND):
        part = smooth[top : top + _BAND]
        if part.any():
            band = picture[top : top + _BAND]
            cover = cv2.merge([part, part, part])
            kept = cv2.multiply(band, cv2.bitwise_not(cover), scale=1 / 255)
            band[:] = cv2.add(kept, cv2.multiply(cover, (*colour, 0), scale=1 / 255))
