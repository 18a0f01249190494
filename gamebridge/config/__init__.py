"""Settings: read from TOML, set on the command line, merged, made typed.

The schemas belong to those who use the settings: frozen dataclasses. Their values come
from a file, from `--set`, or from a call, and an error names which of these it was.
"""

from __future__ import annotations

from gamebridge.config.schemas import convert
from gamebridge.config.sources import Source, assign, load, read
from gamebridge.config.tables import merge, to_toml

__all__ = ["Source", "assign", "convert", "load", "merge", "read", "to_toml"]
