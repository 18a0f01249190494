"""`OffPolicyDriver`: stores every step and trains on samples of the replay buffer meanwhile.

In an environment that does not wait for all of its slots, a slot goes from one of its
valid rows to the next at its own pace. What it said last, and the action that it was
given there, is kept until it says something again: only then the transition is known,
stored and counted.

With overlap, the training that earlier steps paid for runs while the game plays the next
one. The order is fixed and does not hang on time, so a run repeats exactly; what changes
is that a training step does not see the transition that is being played meanwhile.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import errors
from gamebridge.tf import environment as environments
from gamebridge.tf import prioritized, reverb_replay
from gamebridge.training import drivers, learners, stores


class OffPolicyDriver(drivers.Driver):
    """Acts, steps, stores, samples and trains in one graph function."""

    def __init__(
        self,
        environment: environments.GameTFEnvironment,
        learner: learners.OffPolicyLearner,
        seed: int,
        *,
        overlaps: bool = False,
        make_replay: stores.MakeReplay = stores.in_memory,
    ) -> None:
        """Makes the replay buffer.

        Args:
          environment: what is played; `restart` resets it.
          learner: what acts and trains.
          seed: fixes all that is drawn.
          overlaps: whether to train while the game plays its next step.
          make_replay: where it is kept.

        Raises:
          ConfigError: the replay buffer cannot be made as it was asked for.
        """
        super().__init__(environment, learner, seed)
        self._off_policy = learner
        self._overlaps = overlaps
        self._use = learner.replay_use
        if self._use.priorities is not None and self._use.sequence_length:
            raise errors.ConfigError(
                f"{type(learner).__name__} learns from sequences, which cannot be drawn by "
                "priority. Leave agent.replay at 'uniform'."
            )
        self.replay = make_replay(environment, self._use)
        self._heard: drivers.Heard | None = None
        self._is_ended = True
        # Steps that were taken and not yet paid for by a training step.
        self._credit = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._advance = drivers.in_graph(self._advance_in_graph)

    @property
    def is_at_boundary(self) -> bool:
        """Always: every step is stored as it is taken."""
        return True

    def close(self) -> None:
        """Closes the replay buffer."""
        self.replay.close()

    def restart(self) -> None:
        """Restarts all episodes; what a slot is still busy with is given up."""
        super().restart()
        time_step, valid = self.environment.current_rows()
        nothing = tf.nest.map_structure(
            lambda spec: tf.zeros([self.num_slots, *spec.shape], spec.dtype),
            self.environment.action_spec(),
        )
        state = self._off_policy.initial_state(self.num_slots)
        self._heard = drivers.Heard(time_step, nothing, state, valid, valid)

    def end_episodes(self) -> None:
        """Stores the running episodes as truncated where they stand."""
        if self._heard is not None and not self._is_ended:
            self.replay.cut(self._heard.time_step, self._heard.is_known)
            self._is_ended = True

    def trackables(self) -> dict[str, object]:
        """The replay's rows are not among them: checkpoints keep those as segments."""
        return {**super().trackables(), "credit": self._credit, **self.replay.trackables()}

    def advance(self, max_batch_steps: int) -> dict[str, float] | None:
        """Takes so many batch steps, each with the training it pays for."""
        self._is_ended = False
        count = tf.constant(max_batch_steps, tf.int64)
        self._heard, trainings, metrics = self._run(self._advance, count, self._heard)
        return self._checked(metrics) if int(trainings) else None

    def num_samples(self) -> tf.Tensor:
        """int64 scalar: out of how many transitions or sequences `sample` draws."""
        return self.replay.num_transitions(self._use.num_rows)

    def sample(self, seed: tf.Tensor) -> Any:
        """Draws a batch as the learner wants it; `num_samples` must be above 0."""
        use = self._use
        if use.sequence_length:
            return self.replay.sample_sequences(use.batch_size, use.sequence_length, seed)
        return self.replay.sample(use.batch_size, use.num_steps, use.gamma, seed)

    def _advance_in_graph(
        self, count: tf.Tensor, heard: drivers.Heard
    ) -> tuple[drivers.Heard, tf.Tensor, dict[str, tf.Tensor]]:
        nothing = {name: tf.constant(0.0) for name in self._off_policy.metric_names}

        def body(
            step: tf.Tensor, heard: drivers.Heard, trainings: tf.Tensor, metrics: object
        ) -> tuple[object, ...]:
            action, state = self._off_policy.act_with_state(
                heard.time_step, heard.past(), self._num_steps, self._draw()
            )
            # The others are still busy with theirs.
            action = environments.choose(heard.is_news, action, heard.action)
            if self._overlaps:
                rows, trainings, metrics = self._train_meanwhile(
                    heard.time_step, action, trainings, metrics
                )
                self._store(heard, action, rows)
            else:
                rows = self._step(heard.time_step, action)
                self._store(heard, action, rows)
                trainings, metrics = self._train(trainings, metrics)
            return step + 1, heard.next(action, state, rows), trainings, metrics

        _, heard, trainings, metrics = tf.while_loop(
            lambda step, *_: step < count,
            body,
            (tf.constant(0, tf.int64), heard, tf.constant(0, tf.int64), nothing),
            parallel_iterations=1,
        )
        return heard, trainings, metrics

    def _train_meanwhile(
        self, time_step: ts.TimeStep, action: Any, trainings: tf.Tensor, metrics: Any
    ) -> tuple[environments.Rows, tf.Tensor, Any]:
        """Steps the environment, and trains while it plays where that has been paid for."""

        def both() -> Any:
            with tf.control_dependencies([self.environment.begin_step(self._told(action))]):
                trained = self._train(trainings, metrics)
            with tf.control_dependencies(tf.nest.flatten(trained)):
                return (self.environment.end_step(), *trained)

        def step_only() -> Any:
            return self._step(time_step, action), trainings, metrics

        # A step that nothing runs beside is not worth waking up a thread for.
        with tf.control_dependencies(tf.nest.flatten(time_step)):
            done: tuple[environments.Rows, tf.Tensor, Any] = tf.cond(
                self._credit >= self._use.train_interval, both, step_only
            )
        return done

    def _train(self, trainings: tf.Tensor, metrics: Any) -> tuple[Any, Any]:
        """Trains as often as has been paid for."""
        use = self._use

        def train(trainings: tf.Tensor, metrics: dict[str, tf.Tensor]) -> tuple[object, object]:
            self._credit.assign_sub(use.train_interval)
            seeds = tf.random.split(self._draw(), 2)
            del metrics
            replay = self.replay
            if use.priorities is None or not isinstance(
                replay, (prioritized.PrioritizedReplay, reverb_replay.ReverbReplay)
            ):
                return trainings + 1, self._off_policy.train(self.sample(seeds[0]), seeds[1])
            batch, place = replay.draw(use.batch_size, use.gamma, self._num_steps, seeds[0])
            trained, td_errors = self._off_policy.train_and_judge(batch, seeds[1])
            replay.judge(place, td_errors)
            return trainings + 1, trained

        trained: tuple[Any, Any] = tf.while_loop(
            lambda trainings, metrics: self._credit >= use.train_interval,
            train,
            (trainings, metrics),
            parallel_iterations=1,
        )
        return trained

    def _store(self, heard: drivers.Heard, action: Any, rows: environments.Rows) -> None:
        """Stores, counts and credits the transitions that `rows` made known."""
        stored = tf.logical_and(heard.is_known, rows.valid)
        num_stored = tf.reduce_sum(tf.cast(stored, tf.int64))
        self._count(heard.time_step, stored)
        self.replay.add(heard.time_step, action, rows.time_step, stored)
        is_warm = tf.logical_and(
            # The buffer too: one that was not saved fills up again first.
            tf.minimum(self._num_steps, self.replay.num_rows()) >= self._use.warm_up_steps,
            self.num_samples() > 0,
        )
        self._credit.assign_add(tf.where(is_warm, num_stored, 0))
