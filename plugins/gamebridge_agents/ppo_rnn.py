"""`PPORNNLearner`: PPO that remembers; minibatches of sequences that begin as they were played.

TF-Agents' loss begins every sequence with nothing remembered. Here actor and critic each
have a memory, what they remembered is kept with each step of a rollout, and a sequence begins
with what they remembered there. What they remember after that follows from their weights as
they are now. The parts of the loss are those of TF-Agents' `PPOClipAgent`.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.agents import tf_agent  # noqa: TID253
from tf_agents.agents.ppo import ppo_agent  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge.contract import AgentRequest
from gamebridge.tf import recurrent
from gamebridge.training import learners
from gamebridge_agents import exploration, ppo

_ACTOR, _CRITIC = "actor_network_state", "value_network_state"


class PPORNNLearner(ppo.PPOLearner):
    """Proximal policy optimisation (Schulman et al., 2017) with recurrent networks."""

    def __init__(self, request: AgentRequest) -> None:
        """Builds networks, agent and optimizer from the request's specs and settings."""
        super().__init__(request)
        self._steps_drawn = self._settings.sequence_length
        self.state_spec = {_ACTOR: self._actor.state_spec, _CRITIC: self._critic.state_spec}
        self.info_spec = {**self.info_spec, "state": self.state_spec}

    def act(self, time_step: ts.TimeStep, seed: tf.Tensor) -> tuple[Any, Any]:
        """As `act_with_state` without a past."""
        nothing = self.initial_state(self._num_slots)
        action, info, _ = self.act_with_state(time_step, nothing, seed)
        return action, info

    def act_with_state(
        self, time_step: ts.TimeStep, state: Any, seed: tf.Tensor
    ) -> tuple[Any, Any, Any]:
        """Samples from the policy; the info also has what was remembered before."""
        step = self._collect_policy.distribution(time_step, self._actor_state(state))
        _, critic = self._collect_policy.apply_value_network(
            time_step.observation, time_step.step_type, state[_CRITIC]
        )
        info = {**step.info, "state": state}
        return exploration.sample(step.action, seed), info, {**step.state, _CRITIC: critic}

    def _memory_settings(self) -> recurrent.MemorySettings:
        return recurrent.MemorySettings(self._settings.cell, self._settings.memory_units)

    def _prepared(self, rollout: learners.Rollout) -> learners.Rollout:
        return without_gaps(rollout)

    def _values(self, rollout: learners.Rollout) -> tf.Tensor:
        seen, step_type = tf.nest.map_structure(
            common.transpose_batch_time, (rollout.observation, rollout.step_type)
        )
        first = tf.nest.map_structure(lambda rows: rows[0], rollout.info["state"][_CRITIC])
        values, _ = self._collect_policy.apply_value_network(seen, step_type, first)
        return common.transpose_batch_time(tf.stop_gradient(values))

    def _drawn_from(self, parts: Any, rollout: learners.Rollout) -> Any:
        length = self._steps_drawn
        num_parts = self.rollout_length // length

        def sequences(rows: tf.Tensor) -> tf.Tensor:
            cut = tf.reshape(rows, [num_parts, length, self._num_slots, *rows.shape[2:]])
            cut = tf.transpose(cut, [0, 2, 1, *range(3, len(cut.shape))])
            return tf.reshape(cut, [num_parts * self._num_slots, length, *rows.shape[2:]])

        def starts(rows: tf.Tensor) -> tf.Tensor:
            return tf.reshape(rows[::length], [num_parts * self._num_slots, *rows.shape[2:]])

        return (
            *tf.nest.map_structure(sequences, parts),
            tf.nest.map_structure(starts, rollout.info["state"]),
        )

    def _actor_state(self, state: Any) -> Any:
        return {_ACTOR: state[_ACTOR]}

    def _loss(
        self,
        state: Any,
        time_steps: ts.TimeStep,
        action: Any,
        old_log_prob: tf.Tensor,
        returns: tf.Tensor,
        advantages: tf.Tensor,
        dist_params: Any,
        weights: tf.Tensor,
    ) -> tf_agent.LossInfo:
        """As `PPOAgent.get_loss`, beginning with what is remembered."""
        del dist_params
        agent = self._agent
        distribution = self._collect_policy.distribution(
            time_steps, self._actor_state(state)
        ).action
        policy_loss = agent.policy_gradient_loss(
            time_steps, action, old_log_prob, advantages, distribution, weights
        )
        entropy = common.entropy(distribution, self._action_spec, 2)
        entropy_loss = agent.entropy_regularization_loss(time_steps, entropy, weights)
        values, _ = self._collect_policy.apply_value_network(
            time_steps.observation, time_steps.step_type, state[_CRITIC], training=True
        )
        errors = weights * tf.math.squared_difference(returns, values)
        value_loss = self._settings.value_weight * tf.reduce_mean(errors)
        return tf_agent.LossInfo(
            policy_loss + value_loss + entropy_loss,
            ppo_agent.PPOLossInfo(
                policy_gradient_loss=policy_loss,
                value_estimation_loss=value_loss,
                l2_regularization_loss=tf.zeros([]),
                entropy_regularization_loss=entropy_loss,
                kl_penalty_loss=tf.zeros([]),
                clip_fraction=agent._clip_fraction,
            ),
        )


def without_gaps(rollout: learners.Rollout) -> learners.Rollout:
    """Moves the valid rows of each slot together, in their order, for memories to see them so.

    Returns:
      A rollout in which a slot's valid rows come first, then where it stands now: the row
      after the last one, as often as there is room for it.
    """
    valid = tf.transpose(rollout.valid)
    length = valid.shape[1]
    order = tf.argsort(tf.cast(tf.logical_not(valid), tf.int32), axis=1, stable=True)
    is_there = tf.range(length)[None] < tf.reduce_sum(tf.cast(valid, tf.int32), 1)[:, None]
    # Of the rows in between only that one must be known that an episode or a rollout goes on to.
    stands = tf.pad(tf.where(is_there, order, length), [[0, 0], [0, 1]], constant_values=length)

    def ordered(nest: Any, index: tf.Tensor) -> Any:
        return tf.nest.map_structure(
            lambda rows: common.transpose_batch_time(
                tf.gather(common.transpose_batch_time(rows), index, batch_dims=1)
            ),
            nest,
        )

    return learners.Rollout(
        observation=ordered(rollout.observation, stands),
        step_type=ordered(rollout.step_type, stands),
        action=ordered(rollout.action, order),
        info=ordered(rollout.info, order),
        reward=ordered(rollout.reward, order),
        discount=ordered(rollout.discount, order),
        valid=tf.transpose(is_there),
    )
