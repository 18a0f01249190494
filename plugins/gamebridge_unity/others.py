"""Policies of agents that do not learn: of other behaviours, and those without a slot."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge_unity import batches, encoding
from gamebridge_unity.settings import Others


class Policy(Protocol):
    """Chooses actions for all decisions of one message."""

    def __call__(self, batch: batches.Batch) -> encoding.Actions:
        """Returns one action for each decision of `batch`."""


def make(setting: Others, seed: int) -> Policy:
    """Returns the policy of a setting: "random", "zero" or the values of a fixed action."""
    if setting == "random":
        return Random(seed)
    if setting == "zero":
        return Zero()
    return Fixed(tuple(float(value) for value in setting))


class Random:
    """Draws every action that is allowed with the same chance."""

    def __init__(self, seed: int) -> None:
        """Seeds the draws."""
        self._generator = np.random.default_rng(seed)

    def __call__(self, batch: batches.Batch) -> encoding.Actions:
        """Uniform in [-1, 1], and out of what the masks allow."""
        count, generator = len(batch.ids), self._generator
        return _actions(
            batch,
            lambda size: generator.uniform(-1, 1, (count, size)),
            lambda size, _: generator.random((count, size)),
        )


class Zero:
    """Does nothing: zeros, or the first action that is allowed."""

    def __call__(self, batch: batches.Batch) -> encoding.Actions:
        """Zeros where they are allowed."""
        count = len(batch.ids)
        return _actions(
            batch,
            lambda size: np.zeros((count, size)),
            lambda size, _: np.broadcast_to(np.arange(size, 0, -1.0), (count, size)),
        )


class Fixed:
    """Does the same whatever happens; where that is forbidden, the first that is allowed."""

    def __init__(self, values: tuple[float, ...]) -> None:
        """Takes the continuous values, then the chosen action of each branch."""
        self._values = values

    def __call__(self, batch: batches.Batch) -> encoding.Actions:
        """The values.

        Raises:
          ConfigError: the behaviour takes others.
        """
        behavior = batch.behavior
        count, num_continuous = len(batch.ids), behavior.num_continuous
        sizes = behavior.branches
        chosen = self._values[num_continuous:]
        if len(self._values) != num_continuous + len(sizes) or any(
            value not in range(size) for value, size in zip(chosen, sizes, strict=True)
        ):
            raise errors.ConfigError(
                f"others is {list(self._values)}, and behaviour '{behavior.name}' takes "
                f"{num_continuous} continuous values and one of each of its branches {list(sizes)}"
                ". Set others to fit, or to 'random' or 'zero'."
            )
        continuous = self._values[:num_continuous]

        def scores(size: int, branch: int) -> Array:
            table = np.arange(size, 0, -1.0)
            table[int(chosen[branch])] = size + 1.0
            return np.broadcast_to(table, (count, size))

        return _actions(batch, lambda size: np.broadcast_to(continuous, (count, size)), scores)


def _actions(batch: batches.Batch, continuous: Any, scores: Any) -> encoding.Actions:
    """Makes actions of continuous values, and of the greatest scores among what is allowed."""
    behavior = batch.behavior
    floats = integers = None
    if behavior.num_continuous:
        floats = np.array(continuous(behavior.num_continuous), np.float32)
    if behavior.branches:
        integers = np.zeros((len(batch.ids), len(behavior.branches)), np.int32)
        start = 0
        for branch, size in enumerate(behavior.branches):
            table = scores(size, branch)
            if batch.masks is not None:
                table = np.where(batch.masks[:, start : start + size], table, -1.0)
            integers[:, branch] = np.argmax(table, axis=1)
            start += size
    return encoding.Actions(floats, integers)
