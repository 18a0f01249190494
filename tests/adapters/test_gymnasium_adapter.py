"""Gymnasium environments as games: spaces, seeds, ends of episodes, telemetry."""

from __future__ import annotations

import copy
import logging
import subprocess
import sys
import typing

import gymnasium  # noqa: TID253
import numpy as np
import pytest
from gymnasium import spaces  # noqa: TID253

from gamebridge import adapters, errors
from gamebridge.contract import FIRST, LAST, MID, Game, TelemetrySpec, specs
from gamebridge.testing import GameConformance, playing
from gamebridge.wrappers import repeats


class Tiny(gymnasium.Env):
    """Draws its observations from its space and remembers its actions."""

    metadata: typing.ClassVar = {"render_modes": ["rgb_array"]}

    def __init__(self, observation_space, action_space=None, render_mode=None):
        # A space draws from a random state of its own.
        self.observation_space = copy.deepcopy(observation_space)
        self.action_space = spaces.Discrete(2) if action_space is None else action_space
        self.render_mode = render_mode
        self.actions = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.count = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.actions.append(action)
        self.count += 1
        return self.observation_space.sample(), 1, self.count == 4, False, {"count": self.count}

    def render(self):
        return np.full((4, 6, 3), 7, np.uint8)


class Reporting(Tiny):
    telemetry_spec: typing.ClassVar = {"count": TelemetrySpec(reduce="last")}


NESTED = spaces.Dict(
    {
        "camera": spaces.Box(0, 255, (6, 4, 3), np.uint8),
        "far": spaces.Box(-np.inf, np.inf, (3,), np.float64),
        "half": spaces.Box(np.array([0, -np.inf]), np.array([np.inf, 1.0]), dtype=np.float64),
        "key": spaces.Discrete(3, start=2),
        "many": spaces.MultiDiscrete(np.array([[2, 3], [4, 5]]), start=np.array([[1, 0], [0, 9]])),
        "flags": spaces.MultiBinary((2, 2)),
        "pair": spaces.Tuple((spaces.Discrete(2), spaces.Dict({"x": spaces.Box(-1, 1, ())}))),
    }
)


class TestCartPole(GameConformance):
    def make(self) -> Game:
        return self.make_with(2)

    def make_with(self, num_slots):
        return cart_poles(num_slots, render_mode="rgb_array")


class TestNested(GameConformance):
    num_steps = 30

    def make(self) -> Game:
        return self.make_with(2)

    def make_with(self, num_slots):
        return adapters.adapt([Reporting(NESTED, NESTED) for _ in range(num_slots)], "test/nested")


class TestLunarLander(GameConformance):
    num_steps = 100

    def make(self) -> Game:
        return adapters.adapt([make("LunarLander-v3") for _ in range(2)], "gym/LunarLander-v3")


def make(name, **kwargs):
    return gymnasium.make(name, disable_env_checker=True, **kwargs)


def cart_poles(num_slots, **kwargs):
    return adapters.adapt([make("CartPole-v1", **kwargs) for _ in range(num_slots)], "gym/CartPole")


def adapt(space, action_space=None, **kwargs):
    environment = Tiny(space, action_space, **kwargs)
    return adapters.adapt([environment], "test/tiny"), environment


def test_every_space_has_a_faithful_spec():
    spec = adapt(NESTED, NESTED)[0].observation_spec()
    assert {path: str(leaf) for path, leaf in specs.named_leaves(spec)} == {
        "camera": "frame uint8 [6, 4, 3]",
        "far": "float64 [3]",
        "flags": "int8 [2, 2] in [0, 1]",
        "half": "float64 [2] in [[  0.,-inf], [inf, 1.]]",
        "key": "int64 [] in [2, 4]",
        "many": "int64 [2, 2] in [[[1,0], [0,9]], [[ 2, 2], [ 3,13]]]",
        "pair/0": "int64 [] in [0, 1]",
        "pair/1/x": "float32 [] in [-1, 1]",
    }
    assert [leaf.name for leaf in specs.leaves(spec)][-1] == "pair/1/x"


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        (spaces.Box(0, 255, (8, 8, 1), np.uint8), "frame"),
        (spaces.Box(0, 255, (8, 8, 4), np.uint8), "frame"),
        (spaces.Box(0, 255, (4, 8, 8), np.uint8), "array"),
        (spaces.Box(0, 254, (8, 8, 3), np.uint8), "array"),
        (spaces.Box(0, 255, (8, 8), np.uint8), "array"),
        (spaces.Box(0, 1, (8, 8, 3), np.float32), "array"),
    ],
    ids=str,
)
def test_a_frame_is_a_uint8_picture_with_channels_last(space, kind):
    spec = adapt(space)[0].observation_spec()
    assert (spec.kind, spec.shape, spec.dtype) == (kind, space.shape, space.dtype)


