"""What both drivers share: a driver steps the collect policy and the game, and counts.

A driver's whole loop runs in the graph, in one `tf.function` under `do_not_convert`:
converting TF-Agents' code by autograph takes longer than many a training. All of its
randomness is stateless and hangs on (seed, number of draws), so that a checkpoint needs
to hold nothing but two counters.
"""

from __future__ import annotations

import abc
import re
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import errors
from gamebridge.contract import seeding
from gamebridge.tf import environment as environments
from gamebridge.training import learners, preferences

_ACT, _RESTART = 1, 2
# What tf.debugging.check_numerics makes of the words that TF-Agents gives it.
_NOT_FINITE = re.compile(r"((?:\w+ )?[Ll]oss) is inf or nan")


class Heard(NamedTuple):
    """What each slot said last, where slots go from row to row each at its own pace.

    Attributes:
      time_step: nest of [B, ...], each slot's newest valid row.
      action: nest of [B, ...], what the agent chose there, unless the row is news.
      state: nest of [B, ...], what the agent remembers since it chose last.
      is_news: bool [B], whether the row came with the newest step.
      is_known: bool [B], whether the slot said anything since the restart.
    """

    time_step: ts.TimeStep
    action: Any
    state: Any
    is_news: tf.Tensor
    is_known: tf.Tensor

    def past(self) -> Any:
        """Returns what the agent may remember where it chooses now: nothing at FIRST."""
        nothing = tf.nest.map_structure(tf.zeros_like, self.state)
        return environments.choose(self.time_step.is_first(), nothing, self.state)

    def next(self, action: Any, state: Any, rows: environments.Rows) -> Heard:
        """Returns what was heard after a step, in which `action` was chosen.

        Args:
          action: nest of [B, ...].
          state: what the agent remembers where it has just chosen; the others keep theirs.
          rows: what came of it.
        """
        return Heard(
            environments.choose(rows.valid, rows.time_step, self.time_step),
            action,
            environments.choose(self.is_news, state, self.state),
            rows.valid,
            tf.logical_or(self.is_known, rows.valid),
        )


