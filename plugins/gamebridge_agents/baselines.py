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
from gamebridge.tf import masks
from gamebridge.training import learners
from gamebridge_agents import exploration

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
        allowed = masks.allowed(time_step.observation)
        return draw(self._action_spec, self._num_slots, seed, allowed), ()


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
        count, allowed = tf.shape(time_step.step_type)[0], masks.allowed(time_step.observation)
        action = draw(self.action_spec, count, drawn_by, allowed)
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
    """Gives one action; of its integers, where they are not allowed, the first that is."""

    def __init__(self, time_step_spec: ts.TimeStep, action_spec: Any, action: list[Array]) -> None:
        """Keeps the action, of one slot, in leaves."""
        super().__init__(time_step_spec, action_spec)
        self._leaves = [
            tf.constant(leaf, spec.dtype)
            for leaf, spec in zip(action, tf.nest.flatten(action_spec), strict=True)
        ]

    def _variables(self) -> list[tf.Variable]:
        return []

    def _action(
        self, time_step: ts.TimeStep, policy_state: Any = (), seed: Any = None
    ) -> policy_step.PolicyStep:
        count = tf.shape(time_step.step_type)[0]
        allowed = masks.by_leaf(masks.allowed(time_step.observation), self.action_spec)
        leaves = []
        for one, may in zip(self._leaves, allowed, strict=True):
            leaf = tf.broadcast_to(one, tf.concat([[count], tf.shape(one)], 0))
            if may is not None:
                wanted = tf.one_hot(tf.cast(leaf, tf.int64), may.shape[-1])
                leaf = tf.cast(tf.argmax(masks.masked(wanted, may), -1), one.dtype)
            leaves.append(leaf)
        action = tf.nest.pack_sequence_as(self.action_spec, leaves)
        return policy_step.PolicyStep(action, policy_state)


def draw(action_spec: Any, count: tf.Tensor | int, seed: tf.Tensor, allowed: Any = None) -> Any:
    """Draws `count` actions of a spec, uniformly; parts without bounds from a standard normal.

    Args:
      action_spec: nest of specs.
      count: scalar.
      seed: int32 [2], a stateless seed.
      allowed: nest of bool [count, n], one for each integer, or None for all.
    """
    flat = tf.nest.flatten(action_spec)
    seeds = [seed] if len(flat) == 1 else tf.unstack(tf.random.split(seed, len(flat)))
    drawn = [
        _draw_leaf(spec, count, one, may)
        for spec, one, may in zip(flat, seeds, masks.by_leaf(allowed, action_spec), strict=True)
    ]
    return tf.nest.pack_sequence_as(action_spec, drawn)


def _draw_leaf(action_spec: Any, count: Any, seed: tf.Tensor, may: tf.Tensor | None) -> tf.Tensor:
    shape = tf.concat([[count], tf.constant(action_spec.shape.as_list(), tf.int32)], 0)
    if tensor_spec.is_discrete(action_spec):
        drawn = exploration.any_integer(shape, int(action_spec.maximum) + 1, seed, may)
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


def _chosen(action: tuple[float, ...], action_spec: Any) -> list[Array]:
    """Returns the leaves that the setting names, or those that an empty setting means."""
    flat = tf.nest.flatten(action_spec)
    if not action:
        return [_middle(spec) for spec in flat]
    sizes = [int(np.prod(spec.shape.as_list())) for spec in flat]
    parts = np.split(np.asarray(action), np.cumsum(sizes)[:-1])
    kinds = [tensor_spec.is_discrete(spec) for spec in flat]
    is_whole = [
        (part == np.floor(part)).all() for part, kind in zip(parts, kinds, strict=True) if kind
    ]
    if len(action) != sum(sizes) or not all(is_whole):
        wants = " and ".join(
            f"{size} {'integer' if kind else 'number'}{'s' if size > 1 else ''}"
            for size, kind in zip(sizes, kinds, strict=True)
        )
        raise errors.ConfigError(
            f"agent.action is {list(action)}: expected {wants}, "
            "the game's action as the agent is offered it."
        )
    leaves = []
    for part, spec in zip(parts, flat, strict=True):
        low, high, _ = _bounds(spec)
        values = part.reshape(spec.shape.as_list())
        if (values < low).any() or (values > high).any():
            raise errors.ConfigError(
                f"agent.action is {list(action)}: expected {np.min(low):g} to {np.max(high):g}"
                f"{'' if len(flat) == 1 else f' in place of {part.tolist()}'}, "
                "the game's action as the agent is offered it."
            )
        leaves.append(values)
    return leaves


def _middle(spec: Any) -> Array:
    """Returns 0 for integers, else the middle of what has bounds."""
    if tensor_spec.is_discrete(spec):
        return np.zeros(spec.shape.as_list())
    low, high, is_bounded = _bounds(spec)
    middle = np.where(is_bounded, low, 0) / 2 + np.where(is_bounded, high, 0) / 2
    return np.where(is_bounded, middle, np.clip(0.0, low, high))
