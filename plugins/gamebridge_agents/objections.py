"""Why an agent cannot learn a game, told from specs before anything is made; light to import."""

from __future__ import annotations

from typing import Any

import numpy as np

from gamebridge.contract import specs
from gamebridge.contract.specs import Array

# Of more parts than these no two observations would be alike.
MAX_PARTS = 64
# Integers of more values than these are cut like floats.
MAX_VALUES = 64

NO_FRAMES = (
    "q-learning cannot see frames: they have no tiles. Choose dqn, or a form of the game without "
    "pictures."
)


def to_table(observation: specs.Spec, action: specs.Spec, settings: Any) -> str:
    """Returns why a table of tiles cannot hold the values of a game, "" where it can."""
    if isinstance(observation, dict) and set(observation) == {"observation", "action_mask"}:
        observation = observation["observation"]  # masks have no tiles
    leaves: list[specs.ArraySpec] = specs.leaves(observation)
    if any(leaf.kind == "frame" for leaf in leaves):
        return NO_FRAMES
    return many_parts(sum(int(np.prod(leaf.shape)) for leaf in leaves))


def many_parts(count: int) -> str:
    """Returns why so many parts of an observation are too many, "" where they are not."""
    if count <= MAX_PARTS:
        return ""
    return (
        f"q-learning would cut {count} parts of an observation into tiles; beyond {MAX_PARTS} no "
        "two observations are alike. Choose dqn."
    )


def parts(leaves: list[specs.ArraySpec]) -> tuple[Array, Array, Array]:
    """Returns low, high and the number of values (0: it is cut) of each part, [parts] each."""
    lows, highs, counts = [], [], []
    for leaf in leaves:
        size = int(np.prod(leaf.shape))
        low, high = np.full(size, -np.inf), np.full(size, np.inf)
        if leaf.dtype.kind == "b":
            low, high = np.zeros(size), np.ones(size)
        elif leaf.minimum is not None and leaf.maximum is not None:
            low = leaf.minimum.astype(np.float64).reshape(-1)
            high = leaf.maximum.astype(np.float64).reshape(-1)
        count = np.zeros(size)
        if leaf.is_discrete:
            count = np.where(high - low < MAX_VALUES, high - low + 1, 0)
        lows.append(low)
        highs.append(high)
        counts.append(count)
    return np.concatenate(lows), np.concatenate(highs), np.concatenate(counts)


def to_squashing(observation: specs.Spec, action: specs.Spec, settings: Any) -> str:
    """Returns why an actor that squashes its actions cannot give a game's, "" where it can."""
    if not isinstance(action, specs.ArraySpec) or action.is_bounded:
        return ""
    return unbounded(action.minimum, action.maximum)


def unbounded(low: Any, high: Any) -> str:
    """Says that an action has no finite bounds."""
    return (
        f"floats from {-np.inf if low is None else low} to {np.inf if high is None else high} "
        "(1e30 and beyond is no bound) cannot be given by an actor that squashes its actions to "
        "their bounds. Set wrappers.action_bound, or choose ppo."
    )
