"""Q-networks of several branches: an action of several integers, each with values of its own.

A game of six joints with ten positions each has a million actions, but sixty positions. Tavakoli
et al., "Action branching architectures for deep reinforcement learning" (2018), give each branch
its advantages over one common value of the state, and learn all branches from one target: the
mean over the branches of what each thinks best in the next state. TF-Agents' agent takes actions
of one integer only; all but that is its own here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf  # noqa: TID253
import tensorflow_probability as tfp
from tf_agents.agents.dqn import dqn_agent  # noqa: TID253
from tf_agents.policies import greedy_policy, tf_policy  # noqa: TID253
from tf_agents.trajectories import policy_step  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge.tf import masks, networks, recurrent


class BranchingQNetwork(networks.Headed):
    """Values of each branch's actions: observation [B, ...] to a tuple of float32 [B, n]."""

    def __init__(
        self,
        observation_spec: Any,
        action_spec: Any,
        seed: int = 0,
        units: Sequence[int] = (128, 128),
        conv_filters: Sequence[int] = (16, 32, 32),
        activation: str = "relu",
        name: str = "BranchingQNetwork",
        memory: recurrent.MemorySettings | None = None,
    ) -> None:
        """Builds the network; `action_spec` is a tuple of integers from 0 up."""
        super().__init__(observation_spec, seed, units, conv_filters, activation, name, memory)
        sizes = [1, *(int(spec.maximum) + 1 for spec in action_spec)]
        # The first is the state's own value, the others are advantages.
        self._heads = [
            tf.keras.layers.Dense(
                size,
                kernel_initializer=tf.keras.initializers.RandomUniform(
                    -0.03, 0.03, seed=seed - 1 - index
                ),
            )
            for index, size in enumerate(sizes)
        ]

    def call(
        self,
        observation: Any,
        step_type: Any = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[tuple[tf.Tensor, ...], Any]:
        """Returns the values and the state of the memory."""
        encoded, squash, network_state = self.remember(observation, step_type, network_state)
        state, *advantages = (head(encoded) for head in self._heads)
        values = (
            state + advantage - tf.reduce_mean(advantage, -1, keepdims=True)
            for advantage in advantages
        )
        return tuple(squash.unflatten(branch) for branch in values), network_state


class BranchingQPolicy(tf_policy.TFPolicy):
    """Branches' values as the logits of their actions, for a greedy policy to choose from."""

    def __init__(
        self, time_step_spec: ts.TimeStep, action_spec: Any, network: BranchingQNetwork
    ) -> None:
        """Keeps the network."""
        super().__init__(time_step_spec, action_spec, policy_state_spec=network.state_spec)
        self._network = network

    def _variables(self) -> Any:
        return self._network.variables

    def _distribution(self, time_step: ts.TimeStep, policy_state: Any) -> policy_step.PolicyStep:
        seen, _ = masks.split(time_step.observation)
        values, policy_state = self._network(seen, time_step.step_type, policy_state)
        values = masks.masked(values, masks.allowed(time_step.observation))
        distributions = tuple(
            tfp.distributions.Categorical(logits=branch, dtype=spec.dtype)
            for branch, spec in zip(values, self.action_spec, strict=True)
        )
        return policy_step.PolicyStep(distributions, policy_state)


class BranchingDqnAgent(dqn_agent.DqnAgent):
    """TF-Agents' agent for an action of several integers."""

    def __init__(self, *arguments: Any, is_double: bool, **settings: Any) -> None:
        """Builds the agent.

        Args:
          *arguments: those of TF-Agents' agent.
          is_double: whether the network says which actions are best in the next state, as in
            double DQN, and the target network only what they are worth.
          **settings: those of TF-Agents' agent.
        """
        self._is_double = is_double
        super().__init__(*arguments, **settings)

    def _check_action_spec(self, action_spec: Any) -> None:
        pass

    def _check_network_output(self, net: Any, label: str) -> None:
        pass

    def _setup_policy(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: Any,
        boltzmann_temperature: Any,
        emit_log_probability: bool,
    ) -> tuple[tf_policy.TFPolicy, tf_policy.TFPolicy]:
        policy = BranchingQPolicy(time_step_spec, action_spec, self._q_network)
        return greedy_policy.GreedyPolicy(policy), policy

    def _compute_q_values(
        self, time_steps: ts.TimeStep, actions: Any, training: bool = False
    ) -> tf.Tensor:
        """Values of the actions taken, float32 [B, branches]."""
        return _of_actions(_values(self._q_network, time_steps), actions)

    def _compute_next_q_values(self, next_time_steps: ts.TimeStep, info: Any) -> tf.Tensor:
        """The mean over the branches of what their best actions are worth, float32 [B]."""
        judge = self._q_network if self._is_double else self._target_q_network
        best = tuple(tf.argmax(branch, -1) for branch in _allowed_values(judge, next_time_steps))
        worth = _of_actions(_values(self._target_q_network, next_time_steps), best)
        return tf.reduce_mean(worth, -1)

    def _td_loss(
        self, q_values: tf.Tensor, next_q_values: tf.Tensor, rewards: tf.Tensor, discounts: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Loss and error of each row, means over the branches."""
        target = dqn_agent.compute_td_targets(next_q_values, rewards, discounts)
        targets = tf.repeat(target[:, None], q_values.shape[-1], -1)
        losses = self._td_errors_loss_fn(targets, q_values)
        return tf.reduce_mean(losses, -1), tf.reduce_mean(targets - q_values, -1)


def _values(network: BranchingQNetwork, time_step: ts.TimeStep) -> tuple[tf.Tensor, ...]:
    """Returns the values of each branch, float32 [B, n]."""
    seen, _ = masks.split(time_step.observation)
    values, _ = network(seen, time_step.step_type)
    return values


def _allowed_values(network: BranchingQNetwork, time_step: ts.TimeStep) -> tuple[tf.Tensor, ...]:
    """Returns the values of each branch, float32 [B, n], very low where not allowed."""
    allowed = masks.allowed(time_step.observation)
    return masks.masked(_values(network, time_step), allowed)


def _of_actions(values: tuple[tf.Tensor, ...], actions: Any) -> tf.Tensor:
    return tf.stack(
        [
            tf.gather(branch, tf.cast(action, tf.int64), batch_dims=1)
            for branch, action in zip(values, actions, strict=True)
        ],
        -1,
    )