class Driver(abc.ABC):
    """Steps a learner's collect policy in an environment and trains it when it is due."""

    def __init__(
        self, environment: environments.GameTFEnvironment, learner: learners.Learner, seed: int
    ) -> None:
        """Keeps what both kinds need; call `restart` before `advance`."""
        self.environment = environment
        self.num_slots: int = environment.batch_size
        self._learner = learner
        self._seed = seed
        words = np.asarray([seeding.derive(seed, _ACT)], np.int64).view(np.int32)
        self._base_seed = tf.constant(words)
        self._num_steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._num_draws = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def num_steps(self) -> int:
        """Steps that the game took so far, all slots together; a reset is not a step."""
        return int(self._num_steps)

    @property
    @abc.abstractmethod
    def is_at_boundary(self) -> bool:
        """Whether a checkpoint taken now loses no step."""

    @abc.abstractmethod
    def advance(self, max_batch_steps: int) -> dict[str, float] | None:
        """Steps the batch up to so many times and trains where it is due.

        Returns:
          The learner's metrics where it trained, else None.

        Raises:
          GameError: the game raised or broke its spec; others as the game raised them.
          DivergenceError: a metric is not a finite number.
        """

    def end_episodes(self) -> None:  # noqa: B027 - nothing to do unless steps are stored
        """Makes the running episodes end here; to be called before a checkpoint."""

    def close(self) -> None:  # noqa: B027 - nothing to do unless steps are stored
        """Lets go of what stores steps; may be called twice."""

    def check_weights(self) -> None:
        """Looks at all that is learned; to be called before a checkpoint.

        Raises:
          DivergenceError: a weight is not a finite number, though no metric told so.
        """
        root = tf.train.Checkpoint(**self._learner.trackables())
        for part in tf.train.TrackableView(root).descendants():
            if isinstance(part, tf.Variable) and part.dtype.is_floating:
                self._check_finite(part.name, part.numpy())

    def restart(self) -> None:
        """Restarts all episodes, seeded by (seed, steps so far) and nothing else."""
        seeds = seeding.slot_seeds(
            seeding.derive(self._seed, _RESTART + self.num_steps), self.num_slots
        )
        self.environment.game.note_progress(self.num_steps)
        self.environment.restart(seeds)

    def trackables(self) -> dict[str, Any]:
        """What a checkpoint must hold of the driver and its learner."""
        return {
            "num_steps": self._num_steps,
            "num_draws": self._num_draws,
            **{f"learner_{name}": part for name, part in self._learner.trackables().items()},
        }

    def _draw(self) -> tf.Tensor:
        """Returns a fresh stateless seed, int32 [2]; in the graph."""
        seed = tf.random.experimental.stateless_fold_in(
            self._base_seed, tf.cast(self._num_draws, tf.int32)
        )
        self._num_draws.assign_add(1)
        return seed

    def _step(self, time_step: ts.TimeStep, action: Any) -> environments.Rows:
        """Steps the environment; in the graph."""
        # Nothing else holds this step back until the one before it was read, where the
        # action was drawn without a look at the observation.
        with tf.control_dependencies(tf.nest.flatten(time_step)):
            return self.environment.step_rows(self._told(action))

    def _told(self, action: Any) -> Any:
        """Returns what the game is told where the agent said `action`; in the graph."""
        # Not what is learned from: a Gaussian's log-probability is that of the sample, and what
        # preferences are worth is what all that may be drawn by them is worth.
        told = environments.clip_action(action, self.environment.action_spec())
        blocks = self.environment.game.preferences
        return preferences.drawn(told, blocks, self._draw()) if blocks else told

    def _count(self, time_step: ts.TimeStep, played: tf.Tensor | None = None) -> None:
        """Counts the steps that `time_step` was the beginning of; in the graph.

        Args:
          time_step: [B, ...]; nothing is played at LAST.
          played: bool [B], the slots that went on; None means all.
        """
        counted = tf.logical_not(time_step.is_last())
        if played is not None:
            counted = tf.logical_and(counted, played)
        self._num_steps.assign_add(tf.reduce_sum(tf.cast(counted, tf.int64)))

    def _run(self, function: Any, *arguments: Any) -> Any:
        """Calls a graph function; the game's own error comes out as it was raised."""
        try:
            return function(*arguments)
        except tf.errors.OpError as error:
            original = self.environment.error
            if original is None:
                self._refuse_if_diverged(error)
                raise
        except errors.Error:
            raise
        except Exception as error:
            # Not the graph but the learner's own code, as it was traced.
            raise errors.PluginError(
                f"{type(self._learner).__name__} raised {type(error).__name__}: "
                f"{str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}. "
                "Mend the agent's act or train; its own traceback is the cause of this error."
            ) from error
        if isinstance(original, errors.ActionError):
            # What weights that are not finite give is no action, and no fault of a game.
            self.check_weights()
        # Out here it keeps its own cause, which `raise ... from` would replace.
        raise original

    def _checked(self, metrics: dict[str, tf.Tensor]) -> dict[str, float]:
        values = {name: float(value) for name, value in metrics.items()}
        for name, value in values.items():
            self._check_finite(name, value)
        return values

    def _refuse_if_diverged(self, error: tf.errors.OpError) -> None:
        """TF-Agents' agents look at their losses themselves, before they take a step."""
        found = _NOT_FINITE.search(str(error))
        if found:
            loss = found[1].lower()
            raise errors.DivergenceError(self._diverged(loss, "infinite or NaN")) from error

    def _check_finite(self, name: str, value: Any) -> None:
        if not np.isfinite(value).all():
            what = value if np.ndim(value) == 0 else "infinite or NaN"
            raise errors.DivergenceError(self._diverged(name, what))

    def _diverged(self, name: str, what: Any) -> str:
        return (
            f"{name} became {what} at step {self.num_steps:,}. Older checkpoints are kept; lower "
            "agent.learning_rate, or check the game's rewards."
        )


def in_graph(function: Any) -> Any:
    """Returns `function` as one tf.function that autograph does not touch."""
    return tf.function(tf.autograph.experimental.do_not_convert(function), autograph=False)
