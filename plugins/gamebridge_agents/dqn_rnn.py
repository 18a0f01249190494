"""`DQNRNNLearner`: double DQN that remembers, trained on sequences of steps.

TF-Agents' `DqnAgent` unrolls its target network over the next steps alone, which has then
not seen the first one, and sums the losses of a whole sequence with one weight. Here both
networks see the same steps; the first of them may only fill the memory, the step from one
episode to the next teaches nothing, and returns of several steps end with their episode or
their sequence. Policies, clipping, optimizer and the target's updates are TF-Agents'.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.agents import tf_agent  # noqa: TID253
from tf_agents.agents.dqn import dqn_agent  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253
from tf_agents.trajectories import trajectory  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge import errors
from gamebridge.contract import AgentRequest
from gamebridge.tf import masks, recurrent
from gamebridge_agents import branching, dqn

_LAST = int(ts.StepType.LAST)


class DQNRNNLearner(dqn.DQNLearner):
    """Deep recurrent Q-network (Hausknecht and Stone, 2015; Kapturowski et al., 2019)."""

    def __init__(self, request: AgentRequest) -> None:
        """Builds network, agent and optimizer from the request's specs and settings.

        Raises:
          ConfigError: a slot's part of the replay buffer is shorter than a sequence.
        """
        settings = request.settings
        super().__init__(request)
        length = settings.burn_in_length + settings.sequence_length
        self.replay_use = dataclasses.replace(self.replay_use, sequence_length=length)
        self.state_spec = self._network.state_spec
        capacity = settings.replay_capacity
        # Of one in bytes the driver finds out.
        if isinstance(capacity, int) and math.ceil(capacity / request.num_slots) <= length:
            raise errors.ConfigError(
                f"replay_capacity is {settings.replay_capacity} for {request.num_slots} slots: a "
                f"sequence of {length} steps would never be there. Raise agent.replay_capacity "
                f"above {request.num_slots * length}."
            )

    def act(self, time_step: ts.TimeStep, num_steps: tf.Tensor, seed: tf.Tensor) -> Any:
        """As `act_with_state` without a past."""
        nothing = self.initial_state(self._num_slots)
        return self.act_with_state(time_step, nothing, num_steps, seed)[0]

    def act_with_state(
        self, time_step: ts.TimeStep, state: Any, num_steps: tf.Tensor, seed: tf.Tensor
    ) -> tuple[Any, Any]:
        """Epsilon-greedy, each slot drawing for itself."""
        seen, _ = masks.split(time_step.observation)
        values, state = self._network(seen, time_step.step_type, state)
        return self._explore(time_step, values, num_steps, seed), state

    def _experience(self, batch: Any) -> trajectory.Trajectory:
        def longer(rows: tf.Tensor) -> tf.Tensor:
            # What was done in a sequence's last step is not asked for.
            return tf.concat([rows, rows[:, -1:]], 1)

        return trajectory.Trajectory(
            step_type=batch.step_type,
            observation=batch.observation,
            action=tf.nest.map_structure(longer, batch.action),
            policy_info=(),
            next_step_type=longer(batch.step_type[:, 1:]),
            reward=longer(batch.reward),
            discount=longer(batch.discount),
        )

    def _network_settings(self) -> dict[str, Any]:
        settings = self._settings
        return {"memory": recurrent.MemorySettings(settings.cell, settings.memory_units)}

    def _make_agent(self, *arguments: Any, **settings: Any) -> dqn_agent.DqnAgent:
        settings["num_steps"] = self._settings.num_steps
        settings["burn_in_length"] = self._settings.burn_in_length
        if self._is_branching:
            return SequenceBranchingAgent(*arguments, is_double=True, **settings)
        return SequenceDqnAgent(*arguments, **settings)


class _SequenceLoss:
    """The loss over sequences, by double Q-learning, of TF-Agents' agent or ours for branches."""

    _q_network: Any
    _target_q_network: Any

    def __init__(
        self, *arguments: Any, num_steps: int, burn_in_length: int, **settings: Any
    ) -> None:
        """Builds the agent.

        Args:
          *arguments: those of the agent.
          num_steps: n of the n-step return.
          burn_in_length: first steps of a sequence, which only fill the memory.
          **settings: those of the agent.
        """
        self._num_steps = num_steps
        self._burn_in_length = burn_in_length
        super().__init__(*arguments, **settings)

    def _loss(
        self,
        experience: trajectory.Trajectory,
        td_errors_loss_fn: Any = None,
        gamma: Any = 1.0,
        reward_scale_factor: Any = 1.0,
        weights: Any = None,
        training: bool = False,
    ) -> tf_agent.LossInfo:
        """Mean of the losses of all steps but a sequence's last; 0 where step_type is LAST."""
        del td_errors_loss_fn, weights
        seen, _ = masks.split(experience.observation)
        parts = (seen, experience.step_type)
        values = self._unroll(self._q_network, parts, training)
        others = self._unroll(self._target_q_network, parts, training)
        rows = tf.nest.map_structure(lambda part: part[:, self._burn_in_length :], experience)
        allowed = masks.allowed(rows.observation)
        best = [tf.argmax(one, -1) for one in tf.nest.flatten(masks.masked(values, allowed))]
        worth = tf.add_n(_of_actions(others, best)) / len(best)
        returns = n_step_returns(
            rows.reward[:, :-1] * reward_scale_factor,
            rows.discount[:, :-1] * gamma,
            rows.step_type,
            worth,
            self._num_steps,
        )
        returns = tf.stop_gradient(returns)
        losses = tf.add_n(
            [
                common.element_wise_huber_loss(returns, chosen[:, :-1])
                for chosen in _of_actions(values, tf.nest.flatten(rows.action))
            ]
        ) / len(best)
        teaches = tf.cast(rows.step_type[:, :-1] != _LAST, tf.float32)
        return tf_agent.LossInfo(tf.reduce_mean(teaches * losses), ())

    def _unroll(self, network: Any, parts: Any, training: bool) -> Any:
        """Returns the values of all steps after those that only fill the memory."""
        length, state = self._burn_in_length, ()
        if length:
            before = tf.nest.map_structure(lambda part: part[:, :length], parts)
            _, state = network(before[0], step_type=before[1], training=training)
            state = tf.nest.map_structure(tf.stop_gradient, state)
        after = tf.nest.map_structure(lambda part: part[:, length:], parts)
        values, _ = network(after[0], step_type=after[1], network_state=state, training=training)
        return values


