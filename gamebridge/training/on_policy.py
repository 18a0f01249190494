"""`OnPolicyDriver`: collects T steps of every slot, trains on them, forgets them.

In an environment that does not wait for all of its slots, a slot that has nothing to say
keeps its row of the rollout open: what it did last is recorded once its outcome is known,
if need be in the next rollout. No transition is lost.
"""

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
            valid=rows(tf.TensorSpec((), tf.bool), length),
        )
        if environment.waits:
            self._rollout.valid.assign(tf.ones_like(self._rollout.valid))
        self._filled = 0
        self._heard: drivers.Heard | None = None
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
        time_step, valid = self.environment.current_rows()
        nothing = tf.nest.map_structure(
            lambda rows: tf.zeros_like(rows[0]), (self._rollout.action, self._rollout.info)
        )
        # What a slot shows before it said anything is no number that a learner should see.
        silence = tf.nest.map_structure(tf.zeros_like, time_step)
        time_step = environments.choose(valid, time_step, silence)
        state = self._on_policy.initial_state(self.num_slots)
        self._heard = drivers.Heard(time_step, nothing, state, valid, valid)

    def advance(self, max_batch_steps: int) -> dict[str, float] | None:
        """Collects at most so many batch steps; trains when the rollout is full."""
        filled, self._heard = self._run(
            self._collect,
            tf.constant(self._filled, tf.int64),
            tf.constant(max_batch_steps, tf.int64),
            self._heard,
        )
        self._filled = int(filled)
        if self._filled < self._on_policy.rollout_length:
            return None
        self._filled = 0
        return self._checked(self._run(self._train))

    def _collect_in_graph(
        self, filled: tf.Tensor, count: tf.Tensor, heard: drivers.Heard
    ) -> tuple[tf.Tensor, drivers.Heard]:
        rollout, length = self._rollout, self._on_policy.rollout_length

        def put(variables: Any, values: Any, row: tf.Tensor) -> None:
            tf.nest.map_structure(
                lambda variable, value: variable.scatter_update(
                    tf.IndexedSlices(value[None], row[None])
                ),
                variables,
                values,
            )

        def body(step: tf.Tensor, row: tf.Tensor, heard: drivers.Heard) -> tuple[Any, ...]:
            action, info, state = self._on_policy.act_with_state(
                heard.time_step, heard.past(), self._draw()
            )
            chosen = (action, info)
            if not self.environment.waits:
                # The others have not got an answer to theirs yet.
                is_due = tf.logical_or(heard.is_news, tf.logical_not(heard.is_known))
                chosen = environments.choose(is_due, chosen, heard.action)
            action, info = chosen
            put(rollout.observation, heard.time_step.observation, row)
            put(rollout.step_type, heard.time_step.step_type, row)
            put(rollout.action, action, row)
            put(rollout.info, info, row)
            rows = self._step(heard.time_step, action)
            put(rollout.reward, rows.time_step.reward, row)
            put(rollout.discount, rows.time_step.discount, row)
            if self.environment.waits:
                self._count(heard.time_step)
                return step + 1, row + 1, heard._replace(time_step=rows.time_step, state=state)
            known = tf.logical_and(heard.is_known, rows.valid)
            self._count(heard.time_step, known)
            put(rollout.valid, known, row)
            # A step in which nobody said anything makes no row.
            row += tf.cast(tf.reduce_any(known), tf.int64)
            return step + 1, row, heard.next(chosen, state, rows)

        _, row, heard = tf.while_loop(
            lambda step, row, _: tf.logical_and(step < count, row < length),
            body,
            (tf.constant(0, tf.int64), filled, heard),
            parallel_iterations=1,
        )
        put(rollout.observation, heard.time_step.observation, row)
        put(rollout.step_type, heard.time_step.step_type, row)
        return row, heard

    def _train_in_graph(self) -> dict[str, tf.Tensor]:
        rollout = tf.nest.map_structure(lambda rows: rows.read_value(), self._rollout)
        return self._on_policy.train(rollout, self._draw())
