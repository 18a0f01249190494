"""Encoders: every kind of observation arrives as floats, pictures through convolutions."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.contract import specs
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.specs import tensor_spec  # noqa: E402, TID253

from gamebridge.tf import encoders, environment  # noqa: E402

FRAME = specs.frame(12, 12, 1)


def tensors(spec):
    return tensor_spec.from_spec(environment.to_array_spec(spec))


def encoder(spec):
    """An encoder without dense layers shows what goes into them."""
    return encoders.Encoder(
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
        (specs.box((8, 8, 3), 0.0, 1.0), True),
        (specs.box((8, 8, 3)), False),
        (specs.box((8, 8, 3), -3e38, 3e38), False),
        (specs.box((8, 8, 3), 0, 255, dtype=np.int32), False),
        (specs.box((3, 8, 9), 0, 255, dtype=np.uint8), True),
        (specs.box((3, 7, 9), 0, 255, dtype=np.uint8), False),
        (specs.box((5, 8, 9), 0, 255, dtype=np.uint8), False),
        (specs.box((8, 8), 0, 255, dtype=np.uint8), False),
    ],
)
def test_a_frame_is_a_picture_of_8_pixels_or_more(spec, is_frame):
    assert encoders.is_frame(tensors(spec)) == is_frame
    assert encoders.has_frames({"x": tensors(spec)}) == is_frame


@pytest.mark.parametrize("size", [8, 9, 35, 36, 84])
def test_frames_of_any_size_can_be_encoded(size):
    spec = specs.frame(size, size, 3)
    assert encoder(spec)(sample(spec, 1)).shape[1] > 0


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_may_have_its_channels_first(channels):
    last, first = specs.frame(12, 10, channels), specs.box((channels, 12, 10), 0, 255, dtype="u1")
    frames = np.random.default_rng(0).integers(0, 256, (2, 12, 10, channels), dtype=np.uint8)
    turned = encoder(first)(tf.constant(frames.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(turned, encoder(last)(tf.constant(frames)), atol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 3.0)])
def test_a_picture_of_bounded_floats_is_seen_as_the_same_in_bytes(low, high):
    frames = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 1), dtype=np.uint8)
    floats = low + (high - low) * frames.astype(np.float32) / 255
    seen = encoder(specs.box((12, 12, 1), low, high))(tf.constant(floats))
    np.testing.assert_allclose(seen, encoder(FRAME)(tf.constant(frames)), atol=1e-5)