def test_observations_pass_unchanged():
    game, environment = adapt(NESTED, NESTED)
    said = game.reset(np.array([3]))
    environment.observation_space.seed(int(environment.np_random_seed))
    expected = environment.observation_space.sample()
    for path, row in specs.named_leaves(said.observation):
        value = expected
        for key in path.split("/"):
            value = value[int(key)] if isinstance(value, tuple) else value[key]
        np.testing.assert_array_equal(row[0], value)


def test_actions_reach_the_library_in_its_own_form():
    game, environment = adapt(spaces.Discrete(2), NESTED)
    game.reset()
    game.step(playing.random_action(game.action_spec(), 1, np.random.default_rng(0)))
    action = environment.actions[0]
    assert type(action["key"]) is int and 2 <= action["key"] <= 4
    assert action["many"].shape == (2, 2) and action["flags"].dtype == np.int8
    assert isinstance(action["pair"], tuple) and isinstance(action["pair"][1]["x"], np.ndarray)


def test_a_discrete_with_a_start_keeps_its_numbers():
    game, environment = adapt(spaces.Discrete(3, start=2), spaces.Discrete(3, start=2))
    said = game.reset(np.array([1]))
    assert said.observation[0] in (2, 3, 4)
    game.step(np.array([4]))
    assert environment.actions == [4]
    assert game.action_spec().num_values == 3


def test_parts_that_are_not_numbers_are_left_out_with_one_notice(caplog):
    space = spaces.Dict(
        {
            "words": spaces.Text(5),
            "x": spaces.Discrete(2),
            "parts": spaces.Tuple(
                (spaces.Sequence(spaces.Discrete(2)), spaces.Discrete(9), spaces.Text(3))
            ),
        }
    )
    with caplog.at_level(logging.WARNING):
        game = adapters.adapt([Tiny(space), Tiny(space)], "test/words")
    assert [record.getMessage() for record in caplog.records] == [
        "test/words: left out of the observation, because they are not numbers: "
        "'parts/0' (Sequence), 'parts/2' (Text), 'words' (Text)."
    ]
    said = game.reset(np.array([1, 2]))
    assert sorted(said.observation) == ["parts", "x"]
    assert len(said.observation["parts"]) == 1
    assert game.observation_spec()["parts"][0].num_values == 9


def test_a_tuple_with_parts_left_out_still_has_its_length_checked():
    space = spaces.Tuple((spaces.Text(3), spaces.Discrete(2)))
    game, environment = adapt(space)
    environment.observation_space = spaces.Discrete(2)
    with pytest.raises(errors.GameError, match="the observation has parts: int64, expected 2"):
        game.reset()


def test_a_dict_with_parts_left_out_still_has_its_keys_checked():
    game, environment = adapt(spaces.Dict({"a": spaces.Text(3), "b": spaces.Discrete(2)}))
    environment.observation_space = spaces.Dict({"a": spaces.Text(3)})
    with pytest.raises(errors.GameError, match=r"the keys \[\], expected the keys \['b'\]"):
        game.reset()
    environment.observation_space = spaces.Discrete(2)
    with pytest.raises(errors.GameError, match=r"no keys \(int64 .\), expected the keys"):
        game.reset()


NUMBER = spaces.Discrete(2)


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (spaces.Text(5), NUMBER, "nothing of the observation can be numbers: Text. Encode"),
        (spaces.Dict({"a": spaces.Text(5)}), NUMBER, r"can be numbers: 'a' \(Text\)\."),
        (spaces.Dict({}), NUMBER, "nothing of the observation can be numbers: empty"),
        (NUMBER, spaces.Text(5), "the action is Text, which cannot be numbers"),
        (
            NUMBER,
            spaces.Dict({"a": spaces.Tuple((NUMBER, spaces.Graph(NUMBER, None)))}),
            "action 'a/1' is Graph, which cannot be numbers",
        ),
        (NUMBER, spaces.OneOf((NUMBER, NUMBER)), "the action is OneOf"),
        (NUMBER, spaces.Tuple(()), "the action has no parts: expected at least one"),
        (spaces.Dict({3: NUMBER}), NUMBER, "has the key '3' of type int: expected text"),
        (spaces.Dict({"k" * 2000: NUMBER}), NUMBER, "a name of 2000 characters, 'kkk"),
        (NUMBER, spaces.Discrete(10**9), "the action has 1000000000 values: expected at most 1048"),
        (NUMBER, spaces.MultiDiscrete([10**6, 10**6]), "the action has 2000000 values"),
        (spaces.Box(0, 1, (1, 1, 1, 1, 1)), NUMBER, "the observation has 5 axes: expected at most"),
    ],
)
def test_spaces_that_cannot_be_played_are_refused_by_name(observation, action, message):
    with pytest.raises(errors.GameError, match=message) as caught:
        adapters.adapt([Tiny(observation, action)], "test/tiny")
    assert str(caught.value).startswith("test/tiny: ")


