"""The door to TensorFlow: a Game as a batched TF-Agents environment, in Python or in the graph.

Per-game PyEnvironments cost most of a TF-Agents step. `GamePyEnvironment` is one batched
PyEnvironment, to be put under the stock `TFPyEnvironment`, a `PyDriver` or an `Actor`;
`GameTFEnvironment` is the fast path: one `numpy_function` a batch and nothing around it.
`make bench` measures both against the stock arrangements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf  # noqa: TID253
from tf_agents.environments import py_environment, tf_environment  # noqa: TID253
from tf_agents.specs import array_spec, tensor_spec  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge.contract import game as games
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.tf import buffers, doors

# One is enough for most batches, two for nearly all, and one costs a microsecond.
_TURNS = 4
# How long a slot may have nothing to say, in seconds.
_TIMEOUT_S = 300.0


def to_array_spec(spec: specs.Spec) -> Any:
    """Returns TF-Agents' nest of (bounded) array specs for a nest of ours."""

    def convert(path: str, leaf: specs.ArraySpec) -> Any:
        name = path.replace("/", "_") or leaf.name or None
        # TF-Agents has no bounded specs of bool.
        if leaf.dtype.kind == "b" or (leaf.minimum is None and leaf.maximum is None):
            return array_spec.ArraySpec(leaf.shape, leaf.dtype, name)
        low, high = _dtype_range(leaf.dtype)
        return array_spec.BoundedArraySpec(
            leaf.shape,
            leaf.dtype,
            low if leaf.minimum is None else leaf.minimum,
            high if leaf.maximum is None else leaf.maximum,
            name,
        )

    paths = iter([path for path, _ in specs.named_leaves(spec)])
    return specs.map_leaves(lambda leaf: convert(next(paths), leaf), spec)


def choose(slots: tf.Tensor, these: Any, others: Any) -> Any:
    """Takes the rows of `slots`, bool [B], from `these`, and the rest from `others`."""

    def choose_leaf(this: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.reshape(slots, [-1] + [1] * (len(this.shape) - 1)), this, other)

    return tf.nest.map_structure(choose_leaf, these, others)


