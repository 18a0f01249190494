"""`DQNLearner`: TF-Agents' DQN on n-step transitions that stop at an episode's end."""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.agents import tf_agent  # noqa: TID253
from tf_agents.agents.dqn import dqn_agent  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge.contract import AgentRequest
from gamebridge.tf import masks, networks, optimizers, prioritized
from gamebridge.tf import replay as replays
from gamebridge.training import learners
from gamebridge_agents import branching, exploration, replaying

_MID, _LAST = int(ts.StepType.MID), int(ts.StepType.LAST)


class DQNLearner(learners.OffPolicyLearner):
    """Deep Q-network (Mnih et al., 2015); of several branches where the action has them."""

    # Whether the network, and not its target, says which action is best in the next state.
    _is_double = False
    metric_names: tuple[str, ...] = ("loss", "epsilon", "learning_rate")

    def __init__(self, request: AgentRequest) -> None:
        """Builds network, agent and optimizer from the request's specs and settings."""
        settings = request.settings
        observation_spec = request.time_step_spec.observation
        self._settings = settings
        self._num_slots = request.num_slots
        self._action_spec = request.action_spec
        priorities = None
        if settings.replay == "prioritized":
            priorities = prioritized.Priorities(
                settings.priority_alpha, settings.priority_beta, settings.priority_beta_steps
            )
        self.replay_use = replaying.replay_use(settings, priorities=priorities)
        seen_spec, _ = masks.split(observation_spec)
        self._network = self._make_network(request, seen_spec)
        self._learning_rate = tf.Variable(settings.learning_rate, trainable=False)
        self._optimizer = optimizers.adam(self._learning_rate)
        self._agent = self._make_agent(
            request.time_step_spec,
            request.action_spec,
            self._network,
            optimizer=self._optimizer,
            target_update_tau=settings.target_update_tau,
            target_update_period=settings.target_update_period,
            gamma=settings.gamma,
            reward_scale_factor=settings.reward_scale,
            gradient_clipping=settings.gradient_clip,
            train_step_counter=tf.Variable(0, dtype=tf.int64, trainable=False),
            observation_and_action_constraint_splitter=masks.splitter(observation_spec),
        )
        self._agent.initialize()
        self.policy = self._agent.policy
        self._epsilon = tf.Variable(settings.epsilon_start, trainable=False)
        optimizers.create_slots(self._optimizer, self._network.trainable_weights)

    def trackables(self) -> dict[str, Any]:
        """Network, target network, optimizer and counters."""
        return {
            "network": self._network,
            "target_network": self._agent._target_q_network,
            "optimizer": self._optimizer,
            "learning_rate": self._learning_rate,
            "train_step": self._agent.train_step_counter,
            "epsilon": self._epsilon,
            # Counts the training steps until the target moves.
            "target_update": self._agent._update_target,
        }

    def act(self, time_step: ts.TimeStep, num_steps: tf.Tensor, seed: tf.Tensor) -> Any:
        """Epsilon-greedy, each slot drawing for itself."""
        return self._explore(time_step, self._values(time_step), num_steps, seed)

    def _explore(
        self, time_step: ts.TimeStep, values: Any, num_steps: tf.Tensor, seed: tf.Tensor
    ) -> Any:
        settings = self._settings
        epsilon = exploration.linear(
            num_steps, settings.epsilon_start, settings.epsilon_end, settings.epsilon_steps
        )
        self._epsilon.assign(epsilon)
        if settings.learning_rate_decay_steps:
            rate, steps = settings.learning_rate, settings.learning_rate_decay_steps
            self._learning_rate.assign(exploration.linear(num_steps, rate, 0.1 * rate, steps))
        values = tf.nest.map_structure(
            lambda branch: tf.ensure_shape(branch, [self._num_slots, None]), values
        )
        allowed = masks.allowed(time_step.observation)
        return exploration.epsilon_greedy(values, epsilon, self._action_spec, seed, allowed)

    def train(self, batch: replays.Transition, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """One gradient step."""
        return self._metrics(self._agent.train(self._experience(batch)))

    def train_and_judge(
        self, batch: replays.Transition, seed: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """One gradient step, in which each row counts by its weight."""
        info = self._agent.train(self._experience(batch), batch.weight)
        return self._metrics(info), self._td_errors(info)

    def _metrics(self, info: tf_agent.LossInfo) -> dict[str, tf.Tensor]:
        return {
            "loss": info.loss,
            "epsilon": self._epsilon.read_value(),
            "learning_rate": self._learning_rate.read_value(),
        }

    def _td_errors(self, info: tf_agent.LossInfo) -> tf.Tensor:
        """Returns how wrong each row was, float32 [N]."""
        return info.extra.td_error

    def _experience(self, batch: replays.Transition) -> Any:
        # A row without weight is passed as LAST, which the agent's loss masks.
        first = tf.where(batch.weight > 0, _MID, _LAST)
        return replaying.experience(batch, self._settings.batch_size, first)

    def _make_network(self, request: AgentRequest, seen_spec: Any) -> Any:
        settings = self._settings
        kind = branching.BranchingQNetwork if self._is_branching else networks.QNetwork
        return kind(
            seen_spec,
            request.action_spec,
            seed=request.seed % 2**31,
            units=settings.units,
            conv_filters=settings.conv_filters,
            activation=settings.activation,
            **self._network_settings(),
        )

    def _network_settings(self) -> dict[str, Any]:
        """Returns what a network is built from beside what all have."""
        return {}

    def _make_agent(self, *arguments: Any, **settings: Any) -> dqn_agent.DqnAgent:
        settings["td_errors_loss_fn"] = common.element_wise_huber_loss
        if self._is_branching:
            return branching.BranchingDqnAgent(*arguments, is_double=self._is_double, **settings)
        kind = dqn_agent.DdqnAgent if self._is_double else dqn_agent.DqnAgent
        return kind(*arguments, **settings)

    @property
    def _is_branching(self) -> bool:
        return isinstance(self._action_spec, tuple)

    def _values(self, time_step: ts.TimeStep) -> Any:
        """Values of each action, float32 [B, num_actions]; of several branches a tuple."""
        seen, _ = masks.split(time_step.observation)
        values, _ = self._network(seen, time_step.step_type)
        return values
