"""`SupervisionSettings`: time limits of a process, and how often it may be replaced."""

from __future__ import annotations

import dataclasses
from typing import Literal

UNLIMITED = -1


@dataclasses.dataclass(frozen=True)
class SupervisionSettings:
    """Settings in the table [supervision].

    Attributes:
      max_restarts: how often one worker is replaced in its pool's life; -1 for no limit of
        any kind.
      window_restarts: how often within `window_s`.
      window_s: seconds.
      step_timeout_s: a worker that has not answered for so long is taken for hung.
      start_timeout_s: how long a worker may take to start and to make its game.
      close_timeout_s: how long it may take to end before it is killed.
      on_error: what happens when the game itself raises or breaks its spec: "replace" the
        worker, as when it dies, or "stop" at once.
    """

    max_restarts: int = 10
    window_restarts: int = 3
    window_s: float = 600.0
    step_timeout_s: float = 60.0
    start_timeout_s: float = 60.0
    close_timeout_s: float = 5.0
    on_error: Literal["replace", "stop"] = "replace"

    def __post_init__(self) -> None:
        """Refuses values that nothing could be supervised by."""
        if self.max_restarts < UNLIMITED:
            raise ValueError(f"max_restarts is {self.max_restarts}; expected -1, 0 or more.")
        if self.window_restarts < 0:
            raise ValueError(f"window_restarts is {self.window_restarts}; expected 0 or more.")
        for name in ("window_s", "step_timeout_s", "start_timeout_s", "close_timeout_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected more than 0.")
