from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest

from gamebridge import assembly, contract, errors
from gamebridge.contract import specs
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge.wrappers.settings import ImageSettings, WrapperSettings


class Still(contract.Game):
    """Shows the same picture for ever."""

    def __init__(self, num_slots):
        self.num_slots = num_slots
        self.rows = contract.new_time_step(self.observation_spec(), num_slots)
        self.num_closed = 0

    def observation_spec(self):
        return specs.frame(8, 8, 3)

    def action_spec(self):
        return specs.discrete(2)

    def reset(self, seeds=None, slots=None):
        self.rows.step_type[:] = contract.FIRST
        return self.rows

    def step(self, action, active=None):
        self.rows.step_type[:] = contract.MID
        return self.rows

    def close(self):
        self.num_closed += 1


class Environment:
    """As little of a dm_env environment as the adapter looks at."""

    opened: list[Environment]

    def __init__(self, fails_to_close=False):
        self.fails_to_close = fails_to_close
        self.num_closed = 0
        Environment.opened.append(self)

    def close(self):
        self.num_closed += 1
        if self.fails_to_close:
            raise OSError("stuck")


@pytest.fixture(autouse=True)
def nothing_opened():
    Environment.opened = []


def assemble(make, num_slots=2, wrappers=None, **kwargs):
    record = contract.GameRecord("toy/still", "A still.", make)
    return assembly.assemble(
        record,
        num_slots=num_slots,
        settings=contract.NoSettings(),
        wrappers=wrappers or WrapperSettings(),
        **kwargs,
    )


def still(request):
    return Still(request.num_slots)


def layers(game):
    names = []
    while isinstance(game, contract.Wrapper):
        names.append(type(game).__name__)
        game = game.game
    return [*names, type(game).__name__]


def test_make_is_told_what_was_asked_for():
    requests = []

    def make(request):
        requests.append(request)
        return still(request)

    game = assemble(make, picture=True, game_id="toy/other")
    assert requests == [contract.GameRequest("toy/other", 2, True, contract.NoSettings())]
    assert game.name == "toy/other"
    limits = SupervisionSettings(max_restarts=3)
    assemble(make, supervision=limits)
    assert requests[-1].supervision == limits
    assert assemble(still).name == "toy/still"


def test_only_wrappers_that_are_asked_for_are_put_around():
    assert layers(assemble(still)) == ["ValueGuard", "Still"]
    assert layers(assemble(still, wrappers=WrapperSettings(guard="off"))) == ["Still"]
    plain = WrapperSettings(images=ImageSettings(), guard="clip")
    assert layers(assemble(still, wrappers=plain)) == ["ValueGuard", "Still"]
    stack = WrapperSettings(images=ImageSettings(stack=2), guard="off")
    assert layers(assemble(still, wrappers=stack)) == ["FrameStack", "Still"]


def test_wrappers_stand_in_the_order_that_the_module_explains():
    wrappers = WrapperSettings(
        ImageSettings(grey=True, height=4, width=4, stack=4), action_repeat=2, episode_limit=5
    )
    game = assemble(still, wrappers=wrappers)
    assert layers(game) == [
        "FrameStack",
        "ImagePreprocessing",
        "EpisodeLimit",
        "ActionRepeat",
        "ValueGuard",
        "Still",
    ]
    assert game.observation_spec() == specs.frame(4, 4, 4)
    game.reset()
    assert game.step(np.zeros(2, np.int64)).observation.shape == (2, 4, 4, 4)


def test_the_guard_names_the_game_by_its_id():
    game = assemble(still)
    game.reset()
    with pytest.raises(errors.GameError, match=r"^toy/still, slot 1, step 1: action is 9; "):
        game.step(np.array([0, 9]))


def test_an_environment_of_one_slot_is_made_once_a_slot():
    import gymnasium

    requests = []

    def make(request):
        requests.append(request)
        return gymnasium.make("CartPole-v1")

    with assemble(make, num_slots=3) as game:
        assert len(requests) == 3
        assert game.num_slots == 3
        assert game.name == "toy/still"
        assert game.reset(np.arange(3)).observation.shape == (3, 4)


@pytest.mark.parametrize("num_slots", [0, -1])
def test_there_is_at_least_one_slot(num_slots):
    with pytest.raises(errors.ConfigError) as caught:
        assemble(still, num_slots=num_slots)
    assert str(caught.value) == f"num_slots is {num_slots}: expected at least 1."


