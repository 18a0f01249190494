"""`ActorCriticLearner`: what `ddpg`, `td3` and `sac` share.

TF-Agents' agents have the losses, networks' targets and updates; three things are ours:

* Rows. TF-Agents learns from the step that leads from one episode's end to the next one's
  beginning as from any other. Here such a row has no weight. A truncated episode bootstraps
  from its last observation and a terminated one does not: the discount alone says which.
* Randomness. TF-Agents draws from TensorFlow's global generator, which no checkpoint holds.
  Here all of it hangs on the seeds that the driver hands out.
* First weights. TF-Agents copies the second critic from the first; with seeded initializers
  the two would be one for ever. Here each has a seed of its own.
"""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253
from tf_agents.agents import tf_agent  # noqa: TID253
from tf_agents.specs import tensor_spec  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge import errors
from gamebridge.contract import AgentRequest, seeding
from gamebridge.tf import optimizers
from gamebridge.tf import replay as replays
from gamebridge.training import learners
from gamebridge_agents import continuous_networks, objections, replaying


class ActorCriticLearner(learners.OffPolicyLearner):
    """Learns an actor of bounded floats and the value of its actions from a replay buffer."""

    _agent: tf_agent.TFAgent

    def __init__(self, request: AgentRequest) -> None:
        """Keeps what the three need of the request.

        Raises:
          FitError: the actions have no bounds to squash to.
        """
        settings = request.settings
        self._settings = settings
        self._request = request
        self._num_slots = request.num_slots
        self._action_spec = request.action_spec
        self._low, self._high = _bounds(request.action_spec)
        self.replay_use = replaying.replay_use(settings)
        self._train_step = tf.Variable(0, dtype=tf.int64, trainable=False)

    def act(self, time_step: ts.TimeStep, num_steps: tf.Tensor, seed: tf.Tensor) -> Any:
        """Any action within the bounds while the buffer warms up, then what `_explore` gives."""
        seeds = tf.random.split(seed, 2)
        shape = [self._num_slots, *self._action_spec.shape]

        def anything() -> tf.Tensor:
            share = tf.random.stateless_uniform(shape, seeds[0])
            return self._low + share * (self._high - self._low)

        action = tf.cond(
            num_steps < self._settings.warm_up_steps,
            anything,
            lambda: self._explore(time_step, seeds[1]),
        )
        return tf.ensure_shape(tf.clip_by_value(action, self._low, self._high), shape)

    @abc.abstractmethod
    def _explore(self, time_step: ts.TimeStep, seed: tf.Tensor) -> tf.Tensor:
        """Returns float32 [B, n]; it is clipped to the bounds afterwards."""

    def _with_noise(self, action: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        half = (self._high - self._low) / 2.0
        noise = tf.random.stateless_normal(tf.shape(action), seed)
        return action + self._settings.exploration_noise * half * noise

    def _networks_settings(self, index: int) -> dict[str, Any]:
        shape = network_settings(self._request, index)
        return {**shape, "num_features": self._settings.num_features}

    def _actor(self, kind: type[Any]) -> Any:
        observation_spec = self._request.time_step_spec.observation
        return kind(observation_spec, self._action_spec, **self._networks_settings(0))

    def _critic(self, index: int) -> continuous_networks.Critic:
        return continuous_networks.Critic(
            (self._request.time_step_spec.observation, self._action_spec),
            **self._networks_settings(index),
        )

    def _agent_settings(self) -> dict[str, Any]:
        """Returns the arguments that all three of TF-Agents' agents take alike."""
        settings = self._settings
        self._actor_optimizer = optimizers.adam(settings.learning_rate)
        self._critic_optimizer = optimizers.adam(settings.learning_rate)
        return {
            "time_step_spec": self._request.time_step_spec,
            "action_spec": self._action_spec,
            "actor_optimizer": self._actor_optimizer,
            "critic_optimizer": self._critic_optimizer,
            "target_update_tau": settings.target_update_tau,
            "td_errors_loss_fn": common.element_wise_squared_loss,
            "gamma": settings.gamma,
            "reward_scale_factor": settings.reward_scale,
            "gradient_clipping": settings.gradient_clip or None,
            "train_step_counter": self._train_step,
        }

    def _create_slots(self, *critics: continuous_networks.Critic) -> None:
        self._agent.initialize()
        optimizers.create_slots(self._actor_optimizer, self._agent._actor_network.trainable_weights)
        optimizers.create_slots(
            self._critic_optimizer,
            [weight for critic in critics for weight in critic.trainable_weights],
        )

    def _train_agent(self, batch: replays.Transition) -> tf_agent.LossInfo:
        experience = replaying.experience(batch, self._settings.batch_size)
        return self._agent.train(experience, batch.weight)


def network_settings(request: AgentRequest, index: int) -> dict[str, Any]:
    """Returns what a network is built from; `index` makes its seed differ from others'."""
    settings = request.settings
    return {
        "seed": seeding.derive(request.seed, index) % 2**30,
        "units": settings.units,
        "conv_filters": settings.conv_filters,
        "activation": settings.activation,
    }


def _bounds(action_spec: Any) -> tuple[Any, Any]:
    is_bounded = isinstance(action_spec, tensor_spec.BoundedTensorSpec)
    low, high = (
        np.broadcast_to(bound, action_spec.shape).astype(np.float32)
        for bound in (
            (action_spec.minimum, action_spec.maximum) if is_bounded else (-np.inf, np.inf)
        )
    )
    # Games say 3.4e38 where they mean no bound.
    if not (np.abs([low, high]) < 1e30).all():
        raise errors.FitError(objections.unbounded(low, high))
    return low, high
