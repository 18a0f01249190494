"""`Collecting` and `Learning`: the two halves of a training, measured apart.

Together they are one loop, where an agent may learn once in a thousand steps. Apart,
neither has to wait for the other, and a game of ten milliseconds a step is measured in
the same time as any.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import contract, errors
from gamebridge.benching import clocks, rounds
from gamebridge.contract import specs
from gamebridge.tf import environment as environments
from gamebridge.training import drivers, learners, off_policy, offline, session
from gamebridge.wrappers import episodes

_NEVER = 2**62
# A call that takes so long is not made twice.
_LONG_S = 10.0


class Collecting:
    """Plays as a training does, by the agent's own collect policy, and learns nothing.

    Attributes:
      driver: the driver.
      environment: what it steps.
    """

    def __init__(self, game: contract.Game, learner: Any, batch_s: float, call_s: float) -> None:
        """Traces the graph; the closing of `game` stays with the caller.

        Args:
          game: fitted to the agent.
          learner: what the agent's `make` returned.
          batch_s: seconds that a step of all slots takes, about.
          call_s: seconds that one call of the driver shall take, at most.

        Raises:
          PluginError: the learner is none.
          ConfigError: its replay buffer would not fit the machine's memory.
        """
        self._played = clocks.Clock(game)
        self._log = episodes.EpisodeLog(self._played)
        self._clock = clocks.Clock(self._log)
        self.environment = environments.GameTFEnvironment(
            self._clock,
            waits=game.can_hold and not isinstance(learner, learners.OffPolicyLearner),
        )
        self.driver = session.make_driver(self.environment, _unteachable(learner), 0)
        self._num_batches = max(1, int(call_s / batch_s))
        self.driver.restart()
        self.driver.advance(1)

    def play(self, seconds: float) -> dict[str, float]:
        """Plays for about so long; see `rounds.Player`. Errors are those of `Driver.advance`.

        Returns:
          Microseconds of a slot's step: of the game, of the log of its episodes, and of
          acting and the door around them.
        """
        self._log.take()
        self._clock.seconds = self._played.seconds = 0.0
        before = self.driver.num_steps
        began_s = now_s = time.perf_counter()
        num_steps = 0
        while now_s - began_s < seconds or not num_steps:
            self.driver.advance(self._num_batches)
            num_steps = self.driver.num_steps - before
            now_s = time.perf_counter()
        logged_us = 1e6 * self._clock.seconds / num_steps
        game_us = 1e6 * self._played.seconds / num_steps
        return {
            "game": game_us,
            "log": logged_us - game_us,
            "acting": 1e6 * (now_s - began_s) / num_steps - logged_us,
        }


class Learning:
    """Trains an agent on one batch of the size that it asks for, again and again.

    Attributes:
      experience_bytes: what the steps take that it learns from, as its settings have it.
      is_off_policy: whether it learns from a replay buffer.
    """

    def __init__(self, collecting: Collecting, learner: Any, call_s: float) -> None:
        """Traces the graph, and trains once or twice: what is done once, is done then.

        Args:
          collecting: has played already.
          learner: the one that it plays for.
          call_s: seconds that one call shall take, unless a single training takes longer.
        """
        environment = collecting.environment
        seed = tf.constant([0, 0])
        self.is_off_policy = isinstance(collecting.driver, off_policy.OffPolicyDriver)
        if isinstance(collecting.driver, off_policy.OffPolicyDriver):
            buffer, use = collecting.driver.replay, learner.replay_use
            self._steps_a_call = float(use.train_interval)
            self.experience_bytes = buffer.num_bytes
            driver = collecting.driver
            while not int(driver.num_samples()):
                driver.advance(use.num_rows)

            def train() -> Any:
                return learner.train(driver.sample(seed), seed)
        else:
            self._steps_a_call = float(learner.rollout_length * environment.batch_size)
            num_rows = (learner.rollout_length + 1) * environment.batch_size
            self.experience_bytes = num_rows * _row_bytes(environment.game)
            rollout = _rollout(environment, learner)

            def train() -> Any:
                return learner.train(rollout, seed)

        nothing = {name: tf.constant(0.0) for name in learner.metric_names}

        def train_often(times: tf.Tensor) -> Any:
            # In one loop in the graph, as in a training: a call from Python takes longer
            # than many an agent's training step.
            return tf.while_loop(
                lambda number, _: number < times,
                lambda number, _: (number + 1, train()),
                (tf.constant(0), nothing),
                parallel_iterations=1,
            )[1]

        self._train = drivers.in_graph(train_often)
        self._times = tf.constant(1)
        self._call_s = self._call()
        if self._call_s < _LONG_S:
            # The first call optimised the graph as well.
            self._call_s = self._call()
        self._times = tf.constant(max(1, int(call_s / self._call_s)))

    def play(self, seconds: float) -> dict[str, float]:
        """Trains for about so long; see `rounds.Player`.

        Returns:
          Microseconds of learning for each step that is collected.
        """
        taken_s, num_calls = 0.0, 0
        if self._call_s > rounds.NUM_ROUNDS * seconds:
            # What takes longer than all the rounds together was measured at the start.
            taken_s, num_calls = self._call_s, 1
        while taken_s < seconds:
            taken_s += self._call()
            num_calls += int(self._times)
        return {"learning": 1e6 * taken_s / num_calls / self._steps_a_call}

    def _call(self) -> float:
        began_s = time.perf_counter()
        tf.nest.map_structure(lambda metric: metric.numpy(), self._train(self._times))
        return time.perf_counter() - began_s


def _unteachable(learner: Any) -> Any:
    """Returns a learner that acts as this one does; what is no learner stays what it is.

    Raises:
      ConfigError: it plays no game while it learns.
    """
    if isinstance(learner, offline.OfflineLearner):
        raise errors.ConfigError(
            f"{type(learner).__name__} learns from saved episodes and plays no game meanwhile: "
            "there is no step to measure. Leave --agent out, or choose another agent."
        )
    if isinstance(learner, learners.OnPolicyLearner):
        return _OnPolicyActor(learner)
    return _OffPolicyActor(learner) if isinstance(learner, learners.OffPolicyLearner) else learner


class _OnPolicyActor(learners.OnPolicyLearner):
    def __init__(self, learner: learners.OnPolicyLearner) -> None:
        self._learner = learner
        self.policy = learner.policy
        self.metric_names = ()
        self.rollout_length = learner.rollout_length
        self.info_spec = learner.info_spec
        self.state_spec = learner.state_spec

    def trackables(self) -> dict[str, Any]:
        return self._learner.trackables()

    def act(self, time_step: ts.TimeStep, seed: tf.Tensor) -> tuple[Any, Any]:
        return self._learner.act(time_step, seed)

    def act_with_state(
        self, time_step: ts.TimeStep, state: Any, seed: tf.Tensor
    ) -> tuple[Any, Any, Any]:
        return self._learner.act_with_state(time_step, state, seed)

    def train(self, rollout: learners.Rollout, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return {}


class _OffPolicyActor(learners.OffPolicyLearner):
    def __init__(self, learner: learners.OffPolicyLearner) -> None:
        self._learner = learner
        self.policy = learner.policy
        self.metric_names = ()
        # What priorities cost is part of neither playing nor learning: too little to count.
        self.replay_use = dataclasses.replace(
            learner.replay_use, warm_up_steps=_NEVER, priorities=None
        )
        self.state_spec = learner.state_spec

    def trackables(self) -> dict[str, Any]:
        return self._learner.trackables()

    def act(self, time_step: ts.TimeStep, num_steps: tf.Tensor, seed: tf.Tensor) -> Any:
        return self._learner.act(time_step, self._late(num_steps), seed)

    def act_with_state(
        self, time_step: ts.TimeStep, state: Any, num_steps: tf.Tensor, seed: tf.Tensor
    ) -> tuple[Any, Any]:
        return self._learner.act_with_state(time_step, state, self._late(num_steps), seed)

    def _late(self, num_steps: tf.Tensor) -> tf.Tensor:
        # As after the warm-up, in which an agent may not ask its network.
        return num_steps + self._learner.replay_use.warm_up_steps

    def train(self, batch: Any, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return {}


def _rollout(
    environment: environments.GameTFEnvironment, learner: learners.OnPolicyLearner
) -> learners.Rollout:
    """Returns a rollout of the right shape: what the slots see now, over and over."""
    length, num_slots = learner.rollout_length, environment.batch_size
    time_step = environment.current_time_step()
    # Not LAST, where there is nothing to learn from.
    time_step = time_step._replace(step_type=tf.ones([num_slots], tf.int32))
    act = drivers.in_graph(learner.act)
    action, info = act(time_step, tf.constant([0, 0]))

    def over(nest: Any, times: int) -> Any:
        return tf.nest.map_structure(
            lambda rows: tf.tile(rows[None], [times] + [1] * len(rows.shape)), nest
        )

    return learners.Rollout(
        observation=over(time_step.observation, length + 1),
        step_type=over(time_step.step_type, length + 1),
        action=over(action, length),
        info=over(info, length),
        reward=tf.random.stateless_normal([length, num_slots], [0, 0]),
        discount=tf.ones([length, num_slots]),
        valid=tf.ones([length, num_slots], tf.bool),
    )


def _row_bytes(game: contract.Game) -> int:
    """Bytes of a stored step: observation and action, reward, discount and two step types."""
    leaves = [*specs.leaves(game.observation_spec()), *specs.leaves(game.action_spec())]
    return 16 + sum(leaf.dtype.itemsize * _size(leaf.shape) for leaf in leaves)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
