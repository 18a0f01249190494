"""`TrainedPolicy`: the greedy policy of a run, numpy in and numpy out, for any number of agents.

It is made of what stands in the run folder alone: its game is not made. The actions that it
gives are those of that game, through the same adaptors as in training.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253

from gamebridge import contract, errors
from gamebridge.contract import game as games
from gamebridge.contract import records, specs
from gamebridge.contract.specs import Array
from gamebridge.evaluation import rollout
from gamebridge.training import fitting, runs, sittings, tables, trained_specs


class TrainedPolicy(contract.Policy):
    """Acts as the best checkpoint of a run does; see this module.

    A graph is traced for each number of rows: they are filled up to a power of two, so that
    agents who come and go do not cause a trace each time.

    Attributes:
      step: of the checkpoint.
    """

    def __init__(self, run: runs.Run, agent: records.AgentRecord) -> None:
        """Makes the learner and restores it.

        Args:
          run: a run folder.
          agent: that of the run.

        Raises:
          ConfigError: the run has no checkpoint yet, its game was wrapped in a way that
            changed what the agent saw or did, or its policy remembers.
          StorageError: its files cannot be read, or no checkpoint is whole.
          PluginError: its agent cannot be made.
        """
        plan = run.plan()
        _check_wrappers(run, plan)
        self._observation_spec, self._action_spec = trained_specs.read(run)
        self._agent, self._wrappers = agent, tables.planned_wrappers(plan)
        fitted = self._fit(self._echo(1))
        learner = sittings.make_learner(agent, plan, fitted)
        if tf.nest.flatten(learner.policy.policy_state_spec):
            raise errors.ConfigError(
                f"{run.folder} was trained with {agent.id}, whose policy remembers what it saw; "
                "expected one that does not. Choose a run of another agent."
            )
        self.step = sittings.restore_best(run, learner)
        self._learner: Any = learner
        # A graph that plays the game holds a thread of TensorFlow's while this acts in it: where
        # there is no other one, a second graph would wait for ever.
        self._policy: rollout.GraphPolicy | None = rollout.GraphPolicy(
            learner.policy, is_eager=_num_graph_threads() < 2
        )
        self._desks: dict[int, _Desk] = {}
        self._lock = threading.Lock()

    def observation_spec(self) -> specs.Spec:
        """See `Policy`."""
        return trained_specs.without_bounds(self._observation_spec)

    def action_spec(self) -> specs.Spec:
        """See `Policy`."""
        return self._action_spec

    def act(self, observation: specs.Nest) -> specs.Nest:
        """See `Policy`.

        Raises:
          ValueError: the observation has another structure than its spec, or it is closed.
          PluginError: the agent's policy raised.
        """
        with self._lock:
            if self._policy is None:
                raise ValueError("The policy is closed: open it anew to act.")
            count = len(specs.leaves(observation)[0])
            room = 1 << max(0, count - 1).bit_length()
            if room not in self._desks:
                echo = self._echo(room)
                self._desks[room] = _Desk(echo, self._fit(echo))
            return self._desks[room].act(self._policy, observation, count)

    def close(self) -> None:
        """See `Policy`."""
        with self._lock:
            self._learner = self._policy = None
            self._desks.clear()

    def _fit(self, echo: _Echo) -> contract.Game:
        return fitting.fit(self._agent, echo, self._wrappers)[0]

    def _echo(self, num_slots: int) -> _Echo:
        return _Echo(self._observation_spec, self._action_spec, num_slots)


class _Desk:
    """Room for so many agents, and the way from the policy's actions to the game's."""

    def __init__(self, echo: _Echo, fitted: contract.Game) -> None:
        self._echo, self._fitted = echo, fitted

    def act(self, policy: rollout.GraphPolicy, observation: Any, count: int) -> Any:
        def fill(room: Array, rows: Array) -> None:
            room[:count] = rows

        specs.map_leaves(fill, self._echo.time_step.observation, observation)
        # What is said of the rows beyond `count` goes nowhere.
        action, _ = policy(self._fitted.reset(), ())
        self._fitted.step(action)
        return specs.map_leaves(lambda leaf: np.array(leaf[:count]), self._echo.action)


class _Echo(contract.Game):
    """A game that has the specs of a run, and keeps the action that it is given.

    Attributes:
      time_step: what it says to everything.
      action: the newest one.
    """

    def __init__(
        self, observation_spec: specs.Spec, action_spec: specs.Spec, num_slots: int
    ) -> None:
        self.num_slots = num_slots
        self.name = "a trained run"
        self._observation_spec, self._action_spec = observation_spec, action_spec
        self.time_step = games.new_time_step(observation_spec, num_slots)
        self.time_step.step_type[:] = games.MID
        self.action: Any = None

    def observation_spec(self) -> specs.Spec:
        return self._observation_spec

    def action_spec(self) -> specs.Spec:
        return self._action_spec

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> games.TimeStep:
        return self.time_step

    def step(self, action: specs.Nest, active: Array | None = None) -> games.TimeStep:
        self.action = action
        return self.time_step

    def close(self) -> None:
        pass


def _num_graph_threads() -> int:
    """Returns how many threads run the ops of all graphs, as TensorFlow finds it out."""
    said = os.environ.get("TF_NUM_INTEROP_THREADS", "")
    return (
        tf.config.threading.get_inter_op_parallelism_threads()
        or (int(said) if said.isdecimal() else 0)
        or len(os.sched_getaffinity(0))
    )


def _check_wrappers(run: runs.Run, plan: runs.Plan) -> None:
    """Refuses runs whose agent saw or did something else than its game has."""
    wrappers = tables.planned_wrappers(plan)
    images, found = wrappers.images, ""
    if images is not None and (images.changes_frames or images.stack > 1):
        found = "wrappers.images, so that its agent saw other pictures than the game's"
    elif wrappers.action_repeat > 1:
        found = f"wrappers.action_repeat = {wrappers.action_repeat}"
    if found:
        raise errors.ConfigError(
            f"{run.folder} was trained with {found}. A policy that drives others plays without "
            "wrappers: train one without them."
        )
