"""Double DQN and C51: their targets, by slow sums, and rows that must not teach."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.contract import FIRST, LAST, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.agents.categorical_dqn import categorical_dqn_agent  # noqa: E402, TID253
from tf_agents.trajectories import trajectory  # noqa: E402, TID253

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
NARROW = {**SMALL, "num_atoms": 11, "min_value": -1.0, "max_value": 2.0}
SEED = tf.constant([1, 2])


@pytest.fixture
def driver_of(make_learner):
    def make(agent, game, seed=0, **settings):
        learner = make_learner(agent, game, seed, **{**SMALL, **settings})
        driver = off_policy.OffPolicyDriver(environment.GameTFEnvironment(game), learner, seed)
        driver.restart()
        return driver, learner

    return make


def weights_of(learner):
    return [weight.numpy() for weight in learner._network.variables]


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def batch_of(weight, reward=1.0, discount=1.0, count=16):
    rng = np.random.default_rng(0)
    return replay.Transition(
        observation=tf.constant(rng.normal(size=(count, 2)), tf.float32),
        action=tf.constant(rng.integers(0, 2, count), tf.int64),
        reward=tf.constant(np.broadcast_to(reward, count), tf.float32),
        discount=tf.constant(np.broadcast_to(discount, count), tf.float32),
        next_observation=tf.constant(rng.normal(size=(count, 2)), tf.float32),
        weight=tf.constant(weight, tf.float32),
    )


def apart(learner):
    """Gives network and target network weights of their own, so that they do not agree."""
    for seed, network in enumerate((learner._network, learner._agent._target_q_network)):
        rng = np.random.default_rng(seed)
        for variable in network.variables:
            variable.assign(rng.normal(size=variable.shape))
    return learner


def huber_to(values, target):
    error = np.abs(target - values)
    return np.mean(np.where(error < 1, 0.5 * error**2, error - 0.5))


@pytest.mark.parametrize("agent", ["dqn", "ddqn"])
def test_the_network_chooses_and_the_target_network_values_in_ddqn_alone(make_learner, agent):
    learner = apart(make_learner(agent, fakes.Corridor(1), gamma=0.9, **SMALL))
    # What one of them thinks best is the worst to the other.
    opposite = learner._agent._target_q_network.variables
    for theirs, ours in zip(opposite, learner._network.variables, strict=True):
        theirs.assign(ours if theirs.shape[-1] == 16 else -ours)
    batch = batch_of(np.ones(16), reward=0.3, discount=0.81)
    rows = np.arange(16)
    values = learner._network(batch.observation)[0].numpy()[rows, batch.action]
    online = learner._network(batch.next_observation)[0].numpy()
    after = learner._agent._target_q_network(batch.next_observation)[0].numpy()
    double = huber_to(values, 0.3 + 0.9 * 0.81 * after[rows, online.argmax(1)])
    plain = huber_to(values, 0.3 + 0.9 * 0.81 * after.max(1))
    assert abs(double - plain) > 0.1
    found = float(learner.train(batch, SEED)["loss"])
    np.testing.assert_allclose(found, {"dqn": plain, "ddqn": double}[agent], rtol=1e-4)


def slow_projection(support, shifted, probabilities):
    """Bellemare et al., 2017, algorithm 1, line by line."""
    low, high, step = support[0], support[-1], support[1] - support[0]
    projected = np.zeros_like(probabilities)
    for row in range(len(shifted)):
        for moved, mass in zip(shifted[row], probabilities[row], strict=True):
            place = (np.clip(moved, low, high) - low) / step
            below, above = int(np.floor(place)), int(np.ceil(place))
            if below == above:
                projected[row, below] += mass
            else:
                projected[row, below] += mass * (above - place)
                projected[row, above] += mass * (place - below)
    return projected


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_c51_learns_the_projection_of_a_slow_sum(make_learner):
    settings = {**NARROW, "gamma": 0.9, "reward_scale": 2.0}
    learner = apart(make_learner("c51", fakes.Corridor(1), **settings))
    # Moved within the support, onto its atoms, beyond either end, and ended.
    reward = np.tile([0.1, 0.0, 1.3, -1.2], 4)
    discount = np.repeat([1.0, 0.81, 0.0, 1.0 / 0.9], 4)
    weight = (np.arange(16) % 5 > 0).astype(np.float32)
    batch = batch_of(weight, reward, discount)
    support = np.linspace(-1, 2, 11)
    rows = np.arange(16)
    after = softmax(learner._agent._target_q_network(batch.next_observation)[0].numpy())
    after = after[rows, (after * support).sum(-1).argmax(-1)].astype(np.float64)
    shifted = 2 * reward[:, None] + 0.9 * discount[:, None] * support
    target = slow_projection(support, shifted, after)
    np.testing.assert_allclose(target.sum(-1), 1.0, rtol=1e-6)
    chosen = softmax(learner._network(batch.observation)[0].numpy())[rows, batch.action]
    losses = -np.sum(target * np.log(chosen), -1)
    beyond = np.sum(after * ((shifted < -1 - 1e-6) | (shifted > 2 + 1e-6)), -1)

    metrics = learner.train(batch, SEED)
    np.testing.assert_allclose(metrics["loss"], np.sum(losses * weight) / 16, rtol=1e-4)
    np.testing.assert_allclose(
        metrics["outside"], np.sum(beyond * weight) / weight.sum(), rtol=1e-4
    )
    assert 0.1 < metrics["outside"] < 0.9


def as_trajectory(transition):
    """The two steps of it, [N, 2, ...], as the stock agent takes them."""
    now, step, then = transition

    def pair(left, right):
        return tf.stack([left, right], 1)

    return trajectory.Trajectory(
        step_type=pair(now.step_type, then.step_type),
        observation=tf.nest.map_structure(pair, now.observation, then.observation),
        action=pair(step.action, step.action),
        policy_info=(),
        next_step_type=pair(then.step_type, then.step_type),
        reward=pair(then.reward, then.reward),
        discount=pair(then.discount, then.discount),
    )


def test_rows_without_weight_do_not_teach_c51_as_they_teach_the_stock_agent(make_learner):
    batch = batch_of(np.zeros(16), reward=1.0)

    def moves(loss):
        learner = make_learner("c51", fakes.Corridor(1), **NARROW)
        experience = learner._experience(batch)
        if loss is not None:
            agent = learner._agent
            agent._loss = lambda *arguments, **named: loss(agent, *arguments, **named)
            experience = as_trajectory(experience)
        before = weights_of(learner)
        learner._agent.train(experience)
        return not same(before, weights_of(learner))

    assert not moves(None)
    assert moves(categorical_dqn_agent.CategoricalDqnAgent._loss)


def test_what_one_row_without_weight_holds_changes_nothing(make_learner):
    half = (np.arange(16) % 2).astype(np.float32)
    trained = []
    for reward in (1.0, np.where(half > 0, 1.0, 1e6)):
        learner = make_learner("c51", fakes.Corridor(1), **NARROW)
        learner.train(batch_of(half, reward), SEED)
        trained.append(weights_of(learner))
    assert same(*trained)


@pytest.mark.parametrize("agent", ["ddqn", "c51"])
@pytest.mark.parametrize("discount", [0.0, 1.0], ids=["terminated", "truncated"])
def test_a_truncated_episode_bootstraps_and_a_terminated_one_does_not(
    make_learner, agent, discount
):
    game = environment.GameTFEnvironment(fakes.Corridor(1))
    store = replay.Replay(game.observation_spec(), game.action_spec(), 1, 8)
    step = game.current_time_step()
    last = step._replace(
        step_type=tf.constant([int(LAST)]),
        discount=tf.constant([discount]),
        reward=tf.ones(1),
        observation=tf.ones([1, 2]),
    )
    for now, then in ((step, last), (last, step), (step, step), (step, step)):
        store.add(now, tf.zeros(1, tf.int64), then)
    batch = store.sample(16, 3, 0.9, SEED)
    losses = []
    for factor in (1.0, 1.5):
        learner = apart(make_learner(agent, fakes.Corridor(1), **SMALL))
        for variable in learner._agent._target_q_network.variables:
            variable.assign(factor * variable)
        losses.append(float(learner.train(batch, SEED)["loss"]))
    # What the target network says of the last observation counts, or does not.
    assert (losses[0] != losses[1]) == (discount == 1.0)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(driver_of):
    trained = []
    for seed in (0, 0, 1):
        driver, learner = driver_of("c51", fakes.Corridor(2), seed)
        driver.advance(30)
        trained.append(weights_of(learner))
    assert same(trained[0], trained[1])
    assert not any(np.array_equal(a, b) for a, b in zip(trained[0], trained[2], strict=True))
    assert driver._advance.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("agent", ["ddqn", "c51"])
def test_the_greedy_policy_takes_the_action_of_the_greatest_mean(make_learner, agent):
    game = fakes.Corridor(6)
    learner = apart(make_learner(agent, game, **SMALL))
    step = environment.GameTFEnvironment(game).current_time_step()
    step = step._replace(observation=tf.random.stateless_normal([6, 2], SEED))
    best = tf.argmax(learner._values(step), -1)
    assert len(set(best.numpy())) == 2
    for _ in range(3):
        np.testing.assert_array_equal(learner.policy.action(step).action, best)


MIXED = {
    "camera": specs.frame(12, 12, 1),
    "pair": (specs.discrete(3, start=1), specs.box((2,), dtype=np.float64)),
}


@pytest.mark.parametrize(("agent", "dtype"), [("ddqn", np.int32), ("c51", np.uint8)])
def test_nests_with_frames_can_be_trained_on(driver_of, agent, dtype):
    moment = fakes.Moment
    rows = specs.map_leaves(lambda leaf: np.ones(leaf.shape), MIXED)
    script = [moment(rows, step_type=FIRST), *[moment(rows, 1.0)] * 5, moment(rows, step_type=LAST)]
    game = fakes.Scripted(
        script, script, observation_spec=MIXED, action_spec=specs.discrete(3, dtype=dtype)
    )
    driver, learner = driver_of(agent, game, conv_filters=(2, 2, 2))
    before = weights_of(learner)
    assert np.isfinite(driver.advance(30)["loss"])
    assert not same(before, weights_of(learner))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_atoms": 1}, "num_atoms is 1; expected 2 or more."),
        (
            {"min_value": 3.0, "max_value": 3.0},
            "min_value is 3.0 and max_value 3.0; expected the least return below the greatest.",
        ),
        ({"batch_size": 0}, "batch_size is 0; expected more than 0."),
    ],
)
def test_settings_that_cannot_work_are_refused(make_learner, settings, message):
    with pytest.raises(ValueError) as caught:
        make_learner("c51", fakes.Corridor(1), **settings)
    assert str(caught.value) == message


@pytest.mark.parametrize("agent", ["dqn", "ddqn", "c51"])
def test_by_priority_each_row_counts_by_its_weight_and_tells_its_error(make_learner, agent):
    def trained(weight, reward):
        learner = make_learner(agent, fakes.Corridor(1), **SMALL)
        return learner.train_and_judge(batch_of(weight, reward), SEED)

    rows = np.arange(16)
    rewards = np.where(rows == 3, 50.0, 0.1)
    metrics, td_errors = trained(np.full(16, 0.5), rewards)
    assert td_errors.shape == [16]
    assert np.abs(td_errors).argmax() == 3
    alike = make_learner(agent, fakes.Corridor(1), **SMALL).train(
        batch_of(np.ones(16), rewards), SEED
    )
    np.testing.assert_allclose(metrics["loss"], 0.5 * alike["loss"], rtol=1e-5)
    # What a row that does not count is told does not matter.
    without = np.where(rows == 3, 0.0, 1.0)
    (left, _), (right, _) = trained(without, rewards), trained(without, 0.1)
    np.testing.assert_allclose(left["loss"], right["loss"], rtol=1e-5)


def test_the_error_of_c51_is_what_its_distribution_lacks(make_learner):
    learner = make_learner("c51", fakes.Corridor(1), **NARROW)
    # A target of one atom's mass diverges by its loss; one that is met, by nothing.
    batch = batch_of(np.ones(16), discount=0.0)
    _, td_errors = learner.train_and_judge(batch, SEED)
    train = tf.function(learner.train_and_judge, autograph=False)
    assert (td_errors.numpy() > 0).all()
    for _ in range(300):
        _, later = train(batch, SEED)
    assert (later.numpy() < 0.5 * td_errors.numpy()).all()
