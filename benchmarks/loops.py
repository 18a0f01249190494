"""DQN on CartPole: our loop, fused in the graph, beside the loops of TF-Agents' tutorials.

One environment, a network of 100 and 50, a batch of 64, one training step an environment
step. The old tutorial collects a step at a time, eagerly; the current one has a PyDriver and
a Reverb server. TF-Agents plays legacy gym's CartPole, ours gymnasium's, whose step takes
twice as long.

    python benchmarks/loops.py [--rounds 7] [--clock wall] [--json]

Seconds are those on the wall, or, where a machine does other things as well, of CPU, which count
what two cores do at once twice.

The loop with Reverb runs in an environment of its own, made by `make bench-peers`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import environments
import rounds

_TITLE = "DQN on CartPole, a training step an environment step"
_FUSED = "gamebridge, fused in the graph"
_OLD = "TF-Agents' old tutorial: eager collect_step, TFUniformReplayBuffer"
_CURRENT = "TF-Agents' current tutorial: PyDriver, Reverb"
_KINDS = {_FUSED: "fused", _OLD: "old", _CURRENT: "current"}
_TARGETS = (
    rounds.Target("c", _FUSED, (_OLD,), 10.0),
    rounds.Target("c", _FUSED, (_CURRENT,), 6.0),
)
_CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
_UNITS, _BATCH, _RATE, _CAPACITY, _FIRST = (100, 50), 64, 1e-3, 100_000, 200


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--clock", choices=list(_CLOCKS), default="wall")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=list(_LOOPS), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        rounds.serve(_LOOPS[asked.serve](), _CLOCKS[asked.clock])
        return
    load = os.getloadavg()[0]
    arrangements = [_arrangement(name, asked.clock) for name in _KINDS]
    table = rounds.measure(arrangements, asked.rounds, asked.seconds)
    title = f"{_TITLE}, seconds of {asked.clock}"
    rounds.report({title: table}, {title: _TARGETS}, load=load, as_json=asked.json)


def _arrangement(name: str, clock: str) -> rounds.Arrangement:
    python: object = sys.executable
    if name == _CURRENT:
        python = environments.interpreter("tf-agents")
    command = (str(python), __file__, "--serve", _KINDS[name], "--clock", clock)
    return rounds.Arrangement(name, command, "" if python else environments.MISSING)


def _fused() -> Callable[[int], int]:
    from gamebridge import api, opening
    from gamebridge.tf import environment, start

    start.load()
    from gamebridge.training import runs, session, sittings

    settings = {
        "units": _UNITS,
        "batch_size": _BATCH,
        "learning_rate": _RATE,
        "replay_capacity": _CAPACITY,
        "warm_up_steps": _FIRST,
        "num_steps": 1,
        "train_interval": 1,
    }
    record = opening.discover().find_agent("dqn")
    game = api.make_game("gym/CartPole-v1", 1, seed=0, workers=0)
    plan = runs.Plan(runs.RunSettings("gym/CartPole-v1", "dqn", num_slots=1), {}, {}, settings, {})
    learner = sittings.make_learner(record, plan, game)
    driver = session.make_driver(environment.GameTFEnvironment(game), learner, 0)
    driver.restart()
    driver.advance(_FIRST + 100)

    def run(count: int) -> int:
        driver.advance(count)
        return count

    return run


def _stock() -> tuple[Any, Any, Any]:
    """The tutorials' environment and agent: (suite_gym's, its TFPyEnvironment, the agent)."""
    import tensorflow as tf
    from tf_agents.agents.dqn import dqn_agent
    from tf_agents.environments import suite_gym, tf_py_environment
    from tf_agents.networks import q_network
    from tf_agents.utils import common

    played = suite_gym.load("CartPole-v1")
    environment = tf_py_environment.TFPyEnvironment(suite_gym.load("CartPole-v1"))
    network = q_network.QNetwork(
        environment.observation_spec(), environment.action_spec(), fc_layer_params=_UNITS
    )
    agent = dqn_agent.DqnAgent(
        environment.time_step_spec(),
        environment.action_spec(),
        q_network=network,
        optimizer=tf.keras.optimizers.Adam(_RATE),
        td_errors_loss_fn=common.element_wise_squared_loss,
        train_step_counter=tf.Variable(0),
    )
    agent.initialize()
    agent.train = common.function(agent.train)
    return played, environment, agent


def _old() -> Callable[[int], int]:
    from tf_agents.replay_buffers import tf_uniform_replay_buffer
    from tf_agents.trajectories import trajectory

    _, environment, agent = _stock()
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(
        agent.collect_data_spec, batch_size=1, max_length=_CAPACITY
    )

    def collect_step() -> None:
        time_step = environment.current_time_step()
        action_step = agent.collect_policy.action(time_step)
        next_time_step = environment.step(action_step.action)
        buffer.add_batch(trajectory.from_transition(time_step, action_step, next_time_step))

    environment.reset()
    for _ in range(_FIRST):
        collect_step()
    dataset = buffer.as_dataset(num_parallel_calls=3, sample_batch_size=_BATCH, num_steps=2)
    iterator = iter(dataset.prefetch(3))

    def run(count: int) -> int:
        for _ in range(count):
            collect_step()
            experience, _ = next(iterator)
            agent.train(experience)
        return count

    return run


def _current() -> Callable[[int], int]:
    import reverb
    from tf_agents.drivers import py_driver
    from tf_agents.policies import py_tf_eager_policy
    from tf_agents.replay_buffers import reverb_replay_buffer, reverb_utils
    from tf_agents.specs import tensor_spec

    played, _, agent = _stock()
    signature = tensor_spec.add_outer_dim(tensor_spec.from_spec(agent.collect_data_spec))
    table = reverb.Table(
        "uniform_table",
        max_size=_CAPACITY,
        sampler=reverb.selectors.Uniform(),
        remover=reverb.selectors.Fifo(),
        rate_limiter=reverb.rate_limiters.MinSize(1),
        signature=signature,
    )
    server = reverb.Server([table])
    buffer = reverb_replay_buffer.ReverbReplayBuffer(
        agent.collect_data_spec,
        table_name="uniform_table",
        sequence_length=2,
        local_server=server,
    )
    observer = reverb_utils.ReverbAddTrajectoryObserver(
        buffer.py_client, "uniform_table", sequence_length=2
    )
    policy = py_tf_eager_policy.PyTFEagerPolicy(agent.collect_policy, use_tf_function=True)
    first = py_driver.PyDriver(played, policy, [observer], max_steps=_FIRST)
    time_step, _ = first.run(played.reset())
    dataset = buffer.as_dataset(num_parallel_calls=3, sample_batch_size=_BATCH, num_steps=2)
    iterator = iter(dataset.prefetch(3))
    driver = py_driver.PyDriver(played, policy, [observer], max_steps=1)

    def run(count: int) -> int:
        nonlocal time_step
        for _ in range(count):
            time_step, _ = driver.run(time_step)
            experience, _ = next(iterator)
            agent.train(experience)
        return count

    return run


_LOOPS: dict[str, Callable[[], Callable[[int], int]]] = {
    "fused": _fused,
    "old": _old,
    "current": _current,
}


if __name__ == "__main__":
    main()
