"""Typed settings of the agents that learn nothing."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class RepeatSettings:
    """Settings of `repeat`.

    Attributes:
      action: what is repeated: one integer from 0 up such as [1], or as many numbers as the
        game's action has parts, scaled to [-1, 1] where they have bounds. Of an action of
        several integers and floats all of them, one after the other. Empty means 0, and the
        middle of what has bounds: most games' way of doing nothing.
    """

    action: tuple[float, ...] = ()