def test_a_game_of_another_number_of_slots_is_refused_and_closed():
    game = Still(5)
    with pytest.raises(errors.PluginError) as caught:
        assemble(lambda request: game)
    assert str(caught.value) == (
        "'toy/still' made a game of 5 slots; expected 2. Its make must use request.num_slots."
    )
    assert game.num_closed == 1


def test_an_exception_of_make_names_game_and_cause():
    def make(request):
        raise KeyError("track")

    with pytest.raises(errors.PluginError, match=r"^'toy/still' could not be made: KeyError: 'tra"):
        assemble(make)
    try:
        assemble(make)
    except errors.PluginError as error:
        assert isinstance(error.__cause__, KeyError)


def test_a_make_that_leaves_the_program_is_named_instead():
    def make(request):
        sys.exit(0)

    with pytest.raises(errors.PluginError, match=r"^'toy/still' could not be made: SystemExit: 0"):
        assemble(make)


def test_our_own_errors_pass_as_they_are():
    def make(request):
        raise errors.ConfigError("no such track")

    with pytest.raises(errors.ConfigError, match=r"^no such track$"):
        assemble(make)


@pytest.mark.parametrize(
    ("module", "package"),
    [("ale_py", "ale-py"), ("surely_not_there.deep", "surely_not_there")],
)
def test_a_missing_module_comes_with_the_command_that_installs_it(module, package, monkeypatch):
    monkeypatch.setattr(assembly.importlib.util, "find_spec", lambda name: None)

    def make(request):
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    def make_wrapped(request):
        try:
            make(request)
        except ImportError as error:
            raise RuntimeError("dependency not installed") from error

    top = module.partition(".")[0]
    for cause in (make, make_wrapped):
        with pytest.raises(errors.PluginError) as caught:
            assemble(cause)
        assert str(caught.value) == (
            f"'toy/still' needs the module '{top}', which is not installed. "
            f"Run: pip install {package}"
        )


@pytest.mark.parametrize("module", ["numpy.no_such_part", None])
def test_a_missing_part_of_what_is_installed_gets_no_such_hint(module):
    def make(request):
        raise ModuleNotFoundError("No module", name=module)

    with pytest.raises(errors.PluginError, match=r"could not be made: ModuleNotFoundError"):
        assemble(make)


def test_a_module_that_was_blocked_counts_as_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "colorsys", None)

    def make(request):
        import colorsys  # noqa: F401

    with pytest.raises(errors.PluginError, match=r"pip install colorsys$"):
        assemble(make)


def test_what_was_opened_is_closed_when_a_later_make_fails():
    def make(request):
        if len(Environment.opened) == 2:
            raise RuntimeError("no third")
        return Environment()

    with pytest.raises(errors.PluginError, match="no third"):
        assemble(make, num_slots=3)
    assert [environment.num_closed for environment in Environment.opened] == [1, 1]


def test_what_was_opened_is_closed_when_no_adapter_knows_it():
    with pytest.raises(errors.PluginError, match=r"Environment, which no adapter knows"):
        assemble(lambda request: Environment())
    assert [environment.num_closed for environment in Environment.opened] == [1, 1]


def test_a_make_that_returns_nothing_is_refused():
    with pytest.raises(errors.PluginError, match=r"toy/still"):
        assemble(lambda request: None, num_slots=1)


def test_a_failing_close_is_logged_and_hides_nothing(caplog):
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(errors.PluginError, match=r"no adapter knows"),
    ):
        assemble(lambda request: Environment(fails_to_close=True))
    assert [record.getMessage() for record in caplog.records] == [
        "'toy/still' could not be closed after a failed start."
    ] * 2
    assert all("stuck" in str(record.exc_info[1]) for record in caplog.records)


def test_the_game_is_closed_when_a_wrapper_refuses_it():
    game = Still(2)
    game.can_hold = False
    with pytest.raises(errors.GameError, match=r"^toy/still moves all its 2 slots at once"):
        assemble(lambda request: game, wrappers=WrapperSettings(episode_limit=3))
    assert game.num_closed == 1


def test_a_vector_game_loads_no_cv2():
    code = (
        "import sys; from gamebridge import assembly, contract; import gymnasium; "
        "from gamebridge.wrappers.settings import WrapperSettings; "
        "record = contract.GameRecord('a/b', '', lambda r: gymnasium.make('CartPole-v1')); "
        "assembly.assemble(record, num_slots=1, settings=None, "
        "wrappers=WrapperSettings(action_repeat=2, episode_limit=9)).reset(); "
        "sys.exit('cv2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
