"""Networks: any observation in, any action out, and a seed decides the weights."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.contract import specs
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.specs import tensor_spec  # noqa: E402, TID253

from gamebridge.tf import environment, networks  # noqa: E402

FRAME = specs.frame(12, 12, 1)
MIXED = {
    "camera": specs.frame(40, 36, 3),
    "floats": specs.box((3,), -1.0, 1.0, dtype=np.float64),
    "pair": (specs.discrete(4, start=-2), specs.box((), dtype=np.float32)),
    "flags": specs.box((2,), False, True, dtype=np.bool_),
}


def tensors(spec):
    return tensor_spec.from_spec(environment.to_array_spec(spec))


def sample(spec, *outer):
    generator = np.random.default_rng(0)

    def draw(leaf):
        low = 0 if leaf.minimum is None else leaf.minimum.astype(np.float64)
        high = 1 if leaf.maximum is None else leaf.maximum.astype(np.float64)
        drawn = generator.uniform(low, high, (*outer, *leaf.shape))
        return tf.constant(np.rint(drawn) if leaf.is_discrete else drawn, leaf.dtype)

    return specs.map_leaves(draw, spec)


def weights_of(network):
    return [weight.numpy() for weight in network.variables]


def q_network(spec=FRAME, seed=0, num_actions=3, **settings):
    settings = {"units": (8,), "conv_filters": (2, 2, 2), **settings}
    return networks.QNetwork(tensors(spec), tensors(specs.discrete(num_actions)), seed, **settings)


@pytest.mark.parametrize("outer", [(3,), (2, 3)])
def test_every_network_takes_nests_with_one_or_two_outer_axes(outer):
    observation = sample(MIXED, *outer)
    values, _ = q_network(MIXED)(observation)
    assert values.shape == (*outer, 3)
    shape = {"units": (8,), "conv_filters": (2, 2, 2)}
    value, _ = networks.ValueNetwork(tensors(MIXED), **shape)(observation)
    assert value.shape == outer
    discrete, _ = networks.ActorNetwork(tensors(MIXED), tensors(specs.discrete(3)), **shape)(
        observation
    )
    assert discrete.sample().shape == outer
    assert discrete.dtype == tf.int64
    box = tensors(specs.box((2,), -1.0, 1.0))
    normal, _ = networks.ActorNetwork(tensors(MIXED), box, **shape)(observation)
    assert normal.sample().shape == (*outer, 2)


def test_a_copy_builds_and_has_the_same_shape():
    network = q_network(MIXED)
    network.create_variables()
    copy = network.copy(name="Target")
    copy.create_variables()
    assert [w.shape for w in copy.variables] == [w.shape for w in network.variables]
    assert copy.variables[0] is not network.variables[0]


def test_one_seed_gives_equal_weights_and_another_seed_others():
    first, second, other = (q_network(seed=seed) for seed in (5, 5, 6))
    for network in (first, second, other):
        network.create_variables()
    for left, right in zip(weights_of(first), weights_of(second), strict=True):
        np.testing.assert_array_equal(left, right)
    for left, right in zip(weights_of(first), weights_of(other), strict=True):
        assert not left.any() or not np.array_equal(left, right)


def test_no_two_layers_of_a_network_begin_alike():
    network = q_network(specs.box((8,)), num_actions=8, units=(8, 8, 8))
    network.create_variables()
    kernels = [weight for weight in weights_of(network) if weight.ndim == 2]
    assert len(kernels) == 4
    for index, kernel in enumerate(kernels):
        assert all(not np.allclose(kernel, other) for other in kernels[index + 1 :])


def test_the_actors_mean_is_not_squashed_into_the_bounds():
    actor = networks.ActorNetwork(tensors(specs.box((2,))), tensors(specs.box((3,), -1.0, 1.0)))
    actor.create_variables()
    actor._heads[0].bias.assign([50.0, -50.0, 0.0])
    distribution, _ = actor(tf.zeros([1, 2]))
    np.testing.assert_allclose(distribution.mode(), [[50, -50, 0]], atol=1e-5)


def test_the_actor_begins_with_the_standard_deviation_asked_for_and_learns_it():
    actor = networks.ActorNetwork(
        tensors(specs.box((2,))), tensors(specs.box((3,), -1.0, 1.0)), initial_std=0.5
    )
    actor.create_variables()
    distribution, _ = actor(tf.zeros([4, 2]))
    np.testing.assert_allclose(distribution.stddev(), np.full((4, 3), 0.5), rtol=1e-6)
    assert any("log_std" in weight.name for weight in actor.trainable_weights)


def test_the_first_policy_is_nearly_uniform():
    actor = networks.ActorNetwork(tensors(specs.box((4,))), tensors(specs.discrete(5)))
    distribution, _ = actor(tf.constant(np.random.default_rng(0).normal(size=(20, 4)), tf.float32))
    np.testing.assert_allclose(distribution.probs_parameter(), 0.2, atol=0.02)
