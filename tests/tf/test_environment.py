"""The door to TensorFlow: what the game says arrives unchanged, and its errors do too."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import gamebridge
from gamebridge import errors
from gamebridge.contract import FIRST, LAST, MID, Game, new_time_step, seeding, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.environments import tf_py_environment, utils  # noqa: E402, TID253
from tf_agents.specs import array_spec, tensor_spec  # noqa: E402, TID253

from gamebridge.tf import doors, environment  # noqa: E402

NESTED = {
    "camera": specs.frame(8, 8, 1, name="camera"),
    "pair": (specs.box((2,), -1.0, 1.0, dtype=np.float64), specs.discrete(3, start=5)),
    "plain": specs.box((), dtype=np.float32),
}


class Echo(Game):
    """Keeps its actions; slot s has episodes of s + 1 steps."""

    name = "toy/echo"

    def __init__(self, num_slots=2, observation_spec=NESTED, action_spec=None):
        self.num_slots = num_slots
        self._observation_spec = observation_spec
        self._action_spec = action_spec or specs.discrete(4, start=2)
        self._rows = new_time_step(observation_spec, num_slots)
        for leaf, rows in zip(
            specs.leaves(observation_spec), specs.leaves(self._rows.observation), strict=True
        ):
            rows[:] = 0 if leaf.minimum is None else leaf.minimum
        self._elapsed = np.zeros(num_slots, np.int64)
        self.actions = []
        self.num_closed = 0

    def observation_spec(self):
        return self._observation_spec

    def action_spec(self):
        return self._action_spec

    def reset(self, seeds=None, slots=None):
        named = np.ones(self.num_slots, bool) if slots is None else slots
        self._elapsed[named] = 0
        self._rows.step_type[named] = FIRST
        self._rows.reward[named] = 0
        self._rows.discount[named] = 1
        return self._rows

    def step(self, action, active=None):
        self.actions.append(specs.map_leaves(np.copy, action))
        self._elapsed += 1
        for slot in range(self.num_slots):
            over = self._elapsed[slot] > slot + 1
            if over:
                self._elapsed[slot] = 0
            last = not over and self._elapsed[slot] == slot + 1
            self._rows.step_type[slot] = FIRST if over else LAST if last else MID
            self._rows.reward[slot] = 0 if over else self._elapsed[slot]
            self._rows.discount[slot] = 0 if last else 1
        return self._rows

    def close(self):
        self.num_closed += 1


def silent_game():
    """A game of two slots; the second is silent for two steps after its first."""
    moment = fakes.Moment
    return fakes.Scripted(
        [moment(0.1, step_type=FIRST), moment(0.2), moment(0.3), moment(0.4)],
        [
            moment(0.1, step_type=FIRST),
            moment(0.9, valid=False),
            moment(0.9, valid=False),
            moment(0.2, 7.0),
        ],
    )


@pytest.mark.parametrize(
    "game_id", ["gym/CartPole-v1", "gym/Pendulum-v1", "gym/MountainCar-v0", "gym/Acrobot-v1"]
)
def test_bundled_games_pass_the_validation_of_tf_agents(game_id):
    with gamebridge.make_game(game_id, num_slots=3, seed=1) as game:
        utils.validate_py_environment(environment.GamePyEnvironment(game), episodes=2)


@pytest.mark.parametrize(
    "game", [fakes.Corridor(3), fakes.Target(2, size=2), fakes.Catch(2), Echo(3)], ids=type
)
def test_games_of_all_kinds_pass_the_validation_of_tf_agents(game):
    utils.validate_py_environment(environment.GamePyEnvironment(game), episodes=4)


def test_specs_carry_over_in_full():
    door = environment.GamePyEnvironment(Echo())
    observation = door.observation_spec()
    assert set(observation) == {"camera", "pair", "plain"}
    camera, (wide, shifted), plain = (
        observation["camera"],
        observation["pair"],
        observation["plain"],
    )
    assert (camera.shape, camera.dtype, camera.maximum.max()) == ((8, 8, 1), np.uint8, 255)
    assert (wide.shape, wide.dtype) == ((2,), np.float64)
    assert (shifted.minimum, shifted.maximum, shifted.dtype) == (5, 7, np.int64)
    assert not isinstance(plain, array_spec.BoundedArraySpec)
    assert (door.action_spec().minimum, door.action_spec().maximum) == (2, 5)
    assert door.batched
    assert door.batch_size == 2
    as_tensors = environment.GameTFEnvironment(Echo()).observation_spec()
    assert as_tensors["pair"][0].dtype == tf.float64
    assert as_tensors["camera"].name == "camera"
    assert as_tensors["pair"][1].name == "pair_1"


@pytest.mark.parametrize(
    ("leaf", "low", "high"),
    [
        (specs.box((2,), minimum=0.0), 0.0, np.finfo(np.float32).max),
        (specs.box((2,), maximum=1.0), np.finfo(np.float32).min, 1.0),
        (specs.box((2,), minimum=3, dtype=np.int16), 3, 32767),
    ],
)
def test_a_bound_that_is_missing_becomes_the_dtypes_own(leaf, low, high):
    spec = environment.to_array_spec(leaf)
    assert isinstance(spec, array_spec.BoundedArraySpec)
    assert np.all(spec.minimum == low)
    assert np.all(spec.maximum == high)
    assert tensor_spec.from_spec(spec).dtype.as_numpy_dtype == leaf.dtype


def test_a_bool_has_no_bounds_whatever_its_spec_says():
    spec = environment.to_array_spec(specs.box((2,), False, True, dtype=np.bool_))
    assert type(spec) is array_spec.ArraySpec
    assert tensor_spec.from_spec(spec).dtype == tf.bool


@pytest.mark.parametrize(
    "make",
    [
        lambda: fakes.Corridor(3),
        lambda: fakes.Catch(2, size=12),
        lambda: gamebridge.make_game("gym/CartPole-v1", num_slots=3, seed=9),
        lambda: Echo(3),
    ],
    ids=["corridor", "catch", "cartpole", "nested"],
)
def test_both_doors_say_the_same_for_the_same_seeds_and_actions(make):
    seeds = seeding.slot_seeds(4, make().num_slots)
    fast = environment.GameTFEnvironment(make(), seeds)
    stock = tf_py_environment.TFPyEnvironment(environment.GamePyEnvironment(make(), seeds))
    generator = np.random.default_rng(0)
    spec = fast.action_spec()
    ours, theirs = fast.reset(), stock.reset()
    for _ in range(60):
        tf.nest.map_structure(np.testing.assert_array_equal, ours, theirs)
        tf.nest.map_structure(
            np.testing.assert_array_equal, fast.current_time_step(), stock.current_time_step()
        )
        assert fast.time_step_spec() == stock.time_step_spec()
        action = tf.constant(
            generator.integers(spec.minimum, spec.maximum + 1, fast.batch_size), spec.dtype
        )
        ours, theirs = fast.step(action), stock.step(action)


def test_nested_actions_reach_the_game_in_their_own_structure():
    action_spec = {"arm": specs.box((2,), -1.0, 1.0), "legs": (specs.discrete(3), specs.box((1,)))}
    game = Echo(action_spec=action_spec)
    door = environment.GameTFEnvironment(game)
    action = {
        "legs": (tf.constant([1, 2], tf.int64), tf.constant([[5.0], [6.0]])),
        "arm": tf.constant([[0.0, 1.0], [2.0, 3.0]]),
    }
    tf.function(door.step, autograph=False)(action)
    (seen,) = game.actions
    assert isinstance(seen["legs"], tuple)
    np.testing.assert_array_equal(seen["arm"], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(seen["legs"][0], [1, 2])
    np.testing.assert_array_equal(seen["legs"][1], [[5], [6]])


def aligned(array):
    """A copy whose memory TensorFlow takes as it is: it copies what is not aligned to 64 bytes."""
    memory = np.zeros(array.nbytes + 64, np.uint8)
    begin = -memory.ctypes.data % 64
    view = memory[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    view[:] = array
    return view


@pytest.mark.parametrize("kind", ["fast", "stock", "python"])
def test_rows_handed_out_are_never_changed_by_the_game(kind):
    game = fakes.Corridor(2, length=30)
    game.rows = type(game.rows)(*map(aligned, game.rows))
    seeds = seeding.slot_seeds(0, 2)
    door = environment.GamePyEnvironment(game, seeds)
    if kind == "fast":
        door = environment.GameTFEnvironment(game, seeds)
    elif kind == "stock":
        door = tf_py_environment.TFPyEnvironment(door)
    # Eager calls copy; it is graphs that take numpy's memory as their own.
    play = door.step if kind == "python" else tf.function(door.step, autograph=False)
    handed = [door.reset()]
    kept = [tf.nest.map_structure(np.array, handed[0])]
    for number in range(20):
        handed.append(play(np.full(2, number % 3 == 0, np.int64)))
        kept.append(tf.nest.map_structure(np.array, handed[-1]))
    for now, then in zip(handed, kept, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, now, then)
    assert not np.array_equal(kept[0].observation, kept[1].observation)
    assert not np.array_equal(kept[0].reward, kept[1].reward)


def test_rows_inside_a_graph_are_never_changed_by_the_game():
    door = environment.GameTFEnvironment(fakes.Corridor(2, length=6), seeding.slot_seeds(0, 2))

    @tf.function(autograph=False)
    def walk():
        first = door.reset()
        rows = [first] + [door.step(tf.ones([2], tf.int64)) for _ in range(3)]
        return tf.stack([row.observation for row in rows])

    observations = walk().numpy()
    steps = np.diff(observations[:, :, 0], axis=0)
    np.testing.assert_allclose(steps, 1 / 6, atol=1e-6)


def test_slots_restart_one_by_one():
    door = environment.GameTFEnvironment(Echo(3))
    step_types = [door.reset().step_type.numpy()]
    for _ in range(5):
        step_types.append(door.step(tf.constant([2, 2, 2], tf.int64)).step_type.numpy())
    # Slot s has episodes of s + 1 steps.
    np.testing.assert_array_equal(np.stack(step_types)[:, 0], [0, 2, 0, 2, 0, 2])
    np.testing.assert_array_equal(np.stack(step_types)[:, 1], [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(np.stack(step_types)[:, 2], [0, 1, 1, 2, 0, 1])


@pytest.mark.parametrize("door_type", ["fast", "stock"])
def test_restart_gives_new_seeds_and_reset_the_next_episodes(door_type):
    game = gamebridge.make_game("gym/CartPole-v1", num_slots=2)
    seeds = seeding.slot_seeds(3, 2)
    if door_type == "fast":
        door = environment.GameTFEnvironment(game, seeds)
        restart = door.restart
    else:
        inner = environment.GamePyEnvironment(game, seeds)
        door = tf_py_environment.TFPyEnvironment(inner)
        restart = inner.restart
    first = door.reset().observation.numpy()
    second = door.reset().observation.numpy()
    restart(seeds)
    again = door.current_time_step() if door_type == "fast" else door.reset()
    np.testing.assert_array_equal(again.observation, first)
    assert not np.array_equal(first, second)


def test_silent_slots_are_waited_for_while_the_others_are_held():
    door = environment.GamePyEnvironment(silent_game())
    door.reset()
    time_step = door.step(np.zeros(2, np.int64))
    np.testing.assert_allclose(time_step.observation[:, 0], [0.2, 0.2])
    np.testing.assert_array_equal(time_step.reward, [0.0, 7.0])


def test_a_slot_silent_at_reset_is_waited_for():
    moment = fakes.Moment
    game = fakes.Scripted([moment(step_type=FIRST, valid=False), moment(0.5, step_type=FIRST)])
    time_step = environment.GamePyEnvironment(game).reset()
    np.testing.assert_allclose(time_step.observation, [[0.5]])


def test_waiting_has_a_limit():
    silent = [fakes.Moment(step_type=FIRST), fakes.Moment(valid=False)]
    game = fakes.Scripted([fakes.Moment(step_type=FIRST)], [silent[0], *[silent[1]] * 10**5])
    door = environment.GamePyEnvironment(game, valid_timeout_s=0.05)
    door.reset()
    with pytest.raises(
        errors.GameError,
        match=r"testing/scripted: slots \[1\] had nothing to say for 0.05 s. .*valid_timeout_s",
    ):
        door.step(np.zeros(2, np.int64))


def test_where_slots_cannot_be_held_back_a_silent_one_repeats_its_row():
    moment = fakes.Moment
    game = fakes.Scripted(
        [moment(0.1, step_type=FIRST), moment(0.2), moment(0.3), moment(0.4), moment(0.5)],
        [
            moment(0.1, step_type=FIRST),
            moment(0.9, 5.0, valid=False),
            moment(0.2, 7.0, discount=0.0, step_type=LAST),
            moment(0.9, 5.0, valid=False),
            moment(0.3, step_type=FIRST),
        ],
        [moment(0.9, 3.0, step_type=FIRST, valid=False), *[moment(0.8, step_type=FIRST)] * 4],
    )
    game.can_hold = False
    door = environment.GamePyEnvironment(game)
    said = [door.reset(), *(door.step(np.zeros(3, np.int64)) for _ in range(4))]
    np.testing.assert_allclose([row.observation[0, 0] for row in said], [0.1, 0.2, 0.3, 0.4, 0.5])
    np.testing.assert_allclose([row.observation[1, 0] for row in said], [0.1, 0.1, 0.2, 0.2, 0.3])
    assert [row.step_type[1] for row in said] == [FIRST, MID, LAST, LAST, FIRST]
    assert [row.reward[1] for row in said] == [0, 0, 7, 0, 0]
    assert [row.discount[1] for row in said] == [1, 1, 0, 1, 1]
    # Before it has said anything there is nothing to learn from.
    assert said[0].step_type[2] == LAST
    assert said[1].step_type[2] == FIRST


def test_a_slot_that_cannot_be_waited_for_may_be_silent_only_so_long():
    game = silent_game()
    game.can_hold = False
    door = environment.GamePyEnvironment(game, valid_timeout_s=0.05)
    door.reset()
    door.step(np.zeros(2, np.int64))
    time.sleep(0.06)
    with pytest.raises(errors.GameError, match=r"slots \[1\] had nothing to say for 0.05 s"):
        door.step(np.zeros(2, np.int64))


def test_the_games_own_error_is_kept_and_forgotten_by_the_next_good_step():
    moment = fakes.Moment
    broken = ZeroDivisionError("wheel fell off")
    game = fakes.Scripted([moment(step_type=FIRST), moment(error=broken), moment(0.5)])
    door = environment.GameTFEnvironment(game)
    door.reset()
    with pytest.raises(tf.errors.OpError):
        tf.function(door.step, autograph=False)(tf.constant([0], tf.int64))
    assert door.error is broken
    door.step(tf.constant([0], tf.int64))
    assert door.error is None


def test_closing_a_door_closes_the_game_and_may_be_done_twice():
    game = Echo()
    door = environment.GameTFEnvironment(game)
    assert door.game is game
    door.close()
    door.close()
    assert game.num_closed >= 1
    python = environment.GamePyEnvironment(fakes.Catch(1, size=12))
    python.reset()
    assert python.render().shape == (12, 12, 3)
    python.close()


def test_make_gives_an_environment_whose_batch_is_its_slots():
    door = gamebridge.make("gym/CartPole-v1", num_slots=5, seed=3)
    again = gamebridge.make("gym/CartPole-v1", num_slots=5, seed=3)
    other = gamebridge.make("gym/CartPole-v1", num_slots=5, seed=4)
    assert door.batch_size == 5
    first = door.current_time_step().observation.numpy()
    np.testing.assert_array_equal(first, again.reset().observation)
    assert not np.array_equal(first, other.reset().observation)
    for opened in (door, again, other):
        opened.close()


class Gated(fakes.Corridor):
    """Notes its steps; one that is told to wait does so until it is let go."""

    def __init__(self):
        super().__init__(2, length=30)
        self.gate = threading.Event()
        self.gate.set()
        self.num_steps = 0
        self.num_closed = 0
        self.error = None

    def step(self, action, active=None):
        self.gate.wait(10)
        self.num_steps += 1
        if self.error is not None:
            raise self.error
        return super().step(action, active)

    def close(self):
        self.num_closed += 1


RIGHT = tf.ones([2], tf.int64)


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "function"])
def test_a_step_in_two_halves_is_a_step(in_graph):
    ours, theirs = (environment.GameTFEnvironment(Gated(), np.arange(2)) for _ in range(2))

    def halves(action):
        begun = ours.begin_step(action)
        with tf.control_dependencies([begun] if begun is not None else []):
            return ours.end_step()

    play = tf.function(halves, autograph=False) if in_graph else halves
    tf.nest.map_structure(np.testing.assert_array_equal, ours.reset(), theirs.reset())
    for number in range(40):
        action = tf.fill([2], tf.constant(number % 3 > 0, tf.int64))
        time_step, valid = play(action)
        tf.nest.map_structure(np.testing.assert_array_equal, time_step, theirs.step(action))
        tf.nest.map_structure(np.testing.assert_array_equal, time_step, ours.current_time_step())
        assert valid.numpy().all()
    ours.close()


def test_a_step_that_was_begun_goes_on_alone():
    game = Gated()
    env = environment.GameTFEnvironment(game)
    env.reset()
    game.gate.clear()
    env.begin_step(RIGHT)
    assert game.num_steps == 0
    game.gate.set()
    env.end_step()
    assert game.num_steps == 1
    env.close()


def test_what_a_step_aside_raises_is_kept():
    game = Gated()
    env = environment.GameTFEnvironment(game)
    env.reset()
    game.error = LookupError("no such wheel")
    env.begin_step(RIGHT)
    with pytest.raises(tf.errors.OpError):
        tf.function(env.end_step, autograph=False)()
    assert env.error is game.error
    game.error = None
    env.step(RIGHT)
    assert env.error is None
    env.close()


@pytest.mark.parametrize("then", ["reset", "restart", "step", "begin_step"])
def test_a_step_that_was_given_up_is_waited_for(then):
    game = Gated()
    env = environment.GameTFEnvironment(game)
    env.reset()
    game.gate.clear()
    game.error = ValueError("nobody hears of it")
    env.begin_step(RIGHT)
    timer = threading.Timer(0.05, game.gate.set)
    timer.start()
    arguments = {"restart": [np.arange(2)], "step": [RIGHT], "begin_step": [RIGHT]}
    if "step" in then:
        with pytest.raises(ValueError, match="nobody hears"):  # that of the second one
            getattr(env, then)(*arguments[then])
            env.end_step()
        assert game.num_steps == 2
    else:
        getattr(env, then)(*arguments.get(then, []))
        assert game.num_steps == 1
    timer.join()
    env.close()


def test_closing_in_mid_step_waits_for_it_but_not_for_ever(monkeypatch, caplog):
    game = Gated()
    env = environment.GameTFEnvironment(game)
    env.reset()
    game.gate.clear()
    env.begin_step(RIGHT)
    monkeypatch.setattr(doors, "_CLOSING_S", 0.05)
    began = time.monotonic()
    env.close()
    assert time.monotonic() - began < 2
    assert game.num_closed == 1
    assert "closed in the middle of a step that has not ended in 0.05 s" in caplog.text
    game.gate.set()
    env.close()
    assert game.num_closed == 2


def test_a_door_that_does_not_wait_hands_the_validity_on():
    env = environment.GameTFEnvironment(silent_game(), waits=False)
    assert not env.waits
    env.reset()
    assert env.current_rows().valid.numpy().tolist() == [True, True]
    step = tf.function(env.step_rows, autograph=False)
    said = [step(tf.zeros([2], tf.int64)).valid.numpy().tolist() for _ in range(3)]
    assert said == [[True, False], [True, False], [True, True]]
    assert environment.GameTFEnvironment(silent_game()).waits
