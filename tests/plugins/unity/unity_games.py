"""Games of the reference player, as tests want them, and what may be left of them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import time

import numpy as np

from gamebridge.contract import GameRequest
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge.testing import playing
from gamebridge_unity import builds, making
from gamebridge_unity.settings import UnitySettings

# Nobody waits for long.
QUICK = SupervisionSettings(step_timeout_s=20.0, start_timeout_s=20.0, close_timeout_s=2.0)
FREE = dataclasses.replace(QUICK, max_restarts=-1)
ONCE = dataclasses.replace(QUICK, max_restarts=0)


def reference(scene, *args, **description):
    """Returns the reference player as a build, with a scene."""
    build = builds.named("racing", [builds.OWN_FOLDER])
    words = ("--scene", scene, *map(str, args))
    return dataclasses.replace(build, behavior="", args=words, **description)


def make(scene, num_slots, *args, limits=QUICK, picture=False, build=None, **settings):
    """Returns a game of so many slots; `args` are more words for the reference player."""
    request = GameRequest(f"unity/{scene}", num_slots, picture, UnitySettings(**settings), limits)
    return making.make(request, build or reference(scene, *args))


def actions(game, seed=0):
    """Yields random actions without end."""
    generator = np.random.default_rng(seed)
    while True:
        yield playing.random_action(game.action_spec(), game.num_slots, generator)


def play(game, num_steps):
    """Plays so many random steps; returns copies of what was said."""
    steps = zip(range(num_steps), actions(game), strict=False)
    return [playing.copy(game.step(action)) for _, action in steps]


def play_until(game, condition, timeout_s=20.0):
    """Plays until a time step meets the condition; returns all that was said."""
    until_s, said = time.monotonic() + timeout_s, []
    for action in actions(game):
        said.append(playing.copy(game.step(action)))
        if condition(said[-1]):
            return said
        assert time.monotonic() < until_s, "it never came"
    return said


def children(pid=None):
    """Returns the process ids of all descendants, zombies too."""
    found, pid = [], pid or os.getpid()
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid:
                    found += [int(entry.name), *children(int(entry.name))]
    return found


def is_there(pid):
    """Whether a process is there and no zombie."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def gone_within(pids, timeout_s):
    """Whether all these processes end in time."""
    until_s = time.monotonic() + timeout_s
    while any(map(is_there, pids)):
        if time.monotonic() > until_s:
            return False
        time.sleep(0.02)
    return True
