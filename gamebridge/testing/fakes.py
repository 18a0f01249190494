"""Small games in plain numpy, to try agents, wrappers and tools on without any library."""

from __future__ import annotations

import numpy as np

from gamebridge.contract import TelemetrySpec, specs
from gamebridge.contract.specs import Array, ArraySpec
from gamebridge.testing.batched import BatchedGame
from gamebridge.testing.scripted import Moment, Scripted

__all__ = ["Catch", "Corridor", "Moment", "Orders", "Scripted", "Target"]


class Corridor(BatchedGame):
    """Walk right to the goal: position and goal in, left or right out.

    A step costs 0.1, the goal gives 1. An episode starts in the left half, terminates
    at the goal and is truncated after 4 * length steps.
    """

    name = "testing/corridor"

    def __init__(self, num_slots: int = 1, length: int = 8) -> None:
        """Makes a corridor whose goal is cell `length`, 2 or more."""
        if length < 2:
            raise ValueError(f"length is {length}: expected at least 2.")
        self.length = length
        super().__init__(num_slots)
        self._position = np.zeros(num_slots, np.int64)
        self._steps_right = np.zeros(num_slots, np.float32)

    def observation_spec(self) -> ArraySpec:
        """Float32 [2]: the position and the way left to the goal, in lengths."""
        return specs.box((2,), 0.0, 1.0, name="corridor")

    def action_spec(self) -> ArraySpec:
        """0 is left, 1 is right."""
        return specs.discrete(2, name="direction")

    def telemetry_spec(self) -> dict[str, TelemetrySpec]:
        """The number of steps to the right."""
        return {"steps_right": TelemetrySpec(summary="steps towards the goal")}

    def telemetry(self) -> dict[str, Array]:
        """1 in a step to the right, else 0."""
        return {"steps_right": self._steps_right}

    def begin(self, slots: Array, seeds: Array) -> None:
        """Starts in a cell of the left half."""
        self._position[slots] = seeds % (self.length // 2)
        self._steps_right[slots] = 0.0

    def advance(self, slots: Array, action: Array) -> tuple[Array, Array, Array]:
        """Moves by one cell."""
        is_right = np.asarray(action)[slots] == 1
        self._steps_right[slots] = is_right
        self._position[slots] = np.maximum(self._position[slots] + np.where(is_right, 1, -1), 0)
        at_goal = self._position[slots] == self.length
        return np.where(at_goal, 1.0, -0.1), at_goal, self.elapsed[slots] >= 4 * self.length

    def observe(self, slots: Array) -> None:
        """Writes position and way left."""
        ratio = self._position[slots] / self.length
        self.rows.observation[slots, 0] = ratio
        self.rows.observation[slots, 1] = 1.0 - ratio


class Orders(BatchedGame):
    """Do as you are told: numbers to choose and levels to set, which change at every step.

    The reward is 1 for each number that is the one told, less the squared distance of the
    levels; an episode is truncated after `num_steps`. With masks, some of the other numbers are
    not allowed, and none at an episode's end; telemetry counts those that are chosen.
    """

    name = "testing/orders"

    def __init__(
        self,
        num_slots: int = 1,
        sizes: tuple[int, ...] = (3,),
        num_levels: int = 0,
        num_steps: int = 10,
        *,
        is_masked: bool = False,
    ) -> None:
        """Makes a game whose action has an integer a size, and a float vector of levels if any."""
        self.sizes = sizes
        self.num_levels = num_levels
        self.num_steps = num_steps
        self.is_masked = is_masked
        super().__init__(num_slots)
        self._seeds = np.zeros(num_slots, np.int64)
        self._not_allowed = np.zeros(num_slots, np.float32)
        observation = self.rows.observation
        self._told = observation["observation"] if is_masked else observation
        self._masks = specs.leaves(observation["action_mask"]) if is_masked else []

    def observation_spec(self) -> dict[str, specs.Spec]:
        """What is told: int64 [sizes] and float32 [num_levels]; with masks, those beside it."""
        told: dict[str, specs.Spec] = {
            "numbers": specs.box(
                (len(self.sizes),), 0, np.asarray(self.sizes) - 1, dtype=np.int64, name="numbers"
            )
        }
        if self.num_levels:
            told["levels"] = specs.box((self.num_levels,), -1.0, 1.0, name="levels")
        if not self.is_masked:
            return told
        masks = tuple(
            specs.box((size,), 0, 1, dtype=np.int8, name="action_mask") for size in self.sizes
        )
        return {"observation": told, "action_mask": masks if self._is_tuple else masks[0]}

    def action_spec(self) -> specs.Spec:
        """An integer a size, and the levels; a tuple where it is more than one integer."""
        parts: list[ArraySpec] = [specs.discrete(size, name="number") for size in self.sizes]
        if self.num_levels:
            parts.append(specs.box((self.num_levels,), -1.0, 1.0, name="levels"))
        return tuple(parts) if self._is_tuple else parts[0]

    def telemetry_spec(self) -> dict[str, TelemetrySpec]:
        """The number of choices that were not allowed."""
        return {"not_allowed": TelemetrySpec(summary="choices that the mask forbade")}

    def telemetry(self) -> dict[str, Array]:
        """Of the last step."""
        return {"not_allowed": self._not_allowed}

    def begin(self, slots: Array, seeds: Array) -> None:
        """Takes the seeds."""
        self._seeds[slots] = seeds
        self._not_allowed[slots] = 0.0

    def advance(self, slots: Array, action: specs.Nest) -> tuple[Array, Array, Array]:
        """Pays for obedience."""
        parts = action if self._is_tuple else (action,)
        reward = np.zeros(len(slots))
        self._not_allowed[slots] = 0.0
        for index in range(len(self.sizes)):
            chosen = np.asarray(parts[index])[slots]
            reward += chosen == self._told["numbers"][slots, index]
            if self._masks:
                self._not_allowed[slots] += self._masks[index][slots, chosen] == 0
        if self.num_levels:
            distance = np.asarray(parts[-1])[slots] - self._told["levels"][slots]
            reward -= np.sum(distance**2, axis=1)
        truncated = self.elapsed[slots] >= self.num_steps
        return reward, np.zeros_like(truncated), truncated

    def observe(self, slots: Array) -> None:
        """Writes the next orders, which follow from seed and step alone."""
        for slot in slots:
            generator = np.random.default_rng((int(self._seeds[slot]), int(self.elapsed[slot])))
            self._told["numbers"][slot] = generator.integers(0, self.sizes)
            if self.num_levels:
                self._told["levels"][slot] = generator.uniform(-1.0, 1.0, self.num_levels)
            for index, mask in enumerate(self._masks):
                mask[slot] = generator.integers(0, 2, self.sizes[index])
                mask[slot, self._told["numbers"][slot, index]] = 1
                if self.elapsed[slot] >= self.num_steps:
                    mask[slot] = 0

    @property
    def _is_tuple(self) -> bool:
        return len(self.sizes) > 1 or self.num_levels > 0


class Target(BatchedGame):
    """Say the number you are shown: reward -(action - target)**2, best return 0.

    The target changes at every step; an episode is truncated after `num_steps`.
    """

    name = "testing/target"

    def __init__(self, num_slots: int = 1, size: int = 1, num_steps: int = 10) -> None:
        """Makes a game of `size` numbers at once."""
        self.size = size
        self.num_steps = num_steps
        super().__init__(num_slots)
        self._seeds = np.zeros(num_slots, np.int64)

    def observation_spec(self) -> ArraySpec:
        """Float32 [size]: the targets."""
        return specs.box((self.size,), -1.0, 1.0, name="target")

    def action_spec(self) -> ArraySpec:
        """Float32 [size]: the guesses."""
        return specs.box((self.size,), -1.0, 1.0, name="guess")

    def begin(self, slots: Array, seeds: Array) -> None:
        """Takes the seeds."""
        self._seeds[slots] = seeds

    def advance(self, slots: Array, action: Array) -> tuple[Array, Array, Array]:
        """Pays the squared distance."""
        distance = np.asarray(action)[slots] - self.rows.observation[slots]
        truncated = self.elapsed[slots] >= self.num_steps
        return -np.sum(distance**2, axis=1), np.zeros_like(truncated), truncated

    def observe(self, slots: Array) -> None:
        """Writes the next targets, which follow from seed and step alone."""
        for slot in slots:
            generator = np.random.default_rng((int(self._seeds[slot]), int(self.elapsed[slot])))
            self.rows.observation[slot] = generator.uniform(-1.0, 1.0, self.size)


class Catch(BatchedGame):
    """Catch a falling ball with a paddle, by sight: left, stay or right; best return 1.

    The board has 12 x 12 cells. The ball falls one cell a step, straight down; in the
    lowest row it is caught (reward 1) or missed (reward -1), and the episode terminates.
    """

    name = "testing/catch"
    cells = 12

    def __init__(self, num_slots: int = 1, size: int = 84) -> None:
        """Makes frames of `size` x `size` pixels, a multiple of 12."""
        if size < self.cells or size % self.cells:
            raise ValueError(f"size is {size}: expected a multiple of {self.cells}.")
        self.size = size
        super().__init__(num_slots)
        self._ball = np.zeros(num_slots, np.int64)
        self._paddle = np.zeros(num_slots, np.int64)
        self._telemetry = {key: np.zeros(num_slots, np.float32) for key in self.telemetry_spec()}

    def observation_spec(self) -> ArraySpec:
        """Uint8 [size, size, 1]: the ball is 255, the paddle 128, the rest 0."""
        return specs.frame(self.size, self.size, 1, name="board")

    def action_spec(self) -> ArraySpec:
        """0 is left, 1 is stay, 2 is right."""
        return specs.discrete(3, name="direction")

    def telemetry_spec(self) -> dict[str, TelemetrySpec]:
        """Catches and misses."""
        return {"catches": TelemetrySpec(), "misses": TelemetrySpec()}

    def telemetry(self) -> dict[str, Array]:
        """1 in the step of a catch or a miss, else 0."""
        return self._telemetry

    def begin(self, slots: Array, seeds: Array) -> None:
        """Puts ball and paddle somewhere; the paddle can always make it."""
        self._ball[slots] = seeds % self.cells
        self._paddle[slots] = seeds // self.cells % self.cells
        for column in self._telemetry.values():
            column[slots] = 0.0

    def advance(self, slots: Array, action: Array) -> tuple[Array, Array, Array]:
        """Moves the paddle, then lets the ball fall."""
        moved = self._paddle[slots] + np.asarray(action)[slots] - 1
        self._paddle[slots] = np.clip(moved, 0, self.cells - 1)
        is_low = self.elapsed[slots] >= self.cells - 1
        is_caught = self._ball[slots] == self._paddle[slots]
        self._telemetry["catches"][slots] = is_low & is_caught
        self._telemetry["misses"][slots] = is_low & ~is_caught
        reward = np.where(is_low, np.where(is_caught, 1.0, -1.0), 0.0)
        return reward, is_low, np.zeros_like(is_low)

    def observe(self, slots: Array) -> None:
        """Draws the board."""
        cell = self.size // self.cells
        for slot in slots:
            frame = self.rows.observation[slot]
            frame.fill(0)
            left = self._paddle[slot] * cell
            frame[-cell:, left : left + cell] = 128
            top, left = self.elapsed[slot] * cell, self._ball[slot] * cell
            frame[top : top + cell, left : left + cell] = 255

    def render(self, slot: int = 0) -> Array:
        """Returns the board in colour, uint8 [size, size, 3] RGB."""
        return np.repeat(self.rows.observation[slot], 3, axis=2)
