"""Legacy gym environments as games: seeds old and new, TimeLimit, pictures."""

from __future__ import annotations

import typing

import gym  # noqa: TID253
import numpy as np
import pytest
from gym import spaces  # noqa: TID253

from gamebridge import adapters
from gamebridge.contract import FIRST, LAST, MID, Game, specs
from gamebridge.testing import GameConformance


class Old(gym.Env):
    """An environment of before gym 0.22: `seed`, and `reset` without arguments."""

    metadata: typing.ClassVar = {"render.modes": ["rgb_array"]}
    observation_space = spaces.Dict(
        {"x": spaces.Box(-1, 1, (2,), np.float64), "key": spaces.Discrete(3, start=2)}
    )
    action_space = spaces.Tuple((spaces.MultiDiscrete([2, 3]), spaces.Discrete(3, start=2)))

    def __init__(self):
        self.actions = []

    def reset(self):
        self.count = 0
        self.random = np.random.default_rng(self.first_seed)
        return self.observe()

    def observe(self):
        return {"x": self.random.uniform(-1, 1, 2), "key": 3}

    def seed(self, seed=None):
        self.first_seed = seed
        return [seed]

    def step(self, action):
        assert self.action_space.contains(action), action
        self.actions.append(action)
        self.count += 1
        return self.observe(), 0.5, self.count == 5, {}

    def render(self, mode="human"):
        assert mode == "rgb_array"
        return np.zeros((3, 5, 3), np.uint8)


class SeedsByBase(Old):
    """Does not override `seed`: gym's own warns that it is deprecated."""

    seed = gym.Env.seed

    def reset(self):
        self.first_seed = int(self.np_random.integers(2**31))
        return super().reset()


class TestLegacyCartPole(GameConformance):
    def make(self) -> Game:
        return self.make_with(2)

    def make_with(self, num_slots):
        environments = [gym.make("CartPole-v1") for _ in range(num_slots)]
        # A picture would open a window.
        for environment in environments:
            environment.unwrapped.metadata = {}
        return adapters.adapt(environments, "gym/CartPole-v1")


class TestOld(GameConformance):
    num_steps = 30

    def make(self) -> Game:
        return self.make_with(2)

    def make_with(self, num_slots):
        return adapters.adapt([Old() for _ in range(num_slots)], "test/old")


class TestSeedsByBase(TestOld):
    def make_with(self, num_slots):
        return adapters.adapt([SeedsByBase() for _ in range(num_slots)], "test/old")


def _limited(environment, num_steps):
    return adapters.adapt([gym.wrappers.TimeLimit(environment, num_steps)], "test/limited")


def _heads(game, num_steps):
    action = specs.map_leaves(
        lambda leaf: np.full((1, *leaf.shape), leaf.minimum), game.action_spec()
    )
    game.reset(np.array([1]))
    said = (game.step(action) for _ in range(num_steps))
    return [(one.step_type[0], one.discount[0]) for one in said]


def test_an_end_by_time_limit_is_a_truncation():
    assert _heads(_limited(Old(), 3), 4) == [(MID, 1), (MID, 1), (LAST, 1), (FIRST, 1)]


def test_an_end_by_the_game_in_the_last_allowed_step_is_a_termination():
    assert _heads(_limited(Old(), 5), 5)[-1] == (LAST, 0)
    assert _heads(_limited(Old(), 9), 5)[-1] == (LAST, 0)


def test_pendulum_is_truncated_by_gyms_own_limit():
    game = adapters.adapt([gym.make("Pendulum-v1")], "gym/Pendulum-v1")
    heads = _heads(game, 200)
    assert heads[-1] == (LAST, 1)
    assert set(heads[:-1]) == {(MID, 1)}


def test_spaces_with_a_start_and_float64_are_faithful():
    game = adapters.adapt([Old()], "test/old")
    spec = game.observation_spec()
    assert str(spec["key"]) == "int64 [] in [2, 4]"
    assert str(spec["x"]) == "float64 [2] in [-1, 1]"
    said = game.reset(np.array([1]))
    assert said.observation["key"] == [3]
    assert str(game.action_spec()[1]) == "int64 [] in [2, 4]"


def test_actions_reach_the_library_in_its_own_form():
    environment = Old()
    game = adapters.adapt([environment], "test/old")
    game.reset()
    game.step((np.array([[1, 2]]), np.array([4])))
    assert environment.actions[0][0].tolist() == [1, 2]
    assert environment.actions[0][1] == 4


def test_a_wrapper_without_reset_arguments_is_seeded_the_old_way():
    class Bare(gym.Wrapper):
        def reset(self):
            return self.env.reset()

    first, second = (adapters.adapt([Bare(gym.make("CartPole-v1"))], "test/bare") for _ in range(2))
    ours, theirs = first.reset(np.array([4])), second.reset(np.array([4]))
    np.testing.assert_array_equal(ours.observation, theirs.observation)
    assert first.reset(np.array([5])).observation[0, 0] != theirs.observation[0, 0]


def test_pictures_come_where_the_mode_is_listed():
    game = adapters.adapt([Old()], "test/old")
    game.reset()
    assert game.render().shape == (3, 5, 3)


@pytest.mark.parametrize("metadata", [None, {}, {"render_modes": ["human"]}])
def test_no_picture_where_the_mode_is_not_listed(metadata):
    environment = Old()
    environment.metadata = metadata
    game = adapters.adapt([environment], "test/old")
    game.reset()
    assert game.render() is None
