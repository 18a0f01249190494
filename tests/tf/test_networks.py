"""Networks: every kind of observation arrives as floats, and a seed decides the weights."""

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


def encoder(spec):
    """An encoder without dense layers shows what goes into them."""
    return networks.Encoder(
        tensors(spec), seed=0, units=(), conv_filters=(4, 4, 4), activation="relu"
    )


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


def test_frames_are_divided_by_255_inside_the_network():
    encode = encoder(FRAME)
    frames = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 1), dtype=np.uint8)
    encode(tf.constant(frames))
    x = tf.constant(frames.astype(np.float32) / 255)
    for layer in encode._convolutions["0"]:
        x = layer(x)
    np.testing.assert_allclose(encode(tf.constant(frames)), tf.reshape(x, [2, -1]), atol=1e-6)


def test_one_integer_becomes_one_hot_from_its_own_start():
    one_hot = encoder(specs.discrete(4, start=-2))(tf.constant([-2, 1], tf.int64))
    np.testing.assert_array_equal(one_hot, [[1, 0, 0, 0], [0, 0, 0, 1]])


def test_integers_with_unequal_numbers_of_values_become_one_hot_each():
    spec = specs.box((2,), [1, 0], [2, 3], dtype=np.int32)
    one_hot = encoder(spec)(tf.constant([[2, 3], [1, 0]]))
    np.testing.assert_array_equal(one_hot, [[0, 1, 0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 1, 0, 0, 0]])


def test_integers_with_many_values_are_scaled():
    spec = specs.box((2,), [0, -1000], [255, 1000], dtype=np.int64)
    scaled = encoder(spec)(tf.constant([[0, -1000], [255, 0], [51, 1000]], tf.int64))
    np.testing.assert_allclose(scaled, [[-1, -1], [1, 0], [-0.6, 1]], atol=1e-6)
    ram = specs.box((128,), 0, 255, dtype=np.uint8)
    assert np.abs(encoder(ram)(sample(ram, 2))).max() <= 1.0


def test_a_constant_integer_is_no_division_by_zero():
    spec = specs.box((2000,), 7, 7, dtype=np.int64)
    assert np.isfinite(encoder(spec)(sample(spec, 1))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_floats_stay_as_they_are(dtype):
    values = np.array([[0.5, -3.0]], dtype)
    floats = encoder(specs.box((2,), dtype=dtype))(tf.constant(values))
    assert floats.dtype == tf.float32
    np.testing.assert_array_equal(floats, values.astype(np.float32))


def test_leaves_of_a_nest_are_joined_in_the_order_of_their_keys():
    spec = {"b": specs.box((1,)), "a": (specs.discrete(2), specs.box((2, 2)))}
    joined = encoder(spec)(
        {
            "b": tf.constant([[9.0]]),
            "a": (tf.constant([1], tf.int64), tf.constant([[[1.0, 2], [3, 4]]])),
        }
    )
    np.testing.assert_array_equal(joined, [[0, 1, 1, 2, 3, 4, 9]])


def test_a_mask_of_actions_is_not_encoded():
    mask = specs.box((3,), 0, 1, dtype=np.int8)
    encode = encoder({"observation": specs.box((2,)), "action_mask": mask})
    seen = tf.constant([[4.0, 5.0]])
    for flags in ([[1, 0, 1]], [[0, 1, 0]]):
        observation = {"observation": seen, "action_mask": tf.constant(flags, tf.int8)}
        np.testing.assert_array_equal(encode(observation), seen)


@pytest.mark.parametrize(
    ("spec", "is_frame"),
    [
        (specs.frame(8, 8, 1), True),
        (specs.frame(4, 8, 3), False),
        (specs.box((8, 8, 3), 0, 255, dtype=np.uint8), True),
        (specs.box((8, 8, 3), 0.0, 1.0), False),
        (specs.box((8, 8), 0, 255, dtype=np.uint8), False),
    ],
)
def test_a_frame_is_a_uint8_picture_of_8_pixels_or_more(spec, is_frame):
    assert networks.is_frame(tensors(spec)) == is_frame
    assert networks.has_frames({"x": tensors(spec)}) == is_frame


@pytest.mark.parametrize("size", [8, 9, 35, 36, 84])
def test_frames_of_any_size_can_be_encoded(size):
    spec = specs.frame(size, size, 3)
    assert encoder(spec)(sample(spec, 1)).shape[1] > 0


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
