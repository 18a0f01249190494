"""`SACDiscreteLearner`: soft actor-critic of one integer, which TF-Agents does not have.

Christodoulou, "Soft Actor-Critic for Discrete Action Settings" (2019): critics that value all
actions at once, an actor that gives each its probability, and expectations over the actions
where SAC draws one. An action that the game does not allow has no part in any of them, and
the entropy that is wanted is a share of what the allowed ones can have.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
import tensorflow_probability as tfp
from tf_agents.policies import actor_policy, greedy_policy  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge.contract import AgentRequest
from gamebridge.tf import masks, networks, optimizers
from gamebridge.tf import replay as replays
from gamebridge.training import learners
from gamebridge_agents import actor_critic, replaying


class SACDiscreteLearner(learners.OffPolicyLearner):
    """Soft actor-critic over all actions, with a learned temperature."""

    metric_names = ("loss", "actor_loss", "critic_loss", "alpha_loss", "alpha", "entropy")

    def __init__(self, request: AgentRequest) -> None:
        """Builds networks and optimizers from the request's specs and settings."""
        settings = request.settings
        self._settings = settings
        self._num_slots = request.num_slots
        self._action_spec = request.action_spec
        self._num_actions = int(request.action_spec.maximum) + 1
        self.replay_use = replaying.replay_use(settings)
        specs = request.time_step_spec.observation, request.action_spec
        self._actor = networks.ActorNetwork(*specs, **actor_critic.network_settings(request, 0))
        self._critics, self._targets = (
            tuple(
                networks.QNetwork(*specs, **actor_critic.network_settings(request, index))
                for index in (1, 2)
            )
            for _ in range(2)
        )
        for network in (*self._critics, *self._targets):
            network.create_variables()
        self._log_alpha = tf.Variable(tf.math.log(settings.initial_alpha), name="log_alpha")
        self.policy = greedy_policy.GreedyPolicy(
            actor_policy.ActorPolicy(request.time_step_spec, request.action_spec, self._actor)
        )
        self._parts = {
            "critic": [weight for critic in self._critics for weight in critic.trainable_weights],
            "actor": self._actor.trainable_weights,
            "alpha": [self._log_alpha],
        }
        self._optimizers = {}
        for name, variables in self._parts.items():
            self._optimizers[name] = optimizers.adam(settings.learning_rate)
            optimizers.create_slots(self._optimizers[name], variables)

    def trackables(self) -> dict[str, Any]:
        """Networks and their targets, temperature and optimizers."""
        return {
            "actor": self._actor,
            "critic_1": self._critics[0],
            "critic_2": self._critics[1],
            "target_critic_1": self._targets[0],
            "target_critic_2": self._targets[1],
            "log_alpha": self._log_alpha,
            **{f"{name}_optimizer": optimizer for name, optimizer in self._optimizers.items()},
        }

    def act(self, time_step: ts.TimeStep, num_steps: tf.Tensor, seed: tf.Tensor) -> Any:
        """Any allowed action while the buffer warms up, then the actor's."""
        logits = tf.cond(
            num_steps < self._settings.warm_up_steps,
            lambda: tf.zeros([self._num_slots, self._num_actions]),
            lambda: self._actor(time_step.observation, time_step.step_type)[0].logits,
        )
        may = masks.allowed(time_step.observation)
        distribution = tfp.distributions.Categorical(masks.masked(logits, may))
        return tf.cast(distribution.sample(seed=seed), self._action_spec.dtype)

    def train(self, batch: replays.Transition, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step of both critics, of the actor and of the temperature."""
        settings = self._settings
        alpha = tf.exp(self._log_alpha)
        target = batch.reward * settings.reward_scale
        target += settings.gamma * batch.discount * self._soft_value(batch.next_observation, alpha)

        with tf.GradientTape() as tape:
            values = [critic(batch.observation)[0] for critic in self._critics]
            chosen = tf.cast(batch.action, tf.int64)
            # Not TF-Agents' Huber: its gradient adds three parts up in any order, and so differs
            # in the last digit from run to run.
            losses = [
                tf.keras.losses.huber(
                    target[:, None], tf.gather(value, chosen, batch_dims=1)[:, None]
                )
                for value in values
            ]
            critic_loss = _mean(tf.add_n(losses), batch)
        self._step("critic", tape, critic_loss)

        least = tf.minimum(*values)
        with tf.GradientTape() as tape:
            probs, log_probs = self._probabilities(batch.observation)
            entropy = -tf.reduce_sum(probs * log_probs, -1)
            actor_loss = _mean(-tf.reduce_sum(probs * least, -1) - alpha * entropy, batch)
        self._step("actor", tape, actor_loss)

        wanted = settings.target_entropy_share * self._greatest_entropy(batch.observation)
        with tf.GradientTape() as tape:
            alpha_loss = self._log_alpha * _mean(tf.stop_gradient(entropy) - wanted, batch)
        self._step("alpha", tape, alpha_loss)

        for critic, goal in zip(self._critics, self._targets, strict=True):
            common.soft_variables_update(
                critic.variables, goal.variables, settings.target_update_tau
            )
        return {
            "loss": critic_loss + actor_loss + alpha_loss,
            "actor_loss": actor_loss,
            "critic_loss": critic_loss,
            "alpha_loss": alpha_loss,
            "alpha": tf.exp(self._log_alpha),
            "entropy": tf.reduce_sum(entropy * batch.weight)
            / tf.maximum(tf.reduce_sum(batch.weight), 1.0),
        }

    def _probabilities(self, observation: Any) -> tuple[tf.Tensor, tf.Tensor]:
        distribution, _ = self._actor(observation)
        log_probs = tf.nn.log_softmax(distribution.logits)
        return tf.exp(log_probs), log_probs

    def _greatest_entropy(self, observation: Any) -> tf.Tensor:
        """Returns that of equal chances of all allowed actions: float32 [N], or a scalar."""
        may = masks.allowed(observation)
        if may is None:
            return tf.math.log(float(self._num_actions))
        return tf.math.log(tf.reduce_sum(tf.cast(may, tf.float32), -1))

    def _soft_value(self, observation: Any, alpha: tf.Tensor) -> tf.Tensor:
        """Returns what a state is worth with the entropy of the actor in it, float32 [N]."""
        probs, log_probs = self._probabilities(observation)
        least = tf.minimum(*(target(observation)[0] for target in self._targets))
        return tf.reduce_sum(probs * (least - alpha * log_probs), -1)

    def _step(self, part: str, tape: tf.GradientTape, loss: tf.Tensor) -> None:
        variables = self._parts[part]
        gradients = tape.gradient(loss, variables)
        if self._settings.gradient_clip:
            gradients = [tf.clip_by_norm(each, self._settings.gradient_clip) for each in gradients]
        self._optimizers[part].apply_gradients(zip(gradients, variables, strict=True))


def _mean(rows: tf.Tensor, batch: replays.Transition) -> tf.Tensor:
    return tf.reduce_mean(rows * batch.weight)
