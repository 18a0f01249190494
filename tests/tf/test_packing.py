"""Rows as bytes and back."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.tf import packing  # noqa: E402

SPECS = {
    "b": (tf.TensorSpec((), tf.bool), tf.TensorSpec((3,), tf.bool)),
    "f": tf.TensorSpec((2, 2), tf.float32),
    "d": tf.TensorSpec((), tf.float64),
    "i": tf.TensorSpec((0,), tf.int64),
    "u": tf.TensorSpec((2, 1), tf.uint8),
    "s": tf.TensorSpec((), tf.int8),
}


@pytest.mark.parametrize("in_graph", [False, True])
def test_what_is_packed_is_unpacked_bit_by_bit(in_graph):
    rng = np.random.default_rng(1)
    rows = tf.nest.map_structure(
        lambda spec: tf.cast(rng.normal(size=(5, *spec.shape)) * 100, spec.dtype), SPECS
    )
    made = packing.Packing(SPECS)
    pack, unpack = (tf.function(f) if in_graph else f for f in (made.pack, made.unpack))
    packed = pack(rows)
    assert packed.shape == (5, made.num_bytes) == (5, 4 + 16 + 8 + 2 + 1)
    tf.nest.map_structure(np.testing.assert_array_equal, unpack(packed), rows)
    assert unpack(packed[:0])["f"].shape == (0, 2, 2)


def test_rows_of_another_structure_are_refused():
    with pytest.raises(ValueError, match="structure"):
        packing.Packing(SPECS).pack({"f": tf.zeros([1, 2, 2])})
