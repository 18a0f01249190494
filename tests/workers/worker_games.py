"""A plugin for the tests of worker processes: games that keep the rules, and one that does not."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np

from gamebridge.contract import GameRecord, TelemetrySpec, hookimpl, specs
from gamebridge.testing import batched, fakes, numbered


@dataclasses.dataclass(frozen=True)
class Colour:
    name: str = "red"
    parts: tuple[int, ...] = (255, 0, 0)


@dataclasses.dataclass(frozen=True)
class SightSettings:
    size: tuple[int, int] = (6, 8)
    colours: tuple[Colour, ...] = (Colour(), Colour("blue", (0, 0, 255)))
    scale: float = 1.0
    label: str | None = None


class Sight(batched.BatchedGame):
    """Nested observations with a picture, bounds of every kind, telemetry, pictures to look at."""

    def __init__(self, num_slots: int, settings: SightSettings) -> None:
        self.settings = settings
        super().__init__(num_slots)
        self.seeds = np.zeros(num_slots, np.int64)
        self.values = {
            name: np.zeros(num_slots, spec.dtype) for name, spec in self.telemetry_spec().items()
        }

    def observation_spec(self):
        return {
            "eyes": (specs.frame(*self.settings.size, name="front"),),
            "ears": specs.box((2, 2), [[-np.inf, -1.0], [0.0, -2.5]], np.inf, dtype=np.float64),
            "skin": specs.box((3,), name=self.settings.label or ""),
        }

    def action_spec(self):
        return {"arm": specs.box((2,), [-1.0, 0.0], [1.0, 0.5]), "leg": specs.discrete(3, start=2)}

    def telemetry_spec(self):
        return {
            "bumps": TelemetrySpec("", "sum", np.int64, "how often it bumped"),
            "place": TelemetrySpec("m", "last", np.float64),
            "speed": TelemetrySpec("m/s", "max", np.float32),
        }

    def telemetry(self):
        return self.values

    def begin(self, slots, seeds):
        self.seeds[slots] = seeds

    def advance(self, slots, action):
        reward = action["arm"][slots].sum(axis=1) * self.settings.scale + action["leg"][slots]
        is_over = self.elapsed[slots] >= 4 + self.seeds[slots] % 7
        return reward, is_over & (self.seeds[slots] % 2 == 0), is_over

    def observe(self, slots):
        eyes, observation = self.rows.observation["eyes"][0], self.rows.observation
        for slot in slots:
            generator = np.random.default_rng((int(self.seeds[slot]), int(self.elapsed[slot])))
            colour = self.settings.colours[int(self.elapsed[slot]) % len(self.settings.colours)]
            eyes[slot] = generator.integers(0, 256, eyes.shape[1:])
            eyes[slot, 0, 0] = colour.parts
            observation["ears"][slot] = generator.uniform(0, 1, (2, 2))
            observation["skin"][slot] = generator.standard_normal(3)
            self.values["bumps"][slot] = generator.integers(4)
            self.values["place"][slot] = generator.random()
            self.values["speed"][slot] = -generator.random()

    def render(self, slot=0):
        return np.full((4, 5, 3), self.seeds[slot] % 251, np.uint8)


@dataclasses.dataclass(frozen=True)
class ScreenSettings:
    channels: int = 1


def make_screen(settings):
    """One slot of pictures so large that a pool hands them on as they lie."""
    import gymnasium

    class Screen(gymnasium.Env):
        action_space = gymnasium.spaces.Discrete(5)
        observation_space = gymnasium.spaces.Box(0, 255, (96, 96, settings.channels), np.uint8)

        def reset(self, *, seed=None, options=None):
            self.generator = np.random.default_rng(seed)
            self.left = 3 + int(self.generator.integers(6))
            return self.draw(), {}

        def step(self, action):
            self.left -= 1
            return self.draw(), float(action), self.left == 0, False, {}

        def draw(self):
            return self.generator.integers(0, 256, self.observation_space.shape, np.uint8)

    return Screen()


@dataclasses.dataclass(frozen=True)
class FaultSettings:
    """A fault, and when.

    Attributes:
      fault: the name of a function below; "as told" for the one that `needs` holds, once.
      where: "make", "reset" or "step".
      at: at which call; -1 for every one.
      flag: a file; there once one process has done it, after which no other does.
      needs: a file without which nothing happens.
      victim: the slot seed whose worker does it; -1 for any.
    """

    fault: str = ""
    where: str = "step"
    at: int = 1
    flag: str = ""
    needs: str = ""
    victim: int = -1


class Faulty(numbered.Numbered):
    """Numbers its steps until it does something."""

    def __init__(self, num_slots: int, settings: FaultSettings) -> None:
        self.settings = settings
        self.calls = dict.fromkeys(("make", "reset", "step"), 0)
        self.is_silent = self.is_wide = False
        self.is_victim = settings.victim < 0
        self._come("make")
        super().__init__(num_slots)

    def observation_spec(self):
        spec = super().observation_spec()
        return specs.box((4,), -1, dtype=np.int64) if self.is_wide else spec

    def reset(self, seeds=None, slots=None):
        if seeds is not None and self.settings.victim in seeds:
            self.is_victim = True
        self._come("reset")
        return super().reset(seeds, slots)

    def step(self, action, active=None):
        time_step = super().step(action, active)
        return self._come("step") or time_step

    def render(self, slot=0):
        self._come("render")
        return np.full((2, 2, 3), self.rows.observation[slot, 1], np.uint8)

    def close(self):
        self._come("close")

    def _come(self, where):
        settings = self.settings
        self.calls[where] = number = self.calls.get(where, 0) + 1
        if settings.where != where or not self.is_victim or settings.at not in (-1, number):
            return None
        if settings.needs and not os.path.exists(settings.needs):
            return None
        if settings.flag:
            try:
                os.close(os.open(settings.flag, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return None
        if settings.fault == "as told":
            path = pathlib.Path(settings.needs)
            fault = path.read_text()
            path.unlink()
            return FAULTS[fault](self)
        return FAULTS[settings.fault](self)


def _raise(game):
    raise ZeroDivisionError("the ball left\nthe world")


def _raise_unprintable(game):
    class Odd(Exception):
        def __str__(self):
            raise ValueError

    raise Odd


def _recurse(game):
    return _recurse(game)


def _flood(game, stream=sys.stderr, text="flood\n", num_mib=100):
    for _ in range(num_mib):
        stream.write(text * ((1 << 20) // len(text)))
    stream.write("the last line\n")
    stream.flush()


def _say_and_die(game):
    print("the last words")
    print("without a newline", end="")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def _spoil(game):
    time_step = game.rows._replace(reward=np.full(game.num_slots, np.nan, np.float32))
    return time_step


def _grow(game):
    return game.rows._replace(observation=np.zeros((game.num_slots, 5), np.int64))


def _breed(game):
    child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
    pathlib.Path(game.settings.flag).write_text(str(child.pid))


def _widen(game):
    game.is_wide = True


def _stop_self(game):
    os.kill(os.getpid(), signal.SIGSTOP)


def _close_all(game):
    os.closerange(0, 256)


FAULTS = {
    "raise": _raise,
    "raise unprintable": _raise_unprintable,
    "recurse": _recurse,
    "sys.exit": lambda game: sys.exit("enough"),
    "os._exit": lambda game: os._exit(3),
    "kill": lambda game: os.kill(os.getpid(), signal.SIGKILL),
    "interrupt": lambda game: os.kill(os.getpid(), signal.SIGINT),
    "stop": _stop_self,
    "hang": lambda game: time.sleep(600),
    "slow": lambda game: time.sleep(0.4),
    "segfault": lambda game: ctypes.string_at(0),
    "flood stderr": _flood,
    "flood stdout": lambda game: _flood(game, sys.stdout, num_mib=10),
    "flood one line": lambda game: _flood(game, sys.stdout, "x", num_mib=10),
    "say and die": _say_and_die,
    "nan": _spoil,
    "shape": _grow,
    "breed": _breed,
    "widen": _widen,
    "close all": _close_all,
    "ignore SIGTERM": lambda game: signal.signal(signal.SIGTERM, signal.SIG_IGN),
}


class Limited(fakes.Corridor):
    """Tells how often a player of its own might be replaced."""

    def __init__(self, request):
        self.limits = request.supervision
        super().__init__(request.num_slots)

    def observation_spec(self):
        return specs.box((2,), 0, self.limits.max_restarts)


@hookimpl
def gamebridge_games():
    yield GameRecord("tests/numbered", "Numbers.", lambda r: numbered.Numbered(r.num_slots))
    yield GameRecord("tests/corridor", "Right.", lambda r: fakes.Corridor(r.num_slots))
    yield GameRecord("tests/sight", "See.", lambda r: Sight(r.num_slots, r.settings), SightSettings)
    yield GameRecord("tests/screen", "Look.", lambda r: make_screen(r.settings), ScreenSettings)
    yield GameRecord(
        "tests/faulty", "Break.", lambda r: Faulty(r.num_slots, r.settings), FaultSettings
    )
    yield GameRecord("tests/limited", "Right.", Limited)
