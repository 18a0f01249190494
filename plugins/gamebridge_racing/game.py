"""`RacingGame`: B cars, each alone on its track, stepped together by the kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gamebridge import contract
from gamebridge.contract import FIRST, LAST, seeding, specs
from gamebridge.contract.specs import Array, TelemetrySpec
from gamebridge_racing import columns, garage, physics, settings

# One of fifteen: steering by pedal.
DISCRETE_ACTIONS = np.asarray(
    [[wheel, pedal] for pedal in (1.0, 0.0, -1.0) for wheel in (1.0, 0.5, 0.0, -0.5, -1.0)]
)
PIXELS = 96
_SEEDS_AT_ONCE = 16
# Of the line view: of which points of the line each how many-th is seen.
_STRIDE = 2
POINT_SPACING_M = _STRIDE * garage.LINE_SPACING_M

TELEMETRY = {
    "wall_contact": TelemetrySpec("steps", "sum", summary="steps in which a wall was touched"),
    "wall_impulse": TelemetrySpec("N s", "sum", summary="impulse of the walls"),
    "wall_contacts": TelemetrySpec("", "sum", summary="contacts, those within 0.25 s as one"),
    "progress_m": TelemetrySpec("m", "sum", summary="along the middle of the track"),
    "speed_m_s": TelemetrySpec("m/s", "max", summary="speed over ground"),
    "slip_rad": TelemetrySpec("rad", "max", summary="angle from nose to velocity, unsigned"),
    "laps": TelemetrySpec("", "last", summary="laps completed"),
    "last_lap_s": TelemetrySpec("s", "last", summary="time of the last lap, 0 before it"),
    "best_lap_s": TelemetrySpec("s", "last", summary="time of the best lap, 0 before it"),
    "limit_lap_s": TelemetrySpec("s", "last", summary="what the car could do at most"),
    "offset_m": TelemetrySpec("m", "last", summary="to the left of the middle of the track"),
}


class RacingGame(contract.Game):
    """Cars on closed tracks between walls.

    The lidar view is float32 [num_rays + 6]: the distance to the walls along each ray, from
    left to right, over `ray_reach_m`; then speed (of 50 m/s), yaw rate (of 2 rad/s), slip
    angle (rad), steering angle (of its greatest), and the last action. The line view is
    float32 [6 + 36]: the same six, then twelve points of a fast line, about 6 m apart, the first
    behind the car, the second beside it; each as (ahead, to the left) of 50 m and the speed
    there of 50 m/s. The line is the limit's of a car with a little less grip that keeps a
    little farther from the walls (see `garage`). The pixels view is a frame, uint8 [96, 96, 3].

    Actions are float32 [2] from -1 to 1, steering (positive to the left) and pedal (positive
    drives, negative brakes); or one of the fifteen `DISCRETE_ACTIONS`.
    """

    def __init__(
        self,
        num_slots: int,
        choice: garage.Choice,
        chosen: settings.Racing,
        view: settings.View = "lidar",
        actions: settings.Actions = "continuous",
        *,
        picture: bool = False,
    ) -> None:
        """Makes the cars; `reset` puts them on their tracks.

        Args:
          num_slots: B.
          choice: which track an episode is driven on.
          chosen: the settings.
          view: what is observed.
          actions: how it is driven.
          picture: whether `render` will be called.
        """
        self.num_slots = num_slots
        self.steps_per_s = 1.0 / chosen.step_s
        self._settings = chosen
        self._view, self._actions = view, actions
        self._garage = garage.Garage(choice, chosen.car, shows_line=view == "line")
        self._entries: list[garage.Entry | None] = [None] * num_slots
        self._body = physics.build(chosen.car)
        self._rules, self._start = _rules(chosen), _start(chosen)
        angles = ray_angles_rad(chosen.num_rays, math.radians(chosen.ray_field_deg))
        self._angles = np.stack([np.cos(angles), np.sin(angles)], 1)
        self._observation_spec = self._specify()
        self._rows = contract.new_time_step(self._observation_spec, num_slots)
        # So that a first step without a reset begins the episodes.
        self._rows.step_type[:] = LAST
        self._cars = np.zeros((num_slots, columns.NUM_CAR))
        self._counts = np.zeros((num_slots, columns.NUM_COUNTS), np.int64)
        self._queue = np.zeros((num_slots, chosen.randomisation.delay_steps[1] + 1, 2))
        self._results = np.zeros((num_slots, 2))
        self._all = np.ones(num_slots, np.bool_)
        self._over = np.zeros(num_slots, np.bool_)
        self._random = np.zeros(num_slots, np.uint64)
        self._driven = np.zeros((num_slots, 2))
        self._seeds = seeding.slot_seeds(0, num_slots)
        self._episodes = np.full(num_slots, -1, np.int64)
        # The seeds of a few episodes to come: hashing many costs little more than one.
        self._drawn = np.zeros((num_slots, _SEEDS_AT_ONCE), np.int64)
        self._pixels: Any = None
        if view == "pixels":
            # OpenCV draws the maps: not loaded for the sake of numbers.
            from gamebridge_racing.drawing import pixels

            self._pixels = pixels.PixelView(num_slots, chosen.car)
        self._easels: dict[int, Any] | None = {} if picture else None

    def observation_spec(self) -> specs.Spec:
        """The view's."""
        return self._observation_spec

    def action_spec(self) -> specs.Spec:
        """Steering and pedal, or one of the discrete actions."""
        if self._actions == "discrete":
            return specs.discrete(len(DISCRETE_ACTIONS), name="drive")
        return specs.box((2,), -1.0, 1.0, name="drive")

    def telemetry_spec(self) -> dict[str, TelemetrySpec]:
        """The same for all racing games."""
        return dict(TELEMETRY)

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> contract.TimeStep:
        """Puts the named cars on their tracks."""
        named = self._all if slots is None else np.asarray(slots, np.bool_)
        if seeds is not None:
            self._seeds[named] = np.asarray(seeds, np.int64)[named]
            self._episodes[named] = -1
        self._begin(named)
        self._observe(named)
        return self._rows

    def step(self, action: Any, active: Array | None = None) -> contract.TimeStep:
        """Drives all active cars for one control step."""
        rows = self._rows
        active = self._all if active is None else active
        if self._actions == "discrete":
            np.take(DISCRETE_ACTIONS, action, 0, out=self._driven)
        else:
            np.copyto(self._driven, action)
        num_over = physics.advance(
            self._cars, self._counts, self._garage.road, self._body, self._rules, self._queue,
            self._driven, active, rows.step_type, rows.reward, rows.discount, self._results,
            self._over,
        )  # fmt: skip
        if num_over:
            self._begin(self._over)
        self._observe(active)
        return rows

    def telemetry(self) -> dict[str, Array]:
        """The values of this step, float32 [B] each, by the names of `TELEMETRY`."""
        cars, counts = self._cars, self._counts
        values = (
            counts[:, columns.TOUCHED],
            cars[:, columns.IMPULSE],
            self._results[:, 1],
            self._results[:, 0],
            np.hypot(cars[:, columns.SPEED_ALONG], cars[:, columns.SPEED_ACROSS]),
            np.abs(self._slip()),
            counts[:, columns.LAPS],
            cars[:, columns.LAST_LAP],
            cars[:, columns.BEST_LAP],
            cars[:, columns.LIMIT_LAP],
            cars[:, columns.OFFSET],
        )
        return {
            name: value.astype(np.float32) for name, value in zip(TELEMETRY, values, strict=True)
        }

    def render(self, slot: int = 0) -> Array | None:
        """Returns the picture, uint8 [720, 1280, 3] RGB."""
        entry = self._entries[slot]
        if self._easels is None or entry is None:
            return None
        from gamebridge_racing import easels

        if slot not in self._easels:
            self._easels[slot] = easels.Easel(self._settings)
        picture: Array = self._easels[slot].paint(
            entry, int(self._episodes[slot]), self._cars[slot], self._counts[slot]
        )
        return picture

    def _specify(self) -> specs.Spec:
        if self._view == "pixels":
            return specs.frame(PIXELS, PIXELS, 3, name="road")
        count = self._settings.num_rays + 6 if self._view == "lidar" else settings.LINE_WIDTH
        bound = physics.OBSERVATION_BOUND
        return specs.box((count,), -bound, bound, name=self._view)

    def _begin(self, named: Array) -> None:
        """Starts the next episode of the named slots."""
        self._episodes[named] += 1
        for slot in np.flatnonzero(named):
            seed = self._seed(slot)
            entry = self._entries[slot] = self._garage.entry(seed)
            counts = self._counts[slot]
            counts[columns.FIRST], counts[columns.GATES] = entry.first, entry.track.num_gates
            counts[columns.LINE_FIRST] = entry.line_first
            counts[columns.LINE_POINTS] = len(entry.line)
            self._random[slot] = seed
            physics.begin(
                self._cars[slot],
                counts,
                self._garage.road[entry.first : entry.first + entry.track.num_gates + 1],
                self._garage.lines[entry.line_first : entry.line_first + len(entry.line)],
                self._start,
                self._random,
                slot,
            )
            self._cars[slot, columns.LIMIT_LAP] = entry.limit.lap_s
            if self._pixels is not None:
                self._pixels.set_track(slot, entry.track)
        self._results[named] = 0.0
        self._rows.reward[named] = 0.0
        self._rows.discount[named] = 1.0
        self._rows.step_type[named] = FIRST

    def _seed(self, slot: int) -> int:
        """Returns the seed of a slot's present episode."""
        block, place = divmod(int(self._episodes[slot]), _SEEDS_AT_ONCE)
        if place == 0:
            numbers = np.arange(block * _SEEDS_AT_ONCE, (block + 1) * _SEEDS_AT_ONCE)
            seeds = np.full(_SEEDS_AT_ONCE, self._seeds[slot])
            self._drawn[slot] = seeding.episode_seeds(seeds, numbers)
        return int(self._drawn[slot, place])

    def _observe(self, wanted: Array) -> None:
        cars, counts, rows = self._cars, self._counts, self._rows.observation
        noise = self._settings.randomisation.sensor_noise
        if self._view == "lidar":
            physics.see_walls(
                cars, counts, self._garage.road, self._body, self._angles,
                self._settings.ray_reach_m, noise, self._random, wanted, rows,
            )  # fmt: skip
        elif self._view == "line":
            physics.see_line(
                cars, counts, self._garage.lines, self._body, _STRIDE, noise, self._random,
                wanted, rows,
            )  # fmt: skip
        else:
            self._pixels.draw(
                rows, wanted, cars[:, columns.X], cars[:, columns.Y], cars[:, columns.HEADING],
                cars[:, columns.SPEED_ALONG], cars[:, columns.STEER], cars[:, columns.YAW_RATE],
                counts[:, columns.TOUCHED] > 0,
            )  # fmt: skip

    def _slip(self) -> Array:
        along = np.maximum(np.abs(self._cars[:, columns.SPEED_ALONG]), physics.SLOW_M_S)
        angle: Array = np.arctan2(self._cars[:, columns.SPEED_ACROSS], along)
        return angle


def ray_angles_rad(count: int, field_rad: float) -> Array:
    """Returns float64 [count]: angles from the nose, left to right, denser towards the front.

    What is ahead is far away and matters most: the k-th angle grows with k^1.5.
    """
    if count == 1:
        return np.zeros(1)
    share = np.linspace(1.0, -1.0, count)
    angles: Array = np.sign(share) * np.abs(share) ** 1.5 * field_rad / 2
    return angles


def _rules(chosen: settings.Racing) -> Array:
    reward = chosen.reward
    return np.asarray([
        chosen.step_s, chosen.substeps, reward.progress, reward.contact, reward.impulse,
        reward.time, chosen.crash_speed_m_s, chosen.stuck_s, reward.stuck, chosen.episode_s,
        chosen.laps,
    ], np.float64)  # fmt: skip


def _start(chosen: settings.Racing) -> Array:
    vary, car = chosen.randomisation, chosen.car
    # Below 0 for a start on the line.
    speed = chosen.start_speed_m_s if chosen.start == "random" else -1.0
    return np.asarray([
        *vary.grip, *vary.power, *vary.mass, *vary.delay_steps, speed, car.mass_kg,
        car.yaw_inertia_kg_m2, car.width_m,
    ], np.float64)  # fmt: skip
