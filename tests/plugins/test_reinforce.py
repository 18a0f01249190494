"""REINFORCE: returns of episodes that are cut anywhere, and rows that must not teach."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.contract import FIRST, LAST, MID, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.trajectories import time_step as ts  # noqa: E402, TID253
from tf_agents.trajectories import trajectory  # noqa: E402, TID253

from gamebridge.evaluation import rollout as rollouts  # noqa: E402
from gamebridge.tf import environment  # noqa: E402
from gamebridge.training import learners, on_policy  # noqa: E402

SMALL = {"rollout_length": 16, "units": (16,), "baseline_updates": 2}
SEED = tf.constant([1, 2])


@pytest.fixture
def learner_of(make_learner):
    def make(game=None, seed=0, **settings):
        return make_learner("reinforce", game or fakes.Corridor(1), seed, **{**SMALL, **settings})

    return make


def rollout_of(step_type, reward, discount, action=None, valid=None, count=1):
    """The same steps in each of `count` slots, each step seen otherwise than the others."""
    length = len(reward)

    def slots(rows, dtype):
        return tf.constant(np.repeat(np.array(rows, dtype)[:, None], count, 1))

    seen = np.random.default_rng(0).uniform(0, 1, (length + 1, count, 2)).astype(np.float32)
    return learners.Rollout(
        observation=tf.constant(seen),
        step_type=slots(step_type, np.int32),
        action=slots(np.arange(length) % 2 if action is None else action, np.int64),
        info=(),
        reward=slots(reward, np.float32),
        discount=slots(discount, np.float32),
        valid=slots(np.ones(length) if valid is None else valid, bool),
    )


def weights_of(learner):
    root = tf.train.Checkpoint(**learner.trackables())
    parts = tf.train.TrackableView(root).descendants()
    return [part.numpy() for part in parts if isinstance(part, tf.Variable)]


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def say(learner, worth):
    """Makes the baseline find every state worth the same."""
    head = learner.trackables()["baseline"]._head
    head.kernel.assign(tf.zeros_like(head.kernel))
    head.bias.assign([worth])


def stock_losses(learner, rollout):
    """What TF-Agents' own agent makes of the same rollout."""

    def by_slot(rows):
        return tf.einsum("tb...->bt...", rows)

    experience = trajectory.Trajectory(
        step_type=by_slot(rollout.step_type[:-1]),
        observation=by_slot(rollout.observation[:-1]),
        action=by_slot(rollout.action),
        policy_info=(),
        next_step_type=by_slot(rollout.step_type[1:]),
        reward=by_slot(rollout.reward),
        discount=by_slot(rollout.discount),
    )
    return learner._agent.train(experience).extra


# --- returns ---


def test_the_policys_loss_is_the_mean_of_log_probabilities_times_how_much_better_it_went(
    learner_of,
):
    learner = learner_of(gamma=0.5, reward_scale=2.0)
    say(learner, 3.0)
    learner.trackables()["actor"]._heads[0].bias.assign([1.0, 0.0])
    rollout = rollout_of([FIRST, MID, MID, LAST], [1, 2, 4], [1, 1, 0])
    returns = np.array([2 + 0.5 * (4 + 0.5 * 8), 4 + 0.5 * 8, 8])
    better = returns - 3.0
    logits = learner.trackables()["actor"](rollout.observation[:-1, 0])[0].logits
    log_probs = tf.nn.log_softmax(logits).numpy()[range(3), [0, 1, 0]]
    found = learner.train(rollout, SEED)
    standard = (better - better.mean()) / better.std()
    np.testing.assert_allclose(found["policy_loss"], -np.mean(log_probs * standard), rtol=1e-4)
    np.testing.assert_allclose(found["value_loss"], np.mean(better**2), rtol=1e-4)
    entropy = tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(logits), logits).numpy()
    np.testing.assert_allclose(found["entropy"], entropy.mean(), rtol=1e-4)


