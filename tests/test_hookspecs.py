"""The plugin in the docstring of `gamebridge_games` is what it says: complete."""

from __future__ import annotations

import textwrap

from gamebridge.contract import hookspecs
from gamebridge.testing import GameConformance

_DOC = hookspecs.gamebridge_games.__doc__ or ""


def example():
    begin, end = _DOC.index("        import numpy"), _DOC.index("    A gymnasium environment")
    names = {}
    exec(textwrap.dedent(_DOC[begin:end]), names)
    return names


class TestTheDocumentedGame(GameConformance):
    def make(self):
        return self.make_with(3)

    def make_with(self, num_slots):
        (record,) = example()["gamebridge_games"]()
        assert record.id == "guess/ten"
        return example()["Guess"](num_slots)
