"""Agents that walk along a line to a mark: one small task, said in all ways the protocol has."""

from __future__ import annotations

import numpy as np

from gamebridge_unity import player
from gamebridge_unity.player.agents import Array
from gamebridge_unity.reference import seeded

STEP_LIMIT = 50
# What moves an agent in a step, and how near the mark it has arrived.
STRIDE, NEAR = 0.1, 0.05
# An episode may break off in any step, so that ends come at all times.
_MISHAP = 0.005


class World:
    """Walkers on lines from -1 to 1, each with a mark; columns [walkers].

    Attributes:
      places: where they are.
      marks: where they are to go.
      steps: steps since their episodes began.
      moved: how far they went in the last step.
    """

    def __init__(self, count: int) -> None:
        """Makes the columns; `begin` puts walkers on their lines."""
        self.places, self.marks = np.zeros(count), np.zeros(count)
        self.moved = np.zeros(count)
        self.steps = np.zeros(count, np.int64)

    def begin(self, who: Array, random: np.random.Generator) -> None:
        """Starts episodes."""
        count = int(who.sum())
        self.places[who] = random.uniform(-1, 1, count)
        self.marks[who] = random.uniform(-1, 1, count)
        self.steps[who] = 0
        self.moved[who] = 0

    def move(self, strides: Array) -> Array:
        """Moves everybody by strides from -1 to 1; returns what they earn."""
        before = self.places.copy()
        np.clip(self.places + STRIDE * np.clip(strides, -1, 1), -1, 1, out=self.places)
        self.moved = self.places - before
        self.steps += 1
        return np.where(self.arrived, 1.0, -0.01)

    @property
    def arrived(self) -> Array:
        """Bool: who is at the mark."""
        return np.abs(self.places - self.marks) < NEAR


class Walk(seeded.Seeded):
    """Walkers of one behaviour; a subclass says what they see and do."""

    FIELDS = (
        player.Field("moved", summary="how far it went, to the right"),
        player.Field("place", reduce="last", summary="where it is, from -1 to 1"),
    )

    def __init__(self, behavior: player.Behavior, count: int, period: int = 1) -> None:
        """Adds the agents.

        Args:
          behavior: what they see and do.
          count: how many.
          period: they decide in every period-th step, and repeat their actions in the others.
        """
        super().__init__()
        self.walkers = self.add(behavior, count, self.FIELDS)
        self.world = World(count)
        self._period, self._academy_step = period, 0

    def strides(self) -> Array:
        """Returns how they step, by their actions: [walkers] from -1 to 1."""
        return self.walkers.discrete[:, 0] - 1.0

    def look(self) -> None:
        """Writes what they see."""
        self.walkers.observations["place"][:] = self.numbers()

    def numbers(self) -> Array:
        """Returns place, mark and the share of the time that is over, [walkers, 3]."""
        world = self.world
        return np.stack([world.places, world.marks, world.steps / STEP_LIMIT], 1)

    def reset(self) -> None:
        """Begins an episode for everybody."""
        super().reset()
        self._academy_step = 0
        self.start(np.ones(len(self.walkers), np.bool_))
        self.ask()

    def start(self, who: Array) -> None:
        """Begins episodes."""
        self.world.begin(who, self.random)
        self.report()

    def step(self) -> None:
        """Walks."""
        earned = self.world.move(self.strides())
        self._academy_step += 1
        self.walkers.rewards += earned
        self.report()
        self.finish()
        self.ask()

    def finish(self) -> None:
        """Ends the episodes that are over, and begins others."""
        over, interrupted = self.over()
        if over.any():
            self.walkers.end(over, interrupted)
            self.channels.add_stat("walks/arrived", float(self.world.arrived[over].mean()))
            self.start(over)

    def over(self) -> tuple[Array, Array]:
        """Returns whose episode is over, and whose of them is interrupted: bool [walkers]."""
        chances = self.random.random(len(self.walkers))
        arrived = self.world.arrived | (chances < _MISHAP)
        late = (self.world.steps >= STEP_LIMIT) | (chances > 1 - _MISHAP)
        return arrived | late, late & ~arrived

    def ask(self) -> None:
        """Asks for decisions where it is time for one."""
        if self._academy_step % self._period == 0:
            self.walkers.request()

    def report(self) -> None:
        """Writes what they see and their telemetry."""
        self.look()
        self.walkers.telemetry["moved"][:] = self.world.moved
        self.walkers.telemetry["place"][:] = self.world.places


