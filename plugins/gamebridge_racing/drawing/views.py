"""`View`: where in a picture a place of the world is."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from gamebridge.contract.specs import Array

SHIFT = 4  # points for cv2 are in 1/16 of a pixel
_FARTHEST = 30_000.0  # pixels; as 1/16 they fit what cv2 can clip


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A map from metres to pixels: turned, scaled, and y turned downwards.

    Attributes:
      matrix: float64 [2, 3], from [x, y, 1] to [column, row].
      scale: pixels a metre.
    """

    matrix: Array
    scale: float

    def points(self, metres: Array) -> Array:
        """Returns float64 [K, 2], [column, row] of the places [K, 2]."""
        return np.asarray(metres @ self.matrix[:, :2].T + self.matrix[:, 2])

    def fixed(self, metres: Array) -> Array:
        """Returns int32 [K, 2], the same as cv2 wants it: in 1/16 of a pixel."""
        return fixed(self.points(metres))

    def cropped(self, left: int, top: int, across: float, down: float) -> View:
        """Returns the view of a part, from (left, top), each pixel of which is across by down.

        Of a picture that cv2.resize made: it keeps corners, not middles of pixels.
        """
        size = np.array([[across], [down]])
        matrix = self.matrix / size
        matrix[:, 2] = (self.matrix[:, 2] - (left, top) + 0.5) / size[:, 0] - 0.5
        return View(matrix, self.scale / across)

    def angle_rad(self, heading_rad: float) -> float:
        """The direction in the picture, from the right clockwise, of a heading."""
        along = self.matrix[:, :2] @ (math.cos(heading_rad), math.sin(heading_rad))
        return math.atan2(along[1], along[0])


def north_up(left_m: float, top_m: float, scale: float) -> View:
    """Returns the view whose first pixel is at (left_m, top_m), the greatest y on top."""
    return View(np.array([[scale, 0, -left_m * scale], [0, -scale, top_m * scale]]), scale)


def fitted(points: Array, box: tuple[int, int, int, int]) -> View:
    """Returns the view that fits points [K, 2] into a box, turned by 90 degrees if that is larger.

    Args:
      points: float64 [K, 2], in metres.
      box: left, top, right, bottom, in pixels.
    """
    low, high = points.min(0), points.max(0)
    middle, extent = (low + high) / 2, np.maximum(high - low, 1e-6)
    room = np.array([box[2] - box[0], box[3] - box[1]], float)
    upright = float((room / extent).min())
    turned = float((room / extent[::-1]).min())
    if turned > 1.05 * upright:
        linear, scale = np.array([[0.0, 1.0], [1.0, 0.0]]) * turned, turned
    else:
        linear, scale = np.array([[1.0, 0.0], [0.0, -1.0]]) * upright, upright
    at = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    return View(np.column_stack([linear, at - linear @ middle]), scale)


def fixed(pixels: Array) -> Array:
    """Returns int32, pixels in 1/16; what is far outside is held at the edge of the range."""
    held = np.clip(pixels, -_FARTHEST, _FARTHEST)
    return np.round(held * 2**SHIFT).astype(np.int32)
