"""The command line, a thin layer on `gamebridge.api`; `main` is the script `gamebridge`."""

from __future__ import annotations

from gamebridge.cli.app import main

__all__ = ["main"]
