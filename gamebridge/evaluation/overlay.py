"""The words on a recorded frame: step, reward, return, action and telemetry."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import SupportsFloat

import cv2  # noqa: TID253 - drawing is the point of this module
import numpy as np

from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.evaluation import recorder

# Below this size letters cannot be read.
_MIN_LONG_SIDE = 480
_MIN_WIDTH = 240
_MAX_VALUES = 8
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(frame: Array, lines: Sequence[str]) -> Array:
    """Returns a copy of a frame with lines of text on a darkened band at its top.

    A small frame is first enlarged by a whole factor, so that its pixels stay sharp and
    the text can be read. The size of the result follows from that of the frame alone.

    Args:
      frame: uint8 [height, width, 3] RGB.
      lines: text; a long line is wrapped, and what does not fit the frame is cut off.
        The font has ASCII only: other letters become "?".

    Returns:
      uint8 [factor * height, factor * width, 3].

    Raises:
      GameError: `frame` is not a frame.
    """
    recorder.check_frame(frame, None, "frame to draw on")
    height, width = frame.shape[:2]
    factor = max(1, -(-_MIN_LONG_SIDE // max(height, width)), -(-_MIN_WIDTH // width))
    # cv2 wants (columns, rows), the reverse of numpy's shape.
    size = (width * factor, height * factor)
    canvas = cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST)
    if factor == 1:
        canvas = canvas.copy()

    # Large enough to be read, small enough to leave a large picture to itself.
    scale = min(max(0.4, min(size) / 900), 0.5)
    (text_width, text_height), base = cv2.getTextSize("0" * 20, _FONT, scale, 1)
    line_height = text_height + base + 2
    margin = line_height // 2
    columns = max(1, (size[0] - 2 * margin) * 20 // text_width)
    wrapper = textwrap.TextWrapper(columns, break_on_hyphens=False)
    wrapped = [part for line in lines for part in wrapper.wrap(line)]
    if not wrapped:
        return canvas
    band = canvas[: line_height * len(wrapped) + margin]
    np.floor_divide(band, 3, out=band)
    for index, line in enumerate(wrapped):
        origin = (margin, margin // 2 + line_height * index + text_height)
        ascii_line = line.encode("ascii", "replace").decode()
        cv2.putText(canvas, ascii_line, origin, _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return canvas


def describe(
    step: int,
    action: specs.Nest,
    reward: SupportsFloat,
    episode_return: SupportsFloat,
    telemetry: Mapping[str, SupportsFloat] | None = None,
) -> list[str]:
    """Returns the lines that `draw` puts on a frame.

    Args:
      step: the step of the episode; 0 is the reset.
      action: one slot's action, no batch axis; None at a reset.
      reward: of this step.
      episode_return: the sum of the rewards so far.
      telemetry: one slot's values of this step, by name.
    """
    lines = [
        f"step {step:<5d} reward {float(reward):+.2f}  return {float(episode_return):+.2f}",
        f"action {_action_text(action)}",
    ]
    if telemetry:
        lines.append(
            "  ".join(f"{name}={_number_text(value)}" for name, value in telemetry.items())
        )
    return lines


def _action_text(action: specs.Nest) -> str:
    if action is None:
        return "-"
    named = list(specs.named_leaves(action))
    texts = (f"{name}={_values_text(leaf)}" if name else _values_text(leaf) for name, leaf in named)
    return "  ".join(texts)


def _number_text(value: SupportsFloat) -> str:
    number = float(value)
    return f"{number:.0f}" if number.is_integer() else f"{number:.2f}"


def _values_text(leaf: Array) -> str:
    values = np.asarray(leaf).reshape(-1)
    form = "{:+.2f}" if values.dtype.kind == "f" else "{:d}"
    texts = [form.format(value.item()) for value in values[:_MAX_VALUES]]
    if values.size > _MAX_VALUES:
        texts.append(f"... ({values.size} values)")
    return " ".join(texts)
