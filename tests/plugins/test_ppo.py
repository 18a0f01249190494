"""PPO: advantages that know truncation, rows that must not teach, and no silent pitfall."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gamebridge.contract import FIRST, LAST, MID, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
import tensorflow_probability as tfp  # noqa: E402
from tf_agents.utils import common, value_ops  # noqa: E402, TID253

from gamebridge.tf import environment  # noqa: E402
from gamebridge.training import learners, on_policy  # noqa: E402
from gamebridge_agents import exploration, ppo  # noqa: E402

SMALL = {"rollout_length": 16, "num_epochs": 2, "minibatch_size": 16, "units": (16,)}


@pytest.fixture
def driver_of(make_learner):
    def make(game, seed=0, **settings):
        learner = make_learner("ppo", game, seed, **{**SMALL, **settings})
        driver = on_policy.OnPolicyDriver(environment.GameTFEnvironment(game), learner, seed)
        driver.restart()
        return driver, learner

    return make


def weights_of(learner):
    return [weight.numpy() for weight in learner._variables]


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def slow_advantages(reward, discount, step_type, values, gamma, lam):
    """By the definition: for every step, the sum over the rest of its own episode."""
    length, count = reward.shape
    advantages = np.zeros_like(reward)
    for slot in range(count):
        for begin in range(length):
            factor = 1.0
            for t in range(begin, length):
                goes_to = values[t + 1, slot]
                delta = reward[t, slot] + gamma * discount[t, slot] * goes_to - values[t, slot]
                advantages[begin, slot] += factor * delta
                if step_type[t + 1, slot] == LAST:
                    break
                factor *= gamma * lam * discount[t, slot]
    return advantages


def random_streams(seed, length=30, count=4):
    rng = np.random.default_rng(seed)
    step_type = np.full((length + 1, count), MID, np.int32)
    discount = np.ones((length, count), np.float32)
    reward = rng.normal(size=(length, count)).astype(np.float32)
    for slot in range(count):
        for t in range(length):
            if step_type[t, slot] == LAST:
                step_type[t + 1, slot], reward[t, slot] = FIRST, 0.0
            elif rng.random() < 0.2:
                step_type[t + 1, slot] = LAST
                discount[t, slot] = rng.integers(2)
    values = rng.normal(size=(length + 1, count)).astype(np.float32)
    return reward, discount, step_type, values


@pytest.mark.parametrize("seed", range(4))
def test_advantages_are_those_of_a_slow_sum(seed):
    reward, discount, step_type, values = random_streams(seed)
    advantages, returns = ppo.advantages_and_returns(
        reward, discount, step_type, values, np.ones(reward.shape, bool), 0.97, 0.9
    )
    expected = slow_advantages(reward, discount, step_type, values, 0.97, 0.9)
    used = step_type[:-1] != LAST
    np.testing.assert_allclose(advantages.numpy()[used], expected[used], atol=1e-5)
    np.testing.assert_allclose(returns.numpy()[used], (expected + values[:-1])[used], atol=1e-5)


def test_rows_that_are_not_valid_change_no_advantage():
    rng = np.random.default_rng(1)
    count, open_rows = 40, np.sort(rng.choice(39, 12, replace=False)) + 1
    reward = rng.normal(size=(count, 1)).astype(np.float32)
    discount = np.ones((count, 1), np.float32)
    step_type = np.full((count + 1, 1), 1, np.int32)
    step_type[[0, 20]], step_type[[19, 33]] = FIRST, LAST
    step_type[34] = FIRST
    discount[18] = 0
    values = rng.normal(size=(count + 1, 1)).astype(np.float32)
    valid = np.ones((count, 1), bool)
    expected, _ = ppo.advantages_and_returns(reward, discount, step_type, values, valid, 0.9, 0.8)

    def opened(rows, filler):
        """Repeats rows that stay open for a while, with something meaningless beside them."""
        return np.insert(rows, open_rows, rows[open_rows] if filler is None else filler, 0)

    found, _ = ppo.advantages_and_returns(
        opened(reward, np.nan), opened(discount, np.nan), opened(step_type, None),
        opened(values, None), opened(valid, False), 0.9, 0.8,
    )  # fmt: skip
    kept = opened(valid, False)[:, 0]
    np.testing.assert_allclose(found.numpy()[kept], expected.numpy(), atol=1e-5)


def column(*values):
    return tf.constant(np.array(values, np.float32)[:, None])


def steps(*values):
    return tf.constant(np.array(values, np.int32)[:, None])


def advantages_of(reward, discount, step_type, values):
    advantages, _ = ppo.advantages_and_returns(
        reward, discount, step_type, values, tf.ones(reward.shape, tf.bool), 0.5, 1.0
    )
    return advantages.numpy()[:, 0].tolist()


def test_a_terminated_episode_is_worth_nothing_after_its_end():
    found = advantages_of(column(1, 1), column(1, 0), steps(FIRST, MID, LAST), column(10, 20, 1000))
    assert found == [1 + 0.5 * 1 - 10, 1 - 20]


def test_a_truncated_episode_bootstraps_from_its_last_observation():
    found = advantages_of(
        column(1, 1, 0, 7), column(1, 1, 1, 1), steps(FIRST, MID, LAST, FIRST, MID),
        column(10, 20, 1000, 30, 40),
    )  # fmt: skip
    assert found[:2] == [1 + 0.5 * (1 + 0.5 * 1000) - 10, 1 + 0.5 * 1000 - 20]
    assert found[3] == 7 + 0.5 * 40 - 30


def test_the_end_of_a_rollout_bootstraps_from_the_row_after_it():
    reward, discount = column(1, 1), column(1, 1)
    values = column(10, 20, 1000)
    found = advantages_of(reward, discount, steps(FIRST, MID, MID), values)
    assert found == [1 + 0.5 * (1 + 0.5 * 1000) - 10, 1 + 0.5 * 1000 - 20]
    # TF-Agents takes the value before the last step for the one after it (issue 953).
    stock = value_ops.generalized_advantage_estimation(
        values=values[:-1, 0],
        final_value=values[-2, 0],
        discounts=0.5 * discount[:, 0],
        rewards=reward[:, 0],
        td_lambda=1.0,
    ).numpy()
    assert stock.tolist() != found
    np.testing.assert_allclose(stock[1], 1 + 0.5 * 20 - 20)


def a_rollout(learner, game, seed=0):
    """A rollout of random steps with a LAST row in the middle."""
    rng = np.random.default_rng(seed)
    length, count = learner.rollout_length, game.num_slots
    observation = rng.uniform(-1, 1, (length + 1, count, *game.observation_spec().shape))
    step_type = np.full((length + 1, count), MID, np.int32)
    step_type[length // 2] = LAST
    step_type[length // 2 + 1] = FIRST
    discount = np.ones((length, count), np.float32)
    reward = rng.normal(size=(length, count)).astype(np.float32)
    reward[length // 2] = 0.0
    observation = tf.constant(observation, game.observation_spec().dtype)
    action, info = [], []
    for t in range(length):
        env_step = environment.ts.TimeStep(
            tf.constant(step_type[t]), tf.zeros(count), tf.ones(count), observation[t]
        )
        drawn = learner.act(env_step, tf.constant([seed, t]))
        action.append(drawn[0])
        info.append(drawn[1])
    return learners.Rollout(
        observation,
        tf.constant(step_type),
        tf.stack(action),
        tf.nest.map_structure(lambda *leaves: tf.stack(leaves), *info),
        tf.constant(reward),
        tf.constant(discount),
        tf.ones(discount.shape, tf.bool),
    )


def test_rows_at_last_do_not_move_the_weights(make_learner):
    game = fakes.Corridor(4)

    def trained(poison):
        learner = make_learner("ppo", game, normalize_observations=False, **SMALL)
        rollout = a_rollout(learner, game)
        row = SMALL["rollout_length"] // 2
        if poison == "reward":
            reward = rollout.reward.numpy()
            reward[row] = 1e6
            rollout = rollout._replace(reward=tf.constant(reward))
        elif poison == "action":
            action = rollout.action.numpy()
            action[row] = 1 - action[row]
            rollout = rollout._replace(action=tf.constant(action))
        elif poison == "before":
            reward = rollout.reward.numpy()
            reward[row - 1] = 5.0
            rollout = rollout._replace(reward=tf.constant(reward))
        learner.train(rollout, tf.constant([0, 1]))
        return weights_of(learner)

    clean = trained(None)
    assert same(clean, trained("reward"))
    assert same(clean, trained("action"))
    # The reward that came with the LAST step itself does teach.
    assert not same(clean, trained("before"))


def test_a_constant_reward_does_not_blow_up(driver_of):
    class Constant(fakes.Corridor):
        def advance(self, slots, action):
            reward, terminated, truncated = super().advance(slots, action)
            return np.ones_like(reward), terminated, truncated

    driver, learner = driver_of(Constant(2, length=4), gamma=0.9)
    before = weights_of(learner)
    for _ in range(4):
        metrics = driver.advance(16)
        # A return is at most 1 / (1 - 0.9).
        assert metrics["value_loss"] < 0.5 * 10**2
    moved = max(np.abs(a - b).max() for a, b in zip(before, weights_of(learner), strict=True))
    assert 0 < moved < 0.1


def test_frames_are_never_normalised(driver_of):
    driver, learner = driver_of(fakes.Catch(2, size=12), conv_filters=(2, 2, 2))
    seen = []
    encoder = learner._actor._encoder
    original = encoder.call
    encoder.call = lambda observation: (seen.append(observation), original(observation))[1]
    frame = np.arange(2 * 144).reshape(2, 12, 12, 1).astype(np.uint8)
    step = driver.environment.current_time_step()._replace(observation=tf.constant(frame))
    learner.act(step, tf.constant([1, 2]))
    learner.policy.action(step)
    assert learner._normalizes is False
    assert "normalizer" not in learner.trackables()
    assert len(seen) == 2
    for observation in seen:
        np.testing.assert_array_equal(observation, frame)
    driver.advance(16)


@pytest.mark.parametrize(
    ("spec", "normalises"),
    [
        (specs.box((2,)), True),
        (specs.discrete(3), False),
        ({"a": specs.box((2,)), "b": specs.box((2,), 0, 5, dtype=np.int64)}, True),
        ({"a": specs.box((2,)), "b": specs.box((1,), dtype=np.float64)}, True),
    ],
)
def test_only_floats_are_normalised(make_learner, spec, normalises):
    moment = fakes.Moment
    zeros = specs.map_leaves(lambda leaf: np.zeros(leaf.shape), spec)
    game = fakes.Scripted([moment(zeros, step_type=FIRST)], observation_spec=spec)
    assert make_learner("ppo", game, **SMALL)._normalizes is normalises
    assert make_learner("ppo", game, normalize_observations=False, **SMALL)._normalizes is False


def test_the_normaliser_stands_still_while_a_rollout_is_collected_and_learned_from(driver_of):
    driver, learner = driver_of(fakes.Corridor(2, length=40))
    normalizer = learner._collect_policy.observation_normalizer

    def statistics():
        return [variable.numpy() for variable in tf.nest.flatten(normalizer.variables)]

    before = statistics()
    driver.advance(15)
    assert same(before, statistics())
    driver.advance(1)
    assert not same(before, statistics())
    normalized = normalizer.normalize(driver._rollout.observation.numpy()).numpy()
    assert abs(normalized.mean()) < 0.2


def test_the_first_minibatch_of_a_training_finds_the_policy_that_acted(driver_of):
    driver, _ = driver_of(fakes.Corridor(2, length=40), num_epochs=1, minibatch_size=32)
    for _ in range(3):
        metrics = driver.advance(16)
        # Nothing is clipped where the ratio of old and new probability is one.
        assert metrics["clip_fraction"] == 0.0
        assert abs(metrics["policy_loss"]) < 1e-3


@pytest.mark.parametrize("game", [fakes.Corridor(2), fakes.Target(2)], ids=["discrete", "box"])
def test_nothing_is_traced_again_after_the_first_iteration(driver_of, game):
    driver, _ = driver_of(game)
    for _ in range(3):
        driver.advance(16)
    assert driver._collect.experimental_get_tracing_count() == 1
    assert driver._train.experimental_get_tracing_count() == 1


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(driver_of):
    trained = []
    for seed in (0, 0, 1):
        driver, learner = driver_of(fakes.Corridor(2), seed)
        for _ in range(2):
            driver.advance(16)
        trained.append(weights_of(learner))
    assert same(trained[0], trained[1])
    assert not any(
        np.array_equal(a, b) for a, b in zip(trained[0], trained[2], strict=True) if a.any()
    )


def test_the_learning_rate_falls_to_a_tenth_and_is_used(driver_of):
    driver, learner = driver_of(
        fakes.Corridor(2, length=50), learning_rate=0.01, learning_rate_decay_steps=64
    )
    rates, moves = [], []
    for _ in range(4):
        before = weights_of(learner)
        driver.advance(16)
        rates.append(float(learner._optimizer._decayed_lr(tf.float32)))
        moves.append(
            max(np.abs(a - b).max() for a, b in zip(before, weights_of(learner), strict=True))
        )
    np.testing.assert_allclose(
        rates, [0.01 * (1 - 0.9 * share) for share in (0.5, 1, 1, 1)], rtol=1e-5
    )
    assert moves[-1] < 0.5 * moves[0]


def test_the_greedy_policy_is_the_mean_and_the_collecting_one_is_not(driver_of):
    driver, learner = driver_of(fakes.Target(2))
    step = driver.environment.current_time_step()
    first, again = learner.policy.action(step).action, learner.policy.action(step).action
    np.testing.assert_array_equal(first, again)
    drawn = [learner.act(step, tf.constant([0, n]))[0].numpy() for n in range(3)]
    assert all(not np.array_equal(a, b) for a, b in itertools.combinations(drawn, 2))


def test_ppo_learns_to_say_the_number_it_is_shown(driver_of):
    driver, learner = driver_of(
        fakes.Target(8), gamma=0.5, rollout_length=32, minibatch_size=64, num_epochs=8,
        learning_rate=3e-3,
    )  # fmt: skip
    for _ in range(40):
        driver.advance(32)
    shown = tf.constant(np.linspace(-0.9, 0.9, 8)[:, None], tf.float32)
    step = driver.environment.current_time_step()._replace(observation=shown)
    said = learner.policy.action(step).action
    assert np.abs(said - shown).max() < 0.3


def test_ppo_learns_to_choose_and_to_set_at_once(driver_of):
    driver, learner = driver_of(
        fakes.Orders(8, (4, 3), 1), gamma=0.1, rollout_length=32, minibatch_size=64, num_epochs=8,
        learning_rate=5e-3, units=(32,),
    )  # fmt: skip
    for _ in range(15):
        driver.advance(32)
    told = {
        "numbers": tf.constant([[n % 4, n % 3] for n in range(12)], tf.int64),
        "levels": tf.constant(np.linspace(-0.9, 0.9, 12)[:, None], tf.float32),
    }
    step = environment.ts.restart(told, 12)
    first, second, level = learner.policy.action(step).action
    assert np.mean(first == told["numbers"][:, 0]) == 1
    assert np.mean(second == told["numbers"][:, 1]) == 1
    assert np.abs(level - told["levels"]).mean() < 0.3


def test_what_several_parts_of_an_action_say_is_summed(make_learner):
    game = fakes.Orders(5, (4, 3), 2, is_masked=True)
    learner = make_learner("ppo", game, **SMALL)
    step = environment.GameTFEnvironment(game).current_time_step()
    action, info = learner.act(step, tf.constant([0, 1]))
    first, second, normal = learner._collect_policy.distribution(step).action
    parts = [one.log_prob(part) for one, part in zip((first, second, normal), action, strict=True)]
    whole = common.log_probability((first, second, normal), action, learner._action_spec)
    np.testing.assert_allclose(whole, sum(parts), rtol=1e-6)
    entropy = common.entropy((first, second, normal), learner._action_spec)
    # Of a nearly uniform choice it is the logarithm of the number of what is allowed.
    masks = step.observation["action_mask"]
    expected = sum(np.log(np.sum(mask, -1)) for mask in masks) + normal.entropy().numpy()
    np.testing.assert_allclose(entropy, expected, atol=0.01)
    assert {name: part.shape for name, part in info["dist_params"][2].items()}


MIXED = {
    "camera": specs.frame(12, 12, 1),
    "pair": (specs.discrete(3, start=1), specs.box((2,), dtype=np.float64)),
}


@pytest.mark.parametrize(
    ("observation", "action"),
    [
        (MIXED, specs.discrete(3, dtype=np.int32)),
        (specs.box((2,), dtype=np.float64), specs.box((2,))),
        (specs.box((), dtype=np.float32), specs.box((1,), -3e38, 3e38)),
    ],
    ids=["nested", "unbounded", "hugely bounded"],
)
def test_any_kind_of_game_can_be_trained_on(driver_of, observation, action):
    moment = fakes.Moment
    rows = specs.map_leaves(lambda leaf: np.ones(leaf.shape), observation)
    script = [moment(rows, step_type=FIRST), *[moment(rows, 1.0)] * 5, moment(rows, step_type=LAST)]
    game = fakes.Scripted(script, script, observation_spec=observation, action_spec=action)
    driver, _ = driver_of(game, conv_filters=(2, 2, 2))
    assert all(np.isfinite(value) for value in driver.advance(16).values())
    assert np.isfinite(driver.advance(16)["loss"])


def test_a_minibatch_larger_than_the_rollout_takes_it_whole(driver_of):
    driver, _ = driver_of(fakes.Corridor(2), minibatch_size=10_000)
    assert set(driver.advance(16)) == set(ppo.PPOLearner.metric_names)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("learning_rate", 0.0, "learning_rate is 0.0; expected more than 0."),
        ("learning_rate", float("nan"), "learning_rate is nan; expected more than 0."),
        ("rollout_length", 0, "rollout_length is 0; expected more than 0."),
        ("entropy_weight", -0.1, "entropy_weight is -0.1; expected 0 or more."),
        ("gamma", 1.1, "gamma is 1.1; expected 0 to 1."),
        ("units", (64, 0), "units is (64, 0); expected sizes above 0."),
    ],
)
def test_settings_that_cannot_work_are_refused(make_learner, setting, value, message):
    with pytest.raises(ValueError) as caught:
        make_learner("ppo", fakes.Corridor(1), **{setting: value})
    assert str(caught.value) == message


def test_the_parts_of_an_action_are_drawn_each_for_itself():
    even = tfp.distributions.Categorical(logits=tf.zeros([2_000, 2]))
    one, other = exploration.sample((even, even), tf.constant([1, 2]))
    assert 0.45 < np.mean(one.numpy() == other.numpy()) < 0.55
    again, _ = exploration.sample((even, even), tf.constant([1, 2]))
    np.testing.assert_array_equal(one, again)
