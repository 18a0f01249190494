"""Training while the game plays its next step: what it sees, and that it always comes out alike."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from gamebridge.contract import FIRST
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.tf import environment  # noqa: E402
from gamebridge.training import learners, off_policy  # noqa: E402


class Watched(fakes.Corridor):
    """Tells when a step begins, and waits in it until it may end."""

    def __init__(self):
        super().__init__(2, length=50)
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()
        self.threads = []
        self.error = None

    def step(self, action, active=None):
        self.threads.append(threading.current_thread().name)
        self.has_begun.set()
        assert self.may_end.wait(10)
        if self.error is not None:
            raise self.error
        return super().step(action, active)


class Keeping(learners.OffPolicyLearner):
    """Keeps what it is trained on."""

    replay_use = learners.ReplayUse(200, 8, 1, 0.9, 4, 4)

    def __init__(self):
        self.batches = []
        self.during = lambda: None

    def trackables(self):
        return {}

    def act(self, time_step, num_steps, seed):
        return tf.random.stateless_uniform([time_step.step_type.shape[0]], seed, 0, 2, tf.int64)

    def train(self, batch, seed):
        def keep(*leaves):
            self.batches.append([leaf.copy() for leaf in leaves])
            self.during()
            return np.float32(1.0)

        kept = tf.numpy_function(keep, tf.nest.flatten(batch), tf.float32)
        return {"loss": tf.ensure_shape(kept, [])}


def driver_of(game, *, overlaps=True):
    learner = Keeping()
    env = environment.GameTFEnvironment(game, waits=False)
    driver = off_policy.OffPolicyDriver(env, learner, 0, overlaps=overlaps)
    driver.restart()
    return driver, learner


def test_the_game_plays_while_the_learner_trains():
    game = Watched()
    driver, learner = driver_of(game)
    driver.advance(3)
    assert not learner.batches
    game.has_begun.clear()
    game.may_end.clear()

    def during():
        # Neither could go on alone: the step waits for the training, and this for the step.
        assert game.has_begun.wait(10)
        game.may_end.set()

    learner.during = during
    driver.advance(1)
    assert len(learner.batches) == 1
    driver.environment.close()


def test_only_a_step_that_training_is_due_at_is_handed_to_the_other_thread():
    game = Watched()
    driver, learner = driver_of(game)
    driver.advance(20)
    aside = [name for name in game.threads if name.endswith("a step ahead")]
    assert 0 < len(aside) == len(learner.batches) < 12
    driver.environment.close()


def test_the_same_steps_are_played_and_stored_with_and_without():
    with_overlap, ours = driver_of(fakes.Corridor(2, length=5))
    without, theirs = driver_of(fakes.Corridor(2, length=5), overlaps=False)
    for driver in (with_overlap, without):
        driver._num_draws = tf.Variable(0, dtype=tf.int64)
        driver._draw = lambda driver=driver: tf.stack([3, tf.cast(driver._num_steps, tf.int32)])
        driver.advance(60)
    rows = [
        driver.replay.rows(driver.replay.num_added * 0, driver.replay.num_added)
        for driver in (with_overlap, without)
    ]
    tf.nest.map_structure(np.testing.assert_array_equal, *rows)
    assert with_overlap.num_steps == without.num_steps
    # What the last step paid for comes with the next one.
    assert len(ours.batches) in (len(theirs.batches), len(theirs.batches) - 1)
    with_overlap.environment.close()


def test_a_run_comes_out_alike_each_time_and_in_any_pieces():
    runs = []
    for pieces in ([60], [60], [1, 29, 7, 23]):
        driver, learner = driver_of(fakes.Corridor(2, length=5))
        for count in pieces:
            driver.advance(count)
        runs.append(learner.batches)
        driver.environment.close()
    assert len(runs[0]) > 20
    for other in runs[1:]:
        tf.nest.map_structure(np.testing.assert_array_equal, runs[0], other)


def test_the_games_own_error_comes_out_as_it_was_raised():
    game = Watched()
    driver, learner = driver_of(game)
    driver.advance(3)
    game.error = LookupError("no such wheel")
    with pytest.raises(LookupError, match=r"^no such wheel$") as caught:
        driver.advance(5)
    assert caught.value is game.error
    assert game.threads[-1].endswith("a step ahead")
    game.error = None
    driver.restart()
    driver.advance(5)
    assert learner.batches
    driver.environment.close()


def test_an_error_of_the_training_leaves_no_step_under_way():
    game = Watched()
    driver, learner = driver_of(game)
    driver.advance(3)

    def fail():
        raise ValueError("no gradient")

    learner.during = fail
    with pytest.raises(tf.errors.OpError, match="no gradient"):
        driver.advance(5)
    learner.during = lambda: None
    driver.restart()
    assert (driver.environment.current_time_step().step_type.numpy() == FIRST).all()
    driver.advance(5)
    driver.environment.close()
