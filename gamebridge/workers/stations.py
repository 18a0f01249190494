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
from gamebridge.supervision import budget, logs
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge.workers import carrying, processes
from gamebridge.workers import layout as layouts

_LOG = logging.getLogger(__name__)

# How often a wait looks whether the process still lives.
_LOOK_S = 0.2
_REPORT_S = 5.0

CHANGED = (
    "gamebridge was changed on disk since this process started, and a worker has to be of the "
    "same one. Start anew; a training goes on with `gamebridge train --resume RUN`."
)

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
      core: which one its process keeps to; None for any.
    """

    control: layouts.Control
    num_slots: int
    num_workers: int
    is_asynchronous: bool
    core: int | None


class Station:
    """A range of slots and its process; see this module.

    Attributes:
      index: which one of the pool's.
      slots: the range, as a slice over arrays [B, ...].
      stage: how far the present process is.
      hello: what the newest worker said of itself.
      made: what the worker said of its game; None before the first one did.
      place: where its rows are; None before all games are made.
      since_s: when the last order was given, or when the present stage began.
    """

    def __init__(self, job: Job, index: int, slots: slice) -> None:
        """Starts the first process.

        Raises:
          ConfigError: the interpreter cannot be run.
        """
        self._job = job
        self.index = index
        self.slots = slots
        self.hello: dict[str, Any] = {}
        self.made: dict[str, Any] | None = None
        self.place: Place | None = None
        self._budget = budget.Budget(job.supervision)
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
          PlayerError: gamebridge was changed on disk.
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

    @property
    def number(self) -> int:
        """Of the last order that was given to the present process; 0 before the first."""
        return self.control.words[layouts.ORDER] >> layouts.NUMBER_SHIFT

    def ask(self, command: int) -> None:
        """Gives the next order: a command about set 0 of the rows."""
        self.give(self.number + 1, 0, command)

    def give(self, number: int, index: int, command: int) -> None:
        """Gives an order.

        Args:
          number: a new one.
          index: the set of rows that is to be written.
          command: `layout.STEP` and so on.
        """
        words, go, _ = self.control
        self.since_s = time.monotonic()
        words[layouts.ORDER] = number << layouts.NUMBER_SHIFT | index << layouts.SET_SHIFT | command
        go.post()

    def give_again(self) -> None:
        """Makes sure that the last order was given, where an exception may have come between."""
        self.since_s = time.monotonic()
        self.control.go.post()

    @property
    def control(self) -> layouts.Control:
        """The control block, once there is one."""
        if self.place is None:
            raise processes.Lost("has no place yet")
        return self.place.control

    def has_answered(self) -> bool:
        """Whether the last order was carried out.

        Raises:
          Lost: it raised, or it never will be.
        """
        words = self.control.words
        order = words[layouts.ORDER]
        if abs(words[layouts.ANSWER]) != order:
            is_alive = self.process.is_alive()
            # It may have answered between the two looks.
            if abs(words[layouts.ANSWER]) != order:
                if not is_alive:
                    raise processes.Lost(self.process.ending())
                limit_s = self._job.supervision.step_timeout_s
                if time.monotonic() - self.since_s > limit_s:
                    raise processes.Lost(
                        f"had not answered after {limit_s:g} s (supervision.step_timeout_s)"
                    )
                return False
        if words[layouts.ANSWER] != order:
            while self.process.hear(_REPORT_S) is not None:
                pass  # a picture that nobody waited for
            raise processes.Lost("raised an exception of which it told nothing")
        return True

    def wait(self) -> None:
        """Waits until the last order is carried out.

        Raises:
          Lost: it raised, or it never will be.
        """
        done = self.control.done
        if self.has_answered():
            done.take()
            return
        while True:
            is_posted = done.wait_for(_LOOK_S)
            if self.has_answered():
                if not is_posted:
                    done.take()
                return

    def picture(self, slot: int, number: int) -> Any:
        """Returns the picture of one of its slots, uint8 [height, width, 3], or None.

        The order has this number; no other command may be under way.

        Raises:
          Lost: the game raised, or the process is gone.
        """
        words = self.control.words
        words[layouts.SLOT] = slot
        self.give(number, 0, layouts.RENDER)
        limit_s = self._job.supervision.step_timeout_s
        drawn = 0
        while drawn != words[layouts.ORDER]:  # else one that nobody waited for
            heard = self.process.hear(limit_s)
            if heard is None:
                raise processes.Lost(
                    f"had drawn no picture after {limit_s:g} s (supervision.step_timeout_s)"
                )
            (drawn, shape), payload = heard
        self.wait()
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
        what = self._what(lost, moment)
        self._log(lost, what, tail)
        if wait_s is None:
            said = f" It wrote last: {' | '.join(tail[-5:])}" if tail else ""
            error = errors.PlayerError(f"{what}. {self._budget.describe()}{said}")
            error.__cause__ = lost.cause()
            return error
        soon = "at once" if wait_s == 0 else f"in {wait_s:g} s"
        _LOG.warning("%s is replaced %s (restart %d).", self.label, soon, self._budget.num_restarts)
        self.stage, self.since_s = "waiting", time.monotonic() + wait_s
        return None

    def stop(self, lost: processes.Lost, moment: str) -> errors.Error:
        """Ends the process and returns the error to raise, where the game's errors end all."""
        what = self._what(lost, moment)
        self._log(lost, what, [])
        self.close(0)
        error = lost.error()
        if error is None:
            error = errors.GameError(f"{what}. Mend the game, or set supervision.on_error=replace.")
            error.__cause__ = lost.cause()
        return error

    def close(self, timeout_s: float) -> None:
        """Ends the process, which was told to end before. May be called twice."""
        if self._process is not None:
            self._process.end(timeout_s)
            self._process = None
        self.stage = "waiting"

    def _what(self, lost: processes.Lost, moment: str) -> str:
        first, last = self.slots.start, self.slots.stop - 1
        slots = f"slot {first}" if first == last else f"slots {first} to {last}"
        return f"At {moment}, {self.label} ({slots}) {lost}".rstrip(".")

    def _log(self, lost: processes.Lost, what: str, tail: list[str]) -> None:
        text = [what, *(f"  it wrote: {line}" for line in tail)]
        if lost.report is not None:
            text.append(lost.report["traceback"])
        _LOG.warning("%s", "\n".join(text))

    def _start(self) -> None:
        job = self._job
        self._check_unchanged()
        self._process = processes.Process(
            self.label, job.python, job.module, job.memory_fd, job.log
        )
        self.stage, self.since_s = "greeting", time.monotonic()

    def _check_unchanged(self) -> None:
        if carrying.has_changed():
            raise errors.PlayerError(f"{self.label} cannot be started. {CHANGED}")

    def _answer(self, message: Any) -> None:
        process = self.process
        if self.stage in ("greeting", "making"):
            self._check_unchanged()
        if self.stage == "greeting":
            num_slots = self.slots.stop - self.slots.start
            self.hello = message
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
        if not place.is_asynchronous:
            control.done.take()
        for word in range(len(control.words)):
            control.words[word] = 0
        self.since_s = time.monotonic()
        self.process.tell(
            {
                "index": self.index,
                "start": self.slots.start,
                "num_slots": place.num_slots,
                "num_workers": place.num_workers,
                "is_asynchronous": place.is_asynchronous,
                "core": place.core,
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
