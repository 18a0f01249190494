"""What drivers and evaluations carry for an agent that remembers, slot by slot."""

from __future__ import annotations

import numpy as np
import pytest
import test_off_policy_partial
import test_on_policy

from gamebridge.contract import FIRST, LAST, MID, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.policies import tf_policy  # noqa: E402, TID253
from tf_agents.specs import tensor_spec  # noqa: E402, TID253
from tf_agents.trajectories import policy_step  # noqa: E402, TID253
from tf_agents.trajectories import time_step as ts  # noqa: E402, TID253

from gamebridge.contract import game as games  # noqa: E402
from gamebridge.evaluation import rollout  # noqa: E402
from gamebridge.tf import environment  # noqa: E402
from gamebridge.training import off_policy, on_policy  # noqa: E402

# The sum of the numbers that a slot showed since its episode began is the whole state.
SUM = tf.TensorSpec((), tf.float32)


def seen_by(time_step):
    return time_step.observation[:, 1]


class SummingOffPolicy(test_off_policy_partial.Drawing):
    """Its action is what it remembers: the sum of what was shown before."""

    state_spec = SUM

    def act_with_state(self, time_step, state, num_steps, seed):
        return tf.cast(state, tf.int64), state + seen_by(time_step)


class SummingOnPolicy(test_on_policy.Fixed):
    """Puts what it remembers into the info."""

    state_spec = SUM

    def act_with_state(self, time_step, state, seed):
        action, _ = self.act(time_step, seed)
        return action, {"number": state}, state + seen_by(time_step)


class Numbered(test_off_policy_partial.Straggling):
    """Slots that show the numbers 1, 2, 3 ... at their own pace, in many short episodes."""

    def action_spec(self):
        return specs.discrete(1_000_000)


def sums_before(steps):
    """For each step of a slot's history: (number, type, sum of its episode's numbers before)."""
    found, total = [], 0
    for number, step_type, *_ in steps:
        total = 0 if step_type == FIRST else total
        found.append((number, step_type, total))
        total += number
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_the_off_policy_driver_carries_a_state_from_a_slots_step_to_its_next(seed):
    game = Numbered(seed=seed)
    env = environment.GameTFEnvironment(game, waits=False)
    driver = off_policy.OffPolicyDriver(env, SummingOffPolicy(4), seed)
    driver.restart()
    for count in (1, 30, 50):
        driver.advance(count)
    num_invalid = 0
    for rows, history in zip(
        test_off_policy_partial.stored_rows(driver), game.history, strict=True
    ):
        expected = sums_before(history[1:])
        for (number, step_type, action, *_), wanted in zip(rows, expected, strict=False):
            assert (number, step_type) == wanted[:2]
            assert action == wanted[2]
        num_invalid += 81 - len(rows)
    assert num_invalid > 50


@pytest.mark.parametrize("seed", [0, 1])
def test_the_on_policy_driver_carries_a_state_from_a_slots_step_to_its_next(seed):
    game = Numbered(seed=seed)
    env = environment.GameTFEnvironment(game, waits=False)
    learner = SummingOnPolicy(env.action_spec())
    driver = on_policy.OnPolicyDriver(env, learner, seed)
    driver.restart()
    while len(learner.rollouts) < 8:
        driver.advance(3)
    expected = [{n: total for n, _, total in sums_before(steps[1:])} for steps in game.history]
    num_rows = 0
    for rows in learner.rollouts:
        for row, slot in np.argwhere(rows.valid):
            number = int(rows.observation[row, slot, 1])
            assert rows.info["number"][row, slot] == expected[slot][number]
            num_rows += 1
    assert num_rows > 50


