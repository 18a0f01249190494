"""The gym plugin: its records, ids of both libraries, and what it says when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import gamebridge_gym
from gamebridge import adapters, errors
from gamebridge.contract import FIRST, GameFamily, GameRecord, GameRequest, specs
from gamebridge.testing import playing
from gamebridge_gym import environments

CLIPPED = ["gym/LunarLander-v3", "gym/LunarLanderContinuous-v3", "gym/BipedalWalker-v3"]
BOX2D = {*CLIPPED, "gym/CarRacing-v3"}
RECORDS = {r.id: r for r in gamebridge_gym.gamebridge_games() if isinstance(r, GameRecord)}


def make(game_id, *, picture=False, **settings):
    record = gamebridge_gym.gamebridge_find_game(game_id)
    request = GameRequest(game_id, 1, picture, record.settings(**settings))
    return record.make(request)


def chain(environment):
    """Returns the names of an environment's wrappers, the outermost first."""
    names = [type(environment).__name__]
    return names if environment.unwrapped is environment else names + chain(environment.env)


def test_games_and_family_are_yielded():
    yielded = list(gamebridge_gym.gamebridge_games())
    assert len(RECORDS) == 9
    assert [one.pattern for one in yielded if isinstance(one, GameFamily)] == [
        "gym/ALE/<id>",
        "gym/<id>",
    ]
    for game_id, record in RECORDS.items():
        assert ("gamebridge[box2d]" in record.summary) == (game_id in BOX2D)
        assert gamebridge_gym.gamebridge_find_game(game_id) is record


@pytest.mark.parametrize("game_id", RECORDS)
def test_every_listed_game_can_be_made_and_played(game_id):
    with adapters.adapt([make(game_id)], game_id) as game:
        generator = np.random.default_rng(0)
        said = game.reset(np.array([1]))
        assert said.step_type == [FIRST]
        for _ in range(5):
            action = playing.random_action(game.action_spec(), 1, generator)
            said = game.step(action)
        assert all(np.isfinite(row).all() for row in specs.leaves(said.observation))


def test_car_racing_is_seen_in_frames():
    with adapters.adapt([make("gym/CarRacing-v3")], "gym/CarRacing-v3") as game:
        assert game.observation_spec().kind == "frame"


@pytest.mark.parametrize("game_id", CLIPPED)
def test_games_that_leave_their_bounds_are_clipped(game_id):
    assert RECORDS[game_id].wrappers == {"guard": "clip"}


@pytest.mark.parametrize(
    "game_id",
    ["gym/Blackjack-v1", "gym/ALE/Pong-v5", "gym/my_games.levels:Level-v0", "gym/m:ns/Level-v0"],
)
def test_any_id_of_the_family_has_a_record(game_id):
    assert gamebridge_gym.gamebridge_find_game(game_id).id == game_id


@pytest.mark.parametrize("game_id", ["racing/oval", "gym/", "gym", "gym/two words", "gymnasium/x"])
def test_other_ids_are_left_to_other_plugins(game_id):
    assert gamebridge_gym.gamebridge_find_game(game_id) is None


