"""`Bounded`: floats of an action that have no bounds are given some."""

from __future__ import annotations

import numpy as np

from gamebridge import contract
from gamebridge.contract import specs
from gamebridge.wrappers import actions


class Bounded(actions.Adaptor):
    """Offers a game's action with bounds for every float: -`bound` and `bound`.

    Where the game has one of the two, the other is `2 * bound` away from it. The game is told
    what the agent gives: only the spec is another one.
    """

    def __init__(self, game: contract.Game, bound: float) -> None:
        """Makes the spec."""
        super().__init__(game)
        self._spec = specs.map_leaves(lambda leaf: _bounded(leaf, bound), game.action_spec())

    def action_spec(self) -> specs.Spec:
        """The game's, bounded."""
        return self._spec


def is_endless(spec: specs.Spec) -> bool:
    """Whether an action has floats without bounds."""
    return any(leaf.dtype.kind == "f" and not leaf.is_bounded for leaf in specs.leaves(spec))


def _bounded(leaf: specs.ArraySpec, bound: float) -> specs.ArraySpec:
    if leaf.dtype.kind != "f" or leaf.is_bounded:
        return leaf
    low, high = (
        np.full(leaf.shape, end) if own is None else own.astype(np.float64)
        for own, end in ((leaf.minimum, -np.inf), (leaf.maximum, np.inf))
    )
    # Games say 3.4e38 where they mean no bound.
    has_low, has_high = np.abs(low) < 1e30, np.abs(high) < 1e30
    start = np.where(has_high, high - 2 * bound, -bound)
    low = np.where(has_low, low, start)
    high = np.where(has_high, high, low + 2 * bound)
    return specs.box(leaf.shape, low, high, name=leaf.name, dtype=leaf.dtype)
