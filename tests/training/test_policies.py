"""`TrainedPolicy`: made of a run folder alone, it acts as the run did in its game."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import FIRST, AgentRecord, TimeStep, Wrapper, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.policies import tf_policy  # noqa: E402, TID253
from tf_agents.trajectories import policy_step  # noqa: E402, TID253

from gamebridge.evaluation import rollout  # noqa: E402
from gamebridge.training import (  # noqa: E402
    checkpoints,
    fitting,
    learners,
    policies,
    runs,
    sittings,
    trained_specs,
)

_SEEN = specs.box((3,), -1.0, 1.0)


class _Gain(tf_policy.TFPolicy):
    """Sums up what it sees, as often as it has learnt to."""

    def __init__(self, request, state_spec=()):
        super().__init__(request.time_step_spec, request.action_spec, state_spec)
        self.gain = tf.Variable(0.0)
        self.num_traces = 0

    def _action(self, time_step, policy_state, seed):
        self.num_traces += 1
        told = self.gain * tf.reduce_sum(time_step.observation, axis=1)
        if self.action_spec.dtype.is_integer:
            action = tf.cast(told, self.action_spec.dtype)
        else:
            action = tf.stack([told] * self.action_spec.shape[0], axis=1)
        return policy_step.PolicyStep(action, policy_state)

    def _variables(self):
        return [self.gain]


class _Learner(learners.Learner):
    def __init__(self, request):
        self.policy = _Gain(request)

    def trackables(self):
        return {"gain": self.policy.gain}


class _Remembering(_Learner):
    def __init__(self, request):
        self.policy = _Gain(request, tf.TensorSpec([2]))


class _Taken(Wrapper):
    """Keeps the action that reaches the game."""

    def step(self, action, active=None) -> TimeStep:
        self.taken = np.array(action)
        return self.game.step(action, active)


_AGENT = AgentRecord("gain", "Sums.", _Learner)


def _trained(folder, action_spec, num_slots=1):
    """Makes a run folder as training does, with a gain of 0.5; returns run, game and policy."""
    scripts = [[fakes.Moment(step_type=FIRST)]] * num_slots
    game = _Taken(fakes.Scripted(*scripts, observation_spec=_SEEN, action_spec=action_spec))
    fitted, _ = fitting.fit(_AGENT, game)
    run = runs.Run(folder)
    plan = runs.Plan(runs.RunSettings("testing/scripted", "gain"), {}, {}, {}, {})
    run.begin(plan)
    trained_specs.write(run, fitted)
    learner = sittings.make_learner(_AGENT, plan, fitted)
    learner.policy.gain.assign(0.5)
    parts = {f"learner_{name}": part for name, part in learner.trackables().items()}
    checkpoints.Checkpoints(folder, parts).save(7, {})
    return run, game, fitted, rollout.GraphPolicy(learner.policy)


@pytest.mark.parametrize(
    "action_spec",
    [
        specs.discrete(3),
        specs.discrete(3, start=-1, dtype=np.int32),
        specs.box((2,), -1.0, 1.0),
        specs.box((2, 2), 0.0, 5.0),
        specs.box((), -3.0, 5.0, dtype=np.float64),
        specs.box((2,), np.array([-1.0, -np.inf]), 1.0),
    ],
    ids=str,
)
def test_actions_are_those_that_reached_the_game(tmp_path, action_spec):
    run, game, fitted, graph = _trained(tmp_path / "run", action_spec, num_slots=4)
    seen = np.random.default_rng(0).uniform(0, 1, (4, 3)).astype(np.float32)
    time_step = game.reset()
    time_step.observation[:] = seen
    action, _ = graph(time_step, ())
    fitted.step(action)
    policy = policies.TrainedPolicy(run, _AGENT)
    assert policy.step == 7
    assert policy.action_spec() == action_spec
    assert policy.observation_spec() == specs.box((3,))
    acted = policy.act(seen)
    assert acted.dtype == game.taken.dtype and np.array_equal(acted, game.taken)


def test_any_number_of_agents_is_a_few_traces(tmp_path):
    run, *_ = _trained(tmp_path / "run", specs.box((1,), -1.0, 1.0))
    policy = policies.TrainedPolicy(run, _AGENT)
    for count in (5, 1, 7, 3, 8, 6, 0, 2, 4):
        seen = np.full((count, 3), 0.1, np.float32)
        acted = policy.act(seen)
        assert acted.shape == (count, 1) and np.allclose(acted, 0.15)
    assert policy._learner.policy.num_traces <= 4


def test_actions_are_the_callers(tmp_path):
    run, *_ = _trained(tmp_path / "run", specs.box((1,), 0.0, 4.0))
    policy = policies.TrainedPolicy(run, _AGENT)
    first = policy.act(np.zeros((1, 3), np.float32))
    policy.act(np.ones((1, 3), np.float32))
    assert first == 2.0


def test_where_a_graph_would_wait_for_itself_there_is_none(tmp_path, monkeypatch):
    run, *_ = _trained(tmp_path / "run", specs.box((1,), -1.0, 1.0))
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "1")
    policy = policies.TrainedPolicy(run, _AGENT)
    for _ in range(3):
        assert np.allclose(policy.act(np.full((2, 3), 0.1, np.float32)), 0.15)
    assert policy._learner.policy.num_traces == 3


def test_a_closed_policy_says_so(tmp_path):
    run, *_ = _trained(tmp_path / "run", specs.discrete(2))
    policy = policies.TrainedPolicy(run, _AGENT)
    policy.close()
    policy.close()
    with pytest.raises(ValueError, match="closed: open it anew"):
        policy.act(np.zeros((1, 3), np.float32))


def test_a_policy_that_remembers_is_refused(tmp_path):
    run, *_ = _trained(tmp_path / "run", specs.discrete(2))
    with pytest.raises(errors.ConfigError, match="with memory, whose policy remembers what it saw"):
        policies.TrainedPolicy(run, AgentRecord("memory", "Remembers.", _Remembering))


@pytest.mark.parametrize("text", ["[]", "{}", "{"])
def test_a_run_without_its_specs_is_not_opened(tmp_path, text):
    run, *_ = _trained(tmp_path / "run", specs.discrete(3, start=1))
    (run.folder / "specs.json").write_text(text)
    with pytest.raises(errors.StorageError, match=r"specs\.json: .* Is this a whole run\?"):
        policies.TrainedPolicy(run, _AGENT)
