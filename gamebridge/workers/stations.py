"""`Station`: a range of a pool's slots, and the process that plays them at present.

A station outlives its processes. It is up, or on its way there: waiting until a new
process may be started, or for one to say hello, to make its game, to find its rows.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from gamebridge import errors
from gamebridge.workers import layout as layouts
from gamebridge.workers import logs, processes, supervision
from gamebridge.workers.settings import SupervisionSettings

_LOG = logging.getLogger(__name__)

# How often a wait looks whether the process still lives.
_LOOK_S = 0.2
_REPORT_S = 5.0

Stage = Literal["waiting", "greeting", "making", "placing", "mapping", "up"]


@dataclasses.dataclass(frozen=True)
class Job:
    """What the stations of a pool have in common.

    Attributes:
      name: the game's id, for messages.
      module: of the game's plugin.
      python: the interpreter; "" for this one.
      wanted: what a worker is asked to make, given what it says of itself; `num_slots` is
        added here.
      memory_fd: the pool's shared memory.
      supervision: time limits and budget.
      log: takes what the processes write.
    """

    name: str
    module: str
    python: str
    wanted: Callable[[dict[str, Any]], dict[str, Any]]
    memory_fd: int
    supervision: SupervisionSettings
    log: logs.Log


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a station's rows are, known once the first games are made.

    Attributes:
      control: the station's control block.
      num_slots: of the whole pool.
      num_workers: of the whole pool.
      is_asynchronous: whether all workers post one semaphore when they have answered.
    """

    control: layouts.Control
    num_slots: int
    num_workers: int
    is_asynchronous: bool


