"""The off-policy driver: every step is stored, and pays for training."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import FIRST, LAST
from gamebridge.testing import fakes
from gamebridge.tf import start
from gamebridge.wrappers import stacking

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.tf import environment, prioritized  # noqa: E402
from gamebridge.training import learners, off_policy, session, settings, stores  # noqa: E402


class Counting(learners.OffPolicyLearner):
    """Draws its actions and counts its trainings; learns nothing."""

    def __init__(self, loss=1.0, **use):
        self.replay_use = learners.ReplayUse(
            **{
                "capacity": 200,
                "batch_size": 8,
                "num_steps": 2,
                "gamma": 0.9,
                "warm_up_steps": 10,
                "train_interval": 4,
                **use,
            }
        )
        self.trained_at = []
        self.batches = []
        self._loss = loss
        self._num_steps = tf.Variable(0, dtype=tf.int64)

    def trackables(self):
        return {}

    def act(self, time_step, num_steps, seed):
        self._num_steps.assign(num_steps)
        return tf.random.stateless_uniform([time_step.step_type.shape[0]], seed, 0, 2, tf.int64)

    def train(self, batch, seed):
        def keep(num_steps, *leaves):
            self.trained_at.append(int(num_steps))
            self.batches.append([leaf.copy() for leaf in leaves])
            return np.float32(self._loss)

        leaves = [self._num_steps.read_value(), *tf.nest.flatten(batch)]
        return {"loss": tf.ensure_shape(tf.numpy_function(keep, leaves, tf.float32), [])}


@pytest.fixture(params=["memory", "reverb"])
def make_replay(request):
    """Makes the replay buffers of each store, which are closed at the end."""
    if request.param == "reverb":
        pytest.importorskip("reverb")
    make, made = stores.chosen(settings.TrainingSettings(replay_store=request.param)), []

    def make_replay(*arguments):
        made.append(make(*arguments))
        return made[-1]

    yield make_replay
    for replay in made:
        replay.close()


def driver_of(game, seed=0, make_replay=stores.in_memory, **use):
    learner = Counting(**use)
    driver = session.make_driver(
        environment.GameTFEnvironment(game), learner, seed, make_replay=make_replay
    )
    assert isinstance(driver, off_policy.OffPolicyDriver)
    driver.restart()
    return driver, learner


def stored(driver):
    """All rows that the replay buffer holds, [rows, B, ...]: each slot holds as many."""
    num_added = driver.replay.num_added
    rows = driver.replay.rows(num_added * 0, num_added)
    return {
        name: array.reshape(len(num_added), -1, *array.shape[1:]).swapaxes(0, 1)
        for name, array in rows.items()
    }


def test_every_step_is_stored_once_and_in_order(make_replay):
    driver, _ = driver_of(fakes.Corridor(2, length=3), capacity=400, make_replay=make_replay)
    driver.advance(60)
    rows = stored(driver)
    assert len(rows["reward_0"]) == 60
    assert (rows["step_type_0"][1:] == rows["next_step_type_0"][:-1]).all()
    assert driver.num_steps == (rows["step_type_0"] != LAST).sum()
    assert (rows["step_type_0"] == LAST).any()
    # Walking is what the corridor does.
    cells = np.rint(rows["observation_0"][..., 0] * 3).astype(int)
    moving = rows["step_type_0"][:-1] != LAST
    moved = np.maximum(cells[:-1] + np.where(rows["action_0"][:-1] == 1, 1, -1), 0)
    np.testing.assert_array_equal(cells[1:][moving], moved[moving])


@pytest.mark.parametrize(("num_slots", "interval"), [(1, 4), (2, 4), (4, 1), (3, 5)])
def test_training_steps_are_paid_for_by_steps_of_the_game(make_replay, num_slots, interval):
    driver, learner = driver_of(
        fakes.Corridor(num_slots, length=400), train_interval=interval, make_replay=make_replay
    )
    trained = [driver.advance(20), driver.advance(20)]
    # From the batch step on in which 10 steps had been taken.
    warm = 40 * num_slots - (-(-10 // num_slots) - 1) * num_slots
    assert len(learner.trained_at) == warm // interval
    assert trained[-1] == {"loss": 1.0}


def test_nothing_is_trained_on_before_the_warm_up_and_before_there_are_transitions(make_replay):
    driver, learner = driver_of(fakes.Corridor(1), warm_up_steps=6, make_replay=make_replay)
    assert driver.advance(5) is None
    assert not learner.batches
    driver, learner = driver_of(
        fakes.Corridor(1), warm_up_steps=0, num_steps=7, train_interval=1, make_replay=make_replay
    )
    assert driver.advance(7) is None
    assert driver.advance(1) is not None


def test_the_pieces_in_which_steps_are_taken_do_not_matter():
    (whole, ours), (pieces, theirs) = driver_of(fakes.Corridor(2)), driver_of(fakes.Corridor(2))
    whole.advance(60)
    for count in (1, 29, 7, 23):
        pieces.advance(count)
    assert ours.trained_at == theirs.trained_at
    tf.nest.map_structure(np.testing.assert_array_equal, ours.batches, theirs.batches)


def test_the_wait_for_a_checkpoint_is_never_long():
    driver, _ = driver_of(fakes.Corridor(2))
    driver.advance(7)
    assert driver.is_at_boundary


def test_no_transition_joins_the_steps_before_and_after_a_restart(make_replay):
    driver, learner = driver_of(
        fakes.Corridor(2, length=50), warm_up_steps=0, num_steps=5, train_interval=1, batch_size=64,
        make_replay=make_replay,
    )  # fmt: skip
    for _ in range(6):
        driver.advance(6)
        driver.end_episodes()
        driver.end_episodes()
        driver.restart()
    rows = stored(driver)
    assert len(rows["reward_0"]) == 6 * 7
    ends = np.flatnonzero(rows["step_type_0"][:, 0] == LAST)
    np.testing.assert_array_equal(ends, np.arange(6, 42, 7))
    assert (rows["next_step_type_0"][ends - 1] == LAST).all()
    assert (rows["step_type_0"][ends[:-1] + 1] == FIRST).all()
    # Rewards are -0.1 a step: an episode of six gives at most five, then fewer.
    observation, _, reward, _, next_observation, weight = (
        np.concatenate(parts)
        for parts in zip(*[flat(batch) for batch in learner.batches], strict=True)
    )
    used = weight > 0
    distance = np.abs(next_observation[used, 0] - observation[used, 0]) * 50
    taken = np.log1p(reward[used] / -0.1 * (0.9 - 1.0)) / np.log(0.9)
    assert (distance <= np.rint(taken) + 1e-3).all()
    assert set(np.rint(taken)) <= {1, 2, 3, 4, 5}


def flat(batch):
    """Leaves of a Transition in the order of its fields."""
    return batch


def test_checkpoints_hold_the_steps_not_yet_paid_for():
    driver, _ = driver_of(fakes.Corridor(3, length=400), train_interval=7, warm_up_steps=0)
    driver.advance(10)
    assert int(driver.trackables()["credit"]) == (3 * 8) % 7


def test_nothing_is_traced_again():
    driver, _ = driver_of(fakes.Corridor(2))
    for count in (5, 20, 3):
        driver.advance(count)
    assert driver._advance.experimental_get_tracing_count() == 1


def test_the_games_own_error_comes_out_as_it_was_raised():
    moment = fakes.Moment
    broken = LookupError("no such wheel")
    driver, _ = driver_of(
        fakes.Scripted([moment(step_type=FIRST), *[moment()] * 7, moment(error=broken)])
    )
    with pytest.raises(LookupError, match=r"^no such wheel$") as caught:
        driver.advance(20)
    assert caught.value is broken


def test_a_loss_that_is_not_finite_stops_the_training():
    driver, _ = driver_of(fakes.Corridor(2), loss=float("nan"))
    with pytest.raises(errors.DivergenceError, match="loss became nan at step"):
        driver.advance(30)


def test_a_loss_that_tf_agents_found_not_to_be_finite_does_too():
    class Checking(Counting):
        def train(self, batch, seed):
            loss = super().train(batch, seed)["loss"]
            return {"loss": tf.debugging.check_numerics(loss, "Critic loss is inf or nan.")}

    game = fakes.Corridor(2)
    learner = Checking(loss=float("nan"))
    driver = off_policy.OffPolicyDriver(environment.GameTFEnvironment(game), learner, 0)
    driver.restart()
    with pytest.raises(errors.DivergenceError, match="critic loss became infinite or NaN at step"):
        driver.advance(30)


def test_a_replay_that_would_not_fit_is_refused_before_anything_is_played():
    with pytest.raises(errors.ConfigError, match=r"Set agent.replay_capacity to"):
        driver_of(fakes.Corridor(2), capacity=10**12)


def test_a_replay_can_be_given_in_bytes():
    driver, _ = driver_of(fakes.Corridor(2), capacity="20kB")
    assert 18_000 < driver.replay.num_bytes <= 20_000
    assert driver.replay.capacity == 622
    driver.advance(30)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("100 B", r"agent.replay_capacity is 100 B: that is no room for two steps of \d+ bytes for "
         r"each of 2 slots\. Give it \d+ B or more\.$"),
        ("1kB", r"agent.replay_capacity is 1kB, which is room for \d+ steps: training begins with "
         r"more than 100\. Raise agent.replay_capacity\.$"),
    ],
)  # fmt: skip
def test_a_replay_in_bytes_that_is_too_small_is_refused(size, message):
    with pytest.raises(errors.ConfigError, match=message):
        driver_of(fakes.Corridor(2), capacity=size, warm_up_steps=100)


def test_of_a_game_that_stacks_frames_single_ones_are_stored():
    whole, _ = driver_of(fakes.Catch(2, size=24))
    stacked, _ = driver_of(stacking.FrameStack(fakes.Catch(2, size=24), 4))
    assert stacked.replay.num_bytes < 1.1 * whole.replay.num_bytes
    stacked.advance(30)


def test_a_replay_that_was_not_restored_fills_up_before_training_goes_on(make_replay):
    driver, learner = driver_of(
        fakes.Corridor(2, length=400), warm_up_steps=20, train_interval=1, make_replay=make_replay
    )
    driver.advance(20)
    driver.end_episodes()
    driver.replay.clear()
    driver.restart()
    learner.trained_at.clear()
    driver.advance(9)
    assert not learner.trained_at
    driver.advance(2)
    assert learner.trained_at


def test_a_learner_that_asks_for_priorities_and_tells_no_errors_is_to_blame():
    driver, _ = driver_of(fakes.Corridor(2), priorities=prioritized.Priorities(0.6, 0.4, 100))
    with pytest.raises(errors.PluginError, match=r"Counting asks for a prioritised replay buffer"):
        driver.advance(20)
