"""Turns the actions that a game was told back into those that an agent would have given.

What `fitting.fit` puts around a game takes an agent's actions and makes the game's of them. Who
learns from episodes that others played needs the way back.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gamebridge.contract import game as games
from gamebridge.contract import specs
from gamebridge.wrappers import actions
from gamebridge.wrappers import episodes as episode_logs


def adaptors(game: games.Game) -> tuple[list[Any], games.Game]:
    """Returns what was put around a game for an agent, from the outside in, and that game."""
    while isinstance(game, episode_logs.EpisodeLog):
        game = game.game
    found: list[Any] = []
    while isinstance(game, games.Wrapper) and _undo.dispatch(type(game)) is not _UNKNOWN:
        found.append(game)
        game = game.game
    return found, game


def undo(found: list[Any], action: specs.Nest) -> specs.Nest:
    """Returns actions as the agent gives them.

    Args:
      found: what `adaptors` found.
      action: nest of arrays [n, ...], the game's own.
    """
    for adaptor in reversed(found):
        action = _undo(adaptor, action)
    return action


@functools.singledispatch
def _undo(adaptor: Any, action: specs.Nest) -> specs.Nest:
    raise TypeError(f"Nobody knows the way back through a {type(adaptor).__name__}.")


_UNKNOWN = _undo.dispatch(object)


@_undo.register
def _(adaptor: actions.FromZero, action: Any) -> Any:
    own: Any = adaptor.game.action_spec()
    return (action.astype(np.int64) - int(own.minimum)).astype(adaptor.action_spec().dtype)


@_undo.register
def _(adaptor: actions.FlatBox, action: Any) -> Any:
    own: Any = adaptor.game.action_spec()
    given = adaptor.action_spec()
    flat = action.reshape(len(action), *given.shape)
    if own.is_bounded:
        low = own.minimum.astype(np.float64).reshape(-1)
        high = own.maximum.astype(np.float64).reshape(-1)
        half, middle = high / 2 - low / 2, high / 2 + low / 2
        # Of one value there is nothing to learn.
        flat = np.clip((flat - middle) / np.where(half == 0, 1, half), -1, 1)
    return flat.astype(given.dtype)
