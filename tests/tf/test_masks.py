"""Masks: told from what is seen, never empty, and what they rule out is worth next to nothing."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.contract import specs
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.specs import tensor_spec  # noqa: E402, TID253

from gamebridge.tf import environment, masks  # noqa: E402

FLAGS = specs.box((3,), 0, 1, dtype=np.int8)


def tensors(spec):
    return tensor_spec.from_spec(environment.to_array_spec(spec))


def test_a_mask_is_told_from_what_is_seen():
    seen = {"a": specs.box((2,)), "b": specs.discrete(3)}
    spec = tensors({"observation": seen, "action_mask": FLAGS})
    assert masks.split(spec) == (spec["observation"], spec["action_mask"])


@pytest.mark.parametrize(
    "spec",
    [
        specs.box((2,)),
        {"observation": specs.box((2,))},
        {"observation": specs.box((2,)), "action_mask": specs.box((3,), 0.0, 1.0)},
        {"observation": specs.box((2,)), "action_mask": FLAGS, "more": FLAGS},
    ],
    ids=["array", "one key", "floats", "more keys"],
)
def test_what_is_no_mask_is_seen(spec):
    spec = tensors(spec)
    assert masks.split(spec) == (spec, None)
    assert masks.allowed(tensor_spec.zero_spec_nest(spec, outer_dims=(2,))) is None


def observed(mask):
    return {"observation": tf.zeros([len(mask), 2]), "action_mask": mask}


@pytest.mark.parametrize("dtype", [tf.bool, tf.int8, tf.uint8])
def test_where_nothing_is_allowed_everything_is(dtype):
    mask = tf.cast([[1, 0, 1], [0, 0, 0], [1, 1, 1]], dtype)
    found = masks.allowed(observed(mask))
    assert found.dtype == tf.bool
    np.testing.assert_array_equal(found, [[True, False, True], [True] * 3, [True] * 3])


def test_each_branch_has_a_mask_of_its_own():
    pair = (tf.constant([[True, False]]), tf.constant([[0, 0, 0]], tf.int8))
    first, second = masks.allowed(observed(pair))
    assert first.numpy().tolist() == [[True, False]]
    assert second.numpy().tolist() == [[True, True, True]]
    action_spec = tensors((specs.discrete(2), specs.box((1,)), specs.discrete(3)))
    assert masks.by_leaf((first, second), action_spec) == [first, None, second]
    assert masks.by_leaf(None, action_spec) == [None, None, None]


def test_what_is_not_allowed_is_the_lowest_and_moves_nothing():
    values = tf.Variable([[5.0, 9.0, 1.0]])
    may = tf.constant([[True, False, True]])
    with tf.GradientTape() as tape:
        found = masks.masked(values, may)
        log_probability = tf.nn.log_softmax(found)
        loss = tf.reduce_sum(found)
    assert found.numpy().tolist() == [[5.0, masks.LOWEST, 1.0]]
    assert np.isfinite(log_probability).all()
    np.testing.assert_array_equal(tape.gradient(loss, values), [[1, 0, 1]])
    assert masks.masked(values, None) is values


def test_the_splitter_of_tf_agents_takes_observations_and_their_specs():
    spec = tensors({"observation": specs.box((2,)), "action_mask": FLAGS})
    split = masks.splitter(spec)
    assert split(spec) == (spec["observation"], spec["action_mask"])
    seen, may = split(observed(tf.zeros([1, 3], tf.int8)))
    assert seen.shape == (1, 2)
    assert may.numpy().all()
    assert masks.splitter(spec["observation"]) is None