class Station:
    """A range of slots and its process; see this module.

    Attributes:
      index: which one of the pool's.
      slots: the range, as a slice over arrays [B, ...].
      stage: how far the present process is.
      made: what the worker said of its game; None before the first one did.
      place: where its rows are; None before all games are made.
      asked: number of the last command that was given to the present process.
      since_s: when that was, or when the present stage began.
    """

    def __init__(self, job: Job, index: int, slots: slice) -> None:
        """Starts the first process.

        Raises:
          ConfigError: the interpreter cannot be run.
        """
        self._job = job
        self.index = index
        self.slots = slots
        self.made: dict[str, Any] | None = None
        self.asked = 0
        self.place: Place | None = None
        self._budget = supervision.Budget(job.supervision)
        self._process: processes.Process | None = None
        self.since_s = 0.0
        self.stage: Stage = "waiting"
        self._start()

    @property
    def label(self) -> str:
        """Names the station in messages."""
        return f"{self._job.name}, worker {self.index}"

    @property
    def pid(self) -> int | None:
        """Of the present process; None between two."""
        return self._process.pid if self._process else None

    @property
    def num_restarts(self) -> int:
        """How many processes took the place of one that was lost."""
        return self._budget.num_restarts

    def advance(self, timeout_s: float) -> bool:
        """Goes on towards being up, for as long as it need not wait more than `timeout_s`.

        Returns:
          Whether it is up, or, before the pool has its layout, whether its game is made.

        Raises:
          Lost: the process is gone, or too slow, or its game is another than before.
        """
        if self.stage == "waiting":
            left_s = self.since_s - time.monotonic()
            if left_s > timeout_s:
                time.sleep(max(0.0, timeout_s))
                return False
            time.sleep(max(0.0, left_s))
            self._start()
        while self.stage in ("greeting", "making", "mapping"):
            limit_s = self.since_s + self._job.supervision.start_timeout_s - time.monotonic()
            heard = self.process.hear(min(timeout_s, max(0.0, limit_s)))
            if heard is None:
                if limit_s <= 0:
                    raise processes.Lost(self._too_slow())
                return False
            self._answer(heard[0])
        if self.stage == "placing" and self.place is not None:
            self._take_place(self.place)
            return self.advance(timeout_s)
        return True

    @property
    def process(self) -> processes.Process:
        """The present process.

        Raises:
          Lost: there is none.
        """
        if self._process is None:
            raise processes.Lost("is not running")
        return self._process

    def ask(self, command: int, index: int) -> None:
        """Gives a command (`layout.STEP` and so on) about the set of rows `index`."""
        words, go, _ = self.control
        self.asked += 1
        words[layouts.COMMAND] = command
        words[layouts.SET] = index
        words[layouts.ASKED] = self.asked
        self.since_s = time.monotonic()
        go.post()

    @property
    def control(self) -> layouts.Control:
        """The control block, once there is one."""
        if self.place is None:
            raise processes.Lost("has no place yet")
        return self.place.control

    def has_answered(self) -> bool:
        """Whether the last command was answered.

        Raises:
          Lost: by an exception, or it never will be.
        """
        words = self.control.words
        if words[layouts.ANSWERED] != self.asked:
            is_alive = self.process.is_alive()
            # It may have answered between the two looks.
            if words[layouts.ANSWERED] != self.asked:
                if not is_alive:
                    raise processes.Lost(self.process.ending())
                limit_s = self._job.supervision.step_timeout_s
                if time.monotonic() - self.since_s > limit_s:
                    raise processes.Lost(
                        f"had not answered after {limit_s:g} s (supervision.step_timeout_s)"
                    )
                return False
        if words[layouts.STATUS] == layouts.FAILED:
            self.process.hear(_REPORT_S)
        return True

    def wait(self) -> None:
        """Waits until the last command is answered.

        Raises:
          Lost: by an exception, or it never will be.
        """
        done = self.control.done
        while not done.wait_for(_LOOK_S) or self.control.words[layouts.ANSWERED] != self.asked:
            if self.has_answered():
                return
        self.has_answered()

    def picture(self, slot: int) -> Any:
        """Returns the picture of one of its slots, uint8 [height, width, 3], or None.

        Raises:
          Lost: the game raised, or the process is gone.
        """
        self.ask(layouts.RENDER, slot)
        heard = self.process.hear(self._job.supervision.step_timeout_s)
        if heard is None:
            raise processes.Lost("had drawn no picture in time (supervision.step_timeout_s)")
        self.wait()
        shape, payload = heard
        return None if shape is None else np.frombuffer(payload, np.uint8).reshape(shape)

    def fail(self, lost: processes.Lost, moment: str) -> errors.PlayerError | None:
        """Ends what is left of the process and reports it.

        Args:
          lost: why.
          moment: when, such as "step 17".

        Returns:
          The error to raise where no replacement is left in the budget; else None, and the
          station is waiting.
        """
        tail: list[str] = []
        if self._process is not None:
            self._process.end(0)
            tail = self._process.tail()
            self._process = None
        wait_s = self._budget.spend()
        what = (
            f"{self.label} (slots {self.slots.start} to {self.slots.stop - 1}) {lost} at {moment}"
        )
        said = f" It wrote last: {' | '.join(tail[-5:])}" if tail else ""
        if lost.report is not None:
            _LOG.warning("%s\n%s", what, lost.report["traceback"])
        if wait_s is None:
            error = errors.PlayerError(
                f"{what}. It was {self._budget.describe()}. Mend the cause, or raise "
                f"supervision.max_restarts (-1 for no limit).{said}"
            )
            if lost.report is not None:
                error.__cause__ = processes.RemoteTraceback(lost.report["traceback"])
            return error
        soon = "at once" if wait_s == 0 else f"in {wait_s:g} s"
        _LOG.warning(
            "%s. It is replaced %s (restart %d).%s", what, soon, self._budget.num_restarts, said
        )
        self.stage, self.since_s = "waiting", time.monotonic() + wait_s
        return None

    def close(self, timeout_s: float) -> None:
        """Ends the process, which was told to end before. May be called twice."""
        if self._process is not None:
            self._process.end(timeout_s)
            self._process = None
        self.stage = "waiting"

    def _start(self) -> None:
        job = self._job
        self._process = processes.Process(
            self.label, job.python, job.module, job.memory_fd, job.log
        )
        self.stage, self.since_s = "greeting", time.monotonic()

    def _answer(self, message: Any) -> None:
        process = self.process
        if self.stage == "greeting":
            num_slots = self.slots.stop - self.slots.start
            process.tell({**self._job.wanted(message), "num_slots": num_slots})
            self.stage = "making"
        elif self.stage == "making":
            if self.made is not None and self.made != message:
                raise processes.Lost("made a game of other specs than the one before it")
            self.made = message
            self.stage = "placing"
        else:
            self.stage = "up"
            self._budget.note_up()

    def _take_place(self, place: Place) -> None:
        control = place.control
        control.go.clear()
        for word in range(len(control.words)):
            control.words[word] = 0
        self.asked = 0
        self.process.tell(
            {
                "index": self.index,
                "start": self.slots.start,
                "num_slots": place.num_slots,
                "num_workers": place.num_workers,
                "is_asynchronous": place.is_asynchronous,
            }
        )
        self.stage = "mapping"

    def _too_slow(self) -> str:
        limit_s = self._job.supervision.start_timeout_s
        doing = {"greeting": "had not started", "making": "had not made its game"}
        return (
            f"{doing.get(self.stage, 'was not ready')} within {limit_s:g} s "
            "(supervision.start_timeout_s)"
        )