class SequenceDqnAgent(_SequenceLoss, dqn_agent.DqnAgent):
    """TF-Agents' agent with a loss over sequences."""


class SequenceBranchingAgent(_SequenceLoss, branching.BranchingDqnAgent):
    """The same for an action of several integers, whose branches share one return."""


def n_step_returns(
    reward: tf.Tensor,
    discount: tf.Tensor,
    step_type: tf.Tensor,
    values: tf.Tensor,
    num_steps: int,
) -> tf.Tensor:
    """Returns of up to n steps, fewer where the episode or the sequence ends before.

    Args:
      reward: float32 [N, T], what came after the action at t.
      discount: float32 [N, T], likewise, the agent's own discount factor included.
      step_type: int32 [N, T + 1].
      values: float32 [N, T + 1], what to take for the rest of the return.
      num_steps: n.

    Returns:
      float32 [N, T]; of no meaning where step_type is LAST.
    """
    is_last = tf.equal(step_type, _LAST)
    returns = values
    for _ in range(num_steps):
        longer = reward + discount * returns[:, 1:]
        # Nothing is joined across an end: a LAST step is worth what it is said to be worth.
        returns = tf.concat([tf.where(is_last[:, :-1], values[:, :-1], longer), values[:, -1:]], 1)
    return returns[:, :-1]


def _of_actions(values: Any, actions: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the values of one action a step, float32 [N, T], of each branch."""
    return [
        tf.gather(branch, tf.cast(action, tf.int64), batch_dims=2)
        for branch, action in zip(tf.nest.flatten(values), actions, strict=True)
    ]
