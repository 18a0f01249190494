"""A replay buffer of single frames gives the stacks that the game gave."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.contract import LAST, specs
from gamebridge.testing import batched
from gamebridge.tf import start
from gamebridge.wrappers import stacking

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.trajectories import time_step as ts  # noqa: E402, TID253

from gamebridge.tf import replay  # noqa: E402
from gamebridge.tf import stacks as stacked  # noqa: E402

ACTION = tf.TensorSpec((), tf.int64)


class Noise(batched.BatchedGame):
    """Shows a picture that never comes again, beside a number; episodes of 1 to 12 steps."""

    def __init__(self, num_slots, channels):
        self.channels = channels
        super().__init__(num_slots)
        self.rng = np.random.default_rng(7)

    def observation_spec(self):
        return {"eye": specs.frame(3, 2, self.channels), "number": specs.box((), dtype=np.float32)}

    def action_spec(self):
        return specs.discrete(9)

    def begin(self, slots, seeds):
        pass

    def advance(self, slots, action):
        is_over = self.rng.random(len(slots)) < 0.15
        is_terminated = is_over & (self.rng.random(len(slots)) < 0.5)
        return self.rng.normal(size=len(slots)), is_terminated, is_over & ~is_terminated

    def observe(self, slots):
        shape = self.rows.observation["eye"][slots].shape
        self.rows.observation["eye"][slots] = self.rng.integers(0, 256, shape)
        self.rows.observation["number"][slots] = self.rng.random(len(slots))


def assert_same(left, right):
    """Sums of rewards are taken in another order by XLA."""
    if left.dtype.kind == "f":
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(left, right)


class Play:
    """A stacked game whose steps go into two rings: whole stacks, and single frames."""

    def __init__(self, num_slots, capacity, num_frames, channels=1):
        self.game = stacking.FrameStack(Noise(num_slots, channels), num_frames)
        self.rng = np.random.default_rng(capacity)
        spec = tf.nest.map_structure(
            lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), self.game.observation_spec()
        )
        counts = [leaf.num_stacked for leaf in specs.leaves(self.game.observation_spec())]
        assert counts == [num_frames, 1]
        self.whole = replay.Replay(spec, ACTION, num_slots, capacity)
        self.single = replay.Replay(spec, ACTION, num_slots, capacity, counts)
        self.rings = [self.whole, self.single]
        self.now = self.kept(self.game.reset())

    def kept(self, time_step):
        return ts.TimeStep(
            *tf.nest.map_structure(lambda leaf: tf.constant(leaf.copy()), tuple(time_step[:4]))
        )

    def advance(self, active=None):
        num_slots = self.game.num_slots
        mask = np.ones(num_slots, np.bool_) if active is None else active
        action = self.rng.integers(0, 9, num_slots)
        later = self.kept(self.game.step(action, mask))
        self.add(action, later, mask)

    def add(self, action, later, mask):
        for ring in self.rings:
            ring.add(self.now, tf.constant(action), later, tf.constant(mask))
        self.now = later

    def lose(self, slot):
        """What a pool does where a worker dies: LAST, with what the slot had said before."""
        ends = np.arange(self.game.num_slots) == slot
        if self.now.step_type[slot] == LAST:
            return
        step_type = tf.where(ends, LAST, self.now.step_type)
        last = self.now._replace(
            step_type=step_type,
            reward=tf.zeros_like(self.now.reward),
            discount=tf.ones_like(self.now.discount),
        )
        self.add(np.zeros(len(ends), np.int64), last, ends)
        # The next step of the slot is that of the game that took its place.
        first = self.kept(self.game.reset(slots=ends))
        self.add(np.zeros(len(ends), np.int64), first, ends)

    def cut(self):
        for ring in self.rings:
            ring.cut(self.now)
        self.now = self.kept(self.game.reset())

    def check(self, num_steps, seed, batch_size=300):
        whole, single = (
            ring.sample(batch_size, num_steps, 0.9, tf.constant([seed, 1])) for ring in self.rings
        )
        # What begins at an episode's end leads to nowhere; all else must be the same.
        teaches = whole.weight.numpy() > 0
        assert teaches.mean() > 0.5
        tf.nest.map_structure(
            lambda left, right: assert_same(left.numpy()[teaches], right.numpy()[teaches]),
            whole, single,
        )  # fmt: skip
        np.testing.assert_array_equal(whole.weight, single.weight)


@pytest.mark.parametrize(
    ("num_slots", "capacity", "num_frames", "channels", "num_steps"),
    [(1, 40, 4, 1, 1), (3, 60, 2, 1, 3), (2, 50, 4, 3, 2), (2, 30, 3, 1, 5), (1, 20, 8, 1, 2)],
)
def test_stacks_are_those_that_were_seen_from_the_first_row_to_many_turns_of_the_ring(
    num_slots, capacity, num_frames, channels, num_steps
):
    play = Play(num_slots, capacity, num_frames, channels)
    for step in range(1, 90):
        play.advance()
        if step % 11 == 0:
            play.check(num_steps, step)
    assert play.whole.num_added[0] > 2 * play.whole.length


def test_stacks_of_slots_that_go_at_their_own_pace_and_are_cut_and_lost_are_those_that_were_seen():
    play = Play(3, 150, 4)
    chances = np.array([0.2, 0.6, 1.0])
    for step in range(1, 150):
        play.advance(play.rng.random(3) < chances)
        if step % 13 == 0:
            play.lose(step % 3)
        if step % 40 == 0:
            play.cut()
        if step % 15 == 0:
            play.check(3, step)
    assert min(play.whole.num_added) < play.whole.length < max(play.whole.num_added)


def test_a_ring_written_back_gives_the_same_stacks():
    play = Play(2, 30, 4)
    for _ in range(50):
        play.advance()
    stop = play.single.num_added
    start = np.maximum(0, stop - play.single.length)
    spec = tf.nest.map_structure(
        lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), play.game.observation_spec()
    )
    other = replay.Replay(spec, ACTION, 2, 30, [4, 1])
    other.restore_rows(start, stop, play.single.rows(start, stop))
    other.set_num_added(stop)
    play.rings[1] = other
    play.check(2, 3)


def test_a_ring_that_was_cleared_knows_nothing_of_before():
    play = Play(1, 12, 4)
    for _ in range(30):
        play.advance()
    play.lose(0)
    for ring in play.rings:
        ring.clear()
    play.now = play.kept(play.game.reset())
    for _ in range(9):
        play.advance()
    play.check(1, 5)


def test_a_stack_of_four_takes_a_quarter():
    spec = tf.TensorSpec((84, 84, 4), tf.uint8)
    whole, single = (replay.Replay(spec, ACTION, 2, 1000, counts) for counts in (None, [4]))
    assert single.capacity == whole.capacity == 1000
    assert single.num_bytes < 0.26 * whole.num_bytes
    assert single.num_bytes == sum(np.prod(v.shape) * v.dtype.size for v in single.variables) - 16


def test_the_first_frame_of_an_episode_stands_for_those_before_it():
    types = tf.constant([[1, 1, 1], [0, 1, 2], [1, 0, 2], [2, 1, 0], [2, 2, 0]])
    np.testing.assert_array_equal(
        stacked.ages(types).numpy().T,
        [[3, 2, 1, 0], [0, 0, 0, 0], [1, 1, 1, 0], [2, 2, 1, 0], [2, 2, 1, 0]],
    )
