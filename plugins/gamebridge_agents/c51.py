"""`C51Learner`: TF-Agents' categorical DQN, with a loss that leaves out what must not teach.

`CategoricalDqnAgent` learns from every row, also from those that begin at an episode's LAST
step, whose action was never played, and drops the weights it is given; its `DqnAgent` masks
the former and takes the latter. Here its loss is written anew, masked as there. Policies,
projection and the target network are TF-Agents' own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf  # noqa: TID253
from tf_agents.agents import tf_agent  # noqa: TID253
from tf_agents.agents.categorical_dqn import categorical_dqn_agent  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253
from tf_agents.trajectories import trajectory  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge.contract import AgentRequest
from gamebridge.tf import masks, networks
from gamebridge_agents import dqn


class C51Learner(dqn.DQNLearner):
    """A distribution over the return of each action (Bellemare et al., 2017)."""

    metric_names = ("loss", "epsilon", "learning_rate", "outside")

    def _metrics(self, info: tf_agent.LossInfo) -> dict[str, tf.Tensor]:
        """`outside` is the share of targets beyond the support."""
        return {**super()._metrics(info), "outside": info.extra.outside}

    def _td_errors(self, info: tf_agent.LossInfo) -> tf.Tensor:
        # As Hessel et al. (2018) do, who draw by what the distributions differ in.
        return info.extra.divergence

    def _make_network(self, request: AgentRequest, seen_spec: Any) -> Any:
        settings = self._settings
        return CategoricalQNetwork(
            seen_spec,
            request.action_spec,
            num_atoms=settings.num_atoms,
            seed=request.seed % 2**31,
            units=settings.units,
            conv_filters=settings.conv_filters,
            activation=settings.activation,
        )

    def _make_agent(self, *arguments: Any, **settings: Any) -> MaskedCategoricalDqnAgent:
        self._support = tf.linspace(
            self._settings.min_value, self._settings.max_value, self._settings.num_atoms
        )
        return MaskedCategoricalDqnAgent(
            *arguments,
            min_q_value=self._settings.min_value,
            max_q_value=self._settings.max_value,
            **settings,
        )

    def _values(self, time_step: ts.TimeStep) -> tf.Tensor:
        seen, _ = masks.split(time_step.observation)
        logits, _ = self._network(seen, time_step.step_type)
        return common.convert_q_logits_to_values(logits, self._support)


class LossInfo(NamedTuple):
    """What the loss tells beside itself.

    Attributes:
      outside: float32, the share of the target distributions' mass that lies beyond the
        support and is put on its ends: where it stays high, the support is too narrow.
      divergence: float32 [N], Kullback-Leibler's, of each row's target from what was thought.
    """

    outside: tf.Tensor
    divergence: tf.Tensor


class MaskedCategoricalDqnAgent(categorical_dqn_agent.CategoricalDqnAgent):
    """TF-Agents' agent on one-step transitions; rows that begin at LAST do not teach."""

    def _loss(
        self,
        experience: trajectory.Transition,
        td_errors_loss_fn: Any = None,
        gamma: Any = 1.0,
        reward_scale_factor: Any = 1.0,
        weights: Any = None,
        training: bool = False,
    ) -> tf_agent.LossInfo:
        """Cross entropy to the projected target (Bellemare et al., 2017, algorithm 1)."""
        del td_errors_loss_fn
        now, policy_step, then = experience
        seen, _ = masks.split(now.observation)
        logits, _ = self._q_network(seen, step_type=now.step_type, training=training)
        chosen = tf.gather(logits, tf.cast(policy_step.action, tf.int32), batch_dims=1)
        shifted = (
            reward_scale_factor * then.reward[:, None]
            + gamma * then.discount[:, None] * self._support[None]
        )
        after = self._next_q_distribution(then)
        target = tf.stop_gradient(
            categorical_dqn_agent.project_distribution(shifted, after, self._support)
        )
        teaches = 1.0 - tf.cast(now.is_last(), tf.float32)
        losses = teaches * tf.nn.softmax_cross_entropy_with_logits(target, chosen)
        # A target has atoms of no mass, of which nothing is lost.
        entropy = -tf.reduce_sum(tf.math.multiply_no_nan(tf.math.log(target), target), -1)
        divergence = tf.stop_gradient(losses - teaches * entropy)
        beyond = tf.logical_or(shifted < self._support[0], shifted > self._support[-1])
        outside = tf.reduce_sum(after * tf.cast(beyond, tf.float32), -1)
        share = tf.reduce_sum(teaches * outside) / tf.maximum(tf.reduce_sum(teaches), 1.0)
        weighted = losses if weights is None else losses * weights
        return tf_agent.LossInfo(tf.reduce_mean(weighted), LossInfo(share, divergence))


class CategoricalQNetwork(networks.Headed):
    """Logits of each action's returns: observation [B, ...] to [B, num_actions, num_atoms]."""

    def __init__(
        self,
        observation_spec: Any,
        action_spec: Any,
        num_atoms: int = 51,
        seed: int = 0,
        units: tuple[int, ...] = (128, 128),
        conv_filters: tuple[int, ...] = (16, 32, 32),
        activation: str = "relu",
        name: str = "CategoricalQNetwork",
    ) -> None:
        """Builds the network; `action_spec` is one integer from 0 up."""
        super().__init__(observation_spec, seed, units, conv_filters, activation, name)
        self.num_atoms = num_atoms
        self._num_actions = int(action_spec.maximum) + 1
        # Small: at first all returns are thought alike.
        self._head = tf.keras.layers.Dense(
            self._num_actions * num_atoms,
            kernel_initializer=tf.keras.initializers.RandomUniform(-0.03, 0.03, seed=seed - 1),
        )

    def call(
        self,
        observation: Any,
        step_type: Any = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, Any]:
        """Returns the logits and the (empty) state."""
        encoded, squash = self.encode(observation)
        logits = tf.reshape(self._head(encoded), [-1, self._num_actions, self.num_atoms])
        return squash.unflatten(logits), network_state
