"""Masks: which actions a game allows now, beside what is seen of it.

An observation with a mask is {"observation": ..., "action_mask": ...}. The mask is bool or
integers [n], not 0 where an action is allowed, for an action that is one of n integers; for
actions of several integers a tuple of such, one a branch. Where a mask allows nothing, as it
may at an episode's end, everything is allowed: an agent must always be able to act.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf  # noqa: TID253

_SEEN, _MASK = "observation", "action_mask"

# What a value becomes that does not count: below any other, and far enough from the least
# float that differences, logarithms and means of it stay finite.
LOWEST = -1e9


def split(observation: Any) -> tuple[Any, Any]:
    """Takes an observation, or its spec, apart into what networks see and its mask.

    Returns:
      What is to be encoded, and the mask; None where there is no mask.
    """
    if not isinstance(observation, dict) or set(observation) != {_SEEN, _MASK}:
        return observation, None
    mask = observation[_MASK]
    if not all(leaf.dtype.is_integer or leaf.dtype.is_bool for leaf in tf.nest.flatten(mask)):
        return observation, None
    return observation[_SEEN], mask


def allowed(observation: Any) -> Any:
    """Returns the actions that may be taken: nest of bool [..., n], or None where all may.

    Args:
      observation: nest of [..., ...], any number of outer axes.
    """
    _, mask = split(observation)
    return None if mask is None else tf.nest.map_structure(_completed, mask)


def splitter(observation_spec: Any) -> Callable[[Any], tuple[Any, Any]] | None:
    """Returns the `observation_and_action_constraint_splitter` of TF-Agents' agents.

    It gives what is to be encoded, and what `allowed` gives (of a spec: the mask's spec). None
    where observations of this spec have no mask.
    """
    return None if split(observation_spec)[1] is None else _constrained


def masked(values: Any, allowed: Any) -> Any:
    """Makes the values of actions that are not allowed very low, and finite.

    Args:
      values: nest of floats [..., n].
      allowed: nest of bool [..., n] as `allowed` gives it, or None for all.
    """
    if allowed is None:
        return values
    return tf.nest.map_structure(
        lambda leaf, may: tf.where(may, leaf, tf.cast(LOWEST, leaf.dtype)), values, allowed
    )


def by_leaf(allowed: Any, action_spec: Any) -> list[Any]:
    """Returns one entry a leaf of a flat action spec: bool [..., n], or None for no mask.

    Masks belong to the integers among the leaves, one after the other.
    """
    parts = [] if allowed is None else tf.nest.flatten(allowed)
    found = iter(parts)
    return [
        next(found) if parts and spec.dtype.is_integer else None
        for spec in tf.nest.flatten(action_spec)
    ]


def _constrained(observation: Any) -> tuple[Any, Any]:
    seen, mask = split(observation)
    is_spec = isinstance(tf.nest.flatten(mask)[0], tf.TypeSpec)
    return seen, mask if is_spec else allowed(observation)


def _completed(leaf: tf.Tensor) -> tf.Tensor:
    is_allowed = tf.not_equal(leaf, tf.zeros([], leaf.dtype))
    return tf.logical_or(is_allowed, tf.logical_not(tf.reduce_any(is_allowed, -1, keepdims=True)))