@pytest.mark.parametrize(
    ("step_type", "discount", "worth_after"),
    [
        ([FIRST, LAST], 0.0, 0.0),
        ([FIRST, LAST], 1.0, 10.0),
        ([FIRST, MID], 1.0, 10.0),
    ],
    ids=["terminated", "truncated", "cut"],
)
def test_only_what_terminates_is_worth_nothing_after_its_end(
    learner_of, step_type, discount, worth_after
):
    learner = learner_of(gamma=0.5)
    say(learner, 10.0)
    found = learner.train(rollout_of(step_type, [1], [discount]), SEED)
    np.testing.assert_allclose(found["value_loss"], (1 + 0.5 * worth_after - 10) ** 2)


def test_tf_agents_takes_a_truncated_episode_for_a_terminated_one(learner_of):
    learner = learner_of(gamma=0.5)
    say(learner, 10.0)
    found = stock_losses(learner, rollout_of([FIRST, LAST], [1], [1]))
    np.testing.assert_allclose(found.value_estimation_loss, (1 - 10) ** 2)


def test_tf_agents_stops_where_no_episode_ends(learner_of):
    rollout = rollout_of([MID, MID, MID], [1, 5], [1, 1])
    with pytest.raises(tf.errors.InvalidArgumentError, match="No complete episode found"):
        stock_losses(learner_of(), rollout)
    learner = learner_of()
    before = learner.trackables()["actor"].get_weights()
    learner.train(rollout, SEED)
    assert not same(before, learner.trackables()["actor"].get_weights())


# --- without a baseline ---


def test_without_a_baseline_steps_whose_end_is_not_seen_teach_nothing(learner_of):
    step_type = [MID, LAST, FIRST, MID, MID]

    def trained(rewards, learner=None):
        learner = learner or learner_of(has_baseline=False)
        learner.train(rollout_of(step_type, rewards, [1, 1, 1, 1], count=2), SEED)
        return weights_of(learner)

    clean = trained([1, 0, 2, 3])
    assert same(clean, trained([1, 0, 9, -9]))

    learner = learner_of(has_baseline=False)
    before = learner.trackables()["actor"].get_weights()
    metrics = learner.train(rollout_of([FIRST, MID, MID], [1, 5], [1, 1]), SEED)
    assert same(before, learner.trackables()["actor"].get_weights())
    assert {name: float(value) for name, value in metrics.items()} == {
        "loss": 0.0, "policy_loss": 0.0, "value_loss": 0.0, "entropy": 0.0
    }  # fmt: skip


def test_without_a_baseline_a_truncated_episode_counts_as_far_as_it_went(learner_of):
    def trained(discount):
        learner = learner_of(has_baseline=False)
        learner.train(rollout_of([FIRST, MID, LAST], [1, 2], [1, discount]), SEED)
        return weights_of(learner)

    assert same(trained(0.0), trained(1.0))
    assert "baseline" not in learner_of(has_baseline=False).trackables()


# --- rows that must not teach ---


@pytest.mark.parametrize("has_baseline", [True, False])
def test_neither_the_step_from_an_end_to_a_beginning_teaches_nor_one_without_outcome(
    learner_of, has_baseline
):
    step_type, valid = [FIRST, MID, MID, LAST, FIRST, MID, LAST], [1, 0, 1, 1, 1, 1]
    steps = {"step_type": step_type, "discount": [1, 1, 1, 1, 1, 0], "valid": valid}

    def trained(last=0.0, nothing=0.0, last_action=0, step=1.0):
        learner = learner_of(has_baseline=has_baseline)
        reward, action = [step, nothing, 2.0, last, 3.0, 1.0], [0, 1, 0, last_action, 1, 0]
        learner.train(rollout_of(reward=reward, action=action, **steps), SEED)
        return weights_of(learner)

    clean = trained()
    assert same(clean, trained(last=1e6))
    assert same(clean, trained(last_action=1))
    assert same(clean, trained(nothing=1e6))
    assert not same(clean, trained(step=5.0))