def basic(count: int, period: int = 1) -> Walk:
    """Walkers who step to the left, not at all, or to the right."""
    behavior = player.Behavior("Walker?team=0", (player.Vector("place", 3),), branches=(3,))
    return Walk(behavior, count, period)


class Hybrid(Walk):
    """Walkers with a continuous stride, a gear of three, and a brake."""

    def __init__(self, count: int) -> None:
        """Adds the agents."""
        seen = (player.Vector("place", 3), player.Vector("last", 3))
        super().__init__(player.Behavior("Hybrid?team=0", seen, 1, (3, 2)), count)

    def strides(self) -> Array:
        """Strides by gear; none with the brake on."""
        gears, brakes = self.walkers.discrete.T
        return self.walkers.continuous[:, 0] * (gears + 1) / 3 * (1 - brakes)

    def look(self) -> None:
        """Shows the last actions too."""
        super().look()
        self.walkers.observations["last"][:] = np.hstack(
            [self.walkers.continuous, self.walkers.discrete]
        )


class Masks(Walk):
    """Walkers who may not step off their line, nor run from a stand.

    Attributes:
      num_forbidden: how often an action was taken that was not allowed.
    """

    def __init__(self, count: int) -> None:
        """Adds the agents."""
        seen = (player.Vector("place", 3),)
        super().__init__(player.Behavior("Masked?team=0", seen, branches=(3, 2)), count)
        self.num_forbidden = 0

    def strides(self) -> Array:
        """Steps to a side, twice as far running; what is forbidden moves nothing."""
        sides, runs = self.walkers.discrete.T
        rows = np.arange(len(self.walkers))
        is_allowed = self.walkers.allowed[rows, sides] & self.walkers.allowed[rows, 3 + runs]
        forbidden = int((~is_allowed).sum())
        if forbidden:
            self.num_forbidden += forbidden
            self.channels.add_stat("masks/forbidden", forbidden, player.Aggregation.SUM)
        return np.where(is_allowed, (sides - 1.0) * (1 + runs) / 2, 0.0)

    def look(self) -> None:
        """Says what is allowed from here."""
        super().look()
        world, allowed = self.world, self.walkers.allowed
        allowed[:] = True
        allowed[:, 0] = world.places > -1
        allowed[:, 2] = world.places < 1
        allowed[:, 4] = np.abs(world.moved) > 0


class Buffers(Walk):
    """Walkers who see some of the stones on their line, and are told which kind to look for."""

    MOST = 5

    def __init__(self, count: int) -> None:
        """Adds the agents."""
        seen = (
            player.Buffer("stones", self.MOST, 2),
            player.Vector("kind", 2, is_goal=True),
            player.Vector("place", 3),
        )
        super().__init__(player.Behavior("Seeker?team=0", seen, branches=(3,)), count)
        self._stones = np.zeros((count, self.MOST))

    def start(self, who: Array) -> None:
        """Throws stones."""
        self._stones[who] = self.random.uniform(-1, 1, (int(who.sum()), self.MOST))
        super().start(who)

    def look(self) -> None:
        """Shows the stones within reach, the nearest first."""
        super().look()
        seen = self.walkers.observations
        far = self._stones - self.world.places[:, None]
        order = np.argsort(np.abs(far), 1)
        nearest = np.take_along_axis(far, order, 1)
        near = np.abs(nearest) < 0.7
        seen["stones"][:, :, 0] = np.where(near, nearest, 0)
        seen["stones"][:, :, 1] = near
        seen["kind"][:] = np.eye(2)[(self.world.marks > 0).astype(int)]


class Groups(Walk):
    """Walkers in groups of up to four, who earn together and end together."""

    SIZE = 4

    def __init__(self, count: int) -> None:
        """Adds the agents."""
        seen = (player.Vector("place", 3),)
        super().__init__(player.Behavior("Member?team=0", seen, branches=(3,)), count)
        self._of = np.arange(count) // self.SIZE
        numbers = np.asarray([self.new_group() for _ in range(self._of[-1] + 1)])
        self.walkers.groups[:] = numbers[self._of]

    def over(self) -> tuple[Array, Array]:
        """A group is over when one member arrived, or the time is up for one."""
        over, interrupted = super().over()
        arrived = over & ~interrupted
        self.walkers.group_rewards += 0.5 * np.bincount(self._of, self.world.arrived)[self._of]
        ended = np.bincount(self._of, over)[self._of] > 0
        return ended, ended & (np.bincount(self._of, arrived)[self._of] == 0)
