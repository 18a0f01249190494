"""Frame stacking: the newest frames of an episode, joined along the channels.

Two ways, each the fastest of those measured for its case. Microseconds a slot and step for
84x84 frames, all in one run on a busy machine, so that the ratios are what to read:

    frames x channels                                4x1    4x3    8x1
    cv2.merge of a ring of frames into the row       3.2     39     37
    move the row by one frame, mix the newest in     6.4     18    8.7
    copy each frame of the ring into the row          23    262     53
    np.concatenate(axis=-1, out=row)                  25    261     85
    row[..., :-C] = row[..., C:]; then the newest    182    364    306

cv2.merge is fast up to four channels in all. The move: a row lies in memory pixel by
pixel, so that moving all of it down by C bytes moves every pixel's channels by one frame;
what then stands in the last channels is foreign, and the newest frame overwrites it.
"""

from __future__ import annotations

import functools

import cv2  # noqa: TID253 - the point of this module, which only pixel games load
import numpy as np

from gamebridge import contract, errors
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.wrappers import frames

# OpenCV's limit of channels of one picture (CV_CN_MAX).
_MOST_CHANNELS = 512
_MERGE_MOST_CHANNELS = 4


class FrameStack(frames.FrameWrapper):
    """Joins the newest `num_frames` frames: [height, width, channels * num_frames].

    The newest is last. At FIRST a slot's stack is filled with the first frame.
    """

    def __init__(self, game: contract.Game, num_frames: int) -> None:
        """Allocates the rows.

        Raises:
          ValueError: fewer than two frames.
          ConfigError: the observation has no frame, or the stack of one would have more
            channels than OpenCV can hold.
        """
        if num_frames < 2:
            raise ValueError(f"num_frames is {num_frames}: expected at least 2 to stack.")
        super().__init__(game, functools.partial(_make_stack, num_frames))


def _make_stack(
    num_frames: int, spec: specs.ArraySpec, label: str, num_slots: int
) -> frames.FrameWriter:
    channels = spec.shape[2]
    if channels * num_frames > _MOST_CHANNELS:
        raise errors.ConfigError(
            f"{label} has {channels} channels: {num_frames} of it are more than "
            f"{_MOST_CHANNELS}. Lower wrappers.images.stack."
        )
    if channels == 1 and num_frames <= _MERGE_MOST_CHANNELS:
        return _MergedStack(num_frames, spec, num_slots)
    return _MovedStack(num_frames, spec, num_slots)


class _MergedStack(frames.FrameWriter):
    """A few frames of one channel: a ring of them, merged into the row."""

    def __init__(self, num_frames: int, spec: specs.ArraySpec, num_slots: int) -> None:
        height, width, _ = spec.shape
        self.spec = specs.frame(height, width, num_frames, name=spec.name, num_stacked=num_frames)
        self.rows = np.zeros((num_slots, height, width, num_frames), np.uint8)
        self._row_list = list(self.rows)
        self._row_lists = {id(self.rows): (self.rows, self._row_list)}
        self._ring = np.zeros((num_slots, num_frames, height, width), np.uint8)
        self._newest = [0] * num_slots
        # _oldest_first[slot][place of the newest]: views of the ring in the order of the row.
        self._oldest_first = [
            [
                [ring[(newest + 1 + i) % num_frames] for i in range(num_frames)]
                for newest in range(num_frames)
            ]
            for ring in self._ring
        ]

    def use(self, rows: Array) -> bool:
        """What is stacked is in the ring: any rows will do."""
        if id(rows) not in self._row_lists:
            self._row_lists[id(rows)] = rows, list(rows)
        self.rows, self._row_list = self._row_lists[id(rows)]
        return True

    def views(self, frames: Array) -> list[Array]:
        """Returns the frames without the axis of their only channel."""
        return list(frames[:, :, :, 0])

    def write(self, slot: int, frame: Array, *, is_first: bool) -> None:
        """Puts the frame into the ring, and the ring into the row."""
        if is_first:
            self._ring[slot] = frame
        newest = self._newest[slot] = (self._newest[slot] + 1) % len(self._oldest_first[slot])
        ordered = self._oldest_first[slot][newest]
        ordered[-1][...] = frame
        cv2.merge(ordered, self._row_list[slot])


class _MovedStack(frames.FrameWriter):
    """Any frames: the row is moved by one frame and takes the newest in."""

    def __init__(self, num_frames: int, spec: specs.ArraySpec, num_slots: int) -> None:
        height, width, channels = spec.shape
        self.spec = specs.frame(
            height, width, channels * num_frames, name=spec.name, num_stacked=num_frames
        )
        self.rows = np.zeros((num_slots, *self.spec.shape), np.uint8)
        flat = self.rows.reshape(num_slots, -1)
        self._older = list(flat[:, :-channels])
        self._newer = list(flat[:, channels:])
        self._by_frame = self.rows.reshape(num_slots, height, width, num_frames, channels)
        self._targets = [[row] for row in self.rows]
        first = channels * (num_frames - 1)
        self._from_to = [n for i in range(channels) for n in (i, first + i)]

    def write(self, slot: int, frame: Array, *, is_first: bool) -> None:
        """Moves the row and mixes the frame into its last channels."""
        if is_first:
            self._by_frame[slot] = frame[:, :, np.newaxis]
            return
        np.copyto(self._older[slot], self._newer[slot])
        cv2.mixChannels([frame], self._targets[slot], self._from_to)
