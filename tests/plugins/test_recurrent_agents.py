"""dqn-rnn and ppo-rnn: what must be remembered is, and sequences join no two episodes."""

from __future__ import annotations

import memory_games
import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import FIRST, LAST, MID
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.evaluation import rollout  # noqa: E402
from gamebridge.tf import environment, replay  # noqa: E402
from gamebridge.training import learners, session  # noqa: E402
from gamebridge_agents import dqn_rnn, ppo_rnn  # noqa: E402

VALUES = {
    "units": (16,),
    "warm_up_steps": 200,
    "epsilon_steps": 1_000,
    "learning_rate": 2e-3,
    "train_interval": 8,
    "num_steps": 1,
    "gamma": 0.9,
}
POLICY = {
    "units": (16,),
    "rollout_length": 32,
    "num_epochs": 8,
    "minibatch_size": 64,
    "learning_rate": 3e-3,
    "gamma": 0.9,
}
MEMORY = {"sequence_length": 8, "memory_units": 16}
SMALL = {"units": (8,), "memory_units": 4}


def driver_of(learner, game, seed=0):
    waits = isinstance(learner, learners.OnPolicyLearner)
    driver = session.make_driver(environment.GameTFEnvironment(game, waits=waits), learner, seed)
    driver.restart()
    return driver


def share_of_right_turns(make_learner, agent, steps, **settings):
    game = memory_games.Junction(8)
    learner = make_learner(agent, game, **settings)
    driver = driver_of(learner, game)
    while driver.num_steps < steps:
        driver.advance(32)
    policy = rollout.GraphPolicy(learner.policy)
    # Played in another number of slots, each of which plays several episodes.
    played = rollout.play(memory_games.Junction(4), policy, range(32), max_steps=9)
    return np.mean([episode.episode_return == 1.0 for episode in played])


@pytest.mark.parametrize(
    ("agent", "settings", "cell"),
    [("dqn-rnn", VALUES, "lstm"), ("ppo-rnn", POLICY, "gru")],
    ids=["dqn", "ppo"],
)
def test_one_that_remembers_turns_as_the_sign_told(make_learner, agent, settings, cell):
    settings = {**settings, **MEMORY, "cell": cell}
    assert share_of_right_turns(make_learner, agent, 2_500, **settings) == 1.0


@pytest.mark.parametrize(
    ("agent", "settings"), [("dqn", VALUES), ("ppo", POLICY)], ids=["dqn", "ppo"]
)
def test_one_that_does_not_turns_the_same_way_always(make_learner, agent, settings):
    share = share_of_right_turns(make_learner, agent, 2_500, **settings)
    assert 0.25 < share < 0.75


def rows(*values):
    return tf.constant([values], tf.float32)


def test_returns_of_several_steps_end_with_their_episode_and_their_sequence():
    found = dqn_rnn.n_step_returns(
        rows(1, 2, 0, 3, 4),
        rows(0.5, 0.5, 0.5, 0.5, 0.5),
        tf.constant([[MID, MID, LAST, FIRST, MID, MID]]),
        rows(10, 20, 100, 40, 50, 1000),
        num_steps=3,
    )
    # Truncated: what LAST is worth counts, and nothing after it. Then what the last row is worth.
    assert found[0, :2].numpy().tolist() == [1 + 0.5 * (2 + 0.5 * 100), 2 + 0.5 * 100]
    assert found[0, 3:].numpy().tolist() == [3 + 0.5 * (4 + 0.5 * 1000), 4 + 0.5 * 1000]


def test_a_terminated_episode_is_worth_nothing_after_its_end():
    found = dqn_rnn.n_step_returns(
        rows(1, 2, 0, 3), rows(0.5, 0, 0.5, 0.5), tf.constant([[MID, MID, LAST, FIRST, MID]]),
        rows(10, 20, 100, 40, 50), num_steps=2,
    )  # fmt: skip
    assert found[0].numpy()[[0, 1, 3]].tolist() == [1 + 0.5 * 2, 2, 3 + 0.5 * 50]


