"""For plugin authors' tests: the conformance of a game, and small games to try things on."""

from gamebridge.testing import fakes, numbered
from gamebridge.testing.conformance import GameConformance

__all__ = ["GameConformance", "fakes", "numbered"]