def test_where_all_slots_wait_for_each_other_a_state_is_carried_too():
    game = fakes.Corridor(2, length=3)
    env = environment.GameTFEnvironment(game)
    learner = SummingOnPolicy(env.action_spec())
    driver = on_policy.OnPolicyDriver(env, learner, 0)
    driver.restart()
    for _ in range(6):
        driver.advance(5)
    num_episodes = 0
    for slot in range(2):
        total = 0.0
        for rows in learner.rollouts:
            for row in range(learner.rollout_length):
                is_first = rows.step_type[row, slot] == FIRST
                num_episodes += is_first
                total = 0.0 if is_first else total
                assert rows.info["number"][row, slot] == pytest.approx(total)
                total += rows.observation[row, slot, 1]
    assert num_episodes > 4


@pytest.mark.parametrize("kind", ["on policy", "off policy"])
def test_a_restart_forgets_everything(kind):
    game = fakes.Corridor(2, length=30)
    env = environment.GameTFEnvironment(game)
    if kind == "on policy":
        driver = on_policy.OnPolicyDriver(env, SummingOnPolicy(env.action_spec()), 0)
    else:
        learner = SummingOffPolicy(2)
        learner.act_with_state = lambda time_step, state, num_steps, seed: (
            tf.zeros([2], tf.int64),
            state + seen_by(time_step),
        )
        driver = off_policy.OffPolicyDriver(env, learner, 0)
    driver.restart()
    driver.advance(4)
    assert driver._heard.state.numpy().all()
    driver.restart()
    assert not driver._heard.state.numpy().any()


class Summing(tf_policy.TFPolicy):
    """Acts by what it remembers of its slot, and forgets nothing by itself."""

    def __init__(self, game):
        super().__init__(
            ts.time_step_spec(
                tensor_spec.from_spec(environment.to_array_spec(game.observation_spec()))
            ),
            tensor_spec.from_spec(environment.to_array_spec(game.action_spec())),
            policy_state_spec=SUM,
            clip=False,
        )

    def _action(self, time_step, policy_state=(), seed=None):
        action = tf.cast(policy_state, tf.int64)
        return policy_step.PolicyStep(action, policy_state + seen_by(time_step))


def test_an_evaluation_forgets_at_first_and_leaves_out_what_is_not_valid():
    game = Numbered(num_slots=3, chances=(1.0, 1.0, 1.0))
    act = rollout.GraphPolicy(Summing(game))
    state = act.initial_state(3)
    steps = [
        # Step types, numbers shown, whether they are valid; what is remembered when acting.
        ([FIRST, FIRST, FIRST], [1, 10, 100], [True, True, True], [0, 0, 0]),
        ([MID, MID, MID], [2, np.nan, 200], [True, False, True], [1, 10, 100]),
        ([LAST, MID, FIRST], [3, 20, np.nan], [True, True, False], [3, 10, 0]),
        ([FIRST, LAST, MID], [4, 30, 400], [True, True, True], [0, 30, 300]),
        ([MID, FIRST, MID], [5, 40, 500], [True, True, True], [4, 0, 700]),
    ]
    for step_type, shown, valid, remembered in steps:
        step = games.new_time_step(game.observation_spec(), 3)
        step.step_type[:] = step_type
        step.observation[:, 1] = shown
        step.valid[:] = valid
        action, state = act(step, state)
        assert action.tolist() == remembered


class Echo(fakes.Corridor):
    """Tells the action it was given as its reward; ends after `length` steps."""

    def action_spec(self):
        return specs.discrete(1000)

    def observe(self, slots):
        self.rows.observation[slots, 1] = self.elapsed[slots] + 1

    def advance(self, slots, action):
        over = self.elapsed[slots] >= 3
        return np.asarray(action)[slots].astype(float), over, np.zeros_like(over)


def test_each_episode_that_is_played_begins_with_nothing_whatever_its_slot_saw_before():
    game = Echo(2)
    played = rollout.play(game, rollout.GraphPolicy(Summing(game)), range(5), max_steps=9)
    # 0, then 1, then 1 + 2.
    assert [episode.episode_return for episode in played] == [4.0] * 5
