"""The normaliser: floats become normal, everything else stays what it is."""

from __future__ import annotations

import numpy as np

from gamebridge.contract import specs
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.specs import tensor_spec  # noqa: E402, TID253

from gamebridge.tf import environment, normalizers  # noqa: E402

MIXED = {
    "observation": {
        "camera": specs.frame(12, 12, 1),
        "pair": (specs.discrete(9), specs.box((2,), dtype=np.float64)),
        "flags": specs.box((2,), False, True, dtype=np.bool_),
    },
    "action_mask": specs.box((3,), 0, 1, dtype=np.int8),
}


def tensors(spec):
    return tensor_spec.from_spec(environment.to_array_spec(spec))


def observed(rng, *outer):
    def draw(leaf):
        if leaf.dtype.kind == "f":
            return tf.constant(rng.normal([3.0, -50.0], [0.5, 20.0], (*outer, 2)), leaf.dtype)
        high = int(leaf.maximum.max()) + 1
        return tf.constant(rng.integers(0, high, (*outer, *leaf.shape)).astype(leaf.dtype))

    return specs.map_leaves(draw, MIXED)


def test_floats_are_normalised_and_nothing_else_is():
    normalizer = normalizers.FloatsNormalizer(tensors(MIXED))
    rng = np.random.default_rng(0)
    for _ in range(3):
        normalizer.update(observed(rng, 20, 30), outer_dims=[0, 1])
    fresh = observed(rng, 500)
    found = normalizer.normalize(fresh)
    floats = found["observation"]["pair"][1]
    assert floats.dtype == tf.float64
    np.testing.assert_allclose(np.mean(floats, 0), 0, atol=0.15)
    np.testing.assert_allclose(np.std(floats, 0), 1, atol=0.15)
    for path, leaf in specs.named_leaves(found):
        before = dict(specs.named_leaves(fresh))[path]
        assert (path == "observation/pair/1") != bool(np.array_equal(leaf, before))


def test_where_there_are_no_floats_there_is_nothing_to_normalise():
    assert normalizers.has_floats(tensors(MIXED))
    for spec in (specs.discrete(3), specs.frame(12, 12, 3), specs.box((2,), 0, 1, dtype=np.int8)):
        assert not normalizers.has_floats(tensors(spec))
