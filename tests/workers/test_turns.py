"""Large rows may be kept without a copy: nobody writes to a set of rows that somebody holds."""

from __future__ import annotations

import os
import signal

import numpy as np
import pools
import pytest

from gamebridge.contract import FIRST, LAST
from gamebridge.workers import asynchronous


@pytest.fixture
def game():
    with pools.open_pool("tests/screen") as game:
        game.reset(pools.seeds())
        yield game


def step(game):
    return game.step(np.zeros(game.num_slots, np.int64)).observation


def test_what_is_held_is_not_written_to(game):
    held, copies = [], []
    for _ in range(60):
        rows = step(game)
        assert game.can_keep_rows
        held, copies = [*held[-1:], rows], [*copies[-1:], rows.copy()]
        for kept, copy in zip(held, copies, strict=True):
            assert np.array_equal(kept, copy)


def test_a_set_that_was_let_go_is_used_again(game):
    places = {step(game).ctypes.data for _ in range(30)}
    assert len(places) == 2


def test_whoever_holds_too_many_is_told_to_copy_the_next(game):
    held = []
    while True:
        rows = step(game)
        if not game.can_keep_rows:
            break
        held.append((rows, rows.copy()))
        del rows
    assert len(held) >= 3
    del rows
    for _ in range(10):
        step(game)
    assert all(np.array_equal(kept, copy) for kept, copy in held)
    held.clear()
    step(game)
    assert game.can_keep_rows


def test_tensors_of_large_rows_stay_as_they_are():
    from gamebridge.tf import start

    start.load()
    import tensorflow as tf

    from gamebridge.tf import environment

    def frames(game):
        with game:
            door = environment.GameTFEnvironment(game, pools.seeds())
            step = tf.function(lambda action: door.step(action).observation)
            tensors = [door.reset().observation]
            tensors += [step(tf.constant([n % 5, 1, 2, 3], tf.int64)) for n in range(40)]
            return [tensor.numpy().copy() for tensor in tensors], tensors

    expected, _ = frames(pools.here("tests/screen"))
    found, tensors = frames(pools.open_pool("tests/screen"))
    for wanted, then, now in zip(expected, found, tensors, strict=True):
        assert np.array_equal(wanted, then)
        assert np.array_equal(wanted, now.numpy())


def test_small_rows_are_copied():
    with pools.open_pool("tests/numbered") as game:
        game.reset(pools.seeds())
        assert not game.can_keep_rows


def test_a_pool_that_does_not_wait_hands_out_rows_of_its_own():
    order = pools.order("tests/screen", (1, 1, 1, 1))
    with asynchronous.AsynchronousPool(order, 2) as game:
        game.reset(pools.seeds())
        step(game)
        assert not game.can_keep_rows


def test_a_lost_worker_says_last_what_it_saw_last(game):
    for _ in range(2):
        rows = step(game)
        before, running = rows.copy(), game.step(np.zeros(4, np.int64), np.zeros(4, np.bool_))
        running = running.step_type != LAST
        os.kill(pools.pids(game)[0], signal.SIGKILL)
        time_step = game.step(np.zeros(4, np.int64))
        assert np.array_equal(time_step.is_last()[:2], running[:2])
        assert np.array_equal(time_step.observation[:2], before[:2])
        while not pools.is_whole(game):
            time_step = game.step(np.zeros(4, np.int64), np.array([True, True, False, False]))
        assert (time_step.step_type[:2] == FIRST).any()
