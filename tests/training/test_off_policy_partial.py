"""The off-policy driver where slots speak at their own pace: nothing lost, doubled, misjoined."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import FIRST, LAST, MID, Game, new_time_step, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.tf import environment  # noqa: E402
from gamebridge.training import checkpoints, learners, off_policy  # noqa: E402


class Straggling(Game):
    """A seeded few of its slots are ready at each step; numbers each slot's own steps.

    A slot that is ready tells the action that it was given when it was ready before, as
    its reward. What the others say and are told means nothing.
    """

    name = "toy/straggling"
    can_hold = False

    def __init__(self, num_slots=4, chances=(0.05, 0.3, 0.7, 1.0), seed=0):
        self.num_slots = num_slots
        self._chances = np.array(chances)
        self._rng = np.random.default_rng(seed)
        self._rows = new_time_step(self.observation_spec(), num_slots)
        self._number = np.zeros(num_slots, int)
        self.history = [[] for _ in range(num_slots)]
        self.num_batches = 0

    def observation_spec(self):
        return specs.box((2,))

    def action_spec(self):
        return specs.discrete(1000)

    def reset(self, seeds=None, slots=None):
        self._rows.step_type[:] = LAST
        self._rows.valid[:] = True
        for steps in self.history:
            steps.append("reset")
        return self._advance(np.full(self.num_slots, -1), self._rng.random(self.num_slots) < 0.5)

    def step(self, action, active=None):
        assert active is None
        self.num_batches += 1
        # Only the actions of rows that were valid are taken.
        for slot in np.flatnonzero(self._rows.valid):
            self._given[slot] = action[slot]
        return self._advance(self._given, self._rng.random(self.num_slots) < self._chances)

    def _advance(self, given, ready):
        self._given = given
        for slot in np.flatnonzero(ready):
            steps = self.history[slot]
            before = steps[-1]
            is_new = before == "reset" or before[1] == LAST
            step_type = FIRST if is_new else LAST if self._rng.random() < 0.15 else MID
            self._number[slot] += 1
            reward = 0.0 if is_new else float(given[slot])
            discount = float(step_type != LAST or self._rng.random() < 0.5)
            steps.append((int(self._number[slot]), step_type, reward, discount, int(given[slot])))
            self._rows.step_type[slot] = step_type
            self._rows.reward[slot] = reward
            self._rows.discount[slot] = discount
            self._rows.observation[slot] = [slot, self._number[slot]]
        for slot in np.flatnonzero(~ready):
            self._rows.step_type[slot] = self._rng.integers(3)
            self._rows.reward[slot] = np.nan
            self._rows.discount[slot] = np.nan
            self._rows.observation[slot] = np.nan
        self._rows.valid[:] = ready
        return self._rows


class Drawing(learners.OffPolicyLearner):
    """Draws its actions, and keeps what it was shown and trained on."""

    replay_use = learners.ReplayUse(400, 16, 3, 0.9, 20, 8)

    def __init__(self, num_slots):
        self._num_slots = num_slots
        self.batches = []
        self.shown = []

    def trackables(self):
        return {}

    def act(self, time_step, num_steps, seed):
        def see(observation):
            self.shown.append(observation.copy())
            return np.int32(0)

        with tf.control_dependencies([tf.numpy_function(see, [time_step.observation], tf.int32)]):
            return tf.random.stateless_uniform([self._num_slots], seed, 0, 1000, tf.int64)

    def train(self, batch, seed):
        def keep(*leaves):
            self.batches.append([leaf.copy() for leaf in leaves])
            return np.float32(1.0)

        kept = tf.numpy_function(keep, tf.nest.flatten(batch), tf.float32)
        return {"loss": tf.ensure_shape(kept, [])}


def driver_of(game, seed=0):
    learner = Drawing(game.num_slots)
    env = environment.GameTFEnvironment(game, waits=False)
    driver = off_policy.OffPolicyDriver(env, learner, seed)
    driver.restart()
    return driver, learner


def expected_rows(steps):
    """Rows of one slot's history: (number, type, action, reward, discount, next type)."""
    rows = []
    for now, later in itertools.pairwise(steps):
        if "reset" not in (now, later):
            action = None if now[1] == LAST else later[4]
            rows.append((now[0], now[1], action, *later[2:4], later[1]))
    return rows


def stored_rows(driver):
    """The same as they stand in the replay buffer, slot by slot."""
    stop = driver.replay.num_added
    kept = driver.replay.rows(stop * 0, stop)
    begin = 0
    for slot, count in enumerate(stop):
        rows = []
        for at in range(begin, begin + count):
            assert kept["observation_0"][at, 0] == slot
            rows.append(
                (
                    int(kept["observation_0"][at, 1]),
                    int(kept["step_type_0"][at]),
                    int(kept["action_0"][at]),
                    float(kept["reward_0"][at]),
                    float(kept["discount_0"][at]),
                    int(kept["next_step_type_0"][at]),
                )
            )
        begin += count
        yield rows


