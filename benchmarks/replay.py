"""The replay buffer of 20,000 image transitions beside TF-Agents' `TFUniformReplayBuffer`.

84x84x4 uint8, 8 slots, filled with frames of which none comes again. Memory is what the process
grows by (RSS), from before the buffer is made until it is full and was sampled. A small one of the
same kind was made and sampled before: what TensorFlow and its compiler take once in a process,
whatever the size, is told beside it. Sampling is 32 transitions again and again in one graph, every
leaf of them touched; each row in a process of its own, in rounds.

`TFUniformReplayBuffer` hands out pairs of steps. What an agent of TF-Agents learns from is two
views of those, `trajectory.experience_to_transitions`, as which ours come at once: a row of its
own.

Where Reverb is installed it has a row: its server compresses what it keeps, and of these frames
nothing can be compressed.

    python benchmarks/replay.py [--rounds 9] [--json]
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import itertools
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import rounds

from gamebridge.tf import start

_CAPACITY = 20_000
_NUM_SLOTS = 8
_BATCH_SIZE = 32
_EPISODE_STEPS = 400
_TITLE = "Transitions of 84x84x4, 20,000 of them: batches of 32 a second"
_OURS = "gamebridge: single frames"
_WHOLE = "gamebridge: whole stacks"
_PRIORITIZED = "gamebridge: single frames, prioritised"
_REVERB = "gamebridge: single frames, in a Reverb server"
_PAIRS = "TFUniformReplayBuffer: pairs of steps"
_TRANSITIONS = "TFUniformReplayBuffer: transitions"
_ROWS = {
    _OURS: "single",
    _WHOLE: "whole",
    _PRIORITIZED: "prioritized",
    _PAIRS: "pairs",
    _TRANSITIONS: "transitions",
}
if importlib.util.find_spec("reverb"):
    _ROWS[_REVERB] = "reverb"
_TARGETS = (
    rounds.Target("d", _OURS, (_TRANSITIONS,), 1.0),
    rounds.Target("d", _OURS, (_PAIRS,), 1.0),
)


def main() -> None:
    """Measures and prints memory and table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=rounds.ROUND_S, help="of a round")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=_ROWS.values(), help=argparse.SUPPRESS)
    parser.add_argument("--memory", choices=_ROWS.values(), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.memory:
        print(json.dumps(_memory(chosen.memory)))
        return
    if chosen.serve:
        rounds.serve(_Filled(chosen.serve).run)
        return
    load = os.getloadavg()[0]
    command = (sys.executable, __file__)
    grown = {name: _ask((*command, "--memory", code)) for name, code in _ROWS.items()}
    arrangements = [
        rounds.Arrangement(name, (*command, "--serve", code)) for name, code in _ROWS.items()
    ]
    table = rounds.measure(arrangements, chosen.rounds, chosen.seconds)
    rounds.report({_TITLE: table}, {_TITLE: _TARGETS}, load=load, as_json=chosen.json)
    if not chosen.json:
        for name, (once, taken) in grown.items():
            share, each = taken / grown[_PAIRS][1], taken // _CAPACITY
            print(
                f"{taken / 2**20:7.0f} MiB  {share:5.3f}  {each:6,} bytes a transition, and "
                f"{once / 2**20:.0f} MiB once   {name}"
            )


def _ask(command: tuple[str, ...]) -> list[int]:
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return list(json.loads(found.stdout.splitlines()[-1]))


def _memory(code: str) -> list[int]:
    """Returns the bytes that a small buffer takes, and then a large one."""
    start.load()
    import tensorflow as tf
    from tf_agents.replay_buffers import tf_uniform_replay_buffer  # noqa: F401

    # All of TensorFlow's threads have been at work once: their stacks are resident, 8 MiB each.
    # None of it is as large as a buffer, whose memory would be there already.
    for _ in range(50):
        tf.zeros([2**22], tf.uint8)
    seen, kept = [_resident()], []
    for capacity in (80, _CAPACITY):
        kept.append(_Filled(code, capacity))
        kept[-1].run(20)
        gc.collect()
        seen.append(_resident())
    return [after - before for before, after in itertools.pairwise(seen)]


def _resident() -> int:
    pages = int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class _Filled:
    """A full buffer, and the graph that samples it."""

    def __init__(self, code: str, capacity: int = _CAPACITY) -> None:
        start.load()
        import tensorflow as tf

        self._tf = tf
        self._code = code
        self._capacity = capacity
        observation, action = tf.TensorSpec((84, 84, 4), tf.uint8), tf.TensorSpec((), tf.int64)
        self._buffer = (
            _stock(observation, action, capacity)
            if code in ("pairs", "transitions")
            else _ours(observation, action, capacity, code)
        )
        tf.function(self._fill, autograph=False)()
        self._sample = tf.function(self._sample_often, autograph=False)
        self.run(1)

    def run(self, count: int) -> int:
        """Samples so many batches."""
        self._sample(self._tf.constant(count)).numpy()
        return count

    def _fill(self) -> None:
        tf = self._tf

        def body(number: Any, stack: Any) -> tuple[Any, Any]:
            kind, later = _step_type(tf, number), _step_type(tf, number + 1)
            frame = tf.random.stateless_uniform(
                [_NUM_SLOTS, 84, 84, 1], tf.stack([number, 7]), 0, 256, tf.int32
            )
            frame = tf.cast(frame, tf.uint8)
            next_stack = tf.where(
                later == 0, tf.repeat(frame, 4, -1), tf.concat([stack[..., 1:], frame], -1)
            )
            self._add(kind, stack, later, next_stack)
            return number + 1, next_stack

        tf.while_loop(
            lambda number, _: number < self._capacity // _NUM_SLOTS + 20,
            body,
            (tf.constant(0), tf.zeros([_NUM_SLOTS, 84, 84, 4], tf.uint8)),
            parallel_iterations=1,
        )

    def _add(self, kind: Any, stack: Any, later: Any, next_stack: Any) -> None:
        from tf_agents.trajectories import time_step as ts
        from tf_agents.trajectories import trajectory

        tf = self._tf
        ones, action = tf.ones([_NUM_SLOTS]), tf.zeros([_NUM_SLOTS], tf.int64)
        kinds, laters = tf.fill([_NUM_SLOTS], kind), tf.fill([_NUM_SLOTS], later)
        if self._code in ("pairs", "transitions"):
            self._buffer.add_batch(
                trajectory.Trajectory(kinds, stack, action, (), laters, ones, ones)
            )
        else:
            self._buffer.add(
                ts.TimeStep(kinds, ones, ones, stack),
                action,
                ts.TimeStep(laters, ones, ones, next_stack),
            )

    def _sample_often(self, count: Any) -> Any:
        tf = self._tf

        def body(number: Any, total: Any) -> tuple[Any, Any]:
            for leaf in tf.nest.flatten(self._batch(number)):
                # A look at both ends: nothing of it is left out of the graph.
                flat = tf.reshape(leaf, [-1])
                total += tf.cast(flat[0], tf.float32) + tf.cast(flat[-1], tf.float32)
            return number + 1, total

        return tf.while_loop(
            lambda number, _: number < count,
            body,
            (tf.constant(0), tf.constant(0.0)),
            parallel_iterations=1,
        )[1]

    def _batch(self, number: Any) -> Any:
        from tf_agents.trajectories import trajectory

        tf = self._tf
        if self._code == "prioritized":
            steps = tf.constant(0, tf.int64)
            batch, place = self._buffer.draw(_BATCH_SIZE, 0.99, steps, tf.stack([number, 1]))
            self._buffer.judge(place, tf.ones([_BATCH_SIZE]))
            return batch
        if self._code in ("single", "whole", "reverb"):
            return self._buffer.sample(_BATCH_SIZE, 1, 0.99, tf.stack([number, 1]))
        pairs, _ = self._buffer.get_next(_BATCH_SIZE, 2)
        if self._code == "pairs":
            return pairs
        now, action, then = trajectory.experience_to_transitions(pairs, squeeze_time_dim=True)
        return now.observation, action.action, then.reward, then.discount, then.observation


def _step_type(tf: Any, number: Any) -> Any:
    """FIRST at the beginning of each episode, LAST at its end, MID between."""
    place = number % _EPISODE_STEPS
    return tf.where(place == 0, 0, tf.where(place == _EPISODE_STEPS - 1, 2, 1))


def _ours(observation: Any, action: Any, capacity: int, code: str) -> Any:
    from gamebridge.tf import prioritized, replay, reverb_replay

    if code == "reverb":
        # As of a run that does not save it: else what came since the last checkpoint is held twice.
        return reverb_replay.ReverbReplay(
            observation, action, _NUM_SLOTS, capacity, [4], is_saved=False
        )
    if code == "prioritized":
        priorities = prioritized.Priorities(0.6, 0.4, 1)
        return prioritized.PrioritizedReplay(
            observation, action, _NUM_SLOTS, capacity, [4], num_steps=1, priorities=priorities
        )
    num_stacked = [4] if code == "single" else None
    return replay.Replay(observation, action, _NUM_SLOTS, capacity, num_stacked)


def _stock(observation: Any, action: Any, capacity: int) -> Any:
    import tensorflow as tf
    from tf_agents.replay_buffers import tf_uniform_replay_buffer
    from tf_agents.trajectories import trajectory

    number, real = tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.float32)
    spec = trajectory.Trajectory(number, observation, action, (), number, real, real)
    return tf_uniform_replay_buffer.TFUniformReplayBuffer(spec, _NUM_SLOTS, capacity // _NUM_SLOTS)


if __name__ == "__main__":
    main()
