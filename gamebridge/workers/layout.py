"""`Layout`: where everything of a pool lies in its shared memory.

    [semaphore of all][control of each worker][actions][masks and seeds][rows, set 0][set 1]...

Every array is aligned to 64 bytes and holds all slots; a worker has a range of them. Rows
have sets that take turns, so that the rows before this step are whole while a worker writes
the next ones, and can still be told when it dies of that. Large rows have more sets than the
two that this takes, so that they can be handed to TensorFlow without a copy (`turns`).
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Any, NamedTuple

import numpy as np

from gamebridge.contract import game as games
from gamebridge.contract import specs
from gamebridge.workers import semaphores

_ALIGNMENT = 64
_NUM_SETS = 2
# A loop holds the newest two or three; the step to come needs one, and one is to spare.
_NUM_LARGE_SETS = 6
# A leaf of fewer bytes is sooner copied than looked after; as of `tf.buffers`.
_LARGE_BYTES = 16_384

# Words of a worker's control block, int64 each. ANSWER is the order that was carried out, or
# its negative where that raised. One word an order: none is ever seen half given.
ORDER, ANSWER, SLOT = range(3)
_NUM_WORDS = 8
_CONTROL = _NUM_WORDS * 8 + 2 * semaphores.SIZE

# Commands: first the slots of `resets` are reset, then those of `active` stepped.
RESET, STEP, SEEDED, MASKED, RENDER, CLOSE = (1 << bit for bit in range(6))
# An order is a growing number, the set of rows to write and, in its low bits, a command. SLOT
# says what RENDER is about.
SET_SHIFT, NUMBER_SHIFT = 8, 16
COMMANDS = (1 << SET_SHIFT) - 1
SETS = (1 << NUMBER_SHIFT - SET_SHIFT) - 1


class Control(NamedTuple):
    """A worker's control block.

    Attributes:
      words: memoryview of int64; see ORDER.
      go: posted by the pool when there is an order.
      done: posted by the worker when it has answered.
    """

    words: memoryview
    go: semaphores.Semaphore
    done: semaphores.Semaphore


class Rows(NamedTuple):
    """One set of rows, arrays [B, ...].

    Attributes:
      time_step: as a game hands it out.
      telemetry: by name.
      is_running: bool [B], whether the slot is in mid-episode after this step.
    """

    time_step: games.TimeStep
    telemetry: dict[str, Any]
    is_running: Any


class Layout:
    """Arrays over a pool's memory; made by pool and worker alike, from the same specs."""

    def __init__(
        self,
        observation_spec: specs.Spec,
        action_spec: specs.Spec,
        telemetry_spec: dict[str, specs.TelemetrySpec],
        num_slots: int,
        num_workers: int,
    ) -> None:
        """Lays out the arrays; `size` tells how many bytes they take."""
        self._num_slots = num_slots
        self._num_workers = num_workers
        self._specs = (observation_spec, action_spec, telemetry_spec)
        self.size = self._place(None)

    def map(self, fd: int) -> None:
        """Maps the memory, which must be `size` bytes long, and makes the arrays."""
        memory = mmap.mmap(fd, self.size)
        self._place(memory)

    def _place(self, memory: mmap.mmap | None) -> int:
        observation_spec, action_spec, telemetry_spec = self._specs
        num_slots = self._num_slots
        offset = 0

        def array(shape: tuple[int, ...], dtype: Any) -> Any:
            nonlocal offset
            start = offset
            dtype = np.dtype(dtype)
            count = int(np.prod((num_slots, *shape), dtype=np.int64))
            offset += -(-count * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
            if memory is None:
                return None
            flat = np.frombuffer(memory, dtype, count, start)
            return flat.reshape((num_slots, *shape))

        def nest(spec: specs.Spec) -> Any:
            return specs.map_leaves(lambda leaf: array(leaf.shape, leaf.dtype), spec)

        self.controls: list[Control] = []
        offset += semaphores.SIZE
        if memory is not None:
            base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
            self.any_done = semaphores.Semaphore(base)
        for _ in range(self._num_workers):
            if memory is not None:
                address = base + offset
                words = memoryview(memory)[offset : offset + _NUM_WORDS * 8].cast("q")
                first = address + _NUM_WORDS * 8
                pair = [semaphores.Semaphore(first + i * semaphores.SIZE) for i in range(2)]
                self.controls.append(Control(words, *pair))
            offset += _CONTROL
        self.action = nest(action_spec)
        self.active = array((), np.bool_)
        self.resets = array((), np.bool_)
        self.seeds = array((), np.int64)
        sizes = [
            int(np.prod((num_slots, *leaf.shape), dtype=np.int64)) * leaf.dtype.itemsize
            for leaf in specs.leaves(observation_spec)
        ]
        self.sets: list[Rows] = []
        for _ in range(_NUM_LARGE_SETS if max(sizes, default=0) >= _LARGE_BYTES else _NUM_SETS):
            time_step = games.TimeStep(
                step_type=array((), np.int32),
                reward=array((), np.float32),
                discount=array((), np.float32),
                observation=nest(observation_spec),
                valid=array((), np.bool_),
            )
            is_running = array((), np.bool_)
            telemetry = {
                name: array((), telemetry_spec[name].dtype) for name in sorted(telemetry_spec)
            }
            self.sets.append(Rows(time_step, telemetry, is_running))
        return offset
