"""What flags, --set and a settings file ask for together."""

from __future__ import annotations

import pytest

from gamebridge import errors, opening
from gamebridge.cli import requests

FILE = """\
[run]
game = "gym/CartPole-v1"
agent = "dqn"
steps = 500

[agent]
gamma = 0.9

[versions]
numpy = "1.0"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(FILE)
    return path


def test_flags_win_over_set_and_set_wins_over_the_file(file):
    request = requests.read(
        {"game": None, "agent": "ppo", "steps": None, "seed": 3, "num_slots": None},
        str(file),
        ["run.steps=700", "run.agent=other", "agent.gamma=0.8", "training.keep_checkpoints=2"],
    )
    assert (request.run.game, request.run.agent) == ("gym/CartPole-v1", "ppo")
    assert (request.run.steps, request.run.seed, request.run.num_slots) == (700, 3, None)
    assert request.settings == {"agent": {"gamma": 0.8}, "training": {"keep_checkpoints": 2}}


def test_nothing_but_a_game_is_enough():
    request = requests.read({"game": "gym/CartPole-v1", "agent": None})
    assert (request.run.agent, request.run.steps) == ("ppo", 100_000)
    assert request.settings == {}


@pytest.mark.parametrize(
    ("text", "assignments", "said"),
    [
        ("[rnu]\ngame = 'x'\n", [], "{file}:1: unknown table 'rnu'. Did you mean 'run'?"),
        ("agent = 3\n", [], "{file}:1: 'agent' is 3; expected a table."),
        ("[run]\nstpes = 3\n", [], "{file}:2: unknown key 'run.stpes'. Did you mean 'steps'?"),
        ("[run]\nsteps = 0\n", [], "{file}:2: 'run.steps': steps is 0; expected 1 or more."),
        ("", ["run.steps=many"], "--set run.steps=many: 'run.steps' is 'many' (str); expected int"),
        ("", ["trainin.x=1"], "--set trainin.x=1: unknown table 'trainin'. Did you mean"),
        ("", [], "No game is named."),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, assignments, said):
    file = tmp_path / "wish.toml"
    file.write_text(text)
    with pytest.raises(errors.ConfigError) as caught:
        requests.read({"game": None}, str(file), assignments)
    assert str(caught.value).startswith(said.format(file=file))


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("game.kwarg={}", "unknown key 'game.kwarg'. Did you mean 'kwargs'?"),
        ("wrappers.gaurd=off", "unknown key 'wrappers.gaurd'. Did you mean 'guard'?"),
        ("training.keep_checkpoints=0", "expected 1 or more"),
        ("agent.gamma=2", "expected 0 to 1"),
        ("agent.gama=1", "unknown key 'agent.gama'. Did you mean 'gamma'?"),
    ],
)
def test_settings_are_refused_before_anything_heavy_is_loaded(file, assignment, said):
    request = requests.read({}, str(file), [assignment])
    with pytest.raises(errors.ConfigError) as caught:
        requests.check(request, opening.discover())
    assert str(caught.value).startswith(f"--set {assignment}: ")
    assert said in str(caught.value)


def test_settings_that_suit_one_of_the_presets_are_left_to_the_training(file):
    # With the preset for images the replay buffer would be too small, with the one for vectors not.
    request = requests.read({}, str(file), ["agent.warm_up_steps=30000"])
    requests.check(request, opening.discover())


def test_settings_of_the_game_alone_can_be_given_to_an_evaluation():
    given = requests.game_settings(["game.path=my.csv", "game.car.grip=0.9"])
    assert given == {"path": "my.csv", "car": {"grip": 0.9}}
    assert requests.game_settings([]) == {}


@pytest.mark.parametrize("assignment", ["agent.gamma=0.9", "game=3"])
def test_settings_of_anything_else_are_refused_in_an_evaluation(assignment):
    with pytest.raises(errors.ConfigError, match=r"expected game\.KEY=VALUE"):
        requests.game_settings([assignment])