@pytest.mark.parametrize("seed", range(4))
def test_every_transition_is_stored_once_with_its_own_action(seed):
    game = Straggling(seed=seed)
    driver, learner = driver_of(game, seed)
    for count in (1, 17, 40, 22):
        driver.advance(count)
    num_steps = 0
    lengths = []
    for slot, rows in enumerate(stored_rows(driver)):
        expected = expected_rows(game.history[slot])
        for row, wanted in zip(rows, expected, strict=True):
            at_last = wanted[2] is None  # an action at LAST has no meaning
            assert row[:2] == wanted[:2]
            assert at_last or row[2] == wanted[2]
            assert row[3:] == wanted[3:]
            num_steps += not at_last
        lengths.append(len(rows))
    assert driver.num_steps == num_steps
    assert max(lengths) > 4 * min(lengths)
    assert learner.batches
    assert np.isfinite(np.concatenate([leaf.ravel() for b in learner.batches for leaf in b])).all()


def test_no_step_that_means_nothing_is_ever_shown_once_its_slot_has_spoken():
    game = Straggling(chances=(0.5, 0.5, 0.5, 0.5))
    driver, learner = driver_of(game)
    driver.advance(40)
    spoke = np.zeros(4, bool)
    for observation in learner.shown:
        good = np.isfinite(observation).all(1)
        assert not (spoke & ~good).any()
        spoke |= good
    assert spoke.all()


def test_only_what_is_stored_pays_for_training():
    game = Straggling()
    driver, learner = driver_of(game)
    driver.advance(80)
    stored = driver.replay.num_added.sum()
    paid = len(learner.batches) * 8 + int(driver.trackables()["credit"])
    # The rest was stored before 20 steps had been taken.
    assert 20 <= stored - paid + 4 <= 32


def test_where_all_slots_always_speak_both_doors_give_the_same():
    first = learners_batches(waits=True)
    second = learners_batches(waits=False)
    tf.nest.map_structure(np.testing.assert_array_equal, first, second)


def learners_batches(*, waits):
    game = fakes.Corridor(3, length=5)
    learner = Drawing(3)
    learner.act = lambda time_step, num_steps, seed: tf.random.stateless_uniform(
        [3], seed, 0, 2, tf.int64
    )
    env = environment.GameTFEnvironment(game, waits=waits)
    driver = off_policy.OffPolicyDriver(env, learner, 0)
    for _ in range(2):
        driver.restart()
        driver.advance(30)
        driver.end_episodes()
    assert driver.num_steps > 100
    return learner.batches


def test_an_end_of_all_episodes_leaves_nothing_joined_across_it():
    game = Straggling()
    driver, _ = driver_of(game)
    for _ in range(4):
        driver.advance(15)
        driver.end_episodes()
        driver.restart()
    for slot, rows in enumerate(stored_rows(driver)):
        parts = [[]]
        for step in game.history[slot][1:]:
            if step == "reset":
                parts.append([])
            else:
                parts[-1].append(step)
        numbers = [row[0] for row in rows]
        # A part of one step gave no transition; one that began before any row has no end.
        assert numbers == sorted(numbers)
        ends = {part[-1][0] for part in parts if part}
        for row, later in itertools.pairwise(rows):
            if row[0] in ends:
                assert row[1] == LAST
            else:
                assert later[0] == row[0] + 1
                assert row[5] == (LAST if later[0] in ends else later[1])


def test_training_in_two_sittings_equals_one(tmp_path):
    def half(driver, count):
        driver.restart()
        driver.advance(count)
        driver.end_episodes()

    def saved_by(driver):
        return checkpoints.Checkpoints(tmp_path, driver.trackables(), driver.replay)

    # The game is the same in both: as it begins anew at a restart, its randomness follows it.
    whole, ours = driver_of(Straggling(seed=3))
    half(whole, 50)
    whole.environment.game._rng = np.random.default_rng(8)
    half(whole, 50)
    first, before = driver_of(Straggling(seed=3))
    half(first, 50)
    saved_by(first).save(first.num_steps, {})
    second, after = driver_of(Straggling(seed=3))
    second.environment.game._number[:] = first.environment.game._number
    second.environment.game._rng = np.random.default_rng(8)
    saved_by(second).restore()
    half(second, 50)
    assert len(ours.batches) == len(before.batches) + len(after.batches)
    tf.nest.map_structure(
        np.testing.assert_array_equal, ours.batches, before.batches + after.batches
    )
    assert list(stored_rows(whole)) == list(stored_rows(second))


def test_a_slot_that_stays_silent_too_long_is_named():
    game = Straggling(chances=(0.0, 1.0, 1.0, 1.0))
    env = environment.GameTFEnvironment(game, valid_timeout_s=0.05, waits=False)
    driver = off_policy.OffPolicyDriver(env, Drawing(4), 0)
    driver.restart()
    with pytest.raises(
        errors.GameError, match=r"toy/straggling: slots \[0\] had nothing to say for 0.05 s"
    ):
        driver.advance(100_000)


def test_silence_is_counted_anew_after_a_word():
    game = Straggling(chances=(0.5, 0.5, 0.5, 0.5))
    env = environment.GameTFEnvironment(game, valid_timeout_s=0.05, waits=False)
    env.reset()
    step = tf.function(env.step_rows, autograph=False)
    for _ in range(2000):
        rows = step(tf.zeros([4], tf.int64))
    assert rows.valid.dtype == tf.bool
