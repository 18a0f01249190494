"""Choices are drawn by preferences, floats beside them left alone."""

from __future__ import annotations

import numpy as np
import tensorflow as tf  # noqa: TID253

from gamebridge.testing import fakes
from gamebridge.tf import environment
from gamebridge.tf import replay as replays
from gamebridge.training import learners, preferences, session
from gamebridge.wrappers import preferences as wrappers


def test_the_greatest_is_a_draw_of_the_softmax():
    action = tf.tile([[0.5, 0.0, -0.25, 0.9]], [20_000, 1])
    drawn = preferences.drawn(action, [(0, 3)], tf.constant([1, 2])).numpy()
    np.testing.assert_array_equal(drawn[:, 3], action[:, 3])
    assert np.isfinite(drawn).all()
    chances = np.exp(preferences.SHARPNESS * np.array([0.5, 0.0, -0.25]))
    shares = np.bincount(drawn[:, :3].argmax(1), minlength=3) / len(drawn)
    np.testing.assert_allclose(shares, chances / chances.sum(), atol=0.01)


def test_each_draw_hangs_on_its_seed():
    action = tf.zeros([4, 6])
    one, same, other = (
        preferences.drawn(action, [(0, 6)], tf.constant([seed, 0])).numpy() for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()


class _Preferring(learners.OffPolicyLearner):
    """Always prefers going right a little, and looks at what is learned from."""

    metric_names = ("least",)
    replay_use = learners.ReplayUse(1000, 8, 1, 0.99, 100, 4)

    def trackables(self):
        return {}

    def act(self, time_step, num_steps, seed):
        return tf.tile([[0.0, 0.25]], [time_step.step_type.shape[0], 1])

    def train(self, batch: replays.Transition, seed):
        return {"least": tf.reduce_min(batch.action[:, 1])}


def test_the_game_is_told_a_draw_and_the_agent_learns_from_its_preferences():
    told = []

    class Heard(fakes.Corridor):
        def step(self, action, active=None):
            told.append(np.array(action))
            return super().step(action, active)

    env = environment.GameTFEnvironment(wrappers.Preferences(Heard(num_slots=8)))
    driver = session.make_driver(env, _Preferring(), 0)
    driver.restart()
    # Preferences 0 and 0.25 are chances of 0.27 and 0.73.
    assert driver.advance(100) == {"least": 0.25}
    assert 0.65 < np.mean(told) < 0.8
