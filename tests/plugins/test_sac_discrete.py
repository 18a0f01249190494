"""SAC of one integer: expectations over all actions, masks, and nothing left to chance."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.contract import FIRST, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.trajectories import time_step as ts  # noqa: E402, TID253

from gamebridge.evaluation import rollout  # noqa: E402
from gamebridge.tf import environment, replay  # noqa: E402
from gamebridge.training import off_policy  # noqa: E402

SMALL = {"units": (16,), "batch_size": 16, "replay_capacity": 2000, "warm_up_steps": 20}
SEED = tf.constant([1, 2])
COUNT, NUM_ACTIONS = 16, 3
MASK = specs.box((NUM_ACTIONS,), 0, 1, dtype=np.int8)
MASKED = {"observation": specs.box((2,)), "action_mask": MASK}


def game_of(observation=MASKED, num_slots=1):
    zeros = specs.map_leaves(lambda leaf: np.zeros(leaf.shape), observation)
    script = [fakes.Moment(zeros, step_type=FIRST)]
    return fakes.Scripted(
        *[script] * num_slots,
        observation_spec=observation,
        action_spec=specs.discrete(NUM_ACTIONS),
    )


@pytest.fixture
def learner_of(make_learner):
    def make(seed=0, game=None, **settings):
        return make_learner("sac", game or game_of(), seed, **{**SMALL, **settings})

    return make


def observed(seed, may, count=COUNT):
    """What is seen of `count` states in all of which the same is allowed."""
    seen = np.random.default_rng(seed).uniform(-1, 1, (count, 2)).astype(np.float32)
    return {
        "observation": tf.constant(seen),
        "action_mask": tf.constant(np.tile(may, (count, 1)), tf.int8),
    }


def batch_of(may=(1, 1, 1), weight=None, reward=1.0, discount=1.0, actions=None):
    actions = np.flatnonzero(may) if actions is None else actions
    return replay.Transition(
        observation=observed(0, may),
        action=tf.constant(np.resize(actions, COUNT), tf.int64),
        reward=tf.zeros([COUNT]) + tf.constant(reward, tf.float32),
        discount=tf.zeros([COUNT]) + tf.constant(discount, tf.float32),
        next_observation=observed(1, may),
        weight=tf.constant(np.ones(COUNT) if weight is None else weight, tf.float32),
    )


def weights_of(learner):
    root = tf.train.Checkpoint(**learner.trackables())
    parts = tf.train.TrackableView(root).descendants()
    return [part.numpy() for part in parts if isinstance(part, tf.Variable)]


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def networks_of(learner, *names):
    return [learner.trackables()[name] for name in names]


def probabilities(learner, observation):
    """Of the allowed actions, and their logarithms: those of a softmax over them alone."""
    logits = learner.trackables()["actor"](observation)[0].logits.numpy().astype(np.float64)
    may = observation["action_mask"].numpy() != 0
    powers = np.exp(logits - logits.max(-1, where=may, initial=-np.inf, keepdims=True)) * may
    shares = powers / powers.sum(-1, keepdims=True)
    return shares, np.log(np.where(may, shares, 1.0))


# --- which learner ---


def test_the_games_actions_say_which_sac_it_is(make_learner):
    names = [
        type(make_learner("sac", game, **SMALL)).__name__
        for game in (fakes.Target(), fakes.Corridor())
    ]
    assert names == ["SACLearner", "SACDiscreteLearner"]


# --- losses ---


@pytest.mark.parametrize("may", [(1, 1, 1), (1, 0, 1)], ids=["all", "two"])
def test_the_losses_are_those_of_sums_over_all_allowed_actions(learner_of, may):
    learner = learner_of(
        gamma=0.9, reward_scale=2.0, initial_alpha=0.3, target_entropy_share=0.25, num_steps=3
    )
    critics = networks_of(learner, "critic_1", "critic_2")
    targets = networks_of(learner, "target_critic_1", "target_critic_2")
    # Otherwise all values are nearly 0 and all actions nearly as likely.
    for number, network in enumerate((*targets, *critics)):
        network._head.bias.assign([5.0 - number, 2.0 * number, 1.0])
    learner.trackables()["actor"]._heads[0].bias.assign([1.0, 0.0, -1.0])
    weight = np.ones(COUNT)
    weight[:4] = 0
    # Terminated, truncated or in mid-episode, the end of three steps.
    discount = np.resize([0.0, 1.0, 0.81], COUNT)
    batch = batch_of(may, weight, np.linspace(-1, 1, COUNT), discount)

    shares, logs = probabilities(learner, batch.next_observation)
    after = np.min([target(batch.next_observation)[0] for target in targets], 0)
    soft = (shares * (after - 0.3 * logs)).sum(-1)
    wanted = 2.0 * batch.reward.numpy() + 0.9 * discount * soft
    chosen = np.arange(COUNT), batch.action.numpy()
    misses = [critic(batch.observation)[0].numpy()[chosen] - wanted for critic in critics]
    losses = [np.where(abs(x) < 1, 0.5 * x**2, abs(x) - 0.5) for x in misses]
    found = learner.train(batch, SEED)
    critic_loss = np.mean(np.sum(losses, 0) * weight)
    np.testing.assert_allclose(found["critic_loss"], critic_loss, rtol=1e-4)


def test_the_actor_weighs_all_actions_by_the_lower_value_and_the_entropy(learner_of):
    learner = learner_of(initial_alpha=0.3, learning_rate=1e-9, target_entropy_share=0.25)
    for number, critic in enumerate(networks_of(learner, "critic_1", "critic_2")):
        critic._head.bias.assign([5.0 - 4 * number, 2.0 * number, 1.0])
    weight = np.resize([1.0, 0.0], COUNT)
    batch = batch_of((1, 1, 0), weight)
    shares, logs = probabilities(learner, batch.observation)
    values = [
        critic(batch.observation)[0] for critic in networks_of(learner, "critic_1", "critic_2")
    ]
    rows = (shares * (0.3 * logs - np.min(values, 0))).sum(-1)
    entropy = -(shares * logs).sum(-1)
    found = learner.train(batch, SEED)
    np.testing.assert_allclose(found["actor_loss"], np.mean(rows * weight), rtol=1e-4)
    np.testing.assert_allclose(found["entropy"], np.mean(entropy[::2]), rtol=1e-4)
    gap = np.mean((entropy - 0.25 * np.log(2)) * weight)
    np.testing.assert_allclose(found["alpha_loss"], np.log(0.3) * gap, rtol=1e-4)


@pytest.mark.parametrize(("share", "falls"), [(0.0, True), (1.0, False)])
def test_the_temperature_falls_where_there_is_more_entropy_than_wanted(learner_of, share, falls):
    learner = learner_of(target_entropy_share=share)
    learner.trackables()["actor"]._heads[0].bias.assign([1.0, 0.0, 0.0])
    before = float(learner.trackables()["log_alpha"])
    metrics = learner.train(batch_of(), SEED)
    after = float(learner.trackables()["log_alpha"])
    assert (after < before) == falls
    np.testing.assert_allclose(float(metrics["alpha"]), np.exp(after), rtol=1e-6)


def test_where_one_action_is_allowed_no_entropy_is_wanted(learner_of):
    learner = learner_of(target_entropy_share=1.0)
    learner.train(batch_of((0, 1, 0)), SEED)
    assert float(learner.trackables()["log_alpha"]) == 0.0


# --- masks ---


def test_what_a_forbidden_action_is_thought_worth_teaches_nothing(learner_of):
    def trained(worth):
        learner = learner_of()
        names = ("critic_1", "critic_2", "target_critic_1", "target_critic_2")
        for network in networks_of(learner, *names):
            network._head.bias.assign([0.0, worth, 0.0])
        metrics = learner.train(batch_of((1, 0, 1)), SEED)
        return [float(value) for value in metrics.values()], learner.trackables()["actor"].weights

    assert same(trained(0.0)[0], trained(1e6)[0])
    assert same(trained(0.0)[1], trained(1e6)[1])


@pytest.mark.parametrize("num_steps", [0, 20], ids=["warm-up", "later"])
def test_only_what_is_allowed_is_drawn(learner_of, num_steps):
    learner = learner_of(game=game_of(num_slots=500))
    learner.trackables()["actor"]._heads[0].bias.assign([0.0, 50.0, 0.0])
    step = ts.restart(observed(0, (1, 0, 1), 500), 500)
    drawn = learner.act(step, tf.constant(num_steps, tf.int64), SEED).numpy()
    assert set(drawn) == {0, 2}
    np.testing.assert_allclose(np.mean(drawn == 0), 0.5, atol=0.1)
    assert learner.policy.action(step).action.numpy().max() in (0, 2)


def test_the_greedy_policy_takes_the_likeliest_allowed_action(learner_of):
    learner = learner_of()
    learner.trackables()["actor"]._heads[0].bias.assign([1.0, 50.0, 3.0])
    for may, best in (((1, 1, 1), 1), ((1, 0, 1), 2), ((1, 0, 0), 0), ((0, 0, 0), 1)):
        step = ts.restart(observed(0, may, 4), 4)
        assert learner.policy.action(step).action.numpy().tolist() == [best] * 4


# --- exploration ---


def test_the_first_actions_are_anything_and_later_ones_the_actors(learner_of):
    learner = learner_of(game=game_of(specs.box((2,)), 500))
    learner.trackables()["actor"]._heads[0].bias.assign(np.log([0.8, 0.1, 0.1]))
    step = ts.restart(tf.zeros([500, 2]), 500)

    def shares(num_steps, seed=SEED):
        drawn = learner.act(step, tf.constant(num_steps, tf.int64), seed).numpy()
        return np.bincount(drawn, minlength=NUM_ACTIONS) / 500

    np.testing.assert_allclose(shares(19), [1 / 3] * 3, atol=0.08)
    np.testing.assert_allclose(shares(20), [0.8, 0.1, 0.1], atol=0.06)
    assert same([shares(20)], [shares(20)])
    assert not same([shares(20)], [shares(20, SEED + 1)])


# --- rows without weight ---


def test_rows_without_weight_do_not_teach(learner_of):
    learner = learner_of()
    parts = networks_of(learner, "actor", "critic_1", "critic_2")
    before = [part.get_weights() for part in parts]
    learner.train(batch_of(weight=np.zeros(COUNT), reward=1e6), SEED)
    assert all(map(same, before, [part.get_weights() for part in parts]))


def test_what_stands_in_such_rows_does_not_matter(learner_of):
    half = np.resize([1.0, 0.0], COUNT)

    def trained(poison):
        learner = learner_of()
        batch = batch_of(weight=half)
        seen = dict(batch.observation)
        seen["observation"] = tf.where(half[:, None] > 0, seen["observation"], poison)
        reward = tf.where(half > 0, batch.reward, poison)
        learner.train(batch._replace(observation=seen, reward=reward), SEED)
        return weights_of(learner)

    assert same(trained(0.25), trained(-0.75))


# --- networks ---


def test_all_networks_begin_with_weights_of_their_own_and_targets_as_their_critics(learner_of):
    learner = learner_of()
    first, second, *targets = networks_of(
        learner, "critic_1", "critic_2", "target_critic_1", "target_critic_2"
    )
    assert not same(first.get_weights()[:1], second.get_weights()[:1])
    before = [target.get_weights() for target in targets]
    assert all(map(same, before, (first.get_weights(), second.get_weights())))

    learner = learner_of(target_update_tau=0.25)
    learner.train(batch_of(), SEED)
    critics = networks_of(learner, "critic_1", "critic_2")
    targets = networks_of(learner, "target_critic_1", "target_critic_2")
    for old, critic, target in zip(before, critics, targets, strict=True):
        for was, new, now in zip(old, critic.get_weights(), target.get_weights(), strict=True):
            np.testing.assert_allclose(now, 0.75 * was + 0.25 * new, atol=1e-6)
        assert not same(old, target.get_weights())


def test_a_gradient_is_no_longer_than_it_is_clipped_to(learner_of):
    moments = []
    for clip in (0.0, 1e-3):
        learner = learner_of(gradient_clip=clip)
        learner.train(batch_of(reward=100.0), SEED)
        optimizer = learner.trackables()["critic_optimizer"]
        # Adam's first moment is a tenth of the first gradient.
        moments.append([10 * np.linalg.norm(slot) for slot in optimizer.get_weights()[1:5]])
    assert max(moments[0]) > 0.1
    assert max(moments[1]) <= 1e-3 + 1e-8


# --- the whole ---


def test_an_agent_learns_to_walk_right(make_learner):
    settings = {**SMALL, "learning_rate": 3e-3, "units": (32,), "target_update_tau": 0.05}
    game = fakes.Corridor(4)
    learner = make_learner("sac", game, 3, **settings, gamma=0.9, target_entropy_share=0.2)
    driver = off_policy.OffPolicyDriver(environment.GameTFEnvironment(game), learner, 3)
    driver.restart()
    driver.advance(150)
    driver.advance(50)
    assert driver._advance.experimental_get_tracing_count() == 1
    played = rollout.play(
        fakes.Corridor(4), rollout.GraphPolicy(learner.policy), range(4), max_steps=40
    )
    # The goal is 5 to 8 cells away, and an episode is cut after 32 steps.
    assert max(episode.length for episode in played) <= 8


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(learner_of):
    trained = []
    for seed in (0, 0, 1):
        learner = learner_of(seed)
        tf.random.normal([])  # moves TensorFlow's own generator on
        learner.train(batch_of(), SEED)
        trained.append(weights_of(learner))
    assert same(trained[0], trained[1])
    assert not same(trained[0], trained[2])
