"""Masks: no agent takes what is not allowed, nor learns what it would have been worth."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.evaluation import rollout  # noqa: E402
from gamebridge.tf import environment, replay  # noqa: E402
from gamebridge.training import learners, off_policy, on_policy  # noqa: E402
from gamebridge_agents import exploration  # noqa: E402

SMALL = {"units": (8,), "batch_size": 16, "replay_capacity": 500, "warm_up_steps": 20}
SETTINGS = {
    "dqn": SMALL,
    "ddqn": SMALL,
    "c51": {**SMALL, "num_atoms": 11, "min_value": -5.0, "max_value": 5.0},
    "q-learning": {"batch_size": 16, "replay_capacity": 500, "warm_up_steps": 20},
    "dqn-rnn": {**SMALL, "sequence_length": 4, "burn_in_length": 2},
    "ppo": {"rollout_length": 25, "num_epochs": 1, "units": (8,)},
    "ppo-rnn": {"rollout_length": 25, "sequence_length": 5, "num_epochs": 1, "units": (8,)},
    "random": {},
    "repeat": {"action": (2.0,)},
}
SEED = tf.constant([1, 2])


class Watched(fakes.Orders):
    """Counts all choices, and those that were not allowed."""

    num_chosen = num_not_allowed = 0

    def advance(self, slots, action):
        paid = super().advance(slots, action)
        self.num_chosen += len(slots)
        self.num_not_allowed += int(self.telemetry()["not_allowed"][slots].sum())
        return paid


@pytest.mark.parametrize(
    ("agent", "sizes"),
    [
        ("dqn", (4,)),
        ("ddqn", (4, 3)),
        ("c51", (4,)),
        ("q-learning", (4,)),
        ("ppo", (4, 3)),
        ("dqn-rnn", (4, 3)),
        ("ppo-rnn", (4, 3)),
        ("random", (4, 3)),
        ("repeat", (4,)),
    ],
)
def test_no_agent_takes_what_is_not_allowed(make_learner, agent, sizes):
    game = Watched(4, sizes, is_masked=True)
    learner = make_learner(agent, game, **SETTINGS[agent])
    is_on_policy = isinstance(learner, learners.OnPolicyLearner)
    kind = on_policy.OnPolicyDriver if is_on_policy else off_policy.OffPolicyDriver
    driver = kind(environment.GameTFEnvironment(game), learner, 0)
    driver.restart()
    driver.advance(50)
    rollout.play(game, rollout.GraphPolicy(learner.policy), range(4), max_steps=20)
    assert game.num_chosen > 120
    assert game.num_not_allowed == 0


def raise_value(learner, agent, action):
    """Makes an action worth much more to the learner than it was."""
    if agent == "q-learning":
        table = learner._network.table
        table.assign(table + 5.0 * tf.one_hot(action, 3))
        return
    for network in (learner._network, learner._agent._target_q_network):
        bias = network._head.bias
        raised = np.zeros((3, bias.shape[0] // 3))
        # Of a distribution the greatest return is made more likely.
        raised[action, -1] = 5.0
        bias.assign_add(raised.reshape(-1))


@pytest.mark.parametrize("agent", ["dqn", "ddqn", "c51", "q-learning"])
def test_what_is_not_allowed_next_is_worth_nothing_to_the_target(make_learner, agent):
    game = fakes.Orders(1, is_masked=True)

    def loss(next_mask, is_raised):
        rng = np.random.default_rng(0)

        def observation(mask):
            numbers = tf.constant(rng.integers(0, 3, (16, 1)))
            flags = tf.constant(np.tile(np.int8(mask), (16, 1)))
            return {"observation": {"numbers": numbers}, "action_mask": flags}

        batch = replay.Transition(
            observation=observation([1, 1, 1]),
            action=tf.constant(np.arange(16) % 2),
            reward=tf.ones(16),
            discount=tf.ones(16),
            next_observation=observation(next_mask),
            weight=tf.ones(16),
        )
        learner = make_learner(agent, game, **SETTINGS[agent])
        if agent == "c51":
            # To one that finds all returns alike every target is as good as another.
            learner._network._head.kernel.assign(rng.normal(size=(8, 33)))
        if is_raised:
            raise_value(learner, agent, 2)
        return float(learner.train(batch, SEED)["loss"])

    forbidden, nothing, free = [1, 1, 0], [0, 0, 0], [1, 1, 1]
    assert loss(forbidden, False) == pytest.approx(loss(forbidden, True), rel=1e-5)
    # Where the mask is ignored, as where it allows all, another number comes out.
    assert loss(free, False) != pytest.approx(loss(free, True), rel=1e-2)
    assert loss(nothing, False) != pytest.approx(loss(nothing, True), rel=1e-2)


def test_random_choices_are_as_likely_among_what_is_allowed():
    allowed = tf.constant([[True, False, True, True]] * 3000)
    drawn = exploration.any_integer([3000], 4, SEED, allowed)
    assert drawn.dtype == tf.int64
    counts = np.bincount(drawn, minlength=4)
    assert counts[1] == 0
    assert counts[[0, 2, 3]].min() > 900
