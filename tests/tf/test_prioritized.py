"""Prioritised replay: chances, weights and which rows can be drawn at all."""

from __future__ import annotations

import collections

import numpy as np
import pytest

from gamebridge.contract import FIRST, LAST, MID
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.trajectories import time_step as ts  # noqa: E402, TID253

from gamebridge.tf import prioritized, sum_tree  # noqa: E402

SPEC, ACTION = tf.TensorSpec((), tf.int64), tf.TensorSpec((), tf.int64)


def seed_of(number):
    return tf.constant([number, 3])


@pytest.mark.parametrize("size", [1, 64, 65, 5000])
def test_a_number_is_found_by_its_share_of_the_sum(size):
    rng = np.random.default_rng(size)
    tree, numbers = sum_tree.SumTree(size), np.zeros(size)
    for _ in range(20):
        index = rng.integers(0, size, 40)
        values = rng.random(40) * (rng.random(40) < 0.7)
        tree.set(tf.constant(index), tf.constant(values))
        for place, value in zip(index, values, strict=True):
            numbers[place] = value
    np.testing.assert_allclose(tree.total, numbers.sum())
    np.testing.assert_array_equal(tree.get(tf.range(size, dtype=tf.int64)), numbers)
    reached = np.append(rng.random(500), [0.0, 1.0 - 1e-16]) * numbers.sum()
    found = tree.find(tf.constant(reached)).numpy()
    assert (numbers[found] > 0).all()
    np.testing.assert_array_equal(
        found[:-1], np.searchsorted(np.cumsum(numbers), reached, "right")[:-1]
    )


def test_what_is_0_is_never_found():
    tree = sum_tree.SumTree(200)
    tree.set(tf.constant([3, 70], tf.int64), tf.constant([0.1, 1e-300], tf.float64))
    reached = tf.constant(np.linspace(0.0, 0.2, 50))
    assert set(tree.find(reached).numpy()) <= {3, 70}


def make(num_slots=1, capacity=40, num_steps=1, alpha=1.0, beta=1.0, num_stacked=None):
    return prioritized.PrioritizedReplay(
        SPEC, ACTION, num_slots, capacity, num_stacked,
        num_steps=num_steps, priorities=prioritized.Priorities(alpha, beta, 100),
    )  # fmt: skip


def rows_of(types, numbers):
    count = len(types)
    return ts.TimeStep(
        tf.constant(types, tf.int32),
        tf.ones([count]),
        tf.ones([count]),
        tf.constant(numbers, tf.int64),
    )


