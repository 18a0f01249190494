from __future__ import annotations

from gamebridge.contract import specs
from gamebridge.wrappers import nests

LEAF = specs.box((1,))


def test_places_follow_the_order_of_leaves():
    spec = {"b": (LEAF, {"x": LEAF}), "a": LEAF}
    assert nests.places(spec) == [("a",), ("b", 0), ("b", 1, "x")]
    assert nests.places(LEAF) == [()]


def test_pick_returns_the_leaf_at_a_place():
    nest = {"a": 1, "b": (2, {"x": 3})}
    assert [nests.pick(nest, place) for place in nests.places(nest)] == [1, 2, 3]
    assert nests.pick(5, ()) == 5


def test_overlay_replaces_what_is_given_and_keeps_the_rest():
    spec = {"a": LEAF, "b": (LEAF, {"x": LEAF})}
    own = nests.build(spec, [None, 20, None])
    assert nests.overlay({"a": 1, "b": (2, {"x": 3})}, own) == {"a": 1, "b": (20, {"x": 3})}
    assert nests.overlay(1, 10) == 10
    assert nests.overlay(1, None) == 1
