"""Leaves of a nest by their places, so that a step need not walk a whole nest.

A place is the keys and indices that lead to a leaf; a nest of one leaf has the place ().
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gamebridge.contract import specs

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Place: TypeAlias = "tuple[Any, ...]"


def places(spec: specs.Spec) -> list[Place]:
    """Returns the places of a spec's leaves, in the order of `specs.leaves`."""
    if isinstance(spec, dict):
        return [(key, *rest) for key in sorted(spec) for rest in places(spec[key])]
    if isinstance(spec, tuple):
        return [(index, *rest) for index, part in enumerate(spec) for rest in places(part)]
    return [()]


def pick(nest: specs.Nest, place: Place) -> specs.Nest:
    """Returns the leaf at `place`.

    Raises:
      KeyError, IndexError, TypeError: the nest has no such place.
    """
    for key in place:
        nest = nest[key]
    return nest


def build(spec: specs.Spec, values: Iterable[Any]) -> specs.Nest:
    """Returns a nest of the structure of `spec` whose leaves are `values`, in order."""
    following = iter(values)
    return specs.map_leaves(lambda _: next(following), spec)


def overlay(nest: specs.Nest, own: specs.Nest) -> specs.Nest:
    """Returns `nest` with its leaves replaced wherever `own` has something other than None."""
    if own is None:
        return nest
    if isinstance(own, dict):
        return {key: overlay(nest[key], part) for key, part in own.items()}
    if isinstance(own, tuple):
        return tuple(overlay(nest[index], part) for index, part in enumerate(own))
    return own