def test_the_entropy_bonus_is_that_of_the_steps_learned_from(learner_of):
    def bonus(step_type, valid):
        learner = learner_of(entropy_weight=0.5)
        length = len(valid)
        rollout = rollout_of(step_type, [1.0] * length, [1.0] * length, valid=valid)
        same_seen = tf.ones_like(rollout.observation)
        found = learner.train(rollout._replace(observation=same_seen), SEED)
        return found["policy_loss"] - found["loss"], 0.5 * found["entropy"]

    whole = bonus([FIRST, MID, MID, MID, LAST], [1, 1, 1, 1])
    some = bonus([FIRST, MID, MID, LAST, FIRST], [1, 0, 1, 1])
    np.testing.assert_allclose(whole[0], whole[1], rtol=1e-5)
    np.testing.assert_allclose(some, whole, rtol=1e-5)


# --- the whole ---


@pytest.fixture
def driver_of(learner_of):
    def make(game, seed=0, **settings):
        learner = learner_of(game, seed, **settings)
        driver = on_policy.OnPolicyDriver(environment.GameTFEnvironment(game), learner, seed)
        driver.restart()
        return driver, learner

    return make


@pytest.mark.parametrize(
    ("game", "settings", "least"),
    [
        (fakes.Corridor(8), {"learning_rate": 0.03}, 0.3),
        (fakes.Corridor(8), {"learning_rate": 0.03, "has_baseline": False}, 0.3),
        (fakes.Target(8), {"learning_rate": 0.01, "gamma": 0.0, "initial_std": 0.3}, -0.5),
    ],
    ids=["discrete", "no-baseline", "continuous"],
)
def test_an_agent_learns(driver_of, game, settings, least):
    driver, learner = driver_of(game, 1, **settings)
    for _ in range(60):
        driver.advance(16)
    assert driver._train.experimental_get_tracing_count() == 1
    other = type(game)(4)
    played = rollouts.play(other, rollouts.GraphPolicy(learner.policy), range(4), max_steps=40)
    assert min(episode.episode_return for episode in played) > least


def test_integers_and_floats_are_given_and_learned_at_once_and_masks_are_kept(learner_of):
    spec = {
        "observation": specs.box((2,)),
        "action_mask": (specs.box((3,), 0, 1, dtype=np.int8), specs.box((2,), 0, 1, dtype=np.int8)),
    }
    zeros = specs.map_leaves(lambda leaf: np.zeros(leaf.shape), spec)
    action = (specs.discrete(3), specs.discrete(2), specs.box((2,), -1.0, 1.0))
    game = fakes.Scripted(
        *[[fakes.Moment(zeros, step_type=FIRST)]] * 50, observation_spec=spec, action_spec=action
    )
    learner = learner_of(game, rollout_length=2)
    masks = (tf.constant([[1, 0, 1]] * 50, tf.int8), tf.constant([[0, 1]] * 50, tf.int8))
    seen = {"observation": tf.ones([50, 2]), "action_mask": masks}
    (first, second, floats), info = learner.act(ts.restart(seen, 50), SEED)
    assert set(first.numpy()) == {0, 2}
    assert set(second.numpy()) == {1}
    assert floats.shape == (50, 2)
    assert info == ()

    def rows(leaf, count):
        return tf.tile(leaf[None], [count] + [1] * len(leaf.shape))

    rollout = rollout_of([FIRST, MID, LAST], [1, 2], [1, 0], count=50)._replace(
        observation=tf.nest.map_structure(lambda leaf: rows(leaf, 3), seen),
        action=tf.nest.map_structure(lambda leaf: rows(leaf, 2), (first, second, floats)),
    )
    before = [layer.get_weights() for layer in learner.trackables()["actor"]._heads]
    metrics = learner.train(rollout, SEED)
    assert np.isfinite([float(value) for value in metrics.values()]).all()
    after = [layer.get_weights() for layer in learner.trackables()["actor"]._heads]
    # The second integer has no choice, and so nothing to learn.
    assert [same(*pair) for pair in zip(before, after, strict=True)] == [False, True, False]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(driver_of):
    trained = []
    for seed in (0, 0, 1):
        driver, learner = driver_of(fakes.Corridor(2), seed)
        tf.random.normal([])  # moves TensorFlow's own generator on
        driver.advance(16)
        trained.append(weights_of(learner))
    assert same(trained[0], trained[1])
    assert not same(trained[0], trained[2])
