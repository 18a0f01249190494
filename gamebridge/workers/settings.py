"""The settings of worker processes."""

from __future__ import annotations

import dataclasses


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
      pinned: whether each worker keeps to a core of its own; None does so where there are as
        many workers as cores and a step waits for all of them. Left to the scheduler they
        share a core now and then while another idles, and a step takes a quarter to a half
        longer. What a game starts in its worker keeps to that core too. Say false where
        other programs need the machine as well.
    """

    count: int | None = None
    python: str = ""
    ready_slots: int | None = None
    pinned: bool | None = None

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