def test_neither_library_is_imported_before_a_game_is_made():
    code = (
        "import sys, gamebridge_gym as g; list(g.gamebridge_games());"
        "g.gamebridge_find_game('gym/Blackjack-v1');"
        "print({'gym', 'gymnasium', 'numpy.testing', 'pygame'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_gymnasium_comes_before_legacy_gym():
    assert type(make("gym/CartPole-v1").unwrapped).__module__.startswith("gymnasium.")


def test_an_id_that_only_legacy_gym_knows_is_made_there():
    environment = make("gym/LunarLander-v2")
    assert type(environment.unwrapped).__module__.startswith("gym.envs")
    with adapters.adapt([environment], "gym/LunarLander-v2") as game:
        assert game.reset(np.array([1])).step_type == [FIRST]


@pytest.mark.parametrize(
    ("game_id", "full"), [("gym/CartPole", "CartPole-v1"), ("gym/LunarLander", "LunarLander-v3")]
)
def test_an_id_without_version_is_its_highest(game_id, full):
    assert make(game_id).spec.id == full


def test_the_environment_gets_its_arguments():
    environment = make("gym/LunarLander-v3", kwargs={"continuous": True})
    assert environment.action_space.shape == (2,)


def test_the_environment_checker_is_not_in_the_way():
    assert chain(make("gym/CartPole-v1")) == ["TimeLimit", "CartPoleEnv"]


@pytest.mark.parametrize("game_id", ["gym/CartPole-v1", "gym/LunarLander-v2"])
def test_the_episode_limit_can_be_set_in_both_libraries(game_id):
    with adapters.adapt([make(game_id, max_episode_steps=2)], game_id) as game:
        game.reset(np.array([0]))
        game.step(np.array([0]))
        said = game.step(np.array([0]))
        assert said.is_last().all() and said.discount == [1.0]


def test_an_episode_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="max_episode_steps is 0: expected 1 or more"):
        gamebridge_gym.GymSettings(max_episode_steps=0)


@pytest.mark.parametrize("game_id", ["gym/CartPole-v1", "gym/CarRacing-v3", "gym/LunarLander-v2"])
def test_pictures_are_drawn_without_a_display(game_id, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        # Set first, so that what is set in the test is undone as well.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with adapters.adapt([make(game_id, picture=True)], game_id) as game:
        game.reset(np.array([0]))
        picture = game.render()
        assert picture.dtype == np.uint8 and picture.shape == (400, 600, 3)
        assert picture.std() > 1
    assert os.environ["SDL_VIDEODRIVER"] == "dummy"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("DISPLAY", ":0", None), ("WAYLAND_DISPLAY", "w", None), ("SDL_VIDEODRIVER", "x11", "x11")],
)
def test_a_display_or_a_choice_of_the_users_is_respected(name, value, expected, monkeypatch):
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    monkeypatch.setenv(name, value)
    make("gym/CartPole-v1", picture=True).close()
    assert os.environ.get("SDL_VIDEODRIVER") == expected


def test_without_pictures_the_environment_is_not_touched(monkeypatch):
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    make("gym/CartPole-v1")
    assert "SDL_VIDEODRIVER" not in os.environ


@pytest.mark.parametrize(
    ("game_id", "hint"),
    [
        ("gym/CartPol-v1", "Did you mean 'gym/CartPole-v1'"),
        ("gym/LunarLanderContinuous-v1", "'gym/LunarLanderContinuous-v2'"),
        ("gym/CartPole-v7", "'gym/CartPole-v1'"),
    ],
)
def test_an_unknown_id_is_answered_with_the_nearest_of_both_libraries(game_id, hint):
    with pytest.raises(errors.UnknownId, match="Neither gymnasium nor legacy gym has") as caught:
        make(game_id)
    assert hint in str(caught.value)
    assert f"(asked for as '{game_id}')" in str(caught.value)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Returns a function that writes a module, to be imported by its name."""

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)

    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield write
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) == str(tmp_path / f"{name}.py"):
            del sys.modules[name]


REGISTERS = """
import {library}
from {library}.spaces import Discrete

class Level({library}.Env):
    observation_space = Discrete(3)
    action_space = Discrete(2)
    metadata = {{"render_modes": []}}
    def __init__(self, fails=False):
        if fails:
            raise RuntimeError("no level file")

