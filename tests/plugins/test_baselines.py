"""Baselines: they play anything, learn nothing, and are judged by the same commands."""

from __future__ import annotations

import numpy as np
import pytest

import gamebridge
from gamebridge import errors, opening
from gamebridge.contract import FIRST, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.tf import environment  # noqa: E402
from gamebridge.training import on_policy  # noqa: E402

TRAINING = {"training": {"checkpoint_interval_steps": 400, "validation_episodes": 2}}


@pytest.fixture(scope="module", autouse=True)
def toy_games(toy_plugins):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(opening.PLUGIN_FOLDER_VARIABLE, str(toy_plugins))
        yield


def of_action(action_spec, num_slots=1):
    script = [fakes.Moment(step_type=FIRST)]
    return fakes.Scripted(*[script] * num_slots, action_spec=action_spec)


def drawn(make_learner, action_spec, num_slots=500, seed=0):
    game = of_action(action_spec, num_slots)
    learner = make_learner("random", game, seed)
    step = environment.GameTFEnvironment(game).current_time_step()
    collected, _ = learner.act(step, tf.constant([seed, 5]))
    return collected.numpy(), learner.policy.action(step).action.numpy()


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_random_gives_every_integer_as_often(make_learner, dtype):
    for actions in drawn(make_learner, specs.discrete(4, dtype=dtype)):
        assert actions.dtype == dtype
        counts = np.bincount(actions, minlength=4)
        assert len(counts) == 4
        assert counts.min() > 80


def test_random_fills_the_bounds_of_each_part_and_is_normal_where_there_are_none(make_learner):
    low, high = [-1.0, 3.0, -3e38, 0.0], [1.0, 5.0, 3e38, 3e38]
    for actions in drawn(make_learner, specs.box((4,), low, high)):
        assert actions.dtype == np.float32
        for part, (least, most) in enumerate([(-1, 1), (3, 5)]):
            values = actions[:, part]
            assert least <= values.min() < least + 0.1
            assert most - 0.1 < values.max() <= most
        assert 0.9 < actions[:, 2].std() < 1.1
        assert actions[:, 3].min() == 0
        assert np.isfinite(actions).all()


NESTED = (specs.discrete(3), specs.discrete(2, dtype=np.int32), specs.box((2,), -1.0, 1.0))


def test_random_draws_all_parts_of_an_action_each_for_itself(make_learner):
    game = of_action((*NESTED, NESTED[0]), 500)
    learner = make_learner("random", game)
    step = environment.GameTFEnvironment(game).current_time_step()
    for actions in (learner.act(step, tf.constant([0, 5]))[0], learner.policy.action(step).action):
        assert [part.dtype for part in actions] == [tf.int64, tf.int32, tf.float32, tf.int64]
        assert np.bincount(actions[0]).min() > 130
        assert np.bincount(actions[1]).min() > 200
        assert actions[2].numpy().min() < -0.9
        assert 0.2 < np.mean(actions[0] == actions[3]) < 0.5


def test_repeat_repeats_all_parts_of_an_action(make_learner):
    game = of_action(NESTED, 3)
    step = environment.GameTFEnvironment(game).current_time_step()
    for action, parts in (
        ((), (0, 0, [0.0, 0.0])),
        ((2.0, 1.0, 0.5, -1.0), (2, 1, [0.5, -1.0])),
    ):
        found = make_learner("repeat", game, action=action).policy.action(step).action
        for part, wanted in zip(found, parts, strict=True):
            np.testing.assert_array_equal(part, [wanted] * 3)


def test_random_draws_anew_each_time_and_the_same_from_the_same_seed(make_learner):
    game = of_action(specs.box((2,), -1.0, 1.0), 3)
    step = environment.GameTFEnvironment(game).current_time_step()
    streams = []
    for seed in (0, 0, 1):
        learner = make_learner("random", game, seed)
        streams.append([learner.policy.action(step).action.numpy() for _ in range(3)])
    assert np.array_equal(streams[0], streams[1])
    assert not np.array_equal(streams[0], streams[2])
    assert not np.array_equal(streams[0][0], streams[0][1])


@pytest.mark.parametrize(
    ("spec", "action", "repeated"),
    [
        (specs.discrete(3, dtype=np.int32), (), 0),
        (specs.discrete(3), (2.0,), 2),
        (specs.box((2,), -1.0, 1.0), (), [0.0, 0.0]),
        (specs.box((2,), [2.0, -3e38], [4.0, 3e38]), (), [3.0, 0.0]),
        (specs.box((2,), -1.0, 1.0), (0.5, -1.0), [0.5, -1.0]),
    ],
)
def test_repeat_repeats(make_learner, spec, action, repeated):
    game = of_action(spec, 3)
    learner = make_learner("repeat", game, action=action)
    step = environment.GameTFEnvironment(game).current_time_step()
    for found in (learner.act(step, tf.constant([0, 1]))[0], learner.policy.action(step).action):
        np.testing.assert_array_equal(found, [repeated] * 3)
        assert found.dtype.as_numpy_dtype == spec.dtype


@pytest.mark.parametrize(
    ("spec", "action", "message"),
    [
        (specs.discrete(3), (3.0,), r"agent.action is \[3.0\]: expected 0 to 2, the game's"),
        (specs.discrete(3), (0.5,), r"agent.action is \[0.5\]: expected 1 integer, the game's"),
        (specs.box((2,), -1, 1), (0.5,), r"agent.action is \[0.5\]: expected 2 numbers, the"),
        (specs.box((1,), -1, 1), (1.5,), r"agent.action is \[1.5\]: expected -1 to 1, the"),
        (NESTED, (1.0,), r"\[1.0\]: expected 1 integer and 1 integer and 2 numbers, the"),
        (NESTED, (1, 2, 0, 0), r"expected 0 to 1 in place of \[2\], the game's"),
    ],
)
def test_an_action_that_the_game_does_not_have_is_refused(make_learner, spec, action, message):
    with pytest.raises(errors.ConfigError, match=message):
        make_learner("repeat", of_action(spec), action=action)


def test_what_is_collected_is_counted(make_learner):
    game = fakes.Corridor(2)
    learner = make_learner("random", game)
    driver = on_policy.OnPolicyDriver(environment.GameTFEnvironment(game), learner, 0)
    driver.restart()
    assert driver.advance(64) == {}
    assert 100 < driver.num_steps <= 128


def test_baselines_are_trained_resumed_and_judged_as_others_are(tmp_path):
    settings = {**TRAINING, "agent": {"action": [1]}}
    run = gamebridge.train("toys/corridor", "repeat", 300, tmp_path / "right", 2, 3, settings)
    returns = [episode.episode_return for episode in gamebridge.evaluate(run, 4).episodes]
    assert min(returns) > 0
    assert gamebridge.train("toys/target", "repeat", 200, tmp_path / "box", 2, 3, TRAINING)

    run = gamebridge.train("toys/target", "random", 400, tmp_path / "random", 2, 3, TRAINING)
    gamebridge.resume(run, 800)
    evaluation = gamebridge.evaluate(run, 6)
    assert len({episode.episode_return for episode in evaluation.episodes}) == 6
    assert gamebridge.evaluate(run, 6).episodes == evaluation.episodes
