"""The on-policy driver: what it collects, stores, counts and hands to the learner."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import FIRST, LAST, Wrapper, seeding
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.tf import environment  # noqa: E402
from gamebridge.training import learners, on_policy, session  # noqa: E402
from gamebridge.wrappers import guards  # noqa: E402


class Recorder(Wrapper):
    """Keeps every action that reaches the game."""

    def __init__(self, game):
        super().__init__(game)
        self.actions = []

    def step(self, action, active=None):
        self.actions.append(action.copy())
        return super().step(action, active)


class Fixed(learners.OnPolicyLearner):
    """Draws its actions and keeps its rollouts; learns nothing."""

    rollout_length = 5

    def __init__(self, action_spec, loss=1.0):
        self.info_spec = {"number": tf.TensorSpec((), tf.float32)}
        self.rollouts = []
        self.seeds = []
        self._spec = action_spec
        self._loss = loss

    def trackables(self):
        return {}

    def act(self, time_step, seed):
        count = time_step.step_type.shape[0]
        number = tf.random.stateless_uniform([count], seed)
        if self._spec.dtype.is_floating:
            action = tf.random.stateless_normal([count, *self._spec.shape], seed, stddev=3.0)
        else:
            action = tf.random.stateless_uniform([count], seed, 0, 2, self._spec.dtype)
        return action, {"number": number}

    def train(self, rollout, seed):
        def keep(*leaves):
            packed = tf.nest.pack_sequence_as(rollout, list(leaves[1:]))
            self.seeds.append(leaves[0].tolist())
            self.rollouts.append(tf.nest.map_structure(np.copy, packed))
            return np.float32(self._loss)

        flat = [seed, *tf.nest.flatten(rollout)]
        return {"loss": tf.ensure_shape(tf.numpy_function(keep, flat, tf.float32), [])}


def driver_of(game, seed=0, **settings):
    env = environment.GameTFEnvironment(game)
    learner = Fixed(env.action_spec(), **settings)
    driver = on_policy.OnPolicyDriver(env, learner, seed)
    driver.restart()
    return driver, learner


def test_a_rollout_follows_the_game_step_by_step():
    game = Recorder(fakes.Corridor(3, length=4))
    driver, learner = driver_of(game)
    for _ in range(6):
        assert driver.advance(100) == {"loss": 1.0}
    # The same actions again, straight in the game, give what was stored.
    model = fakes.Corridor(3, length=4)
    seeds = seeding.slot_seeds(seeding.derive(0, 2), 3)
    row = model.reset(seeds)
    position = 0
    for rollout in learner.rollouts:
        for t in range(5):
            np.testing.assert_array_equal(rollout.observation[t], row.observation)
            np.testing.assert_array_equal(rollout.step_type[t], row.step_type)
            np.testing.assert_array_equal(rollout.action[t], game.actions[position])
            row = model.step(game.actions[position])
            position += 1
            np.testing.assert_array_equal(rollout.reward[t], row.reward)
            np.testing.assert_array_equal(rollout.discount[t], row.discount)
        np.testing.assert_array_equal(rollout.observation[5], row.observation)
        np.testing.assert_array_equal(rollout.step_type[5], row.step_type)
    step_types = np.concatenate([rollout.step_type[:-1] for rollout in learner.rollouts])
    assert (step_types == LAST).any()
    # A reset is not a step.
    assert driver.num_steps == (step_types != LAST).sum()


def test_the_pieces_in_which_a_rollout_is_collected_do_not_matter():
    whole, pieces = driver_of(fakes.Corridor(2)), driver_of(fakes.Corridor(2))
    for _ in range(3):
        whole[0].advance(100)
    for count in (1, 3, 1, 2, 2, 4, 5):
        pieces[0].advance(count)
        assert pieces[0].is_at_boundary == (len(pieces[1].rollouts) * 5 * 2 == collected(pieces))
    assert pieces[1].seeds == whole[1].seeds
    tf.nest.map_structure(np.testing.assert_array_equal, pieces[1].rollouts, whole[1].rollouts)


def collected(pair):
    driver, learner = pair
    return driver._filled * 2 + len(learner.rollouts) * 10


def test_a_restart_drops_the_rollout_begun():
    driver, learner = driver_of(fakes.Corridor(2))
    assert driver.advance(3) is None
    assert not driver.is_at_boundary
    driver.restart()
    assert driver.is_at_boundary
    assert driver.advance(100) is not None
    assert (learner.rollouts[0].step_type[0] == FIRST).all()


def test_a_restart_is_seeded_by_the_steps_so_far_and_nothing_else():
    game = fakes.Corridor(2, length=1000)
    driver, _ = driver_of(game, seed=3)
    first = game.rows.observation.copy()
    driver.restart()
    np.testing.assert_array_equal(game.rows.observation, first)
    driver.advance(5)
    driver.restart()
    later = game.rows.observation.copy()
    assert not np.array_equal(later, first)
    other = fakes.Corridor(2, length=1000)
    driver_of(other, seed=4)
    assert not np.array_equal(other.rows.observation, first)


def test_actions_are_stored_as_drawn_while_the_game_sees_them_within_bounds():
    game = Recorder(fakes.Target(4, size=2))
    driver, learner = driver_of(game)
    driver.advance(5)
    (rollout,) = learner.rollouts
    assert np.abs(rollout.action).max() > 1.0
    seen = np.stack(game.actions)
    np.testing.assert_array_equal(seen, np.clip(rollout.action, -1.0, 1.0))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_seed_decides_all_that_is_drawn(seed):
    (one, first), (two, second) = driver_of(fakes.Corridor(2), seed), driver_of(fakes.Corridor(2))
    for driver in (one, two):
        driver.advance(5)
    same = np.array_equal(first.rollouts[0].info["number"], second.rollouts[0].info["number"])
    assert same == (seed == 0)


def test_no_two_steps_draw_with_one_seed():
    driver, learner = driver_of(fakes.Corridor(2))
    for _ in range(4):
        driver.advance(5)
    numbers = np.concatenate([rollout.info["number"] for rollout in learner.rollouts])
    assert np.unique(numbers).size == numbers.size
    assert len({tuple(seed) for seed in learner.seeds}) == 4


def test_nothing_is_traced_again():
    driver, _ = driver_of(fakes.Corridor(2))
    for count in (5, 2, 3, 5, 1, 4):
        driver.advance(count)
    assert driver._collect.experimental_get_tracing_count() == 1
    assert driver._train.experimental_get_tracing_count() == 1


def test_the_games_own_error_comes_out_as_it_was_raised():
    moment = fakes.Moment
    broken = ZeroDivisionError("wheel fell off")
    driver, _ = driver_of(
        fakes.Scripted([moment(step_type=FIRST), *[moment()] * 7, moment(error=broken)])
    )
    driver.advance(5)
    with pytest.raises(ZeroDivisionError, match=r"^wheel fell off$") as caught:
        driver.advance(5)
    assert caught.value is broken
    assert "_play" in [entry.name for entry in caught.traceback]


class Falling(fakes.Corridor):
    """Raises at the 4th step of slot 1."""

    def advance(self, slots, action):
        if self.elapsed[1] == 4:
            raise errors.GameError(f"{self.name}, slot 1, step 4: the floor gave way.")
        return super().advance(slots, action)


def test_a_game_error_keeps_its_type_game_slot_and_step():
    driver, _ = driver_of(Falling(2, length=30))
    with pytest.raises(errors.GameError, match=r"testing/corridor, slot 1, step 4: the floor"):
        driver.advance(100)


def test_an_error_of_a_gymnasium_environment_names_game_slot_and_step():
    import gymnasium

    from gamebridge import adapters

    class Broken(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
        action_space = gymnasium.spaces.Discrete(2)
        count = 0

        def reset(self, *, seed=None, options=None):
            return np.zeros(1, np.float32), {}

        def step(self, action):
            self.count += 1
            if self.count == 3:
                raise KeyError("mirror")
            return np.zeros(1, np.float32), 0.0, False, False, {}

    driver, _ = driver_of(adapters.adapt([Broken(), Broken()], "mine/broken"))
    with pytest.raises(
        errors.GameError, match=r"mine/broken, slot 0, step 3 .*KeyError: 'mirror'"
    ) as caught:
        driver.advance(5)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_that_is_not_the_games_stays_what_it_is():
    driver, learner = driver_of(fakes.Corridor(1))

    def fail(rollout, seed):
        return {"loss": tf.numpy_function(lambda: 1 / 0, [], tf.float32)}

    learner.train = fail
    with pytest.raises(tf.errors.OpError, match="division by zero"):
        driver.advance(5)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_training(loss):
    driver, _ = driver_of(fakes.Corridor(2), loss=loss)
    with pytest.raises(
        errors.DivergenceError,
        match=rf"loss became {loss} at step 10\. Older checkpoints are kept; lower "
        "agent.learning_rate",
    ) as caught:
        driver.advance(5)
    assert caught.value.exit_code == 7


@pytest.mark.parametrize(
    ("weight", "kind", "message"),
    [
        (float("nan"), errors.DivergenceError, r"head.* became infinite or NaN at step 1"),
        (1.0, errors.ActionError, r"action .direction. is 7; expected \[0, 1\]"),
    ],
)
def test_an_action_that_is_none_is_looked_for_in_the_weights_first(weight, kind, message):
    driver, learner = driver_of(guards.ValueGuard(fakes.Corridor(1)))
    learner.trackables = lambda: {"head": tf.Variable([weight], name="head")}
    learner.act = lambda time_step, seed: (
        tf.constant([7], learner._spec.dtype),
        {"number": tf.zeros(1)},
    )
    with pytest.raises(kind, match=message):
        driver.advance(5)


def test_what_is_no_learner_is_refused():
    with pytest.raises(
        errors.PluginError, match="make returned a int; expected an OnPolicyLearner"
    ):
        session.make_driver(environment.GameTFEnvironment(fakes.Corridor()), 3, 0)


def test_learners_without_their_methods_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        learners.OnPolicyLearner()
