"""A batched toy game, and the slow one-slot model of it and of the wrappers around it."""

from __future__ import annotations

import dataclasses

import cv2  # noqa: TID253 - the model of pictures
import numpy as np

from gamebridge import contract
from gamebridge.contract import FIRST, LAST, MID, seeding, specs
from gamebridge.wrappers.settings import ImageSettings, WrapperSettings


@dataclasses.dataclass
class Row:
    step_type: int
    reward: np.float32
    discount: np.float32
    frame: np.ndarray
    vector: np.ndarray
    telemetry: dict[str, float]


class Solo:
    """One slot: an episode is drawn from its seed; None is a step with nothing to say."""

    def __init__(self, seed: int, shape: tuple[int, int, int], silence: float) -> None:
        self.seed, self.shape, self.silence = seed, shape, silence
        self.number = -1
        self.ended = True

    def start(self) -> Row:
        self.number += 1
        seed = seeding.episode_seeds(np.array([self.seed]), np.array([self.number]))[0]
        self.rng = np.random.default_rng(seed)
        self.left = int(self.rng.integers(1, 9))
        self.ended = False
        return self._row(FIRST, 0.0, 1.0)

    def step(self, action: int) -> Row | None:
        if self.ended:
            if self.rng.random() < self.silence:
                return None
            return self.start()
        if self.rng.random() < self.silence:
            return None
        self.left -= 1
        reward = float(action) + float(self.rng.random())
        if self.left > 0:
            return self._row(MID, reward, 0.9)
        self.ended = True
        return self._row(LAST, reward, float(self.rng.integers(2)))

    def _row(self, step_type: int, reward: float, discount: float) -> Row:
        frame = self.rng.integers(0, 256, self.shape, dtype=np.uint8)
        vector = self.rng.uniform(-1, 1, 3).astype(np.float32)
        telemetry = {
            "bumps": float(self.rng.integers(3)),
            "place": float(self.rng.random()),
            "speed": -float(self.rng.random()),
        }
        return Row(step_type, np.float32(reward), np.float32(discount), frame, vector, telemetry)


TELEMETRY = {
    "bumps": specs.TelemetrySpec(reduce="sum", dtype=np.int64),
    "place": specs.TelemetrySpec(reduce="last", dtype=np.float64),
    "speed": specs.TelemetrySpec(reduce="max", dtype=np.float64),
}


class ToyGame(contract.Game):
    """Many solos; what an invalid row holds is rubbish, to be stored by nobody."""

    def __init__(
        self,
        num_slots: int = 3,
        shape: tuple[int, int, int] = (12, 10, 3),
        silence: float = 0.0,
        can_hold: bool = True,
        name: str = "toy/game",
    ) -> None:
        self.num_slots, self.shape, self.silence = num_slots, shape, silence
        self.can_hold, self.name = can_hold, name
        self.solos = [Solo(slot, shape, silence) for slot in range(num_slots)]
        self.rows = contract.new_time_step(self.observation_spec(), num_slots)
        self.values = {name: np.zeros(num_slots, spec.dtype) for name, spec in TELEMETRY.items()}
        self.num_closed = 0
        self.num_silent = 0

    def observation_spec(self):
        return {
            "eyes": (specs.frame(*self.shape, name="front"),),
            "vector": specs.box((3,), -1.0, 1.0),
        }

    def action_spec(self):
        return specs.discrete(5)

    def telemetry_spec(self):
        return TELEMETRY

    def reset(self, seeds=None, slots=None):
        for slot in range(self.num_slots):
            if slots is None or slots[slot]:
                if seeds is not None:
                    self.solos[slot] = Solo(int(seeds[slot]), self.shape, self.silence)
                self._write(slot, self.solos[slot].start())
        return self.rows

    def step(self, action, active=None):
        for slot in range(self.num_slots):
            if active is None or active[slot]:
                self._write(slot, self.solos[slot].step(int(action[slot])))
        return self.rows

    def telemetry(self):
        return self.values

    def render(self, slot=0):
        return np.full((4, 4, 3), slot, np.uint8)

    def close(self):
        self.num_closed += 1

    def _write(self, slot: int, row: Row | None) -> None:
        rows = self.rows
        rows.valid[slot] = row is not None
        if row is None:
            self.num_silent += 1
            rows.step_type[slot] = (FIRST, MID, LAST, 77)[self.num_silent % 4]
            rows.reward[slot] = rows.discount[slot] = np.nan
            rows.observation["eyes"][0][slot] = 255
            rows.observation["vector"][slot] = np.nan
            return
        rows.step_type[slot] = row.step_type
        rows.reward[slot], rows.discount[slot] = row.reward, row.discount
        rows.observation["eyes"][0][slot] = row.frame
        rows.observation["vector"][slot] = row.vector
        for name, value in row.telemetry.items():
            self.values[name][slot] = value


