"""The image part of a step beside the two calls of OpenCV that it cannot do without.

A step here is one frame. The floor: one frame made grey into a picture that is there
already, and that shrunk by INTER_AREA into another. Ours: `ImagePreprocessing`, with and without
`FrameStack`, over a game of 8 slots that does nothing else.

    python benchmarks/images.py [--rounds 9] [--json]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

import cv2  # noqa: TID253 - measured here
import numpy as np
import rounds

from gamebridge import contract
from gamebridge.contract import specs
from gamebridge.wrappers import images, settings, stacking

NUM_SLOTS = 8
_HEIGHT, _WIDTH = 210, 160
_TITLE = "Frames 210x160x3 to grey 84x84"
_FLOOR = "cv2: grey, then resize to 84x84"
_WHOLE = "ImagePreprocessing, grey 84x84"
_HALF_FLOOR = "cv2: grey of 160x160, then resize to 80x80"
_HALF = "ImagePreprocessing, cropped to 160x160, grey 80x80"
_STACKED = "ImagePreprocessing and FrameStack, grey 84x84x4"
_ROWS = {
    _WHOLE: "whole",
    _FLOOR: "floor",
    _STACKED: "stacked",
    _HALF: "half",
    _HALF_FLOOR: "half-floor",
}
_TARGETS = (
    # At most 1.1 and 0.3 times as long as the floor.
    rounds.Target("c", _WHOLE, (_FLOOR,), 1 / 1.1),
    rounds.Target("c", _STACKED, (_FLOOR,), 1 / 1.1),
    rounds.Target("c", _HALF, (_FLOOR,), 1 / 0.3),
)
_SETTINGS = {
    "whole": settings.ImageSettings(grey=True, height=84, width=84),
    "stacked": settings.ImageSettings(grey=True, height=84, width=84, stack=4),
    "half": settings.ImageSettings(crop_top=34, crop_bottom=16, grey=True, height=80, width=80),
}


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=rounds.ROUND_S, help="of a round")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=_ROWS.values(), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        rounds.serve(_ours(chosen.serve) if chosen.serve in _SETTINGS else _floor(chosen.serve))
        return
    load = os.getloadavg()[0]
    command = (sys.executable, __file__, "--serve")
    arrangements = [rounds.Arrangement(name, (*command, code)) for name, code in _ROWS.items()]
    table = rounds.measure(arrangements, chosen.rounds, chosen.seconds)
    rounds.report({_TITLE: table}, {_TITLE: _TARGETS}, load=load, as_json=chosen.json)


class _Album(contract.Game):
    """Shows the same frames at every step."""

    name = "benchmarks/album"

    def __init__(self) -> None:
        self.num_slots = NUM_SLOTS
        self._time_step = contract.new_time_step(self.observation_spec(), NUM_SLOTS)
        self._time_step.observation[:] = _frames()

    def observation_spec(self) -> specs.Spec:
        return specs.frame(_HEIGHT, _WIDTH, 3)

    def action_spec(self) -> specs.Spec:
        return specs.discrete(2)

    def reset(self, seeds: Any = None, slots: Any = None) -> contract.TimeStep:
        return self._time_step

    def step(self, action: Any, active: Any = None) -> contract.TimeStep:
        return self._time_step


def _frames() -> np.ndarray:
    shape = (NUM_SLOTS, _HEIGHT, _WIDTH, 3)
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)


def _ours(code: str) -> Callable[[int], int]:
    wanted = _SETTINGS[code]
    game: contract.Game = images.ImagePreprocessing(_Album(), wanted)
    if wanted.stack > 1:
        game = stacking.FrameStack(game, wanted.stack)
    game.reset()

    def run(count: int) -> int:
        for _ in range(count):
            game.step(None)
        return count * NUM_SLOTS

    return run


def _floor(code: str) -> Callable[[int], int]:
    frames = list(_frames())
    if code == "half-floor":
        frames = [frame[34:194] for frame in frames]
    side = 80 if code == "half-floor" else 84
    grey = np.zeros(frames[0].shape[:2], np.uint8)
    small = [np.zeros((side, side), np.uint8) for _ in frames]

    def run(count: int) -> int:
        for _ in range(count):
            for frame, target in zip(frames, small, strict=True):
                cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY, dst=grey)
                cv2.resize(grey, (side, side), dst=target, interpolation=cv2.INTER_AREA)
        return count * NUM_SLOTS

    return run


if __name__ == "__main__":
    main()
