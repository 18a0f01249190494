"""`OnPolicyDriver`: collects T steps of every slot, trains on them, forgets them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253

from gamebridge.tf import environment as environments
from gamebridge.training import drivers, learners


class OnPolicyDriver(drivers.Driver):
    """Fills a rollout of fixed shape, so that nothing is ever traced again."""

    def __init__(
        self,
        environment: environments.GameTFEnvironment,
        learner: learners.OnPolicyLearner,
        seed: int,
    ) -> None:
        """Allocates the rollout: T + 1 observations a slot, T of everything else."""
        super().__init__(environment, learner, seed)
        self._on_policy = learner
        length = learner.rollout_length

        def rows(spec: Any, count: int) -> Any:
            return tf.nest.map_structure(
                lambda leaf: tf.Variable(
                    tf.zeros([count, self.num_slots, *leaf.shape], leaf.dtype), trainable=False
                ),
                spec,
            )

        scalar = tf.TensorSpec((), tf.float32)
        self._rollout = learners.Rollout(
            observation=rows(environment.observation_spec(), length + 1),
            step_type=rows(tf.TensorSpec((), tf.int32), length + 1),
            action=rows(environment.action_spec(), length),
            info=rows(learner.info_spec, length),
            reward=rows(scalar, length),
            discount=rows(scalar, length),
        )
        self._filled = 0
        self._collect = drivers.in_graph(self._collect_in_graph)
        self._train = drivers.in_graph(self._train_in_graph)

    @property
    def is_at_boundary(self) -> bool:
        """True between two rollouts."""
        return self._filled == 0

    def restart(self) -> None:
        """Restarts all episodes and drops a rollout that was not trained on."""
        super().restart()
        self._filled = 0

    def advance(self, max_batch_steps: int) -> dict[str, float] | None:
        """Collects at most so many batch steps; trains when the rollout is full."""
        length = self._on_policy.rollout_length
        count = min(max_batch_steps, length - self._filled)
        self._run(
            self._collect,
            tf.constant(self._filled, tf.int64),
            tf.constant(self._filled + count, tf.int64),
        )
        self._filled += count
        if self._filled < length:
            return None
        self._filled = 0
        return self._checked(self._run(self._train))

    def _collect_in_graph(self, start: tf.Tensor, stop: tf.Tensor) -> None:
        def put(variables: Any, values: Any, row: tf.Tensor) -> None:
            tf.nest.map_structure(
                lambda variable, value: variable.scatter_update(
                    tf.IndexedSlices(value[None], row[None])
                ),
                variables,
                values,
            )

        def body(row: tf.Tensor, time_step: Any) -> Any:
            action, info = self._on_policy.act(time_step, self._draw())
            put(self._rollout.observation, time_step.observation, row)
            put(self._rollout.step_type, time_step.step_type, row)
            put(self._rollout.action, action, row)
            put(self._rollout.info, info, row)
            self._count(time_step)
            next_time_step = self._step(time_step, action).time_step
            put(self._rollout.reward, next_time_step.reward, row)
            put(self._rollout.discount, next_time_step.discount, row)
            return row + 1, next_time_step

        row, time_step = tf.while_loop(
            lambda row, time_step: row < stop,
            body,
            (start, self.environment.current_time_step()),
            parallel_iterations=1,
        )
        put(self._rollout.observation, time_step.observation, row)
        put(self._rollout.step_type, time_step.step_type, row)

    def _train_in_graph(self) -> dict[str, tf.Tensor]:
        rollout = tf.nest.map_structure(lambda rows: rows.read_value(), self._rollout)
        return self._on_policy.train(rollout, self._draw())