def clip_action(action: Any, action_spec: Any) -> Any:
    """Holds the floats of an action to their bounds, where they have any; in graph or eager."""

    def clip(leaf: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
        is_bounded = isinstance(spec, tensor_spec.BoundedTensorSpec)
        return common.clip_to_spec(leaf, spec) if is_bounded and spec.dtype.is_floating else leaf

    return tf.nest.map_structure(clip, action, action_spec)


class GamePyEnvironment(py_environment.PyEnvironment):
    """A Game under TF-Agents' PyEnvironment interface, batched.

    Every row it hands out is a copy of its own: `numpy_function` gives TensorFlow an
    alias of what it gets, and a game writes its rows in place.

    It waits where rows are not valid (an agent that has not asked for a decision, a
    player being replaced): only the invalid slots go on until all have something to
    say, or `valid_timeout_s` is over.
    """

    def __init__(
        self, game: games.Game, seeds: Array | None = None, valid_timeout_s: float = _TIMEOUT_S
    ) -> None:
        """Opens the door to `game` and takes over its closing.

        Args:
          game: any Game.
          seeds: int64 [B], slot seeds of the first reset.
          valid_timeout_s: how long rows may stay invalid, in seconds.
        """
        super().__init__(handle_auto_reset=False)
        self._door = doors.Door(game, seeds, valid_timeout_s)
        self._observation_spec = to_array_spec(game.observation_spec())
        self._action_spec = to_array_spec(game.action_spec())

    @property
    def game(self) -> games.Game:
        """The game behind the door."""
        return self._door.game

    @property
    def error(self) -> Exception | None:
        """What the game raised last, if anything: TensorFlow only hands on its text."""
        return self._door.error

    @property
    def batched(self) -> bool:
        """Always: a Game of one slot is a batch of one."""
        return True

    @property
    def batch_size(self) -> int:
        """The game's number of slots."""
        return self.game.num_slots

    def observation_spec(self) -> Any:
        """One slot's observation as TF-Agents' specs."""
        return self._observation_spec

    def action_spec(self) -> Any:
        """One slot's action as TF-Agents' specs."""
        return self._action_spec

    def should_reset(self, current_time_step: ts.TimeStep) -> bool:
        """Never: slots restart by themselves, each when its own episode ended."""
        return False

    def restart(self, seeds: Array) -> None:
        """Makes the next `reset` give every slot a new seed: int64 [B]."""
        self._door.restart(seeds)
        self._current_time_step = None

    def _reset(self) -> ts.TimeStep:
        return _copied(self._door.start())

    def _step(self, action: Any) -> ts.TimeStep:
        return _copied(self._door.play(action))

    def render(self, mode: str = "rgb_array") -> Array | None:
        """Returns slot 0's picture, uint8 [height, width, 3]."""
        return self.game.render(0)

    def close(self) -> None:
        """Closes the game."""
        self._door.close()


class Rows(NamedTuple):
    """A batch of time steps and which of them mean something.

    Attributes:
      time_step: nest of [B, ...].
      valid: bool [B]; False where a slot had nothing to say.
    """

    time_step: ts.TimeStep
    valid: tf.Tensor


class GameTFEnvironment(tf_environment.TFEnvironment):
    """A Game as a TF-Agents TFEnvironment: one `numpy_function` a batch.

    For use inside and outside `tf.function`; stateful, so to be stepped from one place
    at a time, like every TFEnvironment. The game's own error is kept in `error`.
    """

    def __init__(
        self,
        game: games.Game,
        seeds: Array | None = None,
        valid_timeout_s: float = _TIMEOUT_S,
        *,
        waits: bool = True,
    ) -> None:
        """Opens the door to `game` and takes over its closing.

        Args:
          game: any Game.
          seeds: int64 [B], slot seeds of the first reset.
          valid_timeout_s: how long a slot may stay invalid, in seconds.
          waits: whether to wait until all rows are valid. Where it does not, time steps
            hold rows that mean nothing: for those who look at `Rows.valid` only.
        """
        self._door = doors.Door(game, seeds, valid_timeout_s, waits=waits)
        self._is_nested = not isinstance(game.observation_spec(), specs.ArraySpec)
        self._is_flat = isinstance(game.action_spec(), specs.ArraySpec)
        self._current: list[Array] | None = None
        observation_spec = to_array_spec(game.observation_spec())
        super().__init__(
            tensor_spec.from_spec(ts.time_step_spec(observation_spec)),
            tensor_spec.from_spec(to_array_spec(game.action_spec())),
            batch_size=game.num_slots,
        )
        flat_specs = tf.nest.flatten(self.time_step_spec())
        self._dtypes = [spec.dtype for spec in flat_specs]
        self._shapes = [[game.num_slots, *spec.shape] for spec in flat_specs]
        if not waits:
            self._dtypes.append(tf.bool)
            self._shapes.append([game.num_slots])
        self._buffers = [buffers.Buffers() for _ in specs.leaves(game.observation_spec())]

    @property
    def game(self) -> games.Game:
        """The game behind the door."""
        return self._door.game

    @property
    def waits(self) -> bool:
        """Whether all rows are always valid."""
        return self._door.waits

    @property
    def error(self) -> Exception | None:
        """What the game raised last, if anything: TensorFlow only hands on its text."""
        return self._door.error

    def restart(self, seeds: Array) -> None:
        """Resets every slot at once under a new seed: int64 [B]."""
        self._door.restart(seeds)
        self._current = self._rows(self._door.start())

    def close(self) -> None:
        """Closes the game. May be called twice."""
        self._door.close()

    def current_rows(self) -> Rows:
        """The newest time step and which of its rows are valid; in graph or eager."""

        def current() -> list[Array]:
            if self._current is None:
                self._current = self._rows(self._door.start())
            return self._current

        return self._pack(tf.numpy_function(current, [], self._dtypes))

    def step_rows(self, action: Any) -> Rows:
        """Steps, and says which rows of the time step are valid; in graph or eager."""
        waited = [_after_the_queue(leaf) for leaf in tf.nest.flatten(action)]

        def step(*leaves: Array) -> list[Array]:
            self._current = self._rows(self._door.play(self._action_of(leaves)))
            return self._current

        return self._pack(tf.numpy_function(step, waited, self._dtypes))

    def begin_step(self, action: Any) -> tf.Operation | None:
        """Starts a step and returns while it is under way; in graph or eager.

        Returns:
          What to hang on to by control dependencies; None where eager.
        """

        def begin(*leaves: Array) -> list[Array]:
            self._door.begin(self._action_of(leaves))
            return []

        begun: tf.Operation | None = tf.numpy_function(begin, tf.nest.flatten(action), [])
        return begun

    def end_step(self) -> Rows:
        """Waits for the step that `begin_step` started; in graph or eager."""

        def end() -> list[Array]:
            self._current = self._rows(self._door.end())
            return self._current

        return self._pack(tf.numpy_function(end, [], self._dtypes))

    def _current_time_step(self) -> ts.TimeStep:
        return self.current_rows().time_step

    def _reset(self) -> ts.TimeStep:
        def reset() -> list[Array]:
            self._current = self._rows(self._door.start())
            return self._current

        return self._pack(tf.numpy_function(reset, [], self._dtypes)).time_step

    def _step(self, action: Any) -> ts.TimeStep:
        return self.step_rows(action).time_step

    def _action_of(self, leaves: Sequence[Array]) -> Any:
        return leaves[0] if self._is_flat else tf.nest.pack_sequence_as(self._action_spec, leaves)

    def _rows(self, time_step: games.TimeStep) -> list[Array]:
        # Copies, unless the game knows of them: TensorFlow may read what it is given in place,
        # and so does the game write.
        step_type, reward, discount, observation, valid = time_step
        leaves = specs.leaves(observation) if self._is_nested else [observation]
        if not self.game.can_keep_rows:
            leaves = [leaf.copy(rows) for leaf, rows in zip(self._buffers, leaves, strict=True)]
        rows = [step_type.copy(), reward.copy(), discount.copy(), *leaves]
        if not self._door.waits:
            rows.append(valid.copy())
        return rows

    def _pack(self, tensors: list[tf.Tensor]) -> Rows:
        for tensor, shape in zip(tensors, self._shapes, strict=True):
            tensor.set_shape(shape)
        if self._door.waits:
            valid = tf.ones([self.batch_size], tf.bool)
        else:
            *tensors, valid = tensors
        return Rows(tf.nest.pack_sequence_as(self.time_step_spec(), tensors), valid)


def _after_the_queue(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the tensor a few empty operations later.

    TensorFlow's executor runs what is ready one after the other, but hands a Python function
    to another thread whenever anything else is waiting in its queue; waking that thread up
    takes as long as a cheap game's step. A few turns at the end of the queue let it run dry:
    a batch of 8 CartPoles under a driver then takes 0.6 times as long. An identity would do,
    but the graph's optimiser takes those out.
    """
    for _ in range(0 if tf.executing_eagerly() else _TURNS):
        tensor = tf.ensure_shape(tensor, tensor.shape)
    return tensor


def _copied(time_step: games.TimeStep) -> ts.TimeStep:
    return ts.TimeStep(
        time_step.step_type.copy(),
        time_step.reward.copy(),
        time_step.discount.copy(),
        specs.map_leaves(np.copy, time_step.observation),
    )


def _dtype_range(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtype.kind == "f":
        return -np.inf, np.inf
    return np.iinfo(dtype).min, np.iinfo(dtype).max
