"""Image preprocessing: crop, grey and resize every frame of an observation, with OpenCV.

cv2 writes each slot's picture straight into this wrapper's row, so that a step allocates
nothing. Grey comes before resize, which then has a third of the work. Where a frame
shrinks by whole numbers (160 to 80 pixels, 168 to 84) OpenCV resizes some twenty times
faster: worth a crop of a few pixels.
"""

from __future__ import annotations

import functools

import cv2  # noqa: TID253 - the point of this module, which only pixel games load
import numpy as np

from gamebridge import contract, errors
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.wrappers import frames, settings

_GREY_CODES = {3: cv2.COLOR_RGB2GRAY, 4: cv2.COLOR_RGBA2GRAY}
# INTER_AREA takes no more.
_MOST_CHANNELS = 4


class ImagePreprocessing(frames.FrameWrapper):
    """Crops, greys and resizes every frame leaf; `stack` is left to `FrameStack`."""

    def __init__(self, game: contract.Game, image_settings: settings.ImageSettings) -> None:
        """Allocates the rows.

        Raises:
          ConfigError: the observation has no frame, the crop leaves nothing of one, or
            one has a number of channels that cannot be greyed or resized.
        """
        super().__init__(game, functools.partial(_Picture, image_settings))


class _Picture(frames.FrameWriter):
    """One frame leaf's way from the game's frame to the row."""

    def __init__(
        self, wanted: settings.ImageSettings, spec: specs.ArraySpec, label: str, num_slots: int
    ) -> None:
        height, width, channels = spec.shape
        rows = height - wanted.crop_top - wanted.crop_bottom
        columns = width - wanted.crop_left - wanted.crop_right
        if rows < 1 or columns < 1:
            raise errors.ConfigError(
                f"{label} is {height}x{width}: cutting off {wanted.crop_top} + "
                f"{wanted.crop_bottom} rows and {wanted.crop_left} + {wanted.crop_right} columns "
                "leaves nothing. Lower wrappers.images.crop_*."
            )
        self._cut = np.s_[
            wanted.crop_top : wanted.crop_top + rows, wanted.crop_left : wanted.crop_left + columns
        ]
        self._grey_code = None
        if wanted.grey and channels != 1:
            if channels not in _GREY_CODES:
                raise errors.ConfigError(
                    f"{label} has {channels} channels: grey is made of 3 (RGB) or 4 (RGBA). "
                    "Leave wrappers.images.grey off."
                )
            self._grey_code = _GREY_CODES[channels]
            channels = 1
        size = (wanted.height or rows, wanted.width or columns)
        self._size = None
        if size != (rows, columns):
            if channels > _MOST_CHANNELS:
                raise errors.ConfigError(
                    f"{label} has {channels} channels: at most {_MOST_CHANNELS} can be resized. "
                    "Leave wrappers.images.height and width unset."
                )
            # cv2 wants (columns, rows), the reverse of numpy's shape.
            self._size = (size[1], size[0])
        grows = size[0] > rows or size[1] > columns
        self._interpolation = cv2.INTER_LINEAR if grows else cv2.INTER_AREA
        self.spec = specs.frame(*size, channels, name=spec.name)
        self.rows = np.zeros((num_slots, *self.spec.shape), np.uint8)
        # cv2 knows no axis of one channel.
        self._targets = [row[:, :, 0] if channels == 1 else row for row in self.rows]
        self._grey = np.zeros((rows, columns), np.uint8)

    def views(self, frames: Array) -> list[Array]:
        """Returns what is not cropped off."""
        return [frame[self._cut] for frame in frames]

    def write(self, slot: int, frame: Array, *, is_first: bool) -> None:
        """Writes the frame as the settings want it."""
        picture, target = frame, self._targets[slot]
        if self._grey_code is not None:
            grey = target if self._size is None else self._grey
            picture = cv2.cvtColor(picture, self._grey_code, dst=grey)
        if self._size is not None:
            cv2.resize(picture, self._size, dst=target, interpolation=self._interpolation)
        elif self._grey_code is None:
            np.copyto(self.rows[slot], picture)
