"""How a training is watched: `Bar` on a terminal, `Lines` in a log file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import types

    from gamebridge.cli.terminal import Terminal
    from gamebridge.training.session import Progress

_LINE_S = 10.0
_DRAW_S = 0.1


class Lines:
    """One line about every ten seconds, and one at each checkpoint."""

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Speaks through `say`."""
        self._say = say
        self._clock = clock
        self._said_s = clock()

    def announce(self, line: str) -> None:
        """Says a line of its own."""
        self._say(line)

    def watch(self, progress: Progress) -> None:
        """Is told of the progress."""
        now = self._clock()
        if progress.note or now - self._said_s >= _LINE_S:
            self._said_s = now
            self._say(summary(progress))

    def close(self) -> None:
        """There is nothing to close."""


class Bar:
    """A progress bar on stderr; lines are printed above it."""

    def __init__(self) -> None:
        """Draws it, before there is anything to tell: TensorFlow needs some seconds."""
        from rich import console, progress

        self._progress = progress.Progress(
            progress.BarColumn(bar_width=24),
            progress.TextColumn("{task.description}", markup=False),
            console=console.Console(stderr=True, highlight=False),
            # No thread that draws: what is told a few times a second is drawn then.
            auto_refresh=False,
        )
        self._drawn_s = 0.0
        self._task = self._progress.add_task("loading TensorFlow", total=None)
        self._progress.start()
        # A second Ctrl-C ends the process at once; its terminal has to keep the cursor.
        self._progress.console.show_cursor(True)
        self._progress.refresh()

    def announce(self, line: str) -> None:
        """Prints a line above the bar."""
        self._progress.console.print(line, markup=False)

    def watch(self, progress: Progress) -> None:
        """Is told of the progress."""
        self._progress.update(
            self._task,
            total=progress.target,
            completed=progress.step,
            description=summary(progress),
        )
        now = time.monotonic()
        if progress.note or now - self._drawn_s >= _DRAW_S:
            self._drawn_s = now
            self._progress.refresh()

    def close(self) -> None:
        """Draws the bar once more and leaves it there. May be called twice."""
        self._progress.stop()


class Watcher(contextlib.AbstractContextManager["Watcher"]):
    """A `Bar` where stderr is a terminal, else `Lines`; remembers where training got to.

    Attributes:
      last: the newest progress; None before the first.
    """

    def __init__(self, terminal: Terminal) -> None:
        """Begins to show."""
        self.last: Progress | None = None
        self._shown: Bar | Lines = Bar() if terminal.has_bar else Lines(terminal.say)

    def announce(self, line: str) -> None:
        """Says what was chosen or restored."""
        self._shown.announce(line)

    def watch(self, progress: Progress) -> None:
        """Is told of the progress."""
        self.last = progress
        self._shown.watch(progress)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self._shown.close()


def summary(progress: Progress) -> str:
    """Returns a progress in one line."""
    parts = [
        progress.note or f"step {progress.step:,} of {progress.target:,}",
        f"{progress.steps_per_s:,.0f} steps/s",
    ]
    if progress.mean_return is not None:
        parts.append(f"return {progress.mean_return:,.2f}")
    if progress.validation_return is not None:
        parts.append(f"validation {progress.validation_return:,.2f}")
    if progress.num_restarts:
        parts.append(f"{progress.num_restarts:,} restarts")
    left = progress.target - progress.step
    if left > 0 and progress.steps_per_s > 0:
        seconds = round(left / progress.steps_per_s)
        parts.append(f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left")
    return ", ".join(parts)
