"""Playing a game with random actions, and comparing what it said."""

from __future__ import annotations

from typing import Any

import numpy as np

from gamebridge.contract import Game, TimeStep, specs
from gamebridge.contract.specs import Array, ArraySpec


def random_action(spec: specs.Spec, num_slots: int, generator: np.random.Generator) -> specs.Nest:
    """Returns a nest of arrays [num_slots, ...] that fits `spec`.

    Unbounded floats are drawn from the standard normal distribution, unbounded integers
    out of 0 ... 9.
    """
    return specs.map_leaves(lambda leaf: _random_leaf(leaf, num_slots, generator), spec)


def copy(time_step: TimeStep) -> TimeStep:
    """Returns a time step that later steps of the game do not change."""
    return TimeStep(
        time_step.step_type.copy(),
        time_step.reward.copy(),
        time_step.discount.copy(),
        specs.map_leaves(np.copy, time_step.observation),
        time_step.valid.copy(),
    )


def play(game: Game, actions: list[specs.Nest], seeds: Array) -> list[TimeStep]:
    """Resets with `seeds`, int64 [B], plays `actions` and returns copies of all time steps."""
    said = [copy(game.reset(seeds))]
    said.extend(copy(game.step(action)) for action in actions)
    return said


def first_difference(left: TimeStep, right: TimeStep, slots: Array) -> str | None:
    """Names a leaf in which two time steps differ in any of `slots`, int64 [n]; None if none.

    Only `valid` is compared of rows that are invalid in both.
    """
    if not np.array_equal(left.valid[slots], right.valid[slots]):
        return "valid"
    slots = slots[left.valid[slots]]
    for (name, ours), (_, theirs) in zip(_leaves(left), _leaves(right), strict=True):
        if not np.array_equal(ours[slots], theirs[slots], equal_nan=ours.dtype.kind == "f"):
            return name
    return None


def _leaves(time_step: TimeStep) -> list[tuple[str, Any]]:
    named = specs.named_leaves(time_step.observation, "observation")
    heads = zip(TimeStep._fields[:3], time_step[:3], strict=True)
    return [*heads, *named]


def _random_leaf(leaf: ArraySpec, num_slots: int, generator: np.random.Generator) -> Array:
    shape = (num_slots, *leaf.shape)
    if leaf.dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(np.bool_)
    if leaf.dtype.kind in "iu":
        low = np.asarray(0 if leaf.minimum is None else leaf.minimum, np.int64)
        high = np.asarray(low + 9 if leaf.maximum is None else leaf.maximum, np.int64)
        return generator.integers(low, high, shape, endpoint=True).astype(leaf.dtype)
    minimum = np.asarray(-np.inf if leaf.minimum is None else leaf.minimum, np.float64)
    maximum = np.asarray(np.inf if leaf.maximum is None else leaf.maximum, np.float64)
    if leaf.is_bounded:
        return generator.uniform(minimum, maximum, shape).astype(leaf.dtype)
    return np.clip(generator.standard_normal(shape), minimum, maximum).astype(leaf.dtype)
