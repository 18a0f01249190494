"""`RandomLearner` and `RepeatLearner`: agents that learn nothing, to compare others with."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253
from tf_agents.policies import tf_policy  # noqa: TID253
from tf_agents.specs import tensor_spec  # noqa: TID253
from tf_agents.trajectories import policy_step  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import errors
from gamebridge.contract import AgentRequest
from gamebridge.contract.specs import Array
from gamebridge.training import learners

# Bounds wider than this are none: nobody means 1e30 when asking for any number.
_WIDEST = 1e6


class _Baseline(learners.OnPolicyLearner):
    """Acts as its policy does and learns nothing."""

    metric_names = ()
    rollout_length = 64

    def trackables(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def train(self, rollout: learners.Rollout, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Nothing."""
        return {}


class RandomLearner(_Baseline):
    """Any action with equal chances, in evaluations too."""

    def __init__(self, request: AgentRequest) -> None:
        """Makes the policy."""
        self._action_spec = request.action_spec
        self._num_slots = request.num_slots
        self.policy = RandomPolicy(request.time_step_spec, request.action_spec, request.seed)

    def trackables(self) -> dict[str, Any]:
        """How often the policy drew."""
        return {"num_draws": self.policy.num_draws}

    def act(self, time_step: ts.TimeStep, seed: tf.Tensor) -> tuple[Any, Any]:
        """Draws."""
        return draw(self._action_spec, self._num_slots, seed), ()


class RandomPolicy(tf_policy.TFPolicy):
    """Draws as its own seed and the number of draws before have it.

    The count is kept with a checkpoint, so that an evaluation of one finds the same again.
    """

    def __init__(self, time_step_spec: ts.TimeStep, action_spec: Any, seed: int) -> None:
        """Keeps the seed."""
        super().__init__(time_step_spec, action_spec)
        self._seed = tf.constant(np.asarray([seed], np.int64).view(np.int32))
        self.num_draws = tf.Variable(0, dtype=tf.int64, trainable=False)

    def _variables(self) -> list[tf.Variable]:
        return [self.num_draws]

    def _action(
        self, time_step: ts.TimeStep, policy_state: Any = (), seed: Any = None
    ) -> policy_step.PolicyStep:
        number = tf.cast(self.num_draws.assign_add(1), tf.int32)
        drawn_by = tf.random.experimental.stateless_fold_in(self._seed, number)
        action = draw(self.action_spec, tf.shape(time_step.step_type)[0], drawn_by)
        return policy_step.PolicyStep(action, policy_state)


class RepeatLearner(_Baseline):
    """The same action in every step."""

    def __init__(self, request: AgentRequest) -> None:
        """Makes the policy.

        Raises:
          ConfigError: the setting `action` is none of the game's.
        """
        self._num_slots = request.num_slots
        action = _chosen(request.settings.action, request.action_spec)
        self.policy = RepeatPolicy(request.time_step_spec, request.action_spec, action)

    def act(self, time_step: ts.TimeStep, seed: tf.Tensor) -> tuple[Any, Any]:
        """Returns the action, once a slot."""
        return self.policy.action(time_step).action, ()


class RepeatPolicy(tf_policy.TFPolicy):
    """Gives one action."""

    def __init__(self, time_step_spec: ts.TimeStep, action_spec: Any, action: Array) -> None:
        """Keeps the action, of one slot."""
        super().__init__(time_step_spec, action_spec)
        self._one = tf.constant(action, action_spec.dtype)

    def _variables(self) -> list[tf.Variable]:
        return []

    def _action(
        self, time_step: ts.TimeStep, policy_state: Any = (), seed: Any = None
    ) -> policy_step.PolicyStep:
        count = tf.shape(time_step.step_type)[0]
        shape = tf.concat([[count], tf.shape(self._one)], 0)
        return policy_step.PolicyStep(tf.broadcast_to(self._one, shape), policy_state)


def draw(action_spec: Any, count: tf.Tensor | int, seed: tf.Tensor) -> tf.Tensor:
    """Draws `count` actions of a spec, uniformly; parts without bounds from a standard normal."""
    shape = tf.concat([[count], tf.constant(action_spec.shape.as_list(), tf.int32)], 0)
    if tensor_spec.is_discrete(action_spec):
        num_actions = int(action_spec.maximum) + 1
        drawn = tf.random.stateless_uniform(shape, seed, 0, num_actions, tf.int64)
        return tf.cast(drawn, action_spec.dtype)
    low, high, is_bounded = _bounds(action_spec)
    seeds = tf.random.split(seed, 2)
    # Where there are no bounds, what is drawn within these comes to nothing.
    least, most = np.where(is_bounded, low, 0), np.where(is_bounded, high, 0)
    bounded = least + (most - least) * tf.random.stateless_uniform(shape, seeds[0])
    wild = tf.clip_by_value(tf.random.stateless_normal(shape, seeds[1]), low, high)
    return tf.cast(tf.where(is_bounded, bounded, wild), action_spec.dtype)


def _bounds(action_spec: Any) -> tuple[Array, Array, Array]:
    """Returns low, high (float32, infinite where there is none) and where both are given."""
    shape = action_spec.shape.as_list()
    low = np.broadcast_to(np.float32(getattr(action_spec, "minimum", -np.inf)), shape)
    high = np.broadcast_to(np.float32(getattr(action_spec, "maximum", np.inf)), shape)
    return low, high, (low > -_WIDEST) & (high < _WIDEST)


def _chosen(action: tuple[float, ...], action_spec: Any) -> Array:
    """Returns the action that the setting names, or the one that an empty setting means."""
    shape = action_spec.shape.as_list()
    size = int(np.prod(shape))
    low, high, is_bounded = _bounds(action_spec)
    if not action:
        if tensor_spec.is_discrete(action_spec):
            return np.zeros(shape)
        middle = np.where(is_bounded, low, 0) / 2 + np.where(is_bounded, high, 0) / 2
        return np.where(is_bounded, middle, np.clip(0.0, low, high))
    values = np.asarray(action)
    is_whole = not tensor_spec.is_discrete(action_spec) or (values == np.floor(values)).all()
    if values.size != size or not is_whole:
        wants = "integer" if tensor_spec.is_discrete(action_spec) else "number"
        raise errors.ConfigError(
            f"agent.action is {list(action)}: expected {size} {wants}{'s' if size > 1 else ''}, "
            "the game's action as the agent is offered it."
        )
    values = values.reshape(shape)
    if (values < low).any() or (values > high).any():
        raise errors.ConfigError(
            f"agent.action is {list(action)}: expected {np.min(low):g} to {np.max(high):g}, "
            "the game's action as the agent is offered it."
        )
    return values
