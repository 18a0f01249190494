"""`Terminal`: a command's results go to stdout, whatever is said on the way to stderr."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from gamebridge import errors


class Terminal:
    """Where a command speaks.

    Attributes:
      show_traceback: whether errors are followed back in full.
      plugin_folder: what --plugins named; None where it was not given.
    """

    def __init__(self) -> None:
        """Makes the streams ready: none is missing, none stops at a letter it cannot write."""
        self.show_traceback = False
        self.plugin_folder: str | None = None
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # closed by the shell: `>&-`
                setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
            stream = getattr(sys, name)
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")

    def result(self, text: str) -> None:
        """Writes a result as lines on stdout.

        Raises:
          BrokenPipeError: the reader has left, as `head` does.
          StorageError: stdout cannot be written for another reason, such as a full disk.
        """
        try:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            # What is left in the buffer would fail again when Python ends.
            self.drop_stdout()
            raise errors.StorageError(
                f"Cannot write to standard output: {error.strerror}. Free space or send it "
                "somewhere else."
            ) from error

    def result_json(self, values: Any) -> None:
        """Writes a result as JSON on stdout; plain ASCII, so that any locale carries it."""
        self.result(json.dumps(values, indent=1, default=str))

    def say(self, text: str) -> None:
        """Writes a line on stderr, if anybody still listens there."""
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def complain(self, text: str) -> None:
        """Writes an error as one line on stderr."""
        self.say("gamebridge: error: " + re.sub(r"\s*\n\s*", " ", text.strip()))

    @property
    def has_bar(self) -> bool:
        """Whether stderr can show a progress bar."""
        return sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")

    def drop_stdout(self) -> None:
        """Sends the rest of stdout nowhere: nobody reads it, and Python would complain."""
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)

    @contextlib.contextmanager
    def foreign_code(self) -> Iterator[None]:
        """Around calls into plugins and libraries: they cannot spoil the results.

        What they print goes to stderr, also from C and from child processes. Their
        warnings and logs are dropped (Python's -W brings the warnings back); those of
        gamebridge and of plugins that are called like ours, gamebridge_..., are shown.
        """
        speaker = _Speaker(self)
        # With a handler at the root, Python does not print the records of libraries itself.
        logging.getLogger().addHandler(speaker)
        try:
            with _stdout_to_stderr(), warnings.catch_warnings():
                if not sys.warnoptions:
                    warnings.simplefilter("ignore")
                yield
        except BrokenPipeError as error:
            # It is not stdout that broke, and must not be taken for it.
            raise errors.PlayerError(
                f"A pipe to another process broke: {error}. Look above for why that one ended."
            ) from error
        finally:
            logging.getLogger().removeHandler(speaker)


def aligned(rows: Sequence[Sequence[str]], indent: int = 0) -> str:
    """Returns rows of text as lines of columns, each as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(" " * indent + line for line in lines)


class _Speaker(logging.Handler):
    """Shows the warnings of gamebridge and its plugins, and no others.

    On the stderr of the moment, which a bar may have taken.
    """

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self._terminal = terminal
        self.addFilter(lambda record: record.name.startswith(("gamebridge.", "gamebridge_")))

    def emit(self, record: logging.LogRecord) -> None:
        self._terminal.say(f"gamebridge: {record.levelname.lower()}: {record.getMessage()}")


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    with contextlib.ExitStack() as restored:
        try:
            out, error = sys.stdout.fileno(), sys.stderr.fileno()
        except (OSError, ValueError):
            pass  # streams in memory, as in a notebook: there is no descriptor to turn round
        else:
            sys.stdout.flush()
            kept = os.dup(out)
            restored.callback(os.close, kept)
            os.dup2(error, out)
            restored.callback(os.dup2, kept, out)
        restored.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield
