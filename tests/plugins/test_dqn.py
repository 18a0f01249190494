"""DQN: exploration by schedule, a target that follows, and rows that must not teach."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.contract import FIRST, LAST, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.evaluation import rollout  # noqa: E402
from gamebridge.tf import environment, replay  # noqa: E402
from gamebridge.training import off_policy  # noqa: E402

SMALL = {
    "units": (16,),
    "batch_size": 16,
    "replay_capacity": 500,
    "warm_up_steps": 20,
    "train_interval": 4,
    "epsilon_steps": 100,
}


@pytest.fixture
def driver_of(make_learner):
    def make(game, seed=0, **settings):
        learner = make_learner("dqn", game, seed, **{**SMALL, **settings})
        driver = off_policy.OffPolicyDriver(environment.GameTFEnvironment(game), learner, seed)
        driver.restart()
        return driver, learner

    return make


def weights_of(network):
    return [weight.numpy() for weight in network.variables]


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def batch_of(weight, reward=1.0, discount=1.0, count=16):
    rng = np.random.default_rng(0)
    return replay.Transition(
        observation=tf.constant(rng.random((count, 2)), tf.float32),
        action=tf.constant(rng.integers(0, 2, count), tf.int64),
        reward=tf.fill([count], np.float32(reward)),
        discount=tf.fill([count], np.float32(discount)),
        next_observation=tf.constant(rng.random((count, 2)), tf.float32),
        weight=tf.constant(weight, tf.float32),
    )


SEED = tf.constant([1, 2])


def test_dqn_learns_the_corridor(driver_of):
    game = fakes.Corridor(4, length=6)
    driver, learner = driver_of(
        game, warm_up_steps=200, train_interval=2, epsilon_steps=1000, target_update_tau=0.05,
        learning_rate=3e-3, replay_capacity=5000, batch_size=32, num_steps=3, units=(32,),
    )  # fmt: skip
    driver.advance(900)
    played = rollout.play(game, rollout.GraphPolicy(learner.policy), range(8), max_steps=100)
    # From cells 0, 1 or 2 straight to cell 6.
    assert {episode.length for episode in played} <= {4, 5, 6}
    assert {episode.ended for episode in played} == {"terminated"}


def test_the_share_of_random_actions_falls_linearly_and_then_stays(make_learner):
    game = fakes.Catch(400, size=12)
    learner = make_learner(
        "dqn", game, epsilon_start=0.9, epsilon_end=0.3, conv_filters=(2, 2, 2), **SMALL
    )
    # One action is so much better that whoever does something else explores.
    learner._network.create_variables()
    learner._network._head.bias.assign([0.0, 9.0, 0.0])
    step = environment.GameTFEnvironment(game).current_time_step()
    for num_steps, epsilon in ((0, 0.9), (50, 0.6), (100, 0.3), (10_000, 0.3)):
        actions = learner.act(step, tf.constant(num_steps, tf.int64), tf.constant([num_steps, 1]))
        np.testing.assert_allclose(learner._epsilon.numpy(), epsilon, rtol=1e-6)
        # A third of the random actions are the best one by chance.
        explored = np.mean(actions.numpy() != 1) * 3 / 2
        assert abs(explored - epsilon) < 0.1
        assert set(actions.numpy()) == {0, 1, 2}


def test_without_a_schedule_exploration_begins_at_its_end(make_learner):
    game = fakes.Corridor(2)
    learner = make_learner("dqn", game, **{**SMALL, "epsilon_steps": 0})
    step = environment.GameTFEnvironment(game).current_time_step()
    learner.act(step, tf.constant(1, tf.int64), SEED)
    np.testing.assert_allclose(learner._epsilon.numpy(), 0.05, rtol=1e-5)


@pytest.mark.parametrize("agent", ["dqn", "c51", "dqn-rnn"])
def test_the_learning_rate_falls_to_a_tenth_and_is_used(make_learner, agent):
    game = fakes.Corridor(2)
    learner = make_learner(agent, game, learning_rate=0.01, learning_rate_decay_steps=100, **SMALL)
    driver = off_policy.OffPolicyDriver(environment.GameTFEnvironment(game), learner, 0)
    driver.restart()
    moves = []
    for num_batches in (25, 50, 25):
        before = weights_of(learner._network)
        told = driver.advance(num_batches)
        # As of when the last action was chosen, up to two steps before.
        rate = 0.01 * (1 - 0.9 * min(driver.num_steps / 100, 1))
        np.testing.assert_allclose(told["learning_rate"], rate, atol=2e-4)
        assert float(learner._optimizer._decayed_lr(tf.float32)) == pytest.approx(
            told["learning_rate"]
        )
        now = weights_of(learner._network)
        moves.append(max(np.abs(a - b).max() for a, b in zip(before, now, strict=True)))
    np.testing.assert_allclose(told["learning_rate"], 0.001, rtol=1e-5)
    assert moves[-1] < 0.5 * moves[0]


def test_the_target_network_follows_by_its_share(make_learner):
    learner = make_learner("dqn", fakes.Corridor(1), target_update_tau=0.25, **SMALL)
    target = learner._agent._target_q_network
    before = weights_of(target)
    assert same(before, weights_of(learner._network))
    learner.train(batch_of(np.ones(16)), SEED)
    for old, new, now in zip(before, weights_of(learner._network), weights_of(target), strict=True):
        np.testing.assert_allclose(now, 0.75 * old + 0.25 * new, atol=1e-6)
    assert not same(before, weights_of(target))


def test_the_target_network_waits_for_its_period(make_learner):
    learner = make_learner(
        "dqn", fakes.Corridor(1), target_update_tau=1.0, target_update_period=3, **SMALL
    )
    before = weights_of(learner._agent._target_q_network)
    moved = []
    for _ in range(3):
        learner.train(batch_of(np.ones(16)), SEED)
        moved.append(not same(before, weights_of(learner._agent._target_q_network)))
    assert moved == [False, False, True]


def test_rows_without_weight_do_not_teach(make_learner):
    learner = make_learner("dqn", fakes.Corridor(1), **SMALL)
    before = weights_of(learner._network)
    learner.train(batch_of(np.zeros(16), reward=1e6), SEED)
    assert same(before, weights_of(learner._network))

    half = (np.arange(16) % 2).astype(np.float32)
    poisoned = batch_of(half)._replace(reward=tf.constant(np.where(half > 0, 1.0, 1e6), tf.float32))
    trained = []
    for batch in (batch_of(half), poisoned):
        learner = make_learner("dqn", fakes.Corridor(1), **SMALL)
        learner.train(batch, SEED)
        trained.append(weights_of(learner._network))
    assert same(*trained)


def test_the_loss_is_that_of_the_n_step_target(make_learner):
    learner = make_learner("dqn", fakes.Corridor(1), gamma=0.9, reward_scale=2.0, **SMALL)
    weight = np.ones(16)
    weight[:4] = 0
    batch = batch_of(weight, reward=0.3, discount=0.81)
    values, _ = learner._network(batch.observation)
    after, _ = learner._agent._target_q_network(batch.next_observation)
    target = 2.0 * 0.3 + 0.9 * 0.81 * after.numpy().max(1)
    error = np.abs(target - values.numpy()[np.arange(16), batch.action])
    huber = np.where(error < 1, 0.5 * error**2, error - 0.5)
    found = float(learner.train(batch, SEED)["loss"])
    np.testing.assert_allclose(found, np.sum(huber * weight) / 16, rtol=1e-4)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(driver_of):
    trained = []
    for seed in (0, 0, 1):
        driver, learner = driver_of(fakes.Corridor(2), seed)
        driver.advance(40)
        trained.append(weights_of(learner._network))
    assert same(trained[0], trained[1])
    assert not any(np.array_equal(a, b) for a, b in zip(trained[0], trained[2], strict=True))


def test_nothing_is_traced_again(driver_of):
    driver, _ = driver_of(fakes.Corridor(2))
    for count in (5, 30, 4):
        driver.advance(count)
    assert driver._advance.experimental_get_tracing_count() == 1


MIXED = {
    "camera": specs.frame(12, 12, 1),
    "pair": (specs.discrete(3, start=1), specs.box((2,), dtype=np.float64)),
}


@pytest.mark.parametrize(
    ("observation", "action"),
    [
        (MIXED, specs.discrete(3, dtype=np.int32)),
        (specs.discrete(5), specs.discrete(2, dtype=np.uint8)),
    ],
    ids=["nested", "discrete"],
)
def test_any_kind_of_observation_can_be_trained_on(driver_of, observation, action):
    moment = fakes.Moment
    rows = specs.map_leaves(lambda leaf: np.ones(leaf.shape), observation)
    script = [moment(rows, step_type=FIRST), *[moment(rows, 1.0)] * 5, moment(rows, step_type=LAST)]
    game = fakes.Scripted(script, script, observation_spec=observation, action_spec=action)
    driver, _ = driver_of(game, conv_filters=(2, 2, 2))
    assert np.isfinite(driver.advance(30)["loss"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; expected more than 0."),
        ({"epsilon_end": 1.5}, "epsilon_end is 1.5; expected 0 to 1."),
        ({"warm_up_steps": -1}, "warm_up_steps is -1; expected 0 or more."),
        (
            {"replay_capacity": "4 gigs"},
            "replay_capacity: '4 gigs' is no size: expected a number and a unit out of B, KB, "
            "MB, GB, TB, KiB, MiB, GiB and TiB, such as '4GB'.",
        ),
        ({"replay_capacity": 0}, "replay_capacity is 0; expected more than 0."),
        ({"priority_beta": 1.5}, "priority_beta is 1.5; expected 0 to 1."),
        (
            {"replay_capacity": 20, "warm_up_steps": 20},
            "replay_capacity is 20, not above warm_up_steps 20: training would never begin. "
            "Raise replay_capacity.",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(make_learner, settings, message):
    with pytest.raises(ValueError) as caught:
        make_learner("dqn", fakes.Corridor(1), **settings)
    assert str(caught.value) == message
