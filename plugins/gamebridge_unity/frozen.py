"""`Watch`: notices pictures that show nothing, the well-known silent failure of headless training.

A build that is started with -nographics sends frames of one colour, and a camera without a
display may send the same picture for ever. Both train for days without an error. One look at
a few pixels in a few steps is enough to name it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array

_LOG = logging.getLogger(__name__)

# Between two looks, once the first pictures were seen to show something.
_EVERY = 10
# Of about so many pixels a side of each picture.
_SIDE = 24


class Watch:
    """Looks at the frames of all slots."""

    def __init__(
        self, name: str, frames: Mapping[str, Array], frozen_after: int, graphics: str
    ) -> None:
        """Takes the frames to be looked at.

        Args:
          name: the game's, for messages.
          frames: by the name of the observation, uint8 [B, height, width, channels].
          frozen_after: after so many steps without a change pictures count as frozen.
          graphics: how the players were started.
        """
        self._name = name
        self._frozen_after = frozen_after
        self._graphics = graphics
        self._looks = [_Look(label, rows) for label, rows in frames.items()]
        self._num_steps = 0

    def look(self, valid: Array) -> None:
        """Looks, if it is time, at the frames of the slots that have something to say.

        Raises:
          GameError: the build was started without graphics, and has shown nothing since.
        """
        self._num_steps += 1
        if not self._looks or not valid.any():
            return
        step = self._num_steps
        for look in self._looks:
            if look.is_done or (look.is_seen and step % _EVERY):
                continue
            look.note(valid, step)
            if not look.is_seen and look.num_blank >= self._frozen_after:
                self._blank(look)
            elif look.is_seen and step - look.changed_at >= self._frozen_after:
                self._frozen(look, step - look.changed_at)

    def _blank(self, look: _Look) -> None:
        what = (
            f"{self._name}: observation '{look.label}' is of one colour ({look.colour}) in all "
            f"slots, {look.num_blank} steps long"
        )
        if self._graphics == "none":
            raise errors.GameError(
                f"{what}: with -nographics this build draws nothing. Use --graphics virtual, or "
                "--graphics display."
            )
        look.is_done = True
        _LOG.warning("%s. Check the camera of the game, or its graphics driver.", what)

    def _frozen(self, look: _Look, num_steps: int) -> None:
        look.is_done = True
        _LOG.warning(
            "%s: observation '%s' shows the same picture in all slots for %d steps. If nothing "
            "moves in the game that may be right; else check its camera and its graphics driver "
            "(game.graphics is %s).",
            self._name,
            look.label,
            num_steps,
            self._graphics,
        )


class _Look:
    """What was seen of one observation."""

    def __init__(self, label: str, rows: Array) -> None:
        self.label = label
        self.is_seen = self.is_done = False
        self.num_blank = 0
        self.changed_at = 0
        self.colour: list[int] = []
        height, width = rows.shape[1:3]
        self._whole = rows
        self._rows = rows[:, :: max(1, height // _SIDE), :: max(1, width // _SIDE)]
        self._before: Array | None = None

    def note(self, valid: Array, step: int) -> None:
        if not self.is_seen:
            now = self._whole[valid]
            if np.all(now == now[:, :1, :1]):
                # A look at a few pixels is not enough to accuse anybody.
                self.num_blank += 1
                self.colour = now[0, 0, 0].tolist()
                return
            self.is_seen, self.changed_at = True, step
        if self._before is None or not np.array_equal(self._rows, self._before):
            self._before = self._rows.copy()
            self.changed_at = step
