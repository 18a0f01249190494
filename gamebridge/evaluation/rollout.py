"""Greedy episodes on given seeds: the same ones whatever the number of slots."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253
from tf_agents.policies import tf_policy  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import errors
from gamebridge.contract import game as games
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.tf import environment


@dataclasses.dataclass(frozen=True)
class PlayedEpisode:
    """One episode that was played to its end, or cut.

    Attributes:
      seed: the slot seed it was played with.
      episode_return: sum of rewards.
      length: steps.
      ended: "terminated", or "truncated" by the game or by the limit of the evaluation.
      telemetry: the game's own measures, each reduced as its spec says.
    """

    seed: int
    episode_return: float
    length: int
    ended: str
    telemetry: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Moment:
    """What a watcher is told of each step of each episode.

    Attributes:
      episode: its number, in the order of the seeds.
      slot: where it is played.
      step: 1 for the first.
      action: the action that was taken, one slot's nest of arrays.
      reward: what it brought.
      episode_return: the sum so far.
      telemetry: this step's values.
      ended: "" or how the episode ended here.
    """

    episode: int
    slot: int
    step: int
    action: Any
    reward: float
    episode_return: float
    telemetry: dict[str, float]
    ended: str


class GraphPolicy:
    """A TF-Agents policy as one graph function, numpy in and out; to be made once and kept."""

    def __init__(self, policy: tf_policy.TFPolicy, *, is_eager: bool = False) -> None:
        """Wraps `policy`; the first call traces it.

        Args:
          policy: what acts.
          is_eager: whether to run op by op after all, in the calling thread: many times
            slower, but without a thread of TensorFlow's pool.
        """
        self._policy = policy
        self._act = (
            self._act_in_graph
            if is_eager
            else tf.function(
                tf.autograph.experimental.do_not_convert(self._act_in_graph), autograph=False
            )
        )

    def initial_state(self, num_slots: int) -> Any:
        """Policy state of `num_slots` slots at the start; () where there is none."""
        return self._policy.get_initial_state(num_slots)

    def __call__(self, time_step: games.TimeStep, state: Any) -> tuple[Any, Any]:
        """Returns (action, policy state): nests of arrays [B, ...], and of tensors.

        A slot whose row is not valid keeps its state; at FIRST it begins anew.
        """
        tensors = ts.TimeStep(*(tf.nest.map_structure(tf.constant, part) for part in time_step[:4]))
        try:
            action, state = self._act(tensors, tf.constant(time_step.valid), state)
        except Exception as error:
            raise errors.PluginError(
                f"The agent's policy raised {type(error).__name__}: "
                f"{(str(error).strip() or 'no message').splitlines()[0]}. Mend its action or "
                "distribution; its own traceback is the cause of this error."
            ) from error
        return tf.nest.map_structure(lambda leaf: leaf.numpy(), action), state

    def _act_in_graph(
        self, time_step: ts.TimeStep, valid: tf.Tensor, state: Any
    ) -> tuple[Any, Any]:
        # TF-Agents' policies forget at FIRST by themselves.
        step = self._policy.action(time_step, state)
        # A Gaussian policy's mean is not held to the action's bounds.
        action = environment.clip_action(step.action, self._policy.action_spec)
        return action, environment.choose(valid, step.state, state)


class FunctionPolicy:
    """A function of what is seen as a policy: numpy in and out, and nothing is remembered."""

    def __init__(self, act: Callable[[Any], Any]) -> None:
        """Takes a function from observations to actions, nests of arrays [B, ...]."""
        self._function = act

    def initial_state(self, num_slots: int) -> Any:
        """Nothing."""
        return ()

    def __call__(self, time_step: games.TimeStep, state: Any) -> tuple[Any, Any]:
        """Returns (action, policy state)."""
        return self._function(time_step.observation), state


def play(
    game: games.Game,
    policy: GraphPolicy | FunctionPolicy,
    seeds: Sequence[int],
    *,
    max_steps: int,
    watch: Callable[[Moment], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[PlayedEpisode]:
    """Plays one episode a seed and returns them in the order of the seeds.

    An episode whose game was lost with the process that played it is played again.

    Args:
      game: any Game; every episode is the first one of its slot seed.
      policy: what acts, usually a greedy policy.
      seeds: slot seeds, such as those of `seeding.slot_seeds`.
      max_steps: an episode is cut after so many steps and counts as truncated.
      watch: is told of each step, while the game's picture is the one after that step.
      should_stop: is asked before each step; then only the finished episodes come back.
    """
    table = _Table(game, seeds, max_steps)
    time_step = game.reset(table.slot_seeds())
    state = policy.initial_state(game.num_slots)
    while table.running.any() and not should_stop():
        action, state = policy(time_step, state)
        active = table.running if game.can_hold else None
        num_restarts = game.num_restarts
        time_step = game.step(action, active)
        if game.num_restarts != num_restarts:
            table.drop_lost(time_step)
        finished = table.note(time_step, action, watch)
        restart = table.next_seeds(finished)
        if restart.any():
            time_step = game.reset(table.slot_seeds(), restart)
    return table.played


class _Table:
    """Which episode each slot plays, and what it has brought so far."""

    def __init__(self, game: games.Game, seeds: Sequence[int], max_steps: int) -> None:
        count = game.num_slots
        self._game = game
        self._seeds = [int(seed) for seed in seeds]
        self._max_steps = max_steps
        self._played: dict[int, PlayedEpisode] = {}
        self._episode = np.arange(count)
        self._next = min(count, len(self._seeds))
        self.running = self._episode < len(self._seeds)
        self._lost = np.zeros(count, np.bool_)
        self._return = np.zeros(count)
        self._length = np.zeros(count, np.int64)
        self._reduce = {name: spec.reduce for name, spec in game.telemetry_spec().items()}
        self._telemetry = {name: np.zeros(count) for name in self._reduce}

    @property
    def played(self) -> list[PlayedEpisode]:
        """The finished episodes in the order of the seeds."""
        return [self._played[number] for number in sorted(self._played)]

    def slot_seeds(self) -> Array:
        """int64 [B]; slots without an episode get the first seed, and are not heard."""
        numbers = np.where(self.running, self._episode, 0)
        return np.asarray([self._seeds[number] for number in numbers], np.int64)

    def drop_lost(self, time_step: games.TimeStep) -> None:
        """Begins again with the episodes that ended in a step in which a process was lost.

        One that the game itself truncated in that step is among them: it is the same again.
        """
        self._lost = self.running & time_step.is_last() & time_step.valid
        self._lost &= time_step.discount == 1

    def note(
        self, time_step: games.TimeStep, action: Any, watch: Callable[[Moment], None] | None
    ) -> Array:
        """Adds a step; returns bool [B], the slots whose episode ended with it."""
        heard = self.running & time_step.valid & ~self._lost
        counted = heard & (time_step.step_type != games.FIRST)
        self._return[counted] += time_step.reward[counted]
        self._length[counted] += 1
        values = self._game.telemetry() if self._reduce else {}
        for name, how in self._reduce.items():
            self._add(name, how, np.asarray(values[name], np.float64), counted)
        last = counted & (time_step.step_type == games.LAST)
        finished = last | (counted & (self._length >= self._max_steps))
        if watch is not None:
            for slot in np.flatnonzero(counted):
                watch(self._moment(int(slot), time_step, action, values, bool(finished[slot])))
        for slot in np.flatnonzero(finished):
            self._finish(int(slot), time_step)
        return finished

    def next_seeds(self, finished: Array) -> Array:
        """Gives the finished slots new episodes, the lost ones theirs again; returns who got one.

        Returns:
          bool [B], the slots that are to be reset.
        """
        got, self._lost = self._lost, np.zeros_like(self._lost)
        if not (finished | got).any():
            return got
        for slot in np.flatnonzero(finished | got):
            self._return[slot] = 0.0
            self._length[slot] = 0
            for totals in self._telemetry.values():
                totals[slot] = 0.0
            if got[slot]:
                continue
            if self._next < len(self._seeds):
                self._episode[slot] = self._next
                self._next += 1
                got[slot] = True
            else:
                self.running[slot] = False
        return got

    def _add(self, name: str, how: str, values: Array, counted: Array) -> None:
        totals = self._telemetry[name]
        if how == "sum":
            totals[counted] += values[counted]
        elif how == "last":
            totals[counted] = values[counted]
        else:
            first = counted & (self._length == 1)
            totals[counted] = np.maximum(totals[counted], values[counted])
            totals[first] = values[first]

    def _moment(
        self, slot: int, time_step: games.TimeStep, action: Any, values: Any, finished: bool
    ) -> Moment:
        return Moment(
            episode=int(self._episode[slot]),
            slot=slot,
            step=int(self._length[slot]),
            action=specs.map_leaves(lambda leaf: leaf[slot], action),
            reward=float(time_step.reward[slot]),
            episode_return=float(self._return[slot]),
            telemetry={name: float(value[slot]) for name, value in values.items()},
            ended=self._ended(slot, time_step) if finished else "",
        )

    def _finish(self, slot: int, time_step: games.TimeStep) -> None:
        self._played[int(self._episode[slot])] = PlayedEpisode(
            seed=self._seeds[self._episode[slot]],
            episode_return=float(self._return[slot]),
            length=int(self._length[slot]),
            ended=self._ended(slot, time_step),
            telemetry={name: float(totals[slot]) for name, totals in self._telemetry.items()},
        )

    def _ended(self, slot: int, time_step: games.TimeStep) -> str:
        terminated = time_step.step_type[slot] == games.LAST and time_step.discount[slot] == 0.0
        return "terminated" if terminated else "truncated"
