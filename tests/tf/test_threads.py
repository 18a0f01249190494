"""What TensorFlow's threads know of Python lasts from step to step."""

from __future__ import annotations

import threading

from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402, TID253
from tf_agents.environments import tf_py_environment  # noqa: E402, TID253

from gamebridge.tf import environment  # noqa: E402

NUM_STEPS = 50


class Noting(fakes.Corridor):
    """Notes which thread steps it, and whether Python knew that thread already."""

    def __init__(self):
        super().__init__(2)
        self.known = threading.local()
        self.threads = []
        self.num_new = 0

    def step(self, action, active=None):
        self.threads.append(threading.get_ident())
        if not hasattr(self.known, "since"):
            self.known.since = len(self.threads)
            self.num_new += 1
        return super().step(action, active)


@pytest.mark.parametrize(
    "door",
    [
        environment.GameTFEnvironment,
        lambda game: tf_py_environment.TFPyEnvironment(environment.GamePyEnvironment(game)),
    ],
    ids=["ours", "stock"],
)
def test_a_thread_is_new_to_python_once(door):
    game = Noting()
    env = door(game)
    action = tf.zeros([2], env.action_spec().dtype)

    @tf.function(autograph=False)
    def play():
        def body(number, _):
            return number + 1, env.step(action).reward

        return tf.while_loop(
            lambda number, _: number < NUM_STEPS, body, (0, env.current_time_step().reward)
        )

    play()
    assert len(game.threads) == NUM_STEPS
    assert game.num_new == len(set(game.threads)) < NUM_STEPS
