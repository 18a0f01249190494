"""The choice where a game is played: in this process, or in how many workers.

A cheap game is played quicker here than any worker could be woken up for it; a slow one
wants all cores. Where nobody says, one slot is played for a moment to find out.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable

import numpy as np

from gamebridge import adapters, assembly, contract, errors
from gamebridge.testing import playing
from gamebridge.workers import asynchronous, pool, staffs
from gamebridge.workers.settings import WorkerSettings

# What a step of a pool costs beside its games: two wake-ups and waits on a busy machine.
_ROUND_TRIP_S = 60e-6
# Workers are started if they gain at least so much.
_GAIN = 1.3
_PROBE_S = 0.15
_PROBE_STRETCHES = 16
_STRETCH = 25


def open_game(
    record: contract.GameRecord,
    order: staffs.Order,
    workers: WorkerSettings,
    announce: Callable[[str], None],
) -> contract.Game:
    """Makes a game, here or in workers.

    Args:
      record: what makes it.
      order: the game that is wanted; its shares and its Python are set here.
      workers: what was asked for, with the Python that the game runs in.
      announce: told in a line what was chosen by measurement.

    Raises:
      ConfigError, PluginError, GameError: as `assembly.assemble`.
      PlayerError: a worker could not start.
    """

    def here(num_slots: int) -> contract.Game:
        return assembly.assemble(
            record,
            num_slots=num_slots,
            settings=order.settings,
            wrappers=order.wrappers,
            picture=order.picture,
            game_id=order.origin.game_id,
            supervision=order.supervision,
            open_policy=order.open_policy,
        )

    python, count = workers.python, workers.count
    if record.is_scene:
        count = _count_for_scene(record.id, count, python)
    elif count is None and order.num_slots > 1 and not python:
        with here(1) as probe:
            count = _measure(probe, order.num_slots, workers.ready_slots is not None, announce)
    if order.num_slots < 1 or not (count or python):
        return here(order.num_slots)
    count = min(order.num_slots, num_cores() if count is None else count)
    is_full = count == num_cores() and workers.ready_slots is None
    order = dataclasses.replace(
        order,
        python=python,
        shares=staffs.even_shares(order.num_slots, count),
        pinned=is_full if workers.pinned is None else workers.pinned,
    )
    game: pool.Pool
    if workers.ready_slots is None:
        game = pool.Pool(order)
    else:
        game = asynchronous.AsynchronousPool(order, workers.ready_slots)
    if game.images_are_left and order.wrappers.images is not None:
        return assembly.wrap_images(game, order.wrappers.images)
    return game


def _count_for_scene(game_id: str, count: int | None, python: str) -> int:
    if count is not None and count > 1:
        raise errors.ConfigError(
            f"workers.count is {count}: {game_id} is one scene that moves all its agents at once, "
            "and cannot be split. Expected 0 or 1; a Unity build is run several times by --players."
        )
    return bool(python) if count is None else count


def is_in_workers(game: contract.Game) -> bool:
    """Whether other processes play the game, whatever wrappers are around it."""
    return isinstance(_innermost(game), pool.Pool)


def num_workers(game: contract.Game) -> int:
    """How many processes beside this one play the game."""
    innermost = _innermost(game)
    return len(innermost.pids) if isinstance(innermost, pool.Pool) else 0


def num_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _measure(
    probe: contract.Game, num_slots: int, is_asynchronous: bool, announce: Callable[[str], None]
) -> int:
    """Plays one slot for a moment; returns the number of workers that is best."""
    if not is_splittable(probe):
        return 0
    if is_asynchronous:
        return num_slots
    step_s = _seconds_a_step(probe)
    count = suited_count(step_s, num_slots)
    if count:
        announce(
            f"{probe.name} takes {step_s * 1e6:,.0f} us a step and slot: its {num_slots} slots are "
            f"played by {count} worker processes (workers.count)."
        )
    return count


def suited_count(step_s: float, num_slots: int) -> int:
    """Returns how many workers suit a game that can be split; 0 is this process.

    Args:
      step_s: seconds that one slot's step takes here.
      num_slots: B.
    """
    count = min(num_cores(), num_slots)
    in_workers_s = math.ceil(num_slots / count) * step_s + _ROUND_TRIP_S
    return 0 if count < 2 or num_slots * step_s < _GAIN * in_workers_s else count


def is_splittable(game: contract.Game) -> bool:
    """Whether its slots are games of their own, each stepped alone."""
    return isinstance(_innermost(game), adapters.SlotGame)


def _innermost(game: contract.Game) -> contract.Game:
    while isinstance(game, contract.Wrapper):
        game = game.game
    return game


def _seconds_a_step(game: contract.Game) -> float:
    generator = np.random.default_rng(0)
    actions = [playing.random_action(game.action_spec(), 1, generator) for _ in range(16)]
    game.reset()
    game.step(actions[0])  # whatever is done once
    stretches: list[float] = []
    until_s = time.perf_counter() + _PROBE_S
    for _ in range(_PROBE_STRETCHES):
        began_s, count = time.perf_counter(), 0
        while count < _STRETCH and (count == 0 or time.perf_counter() < until_s):
            game.step(actions[count % len(actions)])
            count += 1
        stretches.append((time.perf_counter() - began_s) / count)
        if time.perf_counter() > until_s:
            break
    # What a busy machine adds is not the game's: the quickest stretch has least of it.
    return min(stretches)
