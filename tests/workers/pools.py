"""How the tests make pools, and look at the processes behind them."""

from __future__ import annotations

import contextlib
import os
import pathlib
import time

import numpy as np

from gamebridge import assembly
from gamebridge.contract import seeding
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge.workers import origins, pool, staffs
from gamebridge.wrappers.settings import WrapperSettings

GAMES = str(pathlib.Path(__file__).with_name("worker_games.py"))

# Short limits, so that a test of a limit is short too.
QUICK = {"step_timeout_s": 1.0, "start_timeout_s": 10.0, "close_timeout_s": 1.0}
# No limit of restarts beside.
FREE = {**QUICK, "max_restarts": -1}


def origin(game_id):
    if game_id.startswith("gym/"):
        return origins.Origin(game_id, "gamebridge_gym")
    return origins.Origin(game_id, "worker_games", "", GAMES)


def order(game_id="tests/numbered", shares=(2, 2), settings=None, supervision=FREE, **more):
    record = origin(game_id).record()
    if settings is None:
        settings = record.settings()
    elif isinstance(settings, dict):
        settings = record.settings(**settings)
    return staffs.Order(
        origin(game_id),
        settings,
        more.pop("wrappers", WrapperSettings()),
        sum(shares),
        tuple(shares),
        supervision=SupervisionSettings(**supervision),
        **more,
    )


def open_pool(*args, **more):
    return pool.Pool(order(*args, **more))


def faulty(fault, shares=(2, 2), supervision=FREE, wrappers=None, picture=False, **settings):
    return open_pool(
        "tests/faulty",
        shares,
        {"fault": fault, **settings},
        supervision,
        wrappers=wrappers or WrapperSettings(),
        picture=picture,
    )


def here(game_id="tests/numbered", num_slots=4, settings=None, wrappers=None):
    """The same game in this process."""
    record = origin(game_id).record()
    return assembly.assemble(
        record,
        num_slots=num_slots,
        settings=settings or record.settings(),
        wrappers=wrappers or WrapperSettings(),
    )


def seeds(num_slots=4, seed=3):
    return seeding.slot_seeds(seed, num_slots)


def pids(game):
    return game.pids


def is_there(pid):
    """Whether a process runs; a zombie does not."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_until(condition, timeout_s=5.0):
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, "it did not come about in time"
        time.sleep(0.005)


def children():
    """Process ids of all children of this process, zombies too."""
    found = set()
    for task in pathlib.Path(f"/proc/{os.getpid()}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            found |= set(map(int, (task / "children").read_text().split()))
    return found


def action(game, number=7):
    return np.full(game.num_slots, number, np.int64)


def play(game, ledger, num_steps=0, until=None, pause_s=0.0, timeout_s=20.0):
    """Steps with numbers as actions, telling the ledger, so often or until something holds."""
    until_s = time.monotonic() + timeout_s
    step = 0
    while step < num_steps or (until is not None and not until()):
        assert time.monotonic() < until_s, "it did not come about in time"
        asked = (np.arange(game.num_slots) * 31 + step) % 1000
        ledger.note(asked, game.step(asked))
        step += 1
        time.sleep(pause_s)


def is_whole(game):
    """Whether all workers are up and all slots in play."""
    return game.is_whole
