"""The numpy side: a game here, layer by layer, and in workers; which of them is best."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gamebridge import contract
from gamebridge.benching import advice, bare, memory, players, rounds
from gamebridge.training import fitting
from gamebridge.workers import choice, staffs
from gamebridge.workers.settings import WorkerSettings

# Of all numbers of workers up to this one each is tried, of more every power of two.
_EACH_UP_TO = 4
_MOST_WORKERS = 64
_GAME = "game"


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
      record: the game's.
      order: the game that is wanted.
      workers: what was asked for.
      agent: None for none.
      make_learner: given a game fitted to the agent, returns the agent's learner and its
        settings; for when TensorFlow is loaded.
      overlap: the setting `training.overlap`.
    """

    record: contract.GameRecord
    order: staffs.Order
    workers: WorkerSettings
    agent: contract.AgentRecord | None
    make_learner: Callable[[contract.Game], tuple[Any, Mapping[str, Any]]]
    overlap: bool | None = None


@dataclasses.dataclass(frozen=True)
class Arranged:
    """What was found.

    Attributes:
      game: as it is best played; closed by who gave the stack.
      pids: of the processes that play it.
      layers, workers, played_by, automatic, is_split, waits: as of `results.Report`.
    """

    game: contract.Game
    pids: frozenset[int]
    layers: Mapping[str, float]
    workers: Mapping[int, float]
    played_by: int
    automatic: int
    is_split: bool
    waits: bool

    @property
    def batch_s(self) -> float:
        """Seconds that a step of all slots takes."""
        return 1e-6 * self.workers[self.played_by] * self.game.num_slots

    @property
    def bare_share(self) -> float:
        """Which part of a step is the bare game's, 0 to 1; the rest is the bridge's."""
        if not self.layers:
            return 1.0  # what is played in another Python cannot be looked into
        own_us = self.layers[_GAME]
        if self.played_by:
            num_slots = self.game.num_slots
            own_us *= math.ceil(num_slots / min(self.played_by, num_slots)) / num_slots
        return min(1.0, own_us / self.workers[self.played_by])


def measure(
    subject: Subject,
    seconds: float,
    announce: Callable[[str], None],
    opened: contextlib.ExitStack,
) -> Arranged:
    """Measures every arrangement, and leaves the best one open.

    Args:
      subject: the game.
      seconds: of each measurement.
      announce: told in a line what is being measured.
      opened: closes what is opened.

    Raises:
      FitError: the agent cannot play the game.
      Error: others, as of making and playing the game.
    """
    table = _Table(subject, opened)
    game_id, num_slots = subject.order.origin.game_id, subject.order.num_slots
    is_here = not subject.workers.python
    asked = subject.workers.count
    if is_here:
        announce(f"playing {game_id} here, {num_slots} slot{'s' if num_slots > 1 else ''}")
        table.open(0)
        # What is done once is done then, and it is seen what kind of game it is.
        table.players[0].play(seconds / rounds.NUM_ROUNDS)
    is_split = not is_here or choice.is_splittable(table.players[0].game)
    waits = is_here and table.players[0].waits
    counts = [asked] if asked else []
    if asked is None and is_split:
        counts = worker_counts(num_slots, choice.num_cores(), waits=waits)
    if counts:
        announce(f"starting it in {', '.join(map(str, counts))} workers")
        for count in counts:
            table.open(count)
    if is_here and is_split:
        table.open_bare()
    announce("measuring here and there in turn" if counts else "measuring")
    layers, workers = table.measure(seconds)
    automatic = min(num_slots, choice.num_cores())
    if is_here:
        automatic = choice.suited_count(1e-6 * workers[0], num_slots) if is_split else 0
    played_by = advice.suited(workers, automatic) if asked is None else min(asked, num_slots)
    table.close_all_but(played_by)
    return Arranged(
        table.players[played_by].game,
        table.pids[played_by],
        layers,
        workers,
        played_by,
        automatic,
        is_split,
        waits,
    )


def worker_counts(num_slots: int, cores: int, *, waits: bool) -> list[int]:
    """Returns the numbers of workers that are worth a try, besides none.

    Args:
      num_slots: B; more workers would have nothing to do.
      cores: more workers would only wait for each other ...
      waits: ... unless they wait anyway.
    """
    most = min(num_slots, _MOST_WORKERS, num_slots if waits else cores)
    counts = set(range(1, min(most, _EACH_UP_TO) + 1))
    counts |= {2**power for power in range(most.bit_length())}
    return sorted({*counts, most})


class _Table:
    """The players, by number of workers; 0 is this process."""

    def __init__(self, subject: Subject, opened: contextlib.ExitStack) -> None:
        self._subject = subject
        self._opened = opened
        self._bare: bare.Bare | None = None
        self.players: dict[int, players.GamePlayer] = {}
        self.pids: dict[int, frozenset[int]] = {}

    def open(self, count: int) -> None:
        """Makes the game anew for so many workers."""
        subject, before = self._subject, memory.children()
        workers = dataclasses.replace(subject.workers, count=count)
        game = choice.open_game(subject.record, subject.order, workers, lambda _: None)
        self._opened.callback(game.close)
        count = min(count, subject.order.num_slots)
        self.pids[count] = frozenset(memory.children() - before)
        if subject.agent is not None and not self.players:
            # Refused now, not when all else is measured.
            fitting.fit(subject.agent, game)
        self.players[count] = players.GamePlayer(game)

    def open_bare(self) -> None:
        """Makes one environment more, without anything around it."""
        order = self._subject.order
        request = contract.GameRequest(
            order.origin.game_id, 1, False, order.settings, order.supervision
        )
        self._bare = bare.open_environment(self._subject.record, request)
        self._opened.callback(self._bare.close)

    def measure(self, seconds: float) -> tuple[dict[str, float], dict[int, float]]:
        """Returns the costs of the layers here, and of a step by number of workers."""
        measured: dict[str, rounds.Player] = {
            str(count): player for count, player in self.players.items()
        }
        if self._bare is not None:
            measured[_GAME] = self._bare
        said = rounds.measure(measured, seconds)
        medians = {name: rounds.medians(costs) for name, costs in said.items()}
        layers: dict[str, float] = {}
        if 0 in self.players:
            here = self.players[0]
            layers = {name: medians["0"][name] for name in here.layers}
            if self._bare is not None:
                layers = _without_adapter(here, said["0"], said[_GAME], layers)
        workers = {count: medians[str(count)][players.TOTAL] for count in self.players}
        if layers:
            workers[0] = sum(layers.values())
        return layers, workers

    def close_all_but(self, kept: int) -> None:
        """Closes the other games."""
        for count, player in self.players.items():
            if count != kept:
                player.close()
        if self._bare is not None:
            self._bare.close()


def _without_adapter(
    here: players.GamePlayer,
    said: Sequence[rounds.Costs],
    said_bare: Sequence[rounds.Costs],
    layers: Mapping[str, float],
) -> dict[str, float]:
    """Tells the bare game from its adapter, which the clocks cannot look into."""
    # A repeated action is several steps of the game.
    own_us = rounds.medians(said_bare)[_GAME] * here.steps_a_step
    adapted_us = layers["adapter"]
    unsure_us = rounds.noise(said, "adapter") + rounds.noise(said_bare, _GAME) * here.steps_a_step
    if adapted_us - own_us < unsure_us:
        # A few microseconds of a game that takes thousands: all of them may be the game's.
        own_us = adapted_us
    return {_GAME: own_us, **layers, "adapter": adapted_us - own_us}