class Stream:
    """Episodes of five rows; an observation is the slot's number of the row, a thousand apart."""

    def __init__(self, ring):
        self.ring = ring
        self.counts = np.zeros(ring.num_slots, np.int64)
        self.add = tf.function(ring.add, autograph=False)

    def now(self):
        types = np.array([FIRST, MID, MID, MID, LAST])[self.counts % 5]
        return rows_of(types, self.counts + 1000 * np.arange(len(self.counts)))

    def advance(self, slots=None):
        mask = np.ones(len(self.counts), np.bool_) if slots is None else np.array(slots)
        now = self.now()
        self.counts += mask
        self.add(now, tf.constant(self.counts), self.now(), tf.constant(mask))

    def candidates(self, num_steps):
        """The rows that may be drawn, by the rules of the ring that draws uniformly."""
        found = set()
        for slot, count in enumerate(self.ring.num_added):
            kept = min(count, self.ring.capacity // self.ring.num_slots)
            for number in range(count - kept, count - num_steps):
                if number % 5 != 4:
                    found.add(int(number) + 1000 * slot)
        return found


def drawn(ring, batch_size=64, number=0, num_game_steps=0):
    steps = tf.constant(num_game_steps, tf.int64)
    return ring.draw(batch_size, 0.9, steps, seed_of(number))


@pytest.mark.parametrize(("num_slots", "num_steps"), [(1, 1), (3, 3)])
def test_what_can_be_drawn_uniformly_and_teaches_can_be_drawn_by_priority(num_slots, num_steps):
    ring = make(num_slots, 12 * num_slots, num_steps)
    stream, rng = Stream(ring), np.random.default_rng(1)
    for step in range(60):
        stream.advance(rng.random(num_slots) < np.linspace(0.4, 1.0, num_slots))
        expected = stream.candidates(num_steps)
        assert (int(ring.num_transitions(num_steps)) > 0) == bool(expected)
        if expected and step % 5 == 4:
            batch, _ = drawn(ring, 400, step)
            # All alike so far: a batch that is cut into strata misses none.
            assert set(batch.observation.numpy()) == expected
            np.testing.assert_array_equal(batch.weight, 1.0)


def test_transitions_are_those_of_the_uniform_ring():
    ring = make(2, 30, 3)
    stream = Stream(ring)
    for _ in range(40):
        stream.advance()
    batch, place = drawn(ring)
    first = batch.observation.numpy()
    taken = np.minimum(3, 4 - first % 5)
    np.testing.assert_array_equal(batch.next_observation, first + taken)
    np.testing.assert_allclose(batch.reward, (1 - 0.9**taken) / 0.1, rtol=1e-5)
    np.testing.assert_array_equal(batch.action, first % 1000 + 1)
    assert len(set(place.numpy())) == len(set(first))


def test_chances_follow_the_errors_and_weights_make_up_for_them():
    ring = make(1, 100, 1, alpha=0.5, beta=0.4)
    stream = Stream(ring)
    for _ in range(4):
        stream.advance()
    batch, place = drawn(ring, 3)
    assert sorted(batch.observation.numpy()) == [0, 1, 2]
    errors = np.array([4.0, -1.0, 0.25])[batch.observation.numpy()]
    ring.judge(place, tf.constant(errors, tf.float32))
    counts = collections.Counter()
    for number in range(20):
        batch, _ = drawn(ring, 350, number)
        counts.update(batch.observation.numpy().tolist())
    chances = np.array([2.0, 1.0, 0.5]) / 3.5
    np.testing.assert_allclose([counts[i] / 7000 for i in range(3)], chances, atol=0.01)
    weights = dict(zip(batch.observation.numpy().tolist(), batch.weight.numpy(), strict=True))
    expected = (0.5 / np.array([2.0, 1.0, 0.5])) ** 0.4
    np.testing.assert_allclose([weights[i] for i in range(3)], expected, rtol=1e-4)
    later, _ = drawn(ring, 35, 0, num_game_steps=100)
    assert np.isclose(later.weight.numpy().min(), 0.25, rtol=1e-4)


def test_a_new_transition_has_the_greatest_priority_there_ever_was():
    ring = make(1, 100, 1)
    stream = Stream(ring)
    for _ in range(3):
        stream.advance()
    _, place = drawn(ring, 2)
    ring.judge(place, tf.constant([1e-3, 50.0]))
    ring.judge(place, tf.constant([1e-3, 1e-3]))
    stream.advance()
    batch, _ = drawn(ring, 200)
    assert (batch.observation.numpy() == 2).mean() > 0.99


def test_the_same_seed_draws_the_same_batch_and_another_seed_another():
    ring = make(1, 100, 1)
    stream = Stream(ring)
    for _ in range(90):
        stream.advance()
    first, again, other = (drawn(ring, 32, number)[0].observation.numpy() for number in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_cleared_ring_begins_anew():
    ring = make(1, 10, 1)
    stream = Stream(ring)
    for _ in range(25):
        stream.advance()
    ring.judge(drawn(ring, 8)[1], tf.fill([8], 100.0))
    ring.clear()
    assert int(ring.num_transitions(1)) == 0
    stream.counts[:] = 0
    for _ in range(3):
        stream.advance()
    assert set(drawn(ring, 64)[0].observation.numpy()) == {0, 1}
