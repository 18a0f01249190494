"""What a pool does with its arrays: actions in, rows kept and corrected, the state of slots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gamebridge.adapters import columns, rows
from gamebridge.contract import game as games
from gamebridge.contract import seeding, specs
from gamebridge.contract.specs import Array
from gamebridge.workers import layout as layouts

# Episodes of a worker that took another's place are numbered from here on: far beyond what
# one game plays, so that none is played twice.
_REPLACED = 1 << 32


class ActionDesk:
    """Writes actions [B, ...] into shared memory."""

    def __init__(self, spec: specs.Spec, target: specs.Nest, name: str) -> None:
        """Takes the spec of one slot's action and the arrays [B, ...] to write to."""
        self._spec = spec
        self._leaves = list(zip(specs.leaves(spec), specs.leaves(target), strict=True))
        self._name = name
        # The common case: one array, as it should be.
        self._only: Any = self._leaves[0] if isinstance(spec, specs.ArraySpec) else None

    def write(self, action: specs.Nest, slots: Array | None = None) -> None:
        """Writes the actions [B, ...] of all slots, or of those that the mask `slots` [B] names.

        Raises:
          TypeError: the action's numbers are of another kind than its spec's.
          ValueError: the action has another structure or shape.
        """
        if slots is None and self._only is not None and type(action) is np.ndarray:
            spec, target = self._only
            if action.dtype is spec.dtype and action.shape == target.shape:
                target[...] = action
                return
        for target, part in self._checked(action, len(self._leaves[0][1])):
            if slots is None:
                target[...] = part
            else:
                target[slots] = part[slots]

    def write_to(self, action: specs.Nest, slots: Array) -> None:
        """Writes actions [n, ...] of the slots numbered in `slots` [n]; errors as `write`."""
        for target, part in self._checked(action, len(slots)):
            target[slots] = part

    def _checked(self, action: specs.Nest, count: int) -> Iterator[tuple[Array, Array]]:
        if isinstance(self._spec, specs.ArraySpec):
            parts = [action]
        else:
            try:
                parts = specs.leaves(specs.map_leaves(lambda _, part: part, self._spec, action))
            except ValueError as error:
                raise ValueError(
                    f"{self._name}: the action does not fit its spec: {error}"
                ) from error
        for (spec, target), part in zip(self._leaves, parts, strict=True):
            if (
                type(part) is not np.ndarray
                or part.dtype is not spec.dtype
                or part.shape != (count, *spec.shape)
            ):
                part = columns.checked(spec, part, count, self._name)
            yield target, part


class SlotStates:
    """What a pool knows of each slot beside its row.

    Attributes:
      is_fresh: bool [B], the slot has to be reset with its seed of `seeds` before it is stepped.
      is_lost: bool [B], its game was lost in mid-episode, and that was not told yet.
      seeds: int64 [B], of the reset that is due where `is_fresh`.
    """

    def __init__(self, num_slots: int) -> None:
        """Starts with slots that were never played."""
        self.is_fresh = np.ones(num_slots, np.bool_)
        self.is_lost = np.zeros(num_slots, np.bool_)
        self.seeds = seeding.slot_seeds(0, num_slots)
        self._slot_seeds = self.seeds.copy()

    def reseed(self, seeds: Array, named: Array) -> None:
        """Makes the slots named start anew, each with its seed of `seeds`, int64 [B]."""
        self._slot_seeds[named] = seeds[named]
        self.seeds[named] = seeds[named]
        self.is_fresh[named] = True
        self.is_lost[named] = False

    def lose(self, slots: slice, is_running: Array, num_restarts: int) -> None:
        """Takes note that the game of a range of slots is lost.

        Args:
          slots: the range.
          is_running: bool [n], those of them that were in mid-episode.
          num_restarts: how many were lost before; their seeds differ by it.
        """
        self.is_lost[slots] |= is_running
        played = ~self.is_fresh[slots]
        derived = seeding.episode_seeds(
            self._slot_seeds[slots], np.full(len(played), _REPLACED + num_restarts)
        )
        self.seeds[slots][played] = derived[played]
        self.is_fresh[slots] = True


def checked_seeds(seeds: Array, num_slots: int, name: str) -> Array:
    """Returns seeds as int64 [B].

    Raises:
      ValueError: they are not one integer a slot.
    """
    seeds = np.asarray(seeds)
    if seeds.shape != (num_slots,) or seeds.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: seeds is {rows.describe(seeds)}, expected int64 [{num_slots}]: one seed a "
            "slot."
        )
    return seeds.astype(np.int64)


def checked_mask(argument: str, mask: Array, num_slots: int, name: str) -> Array:
    """Returns a mask of slots as it is.

    Raises:
      ValueError: it is not one bool a slot.
    """
    mask = np.asarray(mask)
    if mask.shape != (num_slots,) or mask.dtype != np.bool_:
        raise ValueError(
            f"{name}: {argument} is {rows.describe(mask)}, expected bool [{num_slots}]: True where "
            "a slot is meant."
        )
    return mask


def copy_rows(source: layouts.Rows, target: layouts.Rows, where: Any) -> None:
    """Copies the rows that `where` (a slice, mask or numbers) names from one set to another."""
    for old, new in zip(_arrays(source), _arrays(target), strict=True):
        new[where] = old[where]


def truncate_rows(
    rows_now: layouts.Rows, telemetry_spec: dict[str, specs.TelemetrySpec], where: Array
) -> None:
    """Makes LAST of rows that hold the last thing their slots said: reward 0, discount 1."""
    time_step = rows_now.time_step
    time_step.step_type[where] = games.LAST
    time_step.reward[where] = 0
    time_step.discount[where] = 1
    time_step.valid[where] = True
    rows_now.is_running[where] = False
    for name, column in rows_now.telemetry.items():
        # The others are of the step before and were told with it.
        if telemetry_spec[name].reduce == "sum":
            column[where] = 0


def _arrays(rows_now: layouts.Rows) -> Iterator[Array]:
    yield from rows_now.time_step[:3]
    yield from specs.leaves(rows_now.time_step.observation)
    yield rows_now.time_step.valid
    yield rows_now.is_running
    for name in sorted(rows_now.telemetry):
        yield rows_now.telemetry[name]
