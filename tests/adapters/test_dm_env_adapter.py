"""dm_env environments as games: discounts, seeds, specs."""

from __future__ import annotations

import collections
import logging

import dm_env
import numpy as np
import pytest
from dm_env import specs as dm_specs

from gamebridge import adapters, errors
from gamebridge.contract import FIRST, LAST, MID, Game, specs
from gamebridge.testing import GameConformance, playing

Pair = collections.namedtuple("Pair", ["left", "right"])


class Walk(dm_env.Environment):
    """Five steps; `discount` is that of the last one."""

    def __init__(self, discount=0.0):
        self.discount = discount
        self.seeded = None
        self.actions = []
        self.num_closed = 0

    def observation_spec(self):
        return {
            "where": dm_specs.BoundedArray((2,), np.float64, -1, 1, name="where"),
            "name": dm_specs.StringArray(()),
            "far": dm_specs.Array((1,), np.float32),
            "eye": dm_specs.BoundedArray((4, 4, 3), np.uint8, 0, 255),
            "list": [dm_specs.DiscreteArray(3)],
        }

    def action_spec(self):
        return Pair([dm_specs.DiscreteArray(3)], dm_specs.BoundedArray((2,), np.float32, -1, 1))

    def seed(self, seed):
        self.seeded = seed

    def observe(self):
        return {
            "where": self.random.uniform(-1, 1, 2),
            "name": "walk",
            "far": np.ones(1, np.float32),
            "eye": np.full((4, 4, 3), self.count, np.uint8),
            "list": [np.int32(self.count % 3)],
        }

    def reset(self):
        self.count = 0
        self.random = np.random.default_rng(self.seeded)
        return dm_env.restart(self.observe())

    def step(self, action):
        self.action_spec().left[0].validate(action.left[0])
        self.action_spec().right.validate(action.right)
        self.actions.append(action)
        self.count += 1
        if self.count < 5:
            return dm_env.transition(0.25, self.observe(), discount=0.5)
        return dm_env.TimeStep(dm_env.StepType.LAST, 1.0, self.discount, self.observe())

    def close(self):
        self.num_closed += 1


class TestWalk(GameConformance):
    num_steps = 30

    def make(self) -> Game:
        return self.make_with(2)

    def make_with(self, num_slots):
        return adapters.adapt([Walk() for _ in range(num_slots)], "test/walk")


def game_of(environment):
    game = adapters.adapt([environment], "test/walk")
    game.reset(np.array([3]))
    generator = np.random.default_rng(0)
    return game, lambda: game.step(playing.random_action(game.action_spec(), 1, generator))


def test_specs_are_faithful_and_text_is_left_out(caplog):
    with caplog.at_level(logging.WARNING):
        game, _ = game_of(Walk())
    assert "not numbers: 'name' (StringArray)" in caplog.text
    named = dict(specs.named_leaves(game.observation_spec()))
    assert {path: str(leaf) for path, leaf in named.items()} == {
        "eye": "frame uint8 [4, 4, 3]",
        "far": "float32 [1]",
        "list/0": "int32 [] in [0, 2]",
        "where": "float64 [2] in [-1, 1]",
    }
    assert str(game.action_spec()[0][0]) == "int32 [] in [0, 2]"


def test_actions_reach_the_library_in_its_own_nest():
    environment = Walk()
    _, step = game_of(environment)
    step()
    action = environment.actions[0]
    assert type(action) is Pair and type(action.left) is list
    assert action.left[0].dtype == np.int32


@pytest.mark.parametrize("discount", [0.0, 1.0, 0.75])
def test_discounts_are_handed_on(discount):
    _, step = game_of(Walk(discount))
    heads = [(said.step_type[0], said.discount[0]) for said in (step() for _ in range(6))]
    assert heads == [(MID, 0.5)] * 4 + [(LAST, discount), (FIRST, 1)]


def test_an_environment_without_seed_is_played_all_the_same():
    class Unseeded(Walk):
        seed = None

    game, step = game_of(Unseeded())
    assert step().step_type == [MID]
    game.close()


def test_an_environment_that_restarts_by_itself_in_mid_episode_is_refused():
    class Restarts(Walk):
        def step(self, action):
            return self.reset()

    _, step = game_of(Restarts())
    with pytest.raises(errors.GameError, match="FIRST in mid-episode, expected MID or LAST"):
        step()


def test_closing_closes_the_environment():
    environment = Walk()
    game, _ = game_of(environment)
    game.close()
    assert environment.num_closed == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (dm_specs.DiscreteArray(10**9), "the action has 1000000000 values"),
        (dm_specs.StringArray(()), "the action is StringArray, which cannot be numbers"),
        (dm_specs.Array((1,) * 5, np.float32), "the action has 5 axes"),
        (dm_specs.Array((10**5, 10**5), np.float32), "10000000000 elements"),
        (dm_specs.Array((1,), np.float32, name="n" * 5000), "a name of 5000 characters"),
    ],
)
def test_absurd_specs_are_refused(spec, message):
    environment = Walk()
    environment.action_spec = lambda: spec
    with pytest.raises(errors.GameError, match=message):
        adapters.adapt([environment], "test/walk")


def test_bounds_that_are_all_infinite_are_no_bounds():
    environment = Walk()
    environment.observation_spec = lambda: (
        dm_specs.BoundedArray((2,), np.float32, -np.inf, np.inf),
        dm_specs.BoundedArray((2,), np.float32, [-np.inf, 0], np.inf),
    )
    spec = adapters.adapt([environment], "test/walk").observation_spec()
    assert spec[0].minimum is None and spec[0].maximum is None
    assert spec[1].minimum.tolist() == [-np.inf, 0]
