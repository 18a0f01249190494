"""Atari games: prepared as gymnasium prepares them, bit for bit, and quicker."""

import sys
import time
import zlib

import numpy as np
import pytest

import gamebridge
from gamebridge import contract, errors, opening
from gamebridge.contract import LAST

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("ale_py")

SEEDS = np.array([5, 6])


def theirs(game, frame_skip, **more):
    made = gymnasium.make(
        f"ALE/{game}", frameskip=1, repeat_action_probability=0.0, disable_env_checker=True
    )
    return gymnasium.wrappers.AtariPreprocessing(
        made, frame_skip=frame_skip, screen_size=(160, 210), noop_max=0, **more
    )


def ours(game, kwargs=None, **settings):
    record = api_record(game)
    chosen = record.settings(kwargs=kwargs or {}, **settings)
    return record.make(contract.GameRequest(record.id, 1, False, chosen))


def api_record(game):
    return opening.discover().find_game(f"gym/ALE/{game}")


@pytest.mark.parametrize(
    ("game", "frame_skip", "life_loss"),
    [("Pong-v5", 4, False), ("Breakout-v5", 4, True), ("Breakout-v5", 1, False)],
)
def test_pictures_and_rewards_are_those_of_gymnasium(game, frame_skip, life_loss):
    generator = np.random.default_rng(0)
    mine = ours(
        game,
        {"repeat_action_probability": 0.0},
        frame_skip=frame_skip,
        life_loss_ends=life_loss,
        noop_max=0,
    )
    other = theirs(game, frame_skip, terminal_on_life_loss=life_loss)
    num_ended = 0
    for seed in (1, 2):
        # Ours begins every episode with the state of one seed.
        pictures = mine.reset(seed=seed)[0], other.reset(seed=0)[0]
        for _ in range(400):
            assert np.array_equal(pictures[0][:, :, 0], pictures[1])
            action = generator.integers(4)
            a, b = mine.step(action), other.step(action)
            assert a[1:4] == b[1:4]
            pictures = a[0], b[0]
            if a[2] or a[3]:
                num_ended += 1
                break
    assert not life_loss or num_ended == 2
    mine.close()
    other.close()


def test_unprepared_it_plays_as_the_environment_does():
    generator = np.random.default_rng(0)
    still = {"repeat_action_probability": 0.0, "frameskip": 3}
    mine = ours("Breakout-v5", still, prepared=False)
    other = gymnasium.make("ALE/Breakout-v5", **still, disable_env_checker=True)
    for _ in range(2):
        pictures = mine.reset(seed=5)[0], other.reset(seed=0)[0]
        for _ in range(200):
            assert np.array_equal(*pictures)
            action = generator.integers(4)
            a, b = mine.step(action), other.step(action)
            assert a[1:4] == b[1:4]
            pictures = a[0], b[0]
            if a[2] or a[3]:
                break
    mine.close()
    other.close()


@pytest.mark.parametrize("settings", [{}, {"prepared": False}])
def test_an_episode_follows_from_its_seed_alone(settings):
    played = []
    for seeds in ((3, 4, 3), (9, 3)):
        game = ours("Pong-v5", **settings)
        for seed in seeds:
            game.reset(seed=seed)
            played.append(
                (seed, [zlib.crc32(game.step(2 + n % 2)[0].tobytes()) for n in range(100)])
            )
        game.close()
    same = [rows for seed, rows in played if seed == 3]
    assert same[0] == same[1] == same[2]
    assert played[1][1] != same[0] and played[3][1] != same[0]


def test_actions_stick_as_often_as_they_are_to():
    game = ours("Pong-v5", noop_max=0)
    counted = []
    inner = game._ale

    class Heard:
        def act(self, code):
            counted.append(code)
            return inner.act(code)

        def __getattr__(self, name):
            return getattr(inner, name)

    game._ale = Heard()
    game.reset(seed=0)
    for number in range(500):
        game.step(number % 2)
    asked = [game._actions[number % 2] for number in range(500) for _ in range(4)]
    # The first frame of an action is another than was asked for if the last action stuck.
    first = [counted[4 * n] != asked[4 * n] for n in range(1, 500)]
    assert 0.2 < np.mean(first) < 0.3
    game.close()


def test_a_new_episode_costs_no_more_than_some_steps():
    game = ours("Pong-v5")
    began_s = time.perf_counter()
    for seed in range(20):
        game.reset(seed=seed)
    assert (time.perf_counter() - began_s) / 20 < 0.03, "loading the ROM alone takes 0.08"
    game.close()


def test_by_its_id_a_game_comes_small_grey_and_stacked():
    with gamebridge.make_game("gym/ALE/Pong-v5", 2, workers=0) as game:
        assert str(game.observation_spec()) == "frame uint8 [84, 84, 4]"
        assert game.steps_per_s == 15
        time_step = game.reset(SEEDS)
        assert time_step.observation.std() > 0


def test_a_limit_counts_actions():
    with gamebridge.make_game("gym/ALE/Pong-v5", 1, workers=0, max_episode_steps=3) as game:
        game.reset()
        kinds = [int(game.step(np.zeros(1, np.int64)).step_type[0]) for _ in range(3)]
        assert kinds[-1] == LAST and LAST not in kinds[:-1]


def test_unprepared_it_is_the_environment_as_it_is():
    with gamebridge.make_game(
        "gym/ALE/Pong-v5", 1, workers=0, prepared=False, wrappers={"images": {"stack": 1}}
    ) as game:
        # The image wrappers of the record stay: 84x84, in colour.
        assert game.observation_spec().shape == (84, 84, 3)


@pytest.mark.parametrize("kwargs", [{"frameskip": 4}, {"continuous": True}])
def test_what_cannot_be_prepared_is_refused(kwargs):
    with pytest.raises(errors.ConfigError, match=r"cannot be prepared.*game\.prepared=false"):
        gamebridge.make_game("gym/ALE/Pong-v5", 1, workers=0, kwargs=kwargs)


@pytest.mark.parametrize(("name", "value"), [("frame_skip", 0), ("noop_max", -1)])
def test_absurd_settings_are_refused(name, value):
    with pytest.raises(errors.ConfigError, match=f"{name} is {value}: expected"):
        gamebridge.make_game("gym/ALE/Pong-v5", 1, workers=0, **{name: value})


def test_without_the_emulator_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(errors.PluginError, match=r"needs the extra: pip install '"):
        gamebridge.make_game("gym/ALE/Pong-v5", 1, workers=0)


def test_it_is_a_family_of_its_own():
    listed = [item.record for item in opening.discover().games()]
    assert "gym/ALE/<id>" in [getattr(record, "pattern", "") for record in listed]


def test_a_game_that_is_not_there_is_named():
    with pytest.raises(errors.UnknownId, match="Pongg"):
        gamebridge.make_game("gym/ALE/Pongg-v5", 1, workers=0)
