"""Rows that TensorFlow reads in place are never written to again, and few buffers are made."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.contract import FIRST, MID, Game, new_time_step, specs
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.drivers import dynamic_step_driver  # noqa: E402, TID253
from tf_agents.policies import random_tf_policy  # noqa: E402, TID253

from gamebridge.tf import buffers, environment  # noqa: E402

SPEC = {"camera": specs.frame(84, 84, 4), "speed": specs.box((2,))}
NUM_STEPS = 40


class Numbered(Game):
    """Writes the number of the step into every element, in place."""

    name = "toy/numbered"

    def __init__(self, num_slots=2):
        self.num_slots = num_slots
        self._rows = new_time_step(SPEC, num_slots)
        self._number = 0

    def observation_spec(self):
        return SPEC

    def action_spec(self):
        return specs.discrete(3)

    def reset(self, seeds=None, slots=None):
        return self._write(0, FIRST)

    def step(self, action, active=None):
        return self._write(self._number + 1, MID)

    def _write(self, number, step_type):
        self._number = number
        self._rows.step_type[:] = step_type
        self._rows.reward[:] = number
        self._rows.observation["camera"][:] = number % 256
        self._rows.observation["speed"][:] = number
        return self._rows


ACTION = tf.zeros([2], tf.int64)


def expect_numbers(cameras, rewards, first=1):
    for number, (camera, reward) in enumerate(zip(cameras, rewards, strict=True), first):
        np.testing.assert_array_equal(camera, np.full((2, 84, 84, 4), number))
        np.testing.assert_array_equal(reward, [number, number])


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "function"])
def test_steps_that_are_kept_never_change(in_graph):
    env = environment.GameTFEnvironment(Numbered())
    env.reset()
    step = tf.function(env.step, autograph=False) if in_graph else env.step
    kept = [step(ACTION) for _ in range(NUM_STEPS)]
    expect_numbers([k.observation["camera"] for k in kept], [k.reward for k in kept])


def test_arrays_that_share_a_steps_memory_never_change():
    env = environment.GameTFEnvironment(Numbered())
    env.reset()
    step = tf.function(env.step, autograph=False)
    # np.asarray looks at the tensor's own memory; the tensor itself is dropped.
    kept = [np.asarray(step(ACTION).observation["camera"]) for _ in range(NUM_STEPS)]
    expect_numbers(kept, [np.full(2, n) for n in range(1, NUM_STEPS + 1)])


def test_steps_collected_in_a_loop_in_the_graph_never_change():
    env = environment.GameTFEnvironment(Numbered())

    @tf.function(autograph=False)
    def collect():
        def body(number, time_step, cameras, rewards):
            del time_step
            now = env.step(ACTION)
            return (
                number + 1,
                now,
                cameras.write(number, now.observation["camera"]),
                rewards.write(number, now.reward),
            )

        arrays = [tf.TensorArray(dtype, NUM_STEPS) for dtype in (tf.uint8, tf.float32)]
        _, _, cameras, rewards = tf.while_loop(
            lambda number, *_: number < NUM_STEPS,
            body,
            (0, env.reset(), *arrays),
            parallel_iterations=1,
        )
        return cameras.stack(), rewards.stack()

    expect_numbers(*collect())


def test_a_loop_that_keeps_nothing_makes_no_new_buffer():
    env = environment.GameTFEnvironment(Numbered())
    driver = dynamic_step_driver.DynamicStepDriver(
        env,
        random_tf_policy.RandomTFPolicy(env.time_step_spec(), env.action_spec()),
        observers=[],
        num_steps=100,
    )
    run = tf.function(driver.run, autograph=False)
    run()
    (camera, speed) = env._buffers
    made = [id(buffer) for buffer in camera._buffers]
    assert 1 <= len(made) <= 3
    for _ in range(5):
        run()
    assert [id(buffer) for buffer in camera._buffers] == made
    assert len(speed) == 0


def test_a_buffer_is_used_again_once_it_is_let_go():
    made = buffers.Buffers()
    rows = np.arange(20_000, dtype=np.int64)
    first = made.copy(rows)
    assert first.ctypes.data % 64 == 0
    address = first.ctypes.data
    second = made.copy(rows)
    assert second.ctypes.data != address
    del first
    assert made.copy(rows).ctypes.data == address
    np.testing.assert_array_equal(second, rows)


def test_where_all_are_held_a_plain_copy_is_made_and_not_kept():
    made = buffers.Buffers()
    held = [made.copy(np.full(20_000, number)) for number in range(20)]
    assert len(made) == 4
    assert len({array.ctypes.data for array in held}) == 20
    for number, array in enumerate(held):
        assert (array == number).all()


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 5, 0)])
def test_small_rows_are_copied_plainly(shape):
    made = buffers.Buffers()
    rows = np.ones(shape, np.float32)
    copied = made.copy(rows)
    assert copied is not rows
    assert copied.shape == shape
    assert len(made) == 0
