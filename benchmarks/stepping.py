"""Steps a second under a TF-Agents driver with a random policy, ours beside TF-Agents' own.

Every arrangement is driven by the same `DynamicStepDriver` and `RandomTFPolicy`, in a
process of its own: ours changes how TensorFlow's threads call Python, and in one process
the stock arrangements would be quicker for it. TF-Agents plays legacy gym's CartPole
through `suite_gym`; ours plays gymnasium's, whose step takes more than twice as long, and
in a row of its own the same as TF-Agents. TF-Agents plays Pong through `suite_atari` with
its own preprocessing and stacking.

EnvPool knows nothing of TensorFlow: it stands here once as it is, and once under the least
TFEnvironment that can carry it.

    python benchmarks/stepping.py [--games cartpole pong] [--rounds 9] [--json]
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import environments
import games
import ours
import peers
import rounds
import vector

# Rows of ours: kind, variant of the game, workers.
_HERE = "gamebridge.make, in this process"
_LEGACY = "gamebridge.make, in this process, legacy gym's game"
_WORKERS = "gamebridge.make, 2 workers"
_WRAPPED = "gamebridge.make, 2 workers, by wrappers alone"
_DOOR = "gamebridge's GamePyEnvironment under TFPyEnvironment"
_OURS = {
    _HERE: ("make", "", 0),
    _LEGACY: ("make", "+legacy", 0),
    _WORKERS: ("make", "", 2),
    _WRAPPED: ("make", "+wrapped", 2),
    _DOOR: ("stock-door", "", 0),
}
_OFF = "TF-Agents BatchedPyEnvironment, threads off"
_ON = "TF-Agents BatchedPyEnvironment, threads on"
_PARALLEL = "TF-Agents ParallelPyEnvironment"
_SINGLE = "TF-Agents TFPyEnvironment over one suite_gym environment"
_ENVPOOL = "EnvPool, 2 threads (C++), under a TFEnvironment"
_BARE = "EnvPool, 2 threads (C++), no TensorFlow"
_OTHERS = {
    _OFF: "batched",
    _ON: "threaded",
    _PARALLEL: "parallel",
    _SINGLE: "single",
    _ENVPOOL: "envpool",
}
_STOCK = (_OFF, _ON, _PARALLEL)
_ROWS = {
    "cartpole": (_HERE, _LEGACY, _DOOR, *_STOCK, _ENVPOOL),
    "cartpole-1": (_HERE, _LEGACY, _SINGLE),
    "pong": (_WORKERS, _HERE, *_STOCK, _ENVPOOL),
    "pong-84": (_WORKERS, _WRAPPED, _HERE, *_STOCK, _ENVPOOL, _BARE),
}
_TARGETS = {
    "cartpole": tuple(
        rounds.Target("a", row, others, at_least)
        for row in (_HERE, _LEGACY)
        for others, at_least in ((_STOCK, 6.0), ((_PARALLEL,), 15.0))
    ),
    "cartpole-1": tuple(rounds.Target("a", row, (_SINGLE,), 3.0) for row in (_HERE, _LEGACY)),
    "pong": (
        rounds.Target("b", _WORKERS, _STOCK, 2.5),
        rounds.Target("b", _WORKERS, (_PARALLEL,), 4.0),
    ),
    "pong-84": tuple(
        rounds.Target("c", _WORKERS, others, at_least)
        for others, at_least in ((_STOCK, 2.2), ((_BARE,), 0.75), ((_ENVPOOL,), 0.75))
    ),
}


def main() -> None:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", nargs="+", choices=_ROWS, default=list(_ROWS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=rounds.ROUND_S, help="of a round")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        _serve(*chosen.serve)
        return
    load = os.getloadavg()[0]
    tables = {
        games.GAMES[game_id].title: rounds.measure(
            [_arrangement(name, game_id) for name in _ROWS[game_id]],
            chosen.rounds,
            chosen.seconds,
        )
        for game_id in chosen.games
    }
    targets = {games.GAMES[game_id].title: _TARGETS[game_id] for game_id in chosen.games}
    rounds.report(tables, targets, load=load, as_json=chosen.json)


def _arrangement(name: str, game_id: str) -> rounds.Arrangement:
    if name == _BARE:
        return vector.peer_arrangement(name, "envpool", "envpool", game_id)
    why_not = ""
    if name == _ENVPOOL and environments.interpreter("envpool") is None:
        why_not = environments.MISSING
    kind, variant, workers = _OURS[name] if name in _OURS else (_OTHERS[name], "", 0)
    command = (sys.executable, __file__, "--serve", kind, game_id + variant, str(workers))
    return rounds.Arrangement(name, command, why_not)


def _serve(kind: str, variant: str, workers: str) -> None:
    """Plays rounds with an environment of the kind."""
    warnings.simplefilter("ignore")
    if kind == "envpool":
        _lend_envpool()
    from gamebridge.tf import start

    start.load()
    start.quieten()
    environment = _environment(kind, variant, int(workers))
    game = games.GAMES[variant.partition("+")[0]]
    try:
        rounds.serve(drive(environment, game.num_slots, game.batches_a_call))
    finally:
        environment.close()


def _environment(kind: str, game_id: str, workers: int) -> Any:
    from tf_agents.environments import batched_py_environment, tf_py_environment
    from tf_agents.environments import parallel_py_environment as parallel
    from tf_agents.system import multiprocessing

    import gamebridge
    from gamebridge.tf import environment

    if kind == "make":
        return gamebridge.make(**ours.arguments(game_id, workers=workers))
    if kind == "stock-door":
        game = gamebridge.make_game(**ours.arguments(game_id, workers=workers))
        return tf_py_environment.TFPyEnvironment(environment.GamePyEnvironment(game))
    if kind == "envpool":
        return _envpool_environment(game_id)
    maker = functools.partial(_load_stock, game_id)
    num_slots = games.GAMES[game_id].num_slots
    if kind == "single":
        return tf_py_environment.TFPyEnvironment(maker())
    if kind == "parallel":
        multiprocessing.enable_interactive_mode()
        stock = parallel.ParallelPyEnvironment([maker] * num_slots)
    else:
        stock = batched_py_environment.BatchedPyEnvironment(
            [maker() for _ in range(num_slots)], multithreading=kind == "threaded"
        )
    return tf_py_environment.TFPyEnvironment(stock)


def _load_stock(game_id: str) -> Any:
    import legacy

    return legacy.load(game_id)


def _lend_envpool() -> None:
    """Lets this process import EnvPool, behind all that TensorFlow needs in other versions."""
    folder = environments.site_packages("envpool")
    sys.path.insert(0, folder)
    # TF-Agents pins one that is too old for EnvPool, and works with a newer one.
    import typing_extensions  # noqa: F401

    sys.path.remove(folder)
    sys.path.append(folder)


def _envpool_environment(game_id: str) -> Any:
    """EnvPool as a TFEnvironment that does no more than it must, at one call a batch."""
    import numpy as np
    import tensorflow as tf
    from tf_agents.environments import tf_environment
    from tf_agents.specs import tensor_spec
    from tf_agents.trajectories import time_step as ts

    pool = peers.make_envpool(game_id)
    num_slots = games.GAMES[game_id].num_slots
    space = pool.observation_space
    observation_spec = tf.TensorSpec(space.shape, space.dtype)
    action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, int(pool.action_space.n) - 1)
    dtypes = [tf.int32, tf.float32, tf.float32, observation_spec.dtype]
    shapes = [[num_slots]] * 3 + [[num_slots, *space.shape]]

    class _EnvPool(tf_environment.TFEnvironment):
        """EnvPool; a step after an episode's end starts the next one."""

        def __init__(self) -> None:
            super().__init__(ts.time_step_spec(observation_spec), action_spec, num_slots)
            self._now: list[Any] = []
            self._ended = np.zeros(num_slots, np.bool_)

        def _current_time_step(self) -> ts.TimeStep:
            return self._told(tf.numpy_function(lambda: self._now or self._start(), [], dtypes))

        def _reset(self) -> ts.TimeStep:
            return self._told(tf.numpy_function(self._start, [], dtypes))

        def _step(self, action: tf.Tensor) -> ts.TimeStep:
            return self._told(tf.numpy_function(self._advance, [action], dtypes))

        def close(self) -> None:
            pool.close()

        def _start(self) -> list[Any]:
            observation, _ = pool.reset()
            ones = np.ones(num_slots, np.float32)
            self._now = [np.zeros(num_slots, np.int32), 0 * ones, ones, observation]
            return self._now

        def _advance(self, action: Any) -> list[Any]:
            observation, reward, terminated, truncated, _ = pool.step(action)
            first, self._ended = self._ended, terminated | truncated
            step_type = np.where(first, 0, np.where(self._ended, 2, 1)).astype(np.int32)
            discount = 1 - terminated.astype(np.float32)
            self._now = [step_type, reward.astype(np.float32), discount, observation]
            return self._now

        def _told(self, tensors: list[tf.Tensor]) -> ts.TimeStep:
            for tensor, shape in zip(tensors, shapes, strict=True):
                tensor.set_shape(shape)
            return ts.TimeStep(*tensors)

    return _EnvPool()


def drive(environment: Any, num_slots: int, batches_a_call: int) -> Callable[[int], int]:
    """What plays a round: a driver's call of so many batches, with a random policy."""
    from tf_agents.drivers import dynamic_step_driver
    from tf_agents.policies import random_tf_policy
    from tf_agents.utils import common

    policy = random_tf_policy.RandomTFPolicy(
        environment.time_step_spec(), environment.action_spec()
    )
    steps_a_call = batches_a_call * num_slots
    driver = dynamic_step_driver.DynamicStepDriver(
        environment, policy, observers=[], num_steps=steps_a_call
    )
    call = common.function(driver.run)

    def run(count: int) -> int:
        for _ in range(count):
            call()
        return count * steps_a_call

    return run


if __name__ == "__main__":
    main()
