"""TF-Agents PyEnvironments as games."""

from __future__ import annotations

import numpy as np
import pytest
from tf_agents.environments import batched_py_environment, py_environment, random_py_environment  # noqa: TID253
from tf_agents.specs import array_spec  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import adapters, errors
from gamebridge.contract import FIRST, LAST, MID, Game
from gamebridge.testing import GameConformance


class Walk(py_environment.PyEnvironment):
    """Four steps; the observation is drawn from the seed."""

    def __init__(self, last=ts.termination, *, handle_auto_reset=False):
        super().__init__(handle_auto_reset=handle_auto_reset)
        self.last = last
        self.seeded = 0
        self.actions = []

    def observation_spec(self):
        return {"x": array_spec.BoundedArraySpec((2,), np.float32, -1.0, 1.0, name="x")}

    def action_spec(self):
        return array_spec.BoundedArraySpec((), np.int32, 2, 4, name="action")

    def seed(self, seed):
        self.seeded = seed

    def observe(self):
        return {"x": self.random.uniform(-1, 1, 2).astype(np.float32)}

    def _reset(self):
        self.count = 0
        self.random = np.random.default_rng(self.seeded)
        return ts.restart(self.observe())

    def _step(self, action):
        assert action.dtype == np.int32 and 2 <= action <= 4
        self.count += 1
        if self.count == 4:
            return self.last(self.observe(), reward=2.0)
        return ts.transition(self.observe(), reward=0.5, discount=0.9)

    def render(self, mode="rgb_array"):
        return np.zeros((3, 4, 3), np.uint8)


class Unseeded(Walk):
    """Has TF-Agents' own `seed` and `render`, which only raise."""

    seed = py_environment.PyEnvironment.seed
    render = py_environment.PyEnvironment.render


class TestWalk(GameConformance):
    num_steps = 30

    def make(self) -> Game:
        return self.make_with(2)

    def make_with(self, num_slots):
        return adapters.adapt([Walk() for _ in range(num_slots)], "test/walk")


@pytest.mark.parametrize(("last", "discount"), [(ts.termination, 0), (ts.truncation, 1)])
@pytest.mark.parametrize("handle_auto_reset", [False, True])
def test_an_episode_is_played_to_its_end(last, discount, handle_auto_reset):
    game = adapters.adapt([Walk(last, handle_auto_reset=handle_auto_reset)], "test/walk")
    game.reset(np.array([1]))
    said = [game.step(np.array([3])) for _ in range(1)]
    heads = [(said[0].step_type[0], said[0].reward[0], round(float(said[0].discount[0]), 3))]
    for _ in range(4):
        step = game.step(np.array([3]))
        heads.append((step.step_type[0], step.reward[0], round(float(step.discount[0]), 3)))
    assert heads == [(MID, 0.5, 0.9)] * 3 + [(LAST, 2, discount), (FIRST, 0, 1)]


def test_an_environment_that_cannot_be_seeded_or_drawn_is_played_all_the_same():
    game = adapters.adapt([Unseeded()], "test/walk")
    assert game.reset(np.array([1])).step_type == [FIRST]
    assert game.render() is None


def test_a_picture_is_drawn():
    game = adapters.adapt([Walk()], "test/walk")
    game.reset()
    assert game.render().shape == (3, 4, 3)


def test_tf_agents_own_random_environment_is_played():
    observation = array_spec.BoundedArraySpec((3,), np.float32, -1.0, 1.0)
    action = [array_spec.BoundedArraySpec((1,), np.float32, -1.0, 1.0)]
    environment = random_py_environment.RandomPyEnvironment(observation, action)
    game = adapters.adapt([environment], "test/random")
    game.reset()
    for _ in range(50):
        said = game.step((np.zeros((1, 1), np.float32),))
        assert said.step_type[0] in (FIRST, MID, LAST)


def test_bounds_that_tf_agents_made_finite_are_no_bounds():
    environment = Walk()
    environment.observation_spec = lambda: (
        array_spec.BoundedArraySpec((2,), np.float32),
        array_spec.BoundedArraySpec((2,), np.float32, [-np.inf, 0.0], [1.0, np.inf]),
    )
    spec = adapters.adapt([environment], "test/walk").observation_spec()
    assert spec[0].minimum is None and spec[0].maximum is None
    assert spec[1].minimum.tolist() == [-np.inf, 0]
    assert spec[1].maximum.tolist() == [1, np.inf]


def test_a_batched_environment_is_refused():
    batched = batched_py_environment.BatchedPyEnvironment([Walk(), Walk()], multithreading=False)
    with pytest.raises(errors.PluginError, match=r"is batched, with batch size 2: expected one"):
        adapters.adapt([batched], "test/walk")
