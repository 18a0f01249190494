"""Frames as PNG files, the way a Unity camera sensor sends them."""

from __future__ import annotations

from typing import Any

import numpy as np

from gamebridge_unity.player import behaviors

# Quick rather than small: the picture does not leave the machine.
_LEVEL = 1


def encode(frame: np.ndarray[Any, Any], spec: behaviors.Frame) -> bytes:
    """Returns one or more RGB PNG files back to back.

    A picture of one channel is sent as grey in RGB; another number of channels is filled up
    with black ones to a multiple of three, a file each three.

    Args:
      frame: uint8 [height, width, channels * stack].
      spec: what it is.
    """
    # OpenCV is not loaded for the sake of vectors.
    import cv2

    files = []
    for oldest in range(0, frame.shape[2], spec.channels):
        picture = frame[:, :, oldest : oldest + spec.channels]
        if spec.channels == 1:
            rows = np.ascontiguousarray(picture[:, :, 0])
            planes = [cv2.cvtColor(rows, cv2.COLOR_GRAY2BGR)]
        else:
            missing = -spec.channels % 3
            filled = np.pad(picture, ((0, 0), (0, 0), (0, missing))) if missing else picture
            planes = [
                cv2.cvtColor(np.ascontiguousarray(filled[:, :, at : at + 3]), cv2.COLOR_RGB2BGR)
                for at in range(0, filled.shape[2], 3)
            ]
        for plane in planes:
            _, data = cv2.imencode(".png", plane, [cv2.IMWRITE_PNG_COMPRESSION, _LEVEL])
            files.append(data.tobytes())
    return b"".join(files)


def mapping(spec: behaviors.Frame) -> list[int]:
    """Returns to which channel each decoded one belongs; -1 for none, [] where it is plain."""
    if spec.stack == 1:
        return []
    channels = []
    for picture in range(spec.stack):
        first = picture * spec.channels
        if spec.channels == 1:
            channels += [first] * 3
        else:
            channels += range(first, first + spec.channels)
            channels += [-1] * (-spec.channels % 3)
    return channels
