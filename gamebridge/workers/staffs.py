"""`Staff`: the stations of a pool, the memory they share, their start and their end."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import time
import weakref
from collections.abc import Callable, Sequence
from multiprocessing import connection
from typing import Any

from gamebridge import contract, errors, interpreters
from gamebridge.supervision import logs
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge.workers import carrying, processes, stations, values
from gamebridge.workers import layout as layouts
from gamebridge.workers.origins import Origin
from gamebridge.wrappers.settings import WrapperSettings

# How often a start looks at the time.
_LOOK_S = 0.1
# Of a line that a worker wrote, in an error.
_LONGEST_SAID = 300


@dataclasses.dataclass(frozen=True)
class Order:
    """What a pool is made for.

    Attributes:
      origin: where the game's record comes from.
      settings: an instance of the record's settings class.
      wrappers: which wrappers the game gets, in the workers.
      num_slots: B.
      shares: how many slots each worker gets; their sum is B once that is chosen.
      picture: whether `render` will be called.
      python: the interpreter; "" for this one.
      pinned: whether each worker keeps to a core of its own.
      supervision: time limits and budget.
      open_policy: opens the policy of a run folder, where no worker plays the game.
    """

    origin: Origin
    settings: Any
    wrappers: WrapperSettings
    num_slots: int
    shares: tuple[int, ...] = ()
    picture: bool = False
    python: str = ""
    pinned: bool = False
    supervision: SupervisionSettings = dataclasses.field(default_factory=SupervisionSettings)
    open_policy: Callable[[str], contract.Policy] | None = None


def even_shares(num_slots: int, num_workers: int) -> tuple[int, ...]:
    """Returns how many slots each of so many workers gets, none more than one above another."""
    least, over = divmod(num_slots, num_workers)
    return tuple(least + (index < over) for index in range(num_workers))


class Staff:
    """Starts all stations at once; see `Order`.

    Attributes:
      stations: one a worker.
      layout: the arrays in shared memory.
      observation_spec, action_spec, telemetry_spec, steps_per_s, can_hold: the game's.
      images_are_left: whether image wrappers were asked for that the workers cannot apply,
        having no cv2: frames come as the game gives them.
    """

    def __init__(self, order: Order, *, is_asynchronous: bool = False) -> None:
        """Starts the workers and waits until all are up.

        Raises:
          ConfigError: the interpreter cannot be run.
          Error: a game could not be made; what its worker raised, as in this process.
          PlayerError: a worker ended or was too slow.
        """
        self._log = logs.Log()
        self._memory_fd = os.memfd_create("gamebridge-pool", os.MFD_CLOEXEC)
        self.stations: list[stations.Station] = []
        self._order = order
        # Also where nobody closes the pool: at the end of the process at the latest.
        self._finish = weakref.finalize(
            self,
            _close,
            os.getpid(),
            self.stations,
            self._log,
            self._memory_fd,
            order.supervision,
        )
        try:
            self._start(order, is_asynchronous=is_asynchronous)
        except BaseException:
            self.close()
            raise

    def _start(self, order: Order, *, is_asynchronous: bool) -> None:
        job = stations.Job(
            order.origin.game_id,
            order.origin.module,
            order.python,
            functools.partial(_wanted, order),
            self._memory_fd,
            order.supervision,
            self._log,
        )
        first = 0
        for index, share in enumerate(order.shares):
            slots = slice(first, first + share)
            self.stations.append(stations.Station(job, index, slots))
            first += share
        self._advance_all()
        made = self.stations[0].made or {}
        if any(station.made != made for station in self.stations):
            raise errors.GameError(
                f"{order.origin.game_id}: the workers made games of different specs. Let the game "
                "have the same specs whenever it is made."
            )
        self.observation_spec = values.unpack_spec(made["observation"])
        self.action_spec = values.unpack_spec(made["action"])
        self.telemetry_spec = values.unpack_telemetry(made["telemetry"])
        self.steps_per_s: float | None = made["steps_per_s"]
        self.can_hold: bool = made["can_hold"]
        self.layout = layouts.Layout(
            self.observation_spec,
            self.action_spec,
            self.telemetry_spec,
            order.num_slots,
            len(order.shares),
        )
        os.ftruncate(self._memory_fd, self.layout.size)
        self.layout.map(self._memory_fd)
        self.layout.any_done.clear()
        cores: list[int | None] = [None]
        if order.pinned:
            cores = [*sorted(os.sched_getaffinity(0))]
        for station in self.stations:
            control = self.layout.controls[station.index]
            control.done.clear()
            if is_asynchronous:
                control = control._replace(done=self.layout.any_done)
            station.place = stations.Place(
                control,
                order.num_slots,
                len(order.shares),
                is_asynchronous,
                cores[station.index % len(cores)],
            )
        self._advance_all()

    def close(self) -> None:
        """Ends all workers. May be called twice."""
        self._finish()

    @property
    def images_are_left(self) -> bool:
        """See this class."""
        return any(_are_images_left(self._order, station.hello) for station in self.stations)

    def _advance_all(self) -> None:
        pending = list(self.stations)
        while pending:
            left = []
            for station in pending:
                try:
                    if not station.advance(0.0):
                        left.append(station)
                except processes.Lost as lost:
                    error = _start_error(self._order.python, station, lost)
                    raise error from error.__cause__
            pending = left
            # Their games are made at the same time.
            connection.wait([station.process.fileno() for station in pending], _LOOK_S)


def _are_images_left(order: Order, hello: dict[str, Any]) -> bool:
    return order.wrappers.images is not None and not hello["has_cv2"]


# No method: a worker's station would keep alive the staff that it belongs to.
def _wanted(order: Order, hello: dict[str, Any]) -> dict[str, Any]:
    wrappers = order.wrappers
    if _are_images_left(order, hello):
        wrappers = dataclasses.replace(wrappers, images=None)
    return {
        "origin": values.pack(order.origin),
        "settings": values.pack(order.settings),
        "wrappers": values.pack(wrappers),
        "picture": order.picture,
        "name": order.origin.game_id,
        "supervision": values.pack(order.supervision),
    }


def _start_error(python: str, station: stations.Station, lost: processes.Lost) -> errors.Error:
    error = lost.error()
    if isinstance(error, errors.PluginError) and python:
        # What it says to install has to go there.
        cure = interpreters.pip(python)
        text = re.sub(r"\bpip install\b", lambda _: cure, str(error))
        told = type(error)(text if text != str(error) else f"{text} It was looked for in {python}.")
        told.__cause__ = error.__cause__
        return told
    if error is not None:
        return error
    station.process.end(0)
    tail = [line[:_LONGEST_SAID] for line in station.process.tail()[-5:]]
    said = f" It wrote last: {' | '.join(tail)}" if tail else ""
    if carrying.has_changed():
        return errors.PlayerError(f"{station.label} {lost}. {stations.CHANGED}{said}")
    if python and station.stage == "greeting":
        said = f" It wrote last: {tail[-1]}" if tail else ""
        return errors.ConfigError(
            f"The Python {python}, which is to play {station.label}, {lost} before it said a "
            f"word of Python. Expected an interpreter, such as /path/to/venv/bin/python.{said}"
        )
    error = errors.PlayerError(
        f"{station.label} {lost} before it could play. Mend the game or the Python it runs in."
        f"{said}"
    )
    error.__cause__ = lost.cause()
    return error


def _close(
    owner: int,
    members: Sequence[stations.Station],
    log: logs.Log,
    memory_fd: int,
    supervision: SupervisionSettings,
) -> None:
    if os.getpid() != owner:
        return  # a fork of the pool's process has ended, and the workers are not its own
    until_s = time.monotonic() + supervision.close_timeout_s
    for station in members:
        if station.stage == "up":
            station.ask(layouts.CLOSE)
            continue
        # It was not playing: there is nothing that it could end in an orderly way.
        station.close(0)
    for station in members:
        station.close(max(0.0, until_s - time.monotonic()))
    log.close()
    os.close(memory_fd)
