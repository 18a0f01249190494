"""Atari games: prepared as gymnasium prepares them, bit for bit, and quicker."""

import sys

import numpy as np
import pytest

import gamebridge
from gamebridge import contract, errors, opening
from gamebridge.contract import LAST

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("ale_py")

SEEDS = np.array([5, 6])


def theirs(game, frame_skip, **more):
    made = gymnasium.make(f"ALE/{game}", frameskip=1, disable_env_checker=True)
    return gymnasium.wrappers.AtariPreprocessing(
        made, frame_skip=frame_skip, screen_size=(160, 210), **more
    )


def ours(game, **settings):
    record = opening.discover().find_game(f"gym/ALE/{game}")
    return record.make(contract.GameRequest(record.id, 1, False, record.settings(**settings)))


@pytest.mark.parametrize(
    ("game", "frame_skip", "life_loss"),
    [("Pong-v5", 4, False), ("Breakout-v5", 4, True), ("Breakout-v5", 1, False)],
)
def test_pictures_and_rewards_are_those_of_gymnasium(game, frame_skip, life_loss):
    generator = np.random.default_rng(0)
    mine = ours(game, frame_skip=frame_skip, life_loss_ends=life_loss)
    other = theirs(game, frame_skip, terminal_on_life_loss=life_loss)
    num_ended = 0
    for seed in (1, 2):
        pictures = mine.reset(seed=seed)[0], other.reset(seed=seed)[0]
        is_over = False
        for _ in range(400):
            assert np.array_equal(pictures[0][:, :, 0], pictures[1])
            if is_over:
                num_ended += 1
                break
            action = generator.integers(4)
            a, b = mine.step(action), other.step(action)
            assert a[1:4] == b[1:4]
            pictures, is_over = (a[0], b[0]), a[2] or a[3]
    assert not life_loss or num_ended == 2
    mine.close()
    other.close()


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