def sequences(step_type, seed=0):
    rng = np.random.default_rng(seed)
    count, length = 4, len(step_type) - 1
    return replay.Sequence(
        observation=tf.constant(rng.uniform(0, 1, (count, length + 1, 2)), tf.float32),
        step_type=tf.constant(np.tile(np.array(step_type, np.int32), (count, 1))),
        action=tf.constant(rng.integers(0, 2, (count, length))),
        reward=tf.constant(rng.normal(size=(count, length)), tf.float32),
        discount=tf.ones((count, length)),
    )


def changed(batch, name, row):
    array = getattr(batch, name).numpy()
    array[:, row] = 1 - array[:, row]
    return batch._replace(**{name: tf.constant(array)})


@pytest.fixture
def weights_after(make_learner):
    def weights(batch, **settings):
        settings = {"batch_size": 4, "sequence_length": 4, "burn_in_length": 2, **SMALL, **settings}
        learner = make_learner("dqn-rnn", fakes.Corridor(2), **settings)
        learner.train(batch, tf.constant([0, 0]))
        return [weight.numpy() for weight in learner._network.trainable_weights]

    return weights


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def test_the_way_from_an_episode_to_the_next_teaches_nothing(weights_after):
    batch = sequences([MID, MID, MID, LAST, FIRST, MID, MID])
    clean = weights_after(batch)
    for name in ("action", "reward", "discount"):
        assert same(clean, weights_after(changed(batch, name, 3)))
    # The reward that came with LAST does, and so does what is seen there: it was truncated.
    assert not same(clean, weights_after(changed(batch, "reward", 2)))
    assert not same(clean, weights_after(changed(batch, "observation", 3)))


def test_the_first_steps_fill_the_memory_and_teach_nothing(weights_after):
    batch = sequences([MID] * 7)
    clean = weights_after(batch)
    for name in ("action", "reward", "discount"):
        assert same(clean, weights_after(changed(batch, name, 1)))
    assert not same(clean, weights_after(changed(batch, "reward", 2)))
    assert not same(clean, weights_after(changed(batch, "observation", 0)))
    # Nothing of an episode before is left.
    ended = sequences([MID, LAST, FIRST, MID, MID, MID, MID])
    assert same(weights_after(ended), weights_after(changed(ended, "observation", 0)))


def test_sequences_from_the_buffer_are_steps_that_follow_each_other():
    game = fakes.Corridor(3, length=3)
    buffer = replay.Replay(
        tf.TensorSpec((2,), tf.float32), tf.TensorSpec((), tf.int64), num_slots=3, capacity=60
    )
    env = environment.GameTFEnvironment(game)
    for number in range(45):
        time_step = env.current_time_step()
        now = time_step._replace(observation=tf.constant([[s, number] for s in (0.0, 1.0, 2.0)]))
        action = tf.constant([number, number, number], tf.int64)
        # One slot falls behind.
        buffer.add(
            now,
            action,
            env.step(tf.ones([3], tf.int64)),
            tf.constant([True, True, number % 2 == 0]),
        )
    drawn = buffer.sample_sequences(200, 4, tf.constant([1, 2]))
    observation, slot = drawn.observation.numpy(), drawn.observation.numpy()[:, :1, 0]
    step = np.where(slot == 2, 2, 1)
    assert set(slot[:, 0]) == {0, 1, 2}
    assert (observation[:, :, 0] == slot).all()
    assert (np.diff(observation[:, :, 1], axis=1) == step).all()
    np.testing.assert_array_equal(drawn.action, observation[:, :-1, 1])
    assert drawn.step_type.shape == (200, 5)
    assert {FIRST, LAST} <= set(drawn.step_type.numpy().ravel())
    # All that are still there whole: rows 25 to 44 of two slots, 3 to 22 of the slow one.
    begin = observation[:, 0, 1]
    assert (begin[slot[:, 0] < 2].min(), begin[slot[:, 0] < 2].max()) == (25, 40)


