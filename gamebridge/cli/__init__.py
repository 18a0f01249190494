"""The command line, a thin layer on `gamebridge.api`; `main` is the script `gamebridge`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; see `gamebridge.cli.app.main`."""
    try:
        # In here, so that a Ctrl-C in the first moments is no traceback either.
        from gamebridge.cli import app

        return app.main(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("gamebridge: interrupted before anything was begun\n")
        return 130
