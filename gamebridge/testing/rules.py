"""What the tests of a game's conformance have in common."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from typing import Any

import numpy as np

from gamebridge.contract import Game, TimeStep, seeding, specs
from gamebridge.testing import playing


class Rules:
    """The game to test, and how it is played.

    Attributes:
      num_steps: how many steps each test plays; enough for some episodes to end.
      seed: of slots and actions.
      is_repeatable: whether the same seeds give the same episodes. False skips the
        tests of that; only for games that cannot be seeded.
    """

    num_steps = 200
    seed = 1
    is_repeatable = True

    def make(self) -> Game:
        """Returns a new game; with two slots or more, more is tested."""
        raise NotImplementedError("Override make() so that it returns your game.")

    def make_with(self, num_slots: int) -> Game:
        """Returns a new game of `num_slots` slots; without it one test is skipped."""
        raise unittest.SkipTest("make_with(num_slots) is not overridden.")

    def action(self, game: Game, generator: np.random.Generator) -> specs.Nest:
        """Returns a random action, arrays [B, ...]; override where not all are allowed."""
        return playing.random_action(game.action_spec(), game.num_slots, generator)

    def steps(self, game: Game, num_steps: int | None = None) -> Iterator[tuple[int, TimeStep]]:
        """Resets the game, plays `num_steps` random steps, and yields (step, time step)."""
        yield 0, game.reset(seeding.slot_seeds(self.seed, game.num_slots))
        for step, action in enumerate(self.actions(game)[:num_steps], 1):
            yield step, game.step(action)

    def actions(self, game: Game) -> list[specs.Nest]:
        """Returns the same `self.num_steps` actions at every call."""
        generator = np.random.default_rng(self.seed)
        return [self.action(game, generator) for _ in range(self.num_steps)]

    def need_repeatable(self) -> None:
        """Skips the test where the game cannot be seeded."""
        if not self.is_repeatable:
            raise unittest.SkipTest("is_repeatable is False: the game cannot be seeded.")

    def need_hold(self, game: Game) -> None:
        """Skips the test where the game cannot hold slots back."""
        if not game.can_hold:
            raise unittest.SkipTest("can_hold is False: the game cannot hold slots back.")


def check(condition: Any, message: str) -> None:
    """Fails the test with `message` where `condition` is false.

    Raises:
      AssertionError: the rule is broken.
    """
    if not condition:
        raise AssertionError(f"{message}.")


def check_array(step: int, name: str, value: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Fails the test where `value` is not an array of exactly this shape and dtype.

    Raises:
      AssertionError: the rule is broken.
    """
    found = f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value)
    check(
        isinstance(value, np.ndarray) and value.dtype == dtype and value.shape == shape,
        f"step {step}: {name} is {found}, expected {np.dtype(dtype)} {list(shape)}",
    )


def check_same(who: str, expected: list[TimeStep], found: list[TimeStep]) -> None:
    """Fails the test where two plays differ in any row.

    Raises:
      AssertionError: the rule is broken.
    """
    for step, (left, right) in enumerate(zip(expected, found, strict=True)):
        difference = playing.first_difference(left, right, np.arange(len(left.valid)))
        check(difference is None, f"step {step}: {difference} of {who} differs, with equal seeds")
