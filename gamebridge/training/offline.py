"""`OfflineDriver`: trains a learner on saved episodes; the game is played for validation only.

What counts as a step is a row that was learned from: an observation, with what was done
there. A training step of a batch of 100 rows is 100 steps, whatever the number of slots, and
a run of N steps goes N / rows times over the data.

The rows come in blocks that fit into memory (see `datasets`); a place among them is an epoch,
a block and a batch in it, which is all that a checkpoint keeps. Rows that make no whole batch
at a block's end wait for the next epoch, in which others do.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf  # noqa: TID253

from gamebridge import errors
from gamebridge.contract import seeding
from gamebridge.tf import environment as environments
from gamebridge.training import datasets, drivers, learners

_DATA = 3
_MIB = 2**20
# Held-out rows are looked at again when so many times their number were learned from.
_ROWS_A_HELD_OUT_ONE = 10


class Lesson(NamedTuple):
    """Rows of what somebody saw and did.

    Attributes:
      observation: nest of [B, ...].
      action: nest of [B, ...], as this agent gives them.
      weight: float32 [B], 1 or 0; a row of weight 0 means nothing.
    """

    observation: Any
    action: Any
    weight: tf.Tensor


@dataclasses.dataclass(frozen=True)
class EpisodeUse:
    """How an offline learner uses saved episodes.

    Attributes:
      folder: where they are.
      batch_size: rows a training step.
      holdout: share of the episodes that is not learned from but measured on.
      block_mb: MiB of rows that are in memory at a time.
    """

    folder: str
    batch_size: int
    holdout: float
    block_mb: int


class OfflineLearner(learners.Learner):
    """Learns from saved episodes.

    Attributes:
      episode_use: how.
    """

    episode_use: EpisodeUse

    @abc.abstractmethod
    def train(self, lesson: Lesson, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Trains on one batch; returns the scalars of `metric_names`."""

    @abc.abstractmethod
    def measure(self, lesson: Lesson) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the sum of the rows' losses and their number, float32; learns nothing."""


def check_pace(folder: str, action_repeat: int) -> None:
    """Refuses episodes whose actions lasted other than those that are to be learned.

    Args:
      folder: of the episodes; "" where none was named.
      action_repeat: steps of the game that an action lasts in this training.

    Raises:
      ConfigError: there are none, or they last other.
      StorageError: they cannot be read.
    """
    if not folder:
        return
    # Loads Arrow, which other trainings have no use for.
    from gamebridge.evaluation import saved_episodes

    wrappers = saved_episodes.SavedEpisodes(folder).origin.get("wrappers", {})
    theirs = wrappers.get("action_repeat", 1)
    if theirs != action_repeat:
        raise errors.ConfigError(
            f"An action of the episodes in {folder} lasts {theirs} steps of the game, and one of "
            f"this training {action_repeat}. Give --set wrappers.action_repeat={theirs}."
        )


