"""`OffPolicyDriver`: stores every step and trains on samples of the replay buffer meanwhile."""

from __future__ import annotations

import tensorflow as tf  # noqa: TID253

from gamebridge.tf import environment as environments
from gamebridge.tf import replay as replays
from gamebridge.training import drivers, learners


class OffPolicyDriver(drivers.Driver):
    """Acts, steps, stores, samples and trains in one graph function."""

    def __init__(
        self,
        environment: environments.GameTFEnvironment,
        learner: learners.OffPolicyLearner,
        seed: int,
    ) -> None:
        """Allocates the replay buffer.

        Raises:
          ConfigError: the replay buffer would not fit the machine's memory.
        """
        super().__init__(environment, learner, seed)
        self._off_policy = learner
        self._use = learner.replay_use
        self.replay = replays.Replay(
            environment.observation_spec(),
            environment.action_spec(),
            self.num_slots,
            self._use.capacity,
        )
        self._is_ended = True
        # Steps that were taken and not yet paid for by a training step.
        self._credit = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._advance = drivers.in_graph(self._advance_in_graph)

    @property
    def is_at_boundary(self) -> bool:
        """Always: every step is stored as it is taken."""
        return True

    def end_episodes(self) -> None:
        """Stores the running episodes as truncated where they stand."""
        if not self._is_ended:
            self.replay.cut(self.environment.current_time_step())
            self._is_ended = True

    def trackables(self) -> dict[str, object]:
        """The replay's rows are not among them: checkpoints keep those as segments."""
        return {**super().trackables(), "credit": self._credit}

    def advance(self, max_batch_steps: int) -> dict[str, float] | None:
        """Takes so many batch steps, each with the training it pays for."""
        self._is_ended = False
        trainings, metrics = self._run(self._advance, tf.constant(max_batch_steps, tf.int64))
        return self._checked(metrics) if int(trainings) else None

    def _advance_in_graph(self, count: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        use = self._use
        nothing = {name: tf.constant(0.0) for name in self._off_policy.metric_names}

        def train(trainings: tf.Tensor, metrics: dict[str, tf.Tensor]) -> tuple[object, object]:
            self._credit.assign_sub(use.train_interval)
            seeds = tf.random.split(self._draw(), 2)
            batch = self.replay.sample(use.batch_size, use.num_steps, use.gamma, seeds[0])
            del metrics
            return trainings + 1, self._off_policy.train(batch, seeds[1])

        def body(
            step: tf.Tensor, time_step: object, trainings: tf.Tensor, metrics: object
        ) -> tuple[object, ...]:
            action = self._off_policy.act(time_step, self._num_steps, self._draw())
            next_time_step = self._step(time_step, action)
            self.replay.add(time_step, action, next_time_step)
            is_warm = tf.logical_and(
                self._num_steps >= use.warm_up_steps, self.replay.size() > use.num_steps
            )
            self._credit.assign_add(tf.where(is_warm, tf.constant(self.num_slots, tf.int64), 0))
            trainings, metrics = tf.while_loop(
                lambda trainings, metrics: self._credit >= use.train_interval,
                train,
                (trainings, metrics),
                parallel_iterations=1,
            )
            return step + 1, next_time_step, trainings, metrics

        start = (tf.constant(0, tf.int64), self.environment.current_time_step())
        _, _, trainings, metrics = tf.while_loop(
            lambda step, *_: step < count,
            body,
            (*start, tf.constant(0, tf.int64), nothing),
            parallel_iterations=1,
        )
        return trainings, metrics
