"""The settings of the wrappers: frozen records that know nothing of numpy or cv2."""

from __future__ import annotations

import dataclasses
from typing import Literal

# More than any network sees; a slip of the finger must not allocate gigabytes.
_MOST_PIXELS = 4096
_MOST_FRAMES = 64
_MOST_ACTIONS = 65_536
_MOST_BINS = 1024


@dataclasses.dataclass(frozen=True)
class ImageSettings:
    """What is done to every frame of an observation, in this order.

    Attributes:
      crop_top: pixels cut off at the top.
      crop_bottom: pixels cut off at the bottom.
      crop_left: pixels cut off at the left.
      crop_right: pixels cut off at the right.
      grey: whether colour becomes one channel of brightness.
      height: pixels to shrink or grow to; None leaves the height as it is.
      width: pixels to shrink or grow to; None leaves the width as it is.
      stack: how many of the newest frames are joined along the channels.
    """

    crop_top: int = 0
    crop_bottom: int = 0
    crop_left: int = 0
    crop_right: int = 0
    grey: bool = False
    height: int | None = None
    width: int | None = None
    stack: int = 1

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
          ValueError: one of them is not a whole number in its range.
        """
        for side in ("crop_top", "crop_bottom", "crop_left", "crop_right"):
            _check_whole(side, getattr(self, side), 0)
        for side in ("height", "width"):
            if getattr(self, side) is not None:
                _check_whole(side, getattr(self, side), 1, _MOST_PIXELS)
        _check_whole("stack", self.stack, 1, _MOST_FRAMES)

    @property
    def changes_frames(self) -> bool:
        """Whether single frames are changed, stacking aside."""
        return self != ImageSettings(stack=self.stack)


@dataclasses.dataclass(frozen=True)
class WrapperSettings:
    """Which wrappers a game gets.

    Attributes:
      images: what is done to frames; None for nothing.
      action_repeat: how many steps of the game one action lasts.
      episode_limit: steps, counted in actions of the agent, after which an episode is
        cut short (a truncation); None for no limit.
      guard: what happens to values that break the game's own spec. "refuse" stops with
        the first one named; "clip" puts values that are out of bounds back into them,
        and still refuses NaN; "off" looks at nothing.
      action_bins: how many values of each number of an action there are for an agent that
        chooses among a few, one count for all numbers or one for each; None for as many as
        `max_actions` allows, 3 to 11.
      max_actions: how many combinations of choices may become one choice.
      action_bound: what numbers of an action that the game gives no bounds are held between,
        from minus this to this; None leaves them without.
    """

    images: ImageSettings | None = None
    action_repeat: int = 1
    episode_limit: int | None = None
    guard: Literal["refuse", "clip", "off"] = "refuse"
    action_bins: int | tuple[int, ...] | None = None
    max_actions: int = 4096
    action_bound: float | None = None

    def __post_init__(self) -> None:
        """Checks the numbers and words.

        Raises:
          ValueError: a number is not whole or out of range, or `guard` is unknown.
        """
        _check_whole("action_repeat", self.action_repeat, 1)
        if self.episode_limit is not None:
            _check_whole("episode_limit", self.episode_limit, 1)
        bins = self.action_bins
        if bins == ():
            raise ValueError("action_bins is empty: give a number for each float of an action.")
        for count in bins if isinstance(bins, tuple) else () if bins is None else (bins,):
            _check_whole("action_bins", count, 2, _MOST_BINS)
        _check_whole("max_actions", self.max_actions, 2, _MOST_ACTIONS)
        if self.action_bound is not None and not 0 < self.action_bound < 1e30:
            raise ValueError(f"action_bound is {self.action_bound!r}: expected above 0, finite.")
        if self.guard not in ("refuse", "clip", "off"):
            raise ValueError(f"guard is {self.guard!r}: expected 'refuse', 'clip' or 'off'.")


def _check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and least <= value and (most is None or value <= most):  # type: ignore[operator]
        return
    allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise ValueError(f"{name} is {value!r}: expected a whole number {allowed}.")