class OfflineDriver(drivers.Driver):
    """Reads blocks, and trains on them in one graph function."""

    def __init__(
        self, environment: environments.GameTFEnvironment, learner: OfflineLearner, seed: int
    ) -> None:
        """Reads what there is, and allocates a block.

        Args:
          environment: the game that is to be learned.
          learner: what trains.
          seed: fixes all that is drawn.

        Raises:
          ConfigError: no folder of episodes was named, or it is none.
          StorageError: none of its episodes is whole, or a file is damaged.
          FitError: they are of a game with other specs.
        """
        super().__init__(environment, learner, seed)
        self._offline = learner
        use = learner.episode_use
        if not use.folder:
            raise errors.ConfigError(
                "agent.episodes is not given: this agent learns from saved episodes. Save some "
                "with `gamebridge evaluate RUN --save-episodes FOLDER`, then train with "
                "`--set agent.episodes=FOLDER`."
            )
        # Loads Arrow, which other trainings have no use for.
        from gamebridge.evaluation import saved_episodes

        episodes = saved_episodes.SavedEpisodes(use.folder)
        episodes.check()
        self._data = datasets.Dataset(
            episodes,
            environment.game,
            seeding.derive(seed, _DATA),
            use.holdout,
            use.block_mb * _MIB,
        )
        # So that a session, which counts in steps of all slots, counts in batches.
        self.num_slots = use.batch_size
        self._place = tf.Variable([0, 0, 0], dtype=tf.int64, trainable=False)
        self._fingerprint = tf.Variable(episodes.fingerprint, dtype=tf.int64, trainable=False)
        self._expected = episodes.fingerprint
        self._block = self._room(self._data.block_rows)
        room = max(self._data.block_rows, use.batch_size)
        self._order = tf.Variable(tf.zeros([room], tf.int64), trainable=False)
        self._loaded: tuple[int, int] | None = None
        self._num_batches = 0
        self._held_out: Any = None
        self._validation: dict[str, float] = {}
        self._num_measured = 0
        self._train = drivers.in_graph(self._train_in_graph)
        self._measure = drivers.in_graph(self._measure_in_graph)

    @property
    def is_at_boundary(self) -> bool:
        """Always: a place in the data can be kept."""
        return True

    def restart(self) -> None:
        """Goes to the place that a checkpoint has; the game is left alone.

        Raises:
          ConfigError: the checkpoint is of other episodes.
        """
        if int(self._fingerprint) != self._expected:
            raise errors.ConfigError(
                f"The episodes in {self._offline.episode_use.folder} are others than those that "
                "this run learned from. Put those back to resume it, or start a new run."
            )

    def trackables(self) -> dict[str, Any]:
        """Counters, the place in the data, what tells it from other data, and the learner."""
        return {**super().trackables(), "place": self._place, "episodes": self._fingerprint}

    def advance(self, max_batch_steps: int) -> dict[str, float] | None:
        """Takes so many training steps.

        Raises:
          StorageError: an episode's file is damaged.
          DivergenceError: a metric is not a finite number.
        """
        left = max_batch_steps
        metrics: dict[str, float] = {}
        while left:
            epoch, block, batch = self._place.numpy().tolist()
            self._load(epoch, block)
            count = min(left, self._num_batches - batch)
            metrics = self._checked(self._run(self._train, tf.constant(batch), tf.constant(count)))
            left -= count
            batch += count
            if batch == self._num_batches:
                batch, block = 0, block + 1
            if block == self._data.num_blocks(epoch):
                epoch, block = epoch + 1, 0
            self._place.assign([epoch, block, batch])
        return {**metrics, **self._measured()}

    def _load(self, epoch: int, block: int) -> None:
        if self._loaded == (epoch, block):
            return
        rows = self._data.block(epoch, block)
        count = len(tf.nest.flatten(rows.action)[0])
        if self._loaded is None or self._data.num_blocks(epoch) > 1:
            self._fill(self._block, rows)
        batch_size = self.num_slots
        self._num_batches = max(1, count // batch_size)
        order = self._data.order(epoch, block, count)
        # Of fewer rows than a batch has, some come twice.
        order = np.resize(order, max(count, batch_size))
        self._fill(self._order, order)
        self._loaded = (epoch, block)

    def _measured(self) -> dict[str, float]:
        """Returns the loss on held-out rows, measured now and then."""
        count = self._data.num_held_out
        due = self._num_measured + _ROWS_A_HELD_OUT_ONE * count
        if count and (not self._validation or self.num_steps >= due):
            if self._held_out is None:
                self._held_out = tf.nest.map_structure(tf.constant, self._data.held_out())
            metrics = self._run(self._measure, self._held_out)
            self._validation = self._checked(metrics)
            self._num_measured = self.num_steps
        return self._validation

    def _room(self, count: int) -> datasets.Rows:
        environment = self.environment

        def rows(spec: Any) -> Any:
            return tf.nest.map_structure(
                lambda leaf: tf.Variable(
                    tf.zeros([count, *leaf.shape], leaf.dtype), trainable=False
                ),
                spec,
            )

        return datasets.Rows(rows(environment.observation_spec()), rows(environment.action_spec()))

    def _fill(self, variables: Any, rows: Any) -> None:
        def fill(variable: tf.Variable, values: Any) -> None:
            missing = variable.shape[0] - len(values)
            if missing:
                values = np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1))
            variable.assign(values)

        tf.nest.map_structure(fill, variables, rows)

    def _train_in_graph(self, first: tf.Tensor, count: tf.Tensor) -> dict[str, tf.Tensor]:
        batch_size = self.num_slots
        weight = tf.ones([batch_size])

        def body(index: tf.Tensor, sums: dict[str, tf.Tensor]) -> tuple[Any, Any]:
            rows = tf.slice(self._order, [(first + index) * batch_size], [batch_size])
            observation, action = tf.nest.map_structure(
                lambda variable: tf.gather(variable, rows), self._block
            )
            self._num_steps.assign_add(batch_size)
            found = self._offline.train(Lesson(observation, action, weight), self._draw())
            return index + 1, {name: sums[name] + found[name] for name in sums}

        zeros = {name: tf.constant(0.0) for name in self._offline.metric_names}
        _, sums = tf.while_loop(
            lambda index, _: index < count,
            body,
            (tf.constant(0), zeros),
            parallel_iterations=1,
        )
        return {name: value / tf.cast(count, tf.float32) for name, value in sums.items()}

    def _measure_in_graph(self, held_out: datasets.Rows) -> dict[str, tf.Tensor]:
        batch_size, count = self.num_slots, self._data.num_held_out

        def body(index: tf.Tensor, total: tf.Tensor, number: tf.Tensor) -> tuple[Any, ...]:
            rows = index * batch_size + tf.range(batch_size)
            weight = tf.cast(rows < count, tf.float32)
            observation, action = tf.nest.map_structure(
                lambda leaf: tf.gather(leaf, tf.minimum(rows, count - 1)), held_out
            )
            losses, rows_used = self._offline.measure(Lesson(observation, action, weight))
            return index + 1, total + losses, number + rows_used

        _, total, number = tf.while_loop(
            lambda index, *_: index * batch_size < count,
            body,
            (tf.constant(0), tf.constant(0.0), tf.constant(0.0)),
            parallel_iterations=1,
        )
        return {"validation_loss": total / tf.maximum(number, 1.0)}