def test_an_absurd_shape_is_refused_before_anything_is_allocated():
    space = spaces.Box(0, 1, (1,), np.float32)
    space._shape = (10**6, 10**6)
    with pytest.raises(errors.GameError, match=r"\[1000000, 1000000\], 1000000000000 elements"):
        adapt(space)
    space._shape = (3, -1)
    with pytest.raises(errors.GameError, match=r"has shape \[3, -1\]: axes must be 0 or more"):
        adapt(space)


def test_a_space_that_cannot_be_read_is_reported_with_its_cause():
    space = spaces.Box(0, 1, (1,), np.float32)
    space.low = np.array([2.0], np.float32)
    with pytest.raises(errors.GameError, match="the specs of Tiny cannot be read: ValueError") as e:
        adapt(space)
    assert isinstance(e.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("terminated", "truncated", "step_type", "discount"),
    [(False, False, MID, 1), (True, False, LAST, 0), (False, True, LAST, 1), (True, True, LAST, 0)],
)
def test_truncation_is_kept_apart_from_termination(terminated, truncated, step_type, discount):
    class Ends(Tiny):
        def step(self, action):
            return self.observation_space.sample(), 1.0, terminated, truncated, {}

    game = adapters.adapt([Ends(NUMBER)], "test/ends")
    game.reset()
    said = game.step(np.array([0]))
    assert (said.step_type[0], said.discount[0]) == (step_type, discount)


def test_the_time_limit_truncates():
    game = cart_poles(1, max_episode_steps=3)
    game.reset(np.array([0]))
    heads = [(said.step_type[0], said.discount[0]) for said in _steps(game, 4)]
    assert heads == [(MID, 1), (MID, 1), (LAST, 1), (FIRST, 1)]


def test_a_fallen_pole_terminates():
    game = cart_poles(1)
    game.reset(np.array([0]))
    ends = [said.discount[0] for said in _steps(game, 30) if said.is_last()[0]]
    assert ends and set(ends) == {0}


def _steps(game, num_steps):
    for _ in range(num_steps):
        yield game.step(np.zeros(game.num_slots, np.int64))


def test_cart_pole_plays_what_gymnasium_plays():
    game = cart_poles(2)
    said = game.reset(np.array([11, 12]))
    bare = make("CartPole-v1")
    from gamebridge.contract import seeding

    seed = seeding.episode_seeds(np.array([12]), np.array([0]))[0]
    expected, _ = bare.reset(seed=int(seed))
    generator = np.random.default_rng(0)
    while True:
        np.testing.assert_array_equal(said.observation[1], expected)
        action = int(generator.integers(2))
        expected, reward, over, _, _ = bare.step(action)
        said = game.step(np.array([0, action]))
        assert said.reward[1] == reward
        if over:
            break
    assert said.is_last()[1]


def test_pictures_come_only_where_the_environment_was_made_for_them():
    assert adapt(NUMBER)[0].render() is None
    game, _ = adapt(NUMBER, render_mode="rgb_array")
    assert game.render().shape == (4, 6, 3)


def test_telemetry_is_taken_from_info():
    game = adapters.adapt([Reporting(NUMBER)], "test/reporting")
    game.reset()
    assert game.telemetry()["count"] == [0]
    game.step(np.array([0]))
    assert game.telemetry()["count"] == [1]
    assert game.telemetry_spec()["count"].reduce == "last"


def test_adapting_imports_no_game_library():
    code = (
        "import sys, gamebridge.adapters, gamebridge.testing;"
        "heavy = {'gym', 'gymnasium', 'dm_env', 'tf_agents', 'tensorflow', 'pytest'};"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"render_fps": 50}, 50.0),
        ({"video.frames_per_second": 25.0}, 25.0),
        ({"render_fps": 0}, None),
        ({"render_fps": "fast"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_videos_are_as_fast_as_the_environment_says(metadata, expected):
    environment = gymnasium.make("CartPole-v1").unwrapped
    environment.metadata = metadata
    game = adapters.adapt([environment], "cart")
    assert game.steps_per_s == expected
    halved = None if expected is None else expected / 2
    assert repeats.ActionRepeat(game, 2).steps_per_s == halved
