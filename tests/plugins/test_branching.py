"""Several branches: one target for all, by a slow sum, and a game of many of them learned."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.evaluation import rollout  # noqa: E402
from gamebridge.tf import environment, replay  # noqa: E402
from gamebridge.training import off_policy  # noqa: E402

SMALL = {"units": (16,), "batch_size": 16, "replay_capacity": 500, "warm_up_steps": 20}
SEED = tf.constant([1, 2])
SIZES = (3, 4)


def batch_of(rng):
    """What 16 slots saw, did and saw next; some of it with a choice forbidden."""

    def observation():
        masks = tuple((rng.random((16, size)) < 0.7).astype(np.int8) for size in SIZES)
        for mask in masks:
            mask[:, 0] = 1
        numbers = np.stack([rng.integers(0, size, 16) for size in SIZES], -1)
        return {
            "observation": {"numbers": tf.constant(numbers)},
            "action_mask": tuple(tf.constant(mask) for mask in masks),
        }

    weight = (np.arange(16) % 5 > 0).astype(np.float32)
    return replay.Transition(
        observation=observation(),
        action=tuple(tf.constant(rng.integers(0, size, 16)) for size in SIZES),
        reward=tf.constant(rng.normal(size=16), tf.float32),
        discount=tf.constant(rng.choice([0.0, 0.81, 1.0], 16), tf.float32),
        next_observation=observation(),
        weight=tf.constant(weight),
    )


@pytest.mark.parametrize("agent", ["dqn", "ddqn"])
def test_the_loss_is_the_mean_over_branches_that_have_one_target(make_learner, agent):
    game = fakes.Orders(1, SIZES, is_masked=True)
    learner = make_learner(agent, game, gamma=0.9, reward_scale=2.0, **SMALL)
    networks = (learner._network, learner._agent._target_q_network)
    for seed, network in enumerate(networks):
        rng = np.random.default_rng(seed)
        for variable in network.variables:
            variable.assign(rng.normal(size=variable.shape))
    batch = batch_of(np.random.default_rng(5))
    now, _ = networks[0](batch.observation["observation"])
    online, worth = (
        [branch.numpy() for branch in network(batch.next_observation["observation"])[0]]
        for network in networks
    )
    masks = [mask.numpy() for mask in batch.next_observation["action_mask"]]

    losses, ignoring = [], []
    for row in range(16):
        best = []
        for judge in (
            [np.where(m[row] == 1, (online if agent == "ddqn" else worth)[i][row], -np.inf)
             for i, m in enumerate(masks)],
            [(online if agent == "ddqn" else worth)[i][row] for i in range(2)],
        ):  # fmt: skip
            best.append(np.mean([worth[i][row, values.argmax()] for i, values in enumerate(judge)]))
        for mean, into in zip(best, (losses, ignoring), strict=True):
            target = 2.0 * batch.reward[row] + 0.9 * batch.discount[row] * mean
            error = [abs(target - now[i][row, batch.action[i][row]]) for i in range(2)]
            huber = np.mean([0.5 * e**2 if e < 1 else e - 0.5 for e in error])
            into.append(huber * batch.weight[row])
    found = float(learner.train(batch, SEED)["loss"])
    np.testing.assert_allclose(found, np.mean(losses), rtol=1e-4)
    assert abs(np.mean(ignoring) - found) > 1e-3


def test_a_value_is_the_states_and_the_mean_advantage_is_nothing(make_learner):
    learner = make_learner("dqn", fakes.Orders(1, SIZES), **SMALL)
    observation = {"numbers": tf.constant([[0, 1], [2, 3]], tf.int64)}
    values, _ = learner._network(observation)
    assert [branch.shape for branch in values] == [(2, 3), (2, 4)]
    means = [tf.reduce_mean(branch, -1) for branch in values]
    np.testing.assert_allclose(means[0], means[1], atol=1e-6)


def test_more_branches_than_a_table_could_list_are_learned(make_learner):
    # 4 ** 7 = 16,384 actions, 28 values.
    game = fakes.Orders(16, (4,) * 7)
    learner = make_learner(
        "dqn", game, units=(64,), gamma=0.1, num_steps=1, warm_up_steps=500, train_interval=16,
        epsilon_steps=3000, epsilon_end=0.02, learning_rate=3e-3, batch_size=128,
    )  # fmt: skip
    driver = off_policy.OffPolicyDriver(environment.GameTFEnvironment(game), learner, 0)
    driver.restart()
    driver.advance(500)
    played = rollout.play(game, rollout.GraphPolicy(learner.policy), range(16), max_steps=20)
    returns = [episode.episode_return for episode in played]
    # Chance obeys a fourth of the 70 orders of an episode.
    assert np.mean(returns) > 60
