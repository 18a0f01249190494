"""`Lettering`: smooth text of one size, for the gauges."""

from __future__ import annotations

import cv2  # noqa: TID253 - drawing is the point of this module
import numpy as np

from gamebridge.contract.specs import Array

Colour = tuple[int, int, int]

# Letters are drawn larger and shrunk: cv2's own small ones are ragged.
_FINER = 6
_NARROWER = 0.8  # cv2's letters are wide
_FONT = cv2.FONT_HERSHEY_DUPLEX
_LETTERS = "".join(map(chr, range(32, 127)))


class Lettering:
    """Draws ASCII text; digits are equally wide, so that a running clock stands still."""

    def __init__(self, height_px: int, weight: float = 0.11) -> None:
        """Draws the letters once.

        Args:
          height_px: of a capital letter.
          weight: thickness of a stroke, as a share of the height.
        """
        self.height_px = height_px
        capital = height_px * _FINER
        scale = cv2.getFontScaleFromHeight(_FONT, capital, 1)
        thick = max(1, round(capital * weight))
        wide = max(cv2.getTextSize(digit, _FONT, scale, 1)[0][0] for digit in "0123456789")
        # Below the line, for commas and tails.
        self._rows = height_px + 2 * (height_px // 4 + 1)
        self._base = height_px + height_px // 4 + 1
        self._glyphs = {}
        for letter in _LETTERS:
            width = wide if letter.isdigit() else cv2.getTextSize(letter, _FONT, scale, 1)[0][0]
            own = cv2.getTextSize(letter, _FONT, scale, 1)[0][0]
            columns = max(1, round(width / _FINER * _NARROWER) + 1)
            wide_px = round(columns * _FINER / _NARROWER)
            large = np.zeros((self._rows * _FINER, wide_px), np.uint8)
            origin = ((wide_px - own) // 2, self._base * _FINER)
            cv2.putText(large, letter, origin, _FONT, scale, 255, thick, cv2.LINE_AA)
            size = (columns, self._rows)
            self._glyphs[letter] = cv2.resize(large, size, interpolation=cv2.INTER_AREA)

    def width_px(self, text: str) -> int:
        """How wide a text is."""
        return sum(self._glyphs[letter].shape[1] for letter in text)

    def draw(
        self, picture: Array, text: str, at: tuple[float, float], colour: Colour, align: float = 0.0
    ) -> None:
        """Draws text on a picture; what reaches beyond it is cut off.

        Args:
          picture: uint8 [height, width, 3], drawn on.
          text: ASCII.
          at: column and row of the text's base line.
          colour: in the order of the picture's channels.
          align: the share of the text that is left of `at`: 0, 0.5 or 1.
        """
        if not text:
            return
        mask = np.hstack([self._glyphs[letter] for letter in text])
        left = round(at[0] - align * mask.shape[1])
        blend(picture, mask, (left, round(at[1]) - self._base), colour)


def blend(picture: Array, mask: Array, corner: tuple[int, int], colour: Colour) -> None:
    """Paints a colour through a mask, in place; what reaches beyond the picture is cut off.

    Args:
      picture: uint8 [height, width, 3].
      mask: uint8 [rows, columns], 255 where the colour covers all.
      corner: column and row in the picture of the mask's first pixel; may be negative.
      colour: in the order of the picture's channels.
    """
    left, top = corner
    rows = slice(max(top, 0), max(0, min(top + mask.shape[0], picture.shape[0])))
    columns = slice(max(left, 0), max(0, min(left + mask.shape[1], picture.shape[1])))
    part = picture[rows, columns]
    if not part.size:
        return
    mask = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    cover = cv2.merge([mask, mask, mask])
    kept = cv2.multiply(part, cv2.bitwise_not(cover), scale=1 / 255)
    paint = cv2.multiply(cover, (*colour, 0), scale=1 / 255)
    cv2.add(kept, paint, dst=kept)
    part[:] = kept
