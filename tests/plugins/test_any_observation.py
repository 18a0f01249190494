"""Every agent plays every kind of observation: it collects, learns and acts greedily."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from gamebridge.contract import FIRST, LAST, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

import gamebridge_agents  # noqa: E402
from gamebridge.evaluation import rollout  # noqa: E402
from gamebridge.tf import environment  # noqa: E402
from gamebridge.training import learners, off_policy, on_policy  # noqa: E402

KINDS = {
    "discrete": specs.discrete(5, start=1),
    "multi-discrete": specs.box((2,), 0, [3, 4], dtype=np.int64),
    "multi-binary": specs.box((3,), 0, 1, dtype=np.int8),
    "dict": {"b": specs.box((2,)), "a": specs.discrete(3)},
    "tuple": (specs.discrete(2), specs.box((2, 2), dtype=np.float64)),
    "mixed": {"camera": specs.frame(12, 12, 1), "speed": specs.box((1,))},
    "channels first": specs.box((3, 9, 10), 0, 255, dtype=np.uint8),
    "float picture": specs.box((9, 9, 1), 0.0, 1.0),
}
PICTURES = ("mixed", "channels first", "float picture")
# ddqn has the network of dqn.
AGENTS = {
    "discrete": ("ppo", "reinforce", "dqn", "c51", "q-learning", "sac"),
    "continuous": ("ddpg", "td3", "sac"),
}
# Slow ones whose encoder is that of the others.
SOME = {"sac": ("multi-binary", "mixed"), "reinforce": ("dict", "mixed")}
ACTIONS = {"discrete": specs.discrete(3), "continuous": specs.box((2,), -1.0, 1.0)}
SMALL = {
    "units": (4,), "conv_filters": (2, 2, 2), "batch_size": 4, "replay_capacity": 40,
    "warm_up_steps": 2, "train_interval": 8, "num_features": 3, "rollout_length": 4,
    "num_epochs": 1, "minibatch_size": 4, "num_atoms": 3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def eager():
    """Nothing is compiled: that takes longer than all the rest, and other tests do it."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def game_of(observation, action):
    rng = np.random.default_rng(0)

    def moment(step_type):
        def draw(leaf):
            if not leaf.is_discrete:
                return rng.random(leaf.shape)
            return rng.integers(leaf.minimum, leaf.maximum, leaf.shape, endpoint=True)

        return fakes.Moment(specs.map_leaves(draw, observation), 1.0, step_type)

    script = [moment(FIRST), *[moment(1) for _ in range(3)], moment(LAST)]
    return fakes.Scripted(script, observation_spec=observation, action_spec=action)


@pytest.mark.parametrize(
    ("agent", "form", "kind"),
    [
        (agent, form, kind)
        for form, agents in AGENTS.items()
        for agent in agents
        for kind in KINDS
        if kind in SOME.get(agent, KINDS) and (agent != "q-learning" or kind not in PICTURES)
    ],
)
def test_every_agent_learns_from_every_observation(make_learner, agent, form, kind):
    (record,) = (one for one in gamebridge_agents.gamebridge_agents() if one.id == agent)
    game = game_of(KINDS[kind], ACTIONS[form])
    names = {field.name for field in dataclasses.fields(record.settings)}
    settings = {name: value for name, value in SMALL.items() if name in names}
    learner = make_learner(agent, game, **settings)

    def learned():
        root = tf.train.Checkpoint(**learner.trackables())
        return [
            part.numpy()
            for part in tf.train.TrackableView(root).descendants()
            if isinstance(part, tf.Variable) and part.dtype.is_floating and part.shape.rank
        ]

    before = learned()
    is_on_policy = isinstance(learner, learners.OnPolicyLearner)
    kinds = on_policy.OnPolicyDriver if is_on_policy else off_policy.OffPolicyDriver
    driver = kinds(environment.GameTFEnvironment(game), learner, 0)
    driver.restart()
    metrics = driver.advance(4 if is_on_policy else 13)
    assert all(np.isfinite(value) for value in metrics.values())
    assert any(not np.array_equal(a, b) for a, b in zip(before, learned(), strict=True))
    (played,) = rollout.play(
        game, rollout.GraphPolicy(learner.policy, is_eager=True), [0], max_steps=3
    )
    assert played.length > 0
