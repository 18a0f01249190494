"""The settings of worker processes and of their supervision."""

from __future__ import annotations

import dataclasses
from typing import Literal

UNLIMITED = -1


@dataclasses.dataclass(frozen=True)
class WorkerSettings:
    """Settings in the table [workers].

    Attributes:
      count: how many processes play the game; 0 plays it in this one; None finds out by a
        short measurement. A game that steps all its slots at once, as racing does, is never
        split unless a count is given.
      python: the interpreter that the game runs in, such as "/path/to/venv/bin/python"; ""
        for this one. CPython 3.8 or newer, with numpy and what the game needs.
      ready_slots: how many slots have to be ready before a step is taken with them, the
        others going on meanwhile; None waits for all. For agents that learn from a replay
        buffer: their transitions are kept by slot. An agent that learns from whole rollouts
        waits for all slots whatever is said here.
    """

    count: int | None = None
    python: str = ""
    ready_slots: int | None = None

    def __post_init__(self) -> None:
        """Refuses counts that no pool could have."""
        if self.count is not None and self.count < 0:
            raise ValueError(f"count is {self.count}; expected 0 or more.")
        if self.count == 0 and self.python:
            raise ValueError(
                f"count is 0, which is this process; python {self.python!r} needs at least 1."
            )
        if self.ready_slots is not None and self.ready_slots < 1:
            raise ValueError(f"ready_slots is {self.ready_slots}; expected 1 or more.")


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