class SlotModel:
    """One slot behind repeat, limit, images and stack: slow, and plain to see."""

    def __init__(self, seed: int, shape, silence: float, wrappers: WrapperSettings) -> None:
        self.shape, self.silence, self.wrappers = shape, silence, wrappers
        self.solo = Solo(seed, shape, silence)
        self.collected: list[Row] = []
        self.told = True
        self.is_cut = False
        self.num_steps = 0
        self.frames: list[np.ndarray] = []

    def reset(self, seed: int | None) -> Row | None:
        if seed is not None:
            self.solo = Solo(seed, self.shape, self.silence)
        self.collected = [self.solo.start()]
        return self._tell(self.collected[-1])

    def step(self, action: int) -> Row | None:
        if self.is_cut:
            return self.reset(None)
        if self.told:
            self.collected = []
        for _ in range(self.wrappers.action_repeat):
            row = self.solo.step(action)
            if row is None:
                break
            self.collected.append(row)
            if row.step_type != MID:
                break
        return self._tell(row)

    def _tell(self, row: Row | None) -> Row | None:
        self.told = row is not None
        self.is_cut = False
        if row is None:
            return None
        reward, discount = np.float32(0), np.float32(1)
        for part in self.collected:
            reward, discount = reward + part.reward, discount * part.discount
        telemetry = {
            "bumps": sum(part.telemetry["bumps"] for part in self.collected),
            "place": row.telemetry["place"],
            "speed": max(part.telemetry["speed"] for part in self.collected),
        }
        step_type = row.step_type
        self.num_steps = 0 if step_type == FIRST else self.num_steps + 1
        if self.num_steps == self.wrappers.episode_limit and step_type == MID:
            self.is_cut, step_type = True, LAST
        frame = self._picture(row.frame, is_first=step_type == FIRST)
        return Row(step_type, reward, discount, frame, row.vector, telemetry)

    def _picture(self, frame: np.ndarray, *, is_first: bool) -> np.ndarray:
        images = self.wrappers.images
        if images is None:
            return frame
        frame = preprocessed(frame, images)
        self.frames = [frame] * images.stack if is_first else [*self.frames[1:], frame]
        return np.concatenate(self.frames, axis=-1)


def preprocessed(frame: np.ndarray, images: ImageSettings) -> np.ndarray:
    height, width, _ = frame.shape
    frame = frame[
        images.crop_top : height - images.crop_bottom, images.crop_left : width - images.crop_right
    ]
    frame = np.ascontiguousarray(frame)
    if images.grey and frame.shape[2] != 1:
        frame = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis]
    height, width, channels = frame.shape
    size = (images.height or height, images.width or width)
    if size != (height, width):
        grows = size[0] > height or size[1] > width
        how = cv2.INTER_LINEAR if grows else cv2.INTER_AREA
        frame = cv2.resize(frame, size[::-1], interpolation=how).reshape(*size, channels)
    return frame


class Scripted(contract.Game):
    """Plays one row a step and slot: (step type, reward, discount), or None for invalid."""

    def __init__(self, *scripts):
        self.num_slots = len(scripts)
        self.scripts = [list(script) for script in scripts]
        self.rows = contract.new_time_step(self.observation_spec(), self.num_slots)
        self.masks = []

    def observation_spec(self):
        return specs.box(())

    def action_spec(self):
        return specs.discrete(2)

    def reset(self, seeds=None, slots=None):
        return self.step(None, slots)

    def step(self, action, active=None):
        self.masks.append(None if active is None else active.tolist())
        for slot in range(self.num_slots):
            if active is None or active[slot]:
                row = self.scripts[slot].pop(0)
                self.rows.valid[slot] = row is not None
                row = row or (9, np.nan, np.nan)
                rows = self.rows
                rows.step_type[slot], rows.reward[slot], rows.discount[slot] = row
        return self.rows


START, LAST_ROW = (FIRST, 0, 1), (LAST, 8, 0)


def mid(reward, discount=1.0):
    return (MID, reward, discount)
