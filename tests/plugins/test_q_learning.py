"""Q-learning: tiles that are told apart, exact values of a small game, and what has no tiles."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import FIRST, LAST, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.specs import tensor_spec  # noqa: E402, TID253

from gamebridge.evaluation import rollout  # noqa: E402
from gamebridge.tf import environment, replay  # noqa: E402
from gamebridge.training import off_policy  # noqa: E402
from gamebridge_agents import tiles  # noqa: E402

SMALL = {
    "bins": 9,
    "num_tilings": 1,
    "learning_rate": 1.0,
    "learning_rate_end": 1.0,
    "batch_size": 16,
    "replay_capacity": 5000,
    "warm_up_steps": 20,
    "epsilon_end": 0.5,
}
ACTION = tensor_spec.BoundedTensorSpec((), tf.int64, 0, 1)


@pytest.fixture
def driver_of(make_learner):
    def make(game, seed=0, **settings):
        learner = make_learner("q-learning", game, seed, **{**SMALL, **settings})
        driver = off_policy.OffPolicyDriver(environment.GameTFEnvironment(game), learner, seed)
        driver.restart()
        return driver, learner

    return make


def cells_of(length):
    """What the corridor shows in each cell but the goal."""
    ratio = np.arange(length) / length
    return np.stack([ratio, 1 - ratio], -1).astype(np.float32)


def exact_values(length, gamma):
    """Value iteration, to the last bit that matters."""
    values = np.zeros((length + 1, 2))
    for _ in range(500):
        best = values.max(-1)
        best[length] = 0.0
        for cell in range(length):
            left, right = max(cell - 1, 0), cell + 1
            values[cell, 0] = -0.1 + gamma * best[left]
            values[cell, 1] = (1.0 if right == length else -0.1) + gamma * best[right]
    return values[:length]


def test_the_corridor_is_solved_exactly(driver_of):
    game = fakes.Corridor(4, length=8)
    driver, learner = driver_of(game, gamma=0.9)
    driver.advance(1500)
    found, _ = learner._network(tf.constant(cells_of(8)))
    np.testing.assert_allclose(found, exact_values(8, 0.9), atol=1e-5)
    played = rollout.play(game, rollout.GraphPolicy(learner.policy), range(32), max_steps=100)
    assert {(episode.ended, episode.length) for episode in played} == {
        ("terminated", length) for length in (5, 6, 7, 8)
    }
    assert driver._advance.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(("discount", "worth"), [(0.0, 1.0), (1.0, 2.0)], ids=["ended", "cut"])
def test_a_truncated_episode_bootstraps_and_a_terminated_one_does_not(driver_of, discount, worth):
    moment = fakes.Moment
    script = [moment(step_type=FIRST), moment(0.0, 1.0, LAST, discount)]
    driver, learner = driver_of(fakes.Scripted(script, script), gamma=0.5, num_steps=3)
    driver.advance(150)
    found = learner._network(tf.zeros([1, 1]))[0].numpy()
    np.testing.assert_allclose(found, worth, atol=1e-4)


def test_the_same_seed_gives_the_same_table_and_another_seed_another(driver_of):
    tables = []
    for seed in (0, 0, 1):
        driver, learner = driver_of(fakes.Corridor(2), seed, num_tilings=4, learning_rate=0.3)
        driver.advance(60)
        tables.append(learner._network.table.numpy())
    assert np.array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])


def test_what_meets_a_tile_more_than_once_in_a_batch_is_averaged(make_learner):
    learner = make_learner("q-learning", fakes.Corridor(1), **{**SMALL, "learning_rate": 0.5})
    where = tf.constant(cells_of(8)[[2, 2, 2, 5]])
    batch = replay.Transition(
        observation=where,
        action=tf.constant([1, 1, 1, 0], tf.int64),
        reward=tf.constant([1.0, 3.0, 1e6, 8.0]),
        discount=tf.zeros(4),
        next_observation=where,
        # The third cannot be learned from.
        weight=tf.constant([1.0, 1.0, 0.0, 1.0]),
    )
    learner.act(
        environment.GameTFEnvironment(fakes.Corridor(1)).current_time_step(),
        tf.constant(0, tf.int64),
        tf.constant([0, 0]),
    )
    metrics = learner.train(batch, tf.constant([0, 1]))
    found = learner._network(where)[0].numpy()
    np.testing.assert_allclose(found, [[0, 1], [0, 1], [0, 1], [4, 0]])
    np.testing.assert_allclose(metrics["loss"], (1 + 9 + 64) / 4)


def test_ranges_without_bounds_are_those_of_the_warm_up(driver_of):
    moment = fakes.Moment
    early = [moment(-2.0, step_type=FIRST), moment(6.0, step_type=LAST)]
    late = [moment(100.0, step_type=FIRST), moment(-100.0, step_type=LAST)]
    driver, learner = driver_of(
        fakes.Scripted([*early * 20, *late * 20], observation_spec=specs.box((1,))),
        warm_up_steps=15,
    )
    driver.advance(80)
    network = learner._network
    assert (network.low.numpy(), network.high.numpy()) == (-2.0, 6.0)
    rows = network.tiles(tf.constant([[-2.0], [-1.2], [-1.1], [6.0], [1e30], [-1e30]]))
    assert rows.numpy()[:, 0].tolist() == [0, 0, 1, 8, 8, 0]


def test_each_value_of_few_integers_has_a_tile_and_floats_are_cut():
    spec = {
        "a": tensor_spec.BoundedTensorSpec((), tf.int32, 3, 5),
        "b": tensor_spec.TensorSpec((2,), tf.bool),
        "c": tensor_spec.BoundedTensorSpec((1,), tf.float64, -1.0, 1.0),
        "d": tensor_spec.BoundedTensorSpec((), tf.int64, 0, 999),
    }
    network = tiles.TileNetwork(spec, ACTION, bins=4, num_tilings=1)
    assert network.table.shape == (3 * 2 * 2 * 4 * 4, 2)
    grid = np.meshgrid([3, 4, 5], [0, 1], [0, 1], [-0.9, -0.1, 0.1, 0.9], [0, 250, 500, 999])
    a, first, second, c, d = (part.reshape(-1) for part in grid)
    rows = network.tiles(
        {
            "a": tf.constant(a, tf.int32),
            "b": tf.constant(np.stack([first, second], -1) == 1),
            "c": tf.constant(c[:, None], tf.float64),
            "d": tf.constant(d, tf.int64),
        }
    )
    assert sorted(rows.numpy()[:, 0]) == list(range(192))


def test_tilings_are_displaced_against_each_other():
    spec = tensor_spec.BoundedTensorSpec((2,), tf.float32, 0.0, 1.0)
    network = tiles.TileNetwork(spec, ACTION, bins=4, num_tilings=8, initial_value=3.0)
    assert network.table.shape == (8 * 25, 2)
    where = tf.constant([[0.5, 0.5], [0.56, 0.5], [0.6, 0.4], [0.9, 0.1], [1.0, 1.0]])
    rows = network.tiles(where).numpy()
    assert (rows // 25 == np.arange(8)).all()
    # The farther apart, the fewer tiles are shared.
    shared = [int(np.sum(rows[0] == row)) for row in rows]
    assert shared[0] == 8 > shared[1] > shared[2] > shared[3] == shared[4] == 0
    np.testing.assert_allclose(network(where)[0], 3.0)


def test_any_observation_without_frames_can_be_trained_on(driver_of):
    observation = {"a": specs.discrete(3, start=1), "b": (specs.box((2,), dtype=np.float64),)}
    moment = fakes.Moment
    rows = specs.map_leaves(lambda leaf: np.ones(leaf.shape), observation)
    script = [moment(rows, step_type=FIRST), *[moment(rows, 1.0)] * 5, moment(rows, step_type=LAST)]
    game = fakes.Scripted(
        script,
        script,
        observation_spec=observation,
        action_spec=specs.discrete(3, dtype=np.uint8),
    )
    driver, learner = driver_of(game)
    assert np.isfinite(driver.advance(30)["loss"])
    assert learner._network.table.numpy().any()


def test_frames_are_refused(make_learner):
    with pytest.raises(errors.FitError) as caught:
        make_learner("q-learning", fakes.Catch(1, size=12))
    assert str(caught.value) == (
        "q-learning cannot see frames: they have no tiles. Choose dqn, or a form of the game "
        "without pictures."
    )


def box_of(num_parts):
    return tensor_spec.BoundedTensorSpec((num_parts,), tf.float32, 0.0, 1.0)


def test_a_table_that_would_be_too_large_has_fewer_tiles_a_side(caplog):
    network = tiles.TileNetwork(box_of(8), ACTION)
    assert network.table.shape == (8 * 5**8, 2)
    assert caplog.messages == [
        "q-learning would need a table of 688,747,536 numbers for 8 parts of an observation; "
        "16,777,216 are sensible. Each part has 4 tiles instead of 8."
    ]
    rows = network.tiles(tf.constant([[0.1] * 8, [0.1] * 7 + [0.9], [1.0] * 8])).numpy()
    assert [len(set(rows[0]) & set(row)) for row in rows] == [8, 0, 0]
    assert (rows // 5**8 == np.arange(8)).all()


def test_tiles_of_many_parts_are_hashed(caplog):
    network = tiles.TileNetwork(box_of(25), ACTION, num_tilings=4)
    num_tiles = tiles.MAX_NUMBERS // 8
    assert network.table.shape == (4 * num_tiles, 2)
    assert caplog.messages[0].endswith(
        "Each part has 2 tiles instead of 8, and tiles are hashed into that many."
    )
    places = np.random.default_rng(0).integers(0, 2, (2000, 25))
    rows = network.tiles(tf.constant(places * 0.8 + 0.01, tf.float32)).numpy()
    assert (rows // num_tiles == np.arange(4)).all()
    # Those of one tile have one row, of others nearly always another.
    near = network.tiles(tf.constant(places * 0.8 + 0.02, tf.float32)).numpy()
    np.testing.assert_array_equal(near, rows)
    assert len(set(rows[:, 0])) > 0.99 * len(np.unique(places, axis=0))


def test_more_parts_than_can_be_told_apart_are_refused(make_learner):
    game = fakes.Scripted([fakes.Moment(step_type=FIRST)], observation_spec=specs.box((65,)))
    with pytest.raises(errors.FitError) as caught:
        make_learner("q-learning", game)
    assert str(caught.value) == (
        "q-learning would cut 65 parts of an observation into tiles; beyond 64 no two "
        "observations are alike. Choose dqn."
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bins": 0}, "bins is 0; expected more than 0."),
        ({"learning_rate": 1.5}, "learning_rate is 1.5; expected 0 to 1."),
        ({"epsilon_steps": -1}, "epsilon_steps is -1; expected 0 or more."),
    ],
)
def test_settings_that_cannot_work_are_refused(make_learner, settings, message):
    with pytest.raises(ValueError) as caught:
        make_learner("q-learning", fakes.Corridor(1), **settings)
    assert str(caught.value) == message