def test_a_buffer_with_no_room_for_a_sequence_is_refused(make_learner):
    with pytest.raises(errors.ConfigError) as caught:
        make_learner(
            "dqn-rnn", fakes.Corridor(4), replay_capacity=60, warm_up_steps=20,
            sequence_length=10, burn_in_length=5,
        )  # fmt: skip
    assert str(caught.value) == (
        "replay_capacity is 60 for 4 slots: a sequence of 15 steps would never be there. "
        "Raise agent.replay_capacity above 60."
    )


def test_a_rollout_that_no_whole_number_of_sequences_fills_is_refused(make_learner):
    with pytest.raises(ValueError) as caught:
        make_learner("ppo-rnn", fakes.Corridor(1), rollout_length=20, sequence_length=8)
    assert str(caught.value) == "rollout_length is 20; expected a multiple of sequence_length, 8."


def test_gaps_in_a_rollout_are_closed():
    number = np.arange(5, dtype=np.float32)[:, None]
    numbers = tf.constant(np.concatenate([number, number + 10], 1))
    valid = tf.constant(np.array([[1, 0], [0, 1], [1, 1], [0, 0]], bool))
    given = learners.Rollout(
        observation=numbers, step_type=tf.cast(numbers, tf.int32), action=numbers[:4],
        info={"state": numbers[:4]}, reward=numbers[:4], discount=numbers[:4], valid=valid,
    )  # fmt: skip
    found = ppo_rnn.without_gaps(given)
    assert found.valid.numpy().T.tolist() == [[True, True, False, False]] * 2
    # Rows 0 and 2 of the first slot, 1 and 2 of the second; row 4 is where both stand now.
    assert found.observation.numpy().T.tolist() == [[0, 2, 4, 4, 4], [11, 12, 14, 14, 14]]
    assert found.step_type.numpy().T[0].tolist() == [0, 2, 4, 4, 4]
    for part in (found.action, found.reward, found.discount, found.info["state"]):
        assert part.numpy().T[:, :2].tolist() == [[0, 2], [11, 12]]


def test_the_first_minibatch_of_a_training_finds_the_policy_that_acted(make_learner):
    game = fakes.Corridor(2, length=12)
    # Of sequences that begin and end in mid-episode: only with the memory as it was then.
    learner = make_learner(
        "ppo-rnn", game, rollout_length=16, sequence_length=4, num_epochs=1, minibatch_size=32,
        **SMALL,
    )  # fmt: skip
    learner._actor.create_variables()
    for variable in learner._actor.variables:
        # So that what is remembered has a say: the head is made small, that all is likely at first.
        is_head = variable.shape[-1] == 2
        variable.assign(variable * (300.0 if is_head else 3.0))
    driver = driver_of(learner, game)
    for _ in range(2):
        metrics = driver.advance(16)
        assert metrics["clip_fraction"] == 0.0
        assert abs(metrics["policy_loss"]) < 1e-3


def test_values_of_a_rollout_are_those_of_the_steps_as_they_were_played(make_learner):
    game = fakes.Corridor(2, length=5)
    learner = make_learner("ppo-rnn", game, rollout_length=8, sequence_length=4, **SMALL)
    # So that what was remembered is what the same weights remember.
    learner.train = lambda rollout, seed: {}
    driver = driver_of(learner, game)
    for _ in range(3):
        driver.advance(8)
    played = tf.nest.map_structure(lambda part: part.read_value(), driver._rollout)
    assert FIRST in played.step_type.numpy()[1:]
    values = learner._values(played)
    for row in range(8):
        before = played.info["state"]["value_network_state"]
        expected, _ = learner._collect_policy.apply_value_network(
            played.observation[row],
            played.step_type[row],
            tf.nest.map_structure(lambda part, row=row: part[row], before),
        )
        np.testing.assert_allclose(values[row], expected, atol=1e-5)