{library}.register(id="{id}", entry_point=Level)
"""


@pytest.mark.parametrize("library", ["gymnasium", "gym"])
def test_a_module_is_imported_to_register_its_environments(library, module):
    module(f"levels_{library}", REGISTERS.format(library=library, id=f"Own{library}-v0"))
    environment = make(f"gym/levels_{library}:Own{library}-v0")
    assert type(environment.unwrapped).__module__ == f"levels_{library}"
    assert any(base.__module__.startswith(f"{library}.") for base in type(environment).__mro__)


def test_a_module_that_is_not_there_is_an_unknown_id():
    with pytest.raises(errors.UnknownId, match="there is no module 'no_such_module'"):
        make("gym/no_such_module:Level-v0")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("breaks", "1 / 0", "importing 'breaks' raised ZeroDivisionError"),
        ("lacks", "import not_there_at_all", "importing 'lacks' raised ModuleNotFoundError"),
    ],
)
def test_a_module_that_breaks_is_named_with_its_cause(name, text, message, module):
    module(name, text)
    with pytest.raises(errors.PluginError, match=message) as caught:
        make(f"gym/{name}:Level-v0")
    assert caught.value.__cause__ is not None


def test_an_environment_that_breaks_is_named_with_its_cause(module):
    module("levels_failing", REGISTERS.format(library="gymnasium", id="Failing-v0"))
    with pytest.raises(errors.GameError, match="raised RuntimeError while it was made: no level"):
        make("gym/levels_failing:Failing-v0", kwargs={"fails": True})


def test_arguments_that_the_environment_does_not_take_are_refused():
    with pytest.raises(errors.ConfigError, match=r"with kwargs {'speed': 3}: .*'speed'"):
        make("gym/CartPole-v1", kwargs={"speed": 3})


def test_a_missing_box2d_is_named_with_its_cure(monkeypatch):
    for name in [
        name for name in sys.modules if name.startswith(("Box2D", "gymnasium.envs.box2d"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "Box2D", None)
    with pytest.raises(errors.PluginError) as caught:
        make("gym/LunarLander-v3")
    assert str(caught.value).startswith("gym/LunarLander-v3 needs a package that is not installed:")
    assert str(caught.value).endswith("Install it: pip install 'gamebridge[box2d]'.")


@pytest.mark.parametrize(
    ("game_id", "cure"),
    [
        ("gym/Ant-v5", "pip install 'mujoco<4'."),
        ("gym/Reacher-v2", "Install it"),
    ],
)
def test_a_missing_mujoco_is_named_with_its_cure(game_id, cure):
    with pytest.raises(errors.PluginError, match="needs a package that is not installed") as caught:
        make(game_id)
    assert cure in str(caught.value)


def test_a_type_error_of_the_environments_own_is_not_laid_to_arguments(module):
    text = REGISTERS.format(library="gymnasium", id="Typing-v0")
    module("levels_typing", text.replace("if fails:", "len(3)\n        if fails:"))
    with pytest.raises(errors.GameError, match="raised TypeError while it was made"):
        make("gym/levels_typing:Typing-v0")


def test_a_missing_package_of_another_kind_is_named(module):
    text = REGISTERS.format(library="gymnasium", id="Lacking-v0")
    text = text.replace("entry_point=Level", "entry_point='not_there_at_all.levels:Level'")
    module("levels_lacking", text)
    with pytest.raises(
        errors.PluginError, match=r"No module named 'not_there_at_all'\. Install it wi"
    ):
        make("gym/levels_lacking:Lacking-v0")


def test_where_legacy_gym_cannot_be_imported_the_rest_still_works(monkeypatch, caplog):
    from gamebridge_gym import legacy

    def fail():
        raise ImportError("no gym here")

    monkeypatch.setattr(legacy, "load", fail)
    assert make("gym/CartPole-v1")
    with pytest.raises(errors.UnknownId):
        make("gym/LunarLander-v2")
    assert "Legacy gym cannot be imported, its ids are not looked at: no gym here" in caplog.text


def test_the_highest_version_is_found_by_number():
    assert environments._newest("A", ["A-v9", "A-v10", "AB-v11", "A"]) == "A"
    assert environments._newest("A", ["A-v9", "A-v10", "AB-v11"]) == "A-v10"
    assert environments._newest("B", ["A-v9"]) is None
