"""`Turns`: which set of a pool's rows comes next.

Small rows are copied by whoever keeps them, and two sets take turns. Large ones may be kept
as they are: a set is not written to as long as anybody holds one of its arrays, as TensorFlow
does while a tensor reads it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gamebridge.contract import specs
from gamebridge.contract.specs import Array

# Who refers to an array that nobody holds: the layout, the list here, the loop's variable
# and getrefcount's own argument.
_UNHELD = 4


class Turns:
    """Chooses sets of rows."""

    def __init__(self, observations: Sequence[specs.Nest]) -> None:
        """Takes the arrays [B, ...] of all sets."""
        self._leaves: list[list[Array]] = [specs.leaves(nest) for nest in observations]
        self._is_plain = len(self._leaves) == 2

    def after(self, present: int) -> int:
        """Returns the set to write next: not the present one, nor one that somebody holds.

        Where all others are held, the next one in order: rows may be written over once they
        are older than the newest, and what kept them without asking (`can_keep`) is to blame.
        """
        if not self._is_plain:
            for index in range(len(self._leaves)):
                if index != present and self._is_free(index):
                    return index
        return (present + 1) % len(self._leaves)

    def can_keep(self, present: int) -> bool:
        """Whether the present set may be held and there are still enough for the steps to come.

        Two more: the next step takes one, and the step after that may find all held but one.
        """
        if self._is_plain:
            return False
        spare = 0
        for index in range(len(self._leaves)):
            spare += index != present and self._is_free(index)
        return spare >= 2

    def _is_free(self, index: int) -> bool:
        return all(sys.getrefcount(leaf) <= _UNHELD for leaf in self._leaves[index])
