"""`SlotGame`: a Game of B slots out of B environments that know one slot each."""

from __future__ import annotations

import abc
import itertools
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gamebridge import errors
from gamebridge.adapters import columns, rows
from gamebridge.contract import FIRST, LAST, MID, Game, TimeStep, new_time_step, seeding, specs
from gamebridge.contract.specs import Array, TelemetrySpec

_logger = logging.getLogger(__name__)

# Hashing one seed costs numpy's overhead of some 20 us, hashing a block not much more.
_SEEDS_AT_ONCE = 64


class Single(abc.ABC):
    """One foreign environment, spoken to in one way whatever its library.

    Attributes:
      dropped: paths of the observation's parts that are not numbers and were left out.
      max_steps: an episode that is not over by then is truncated there.
      steps_per_s: as of `Game`.
    """

    dropped: Sequence[str] = ()
    max_steps: float = math.inf
    steps_per_s: float | None = None

    @abc.abstractmethod
    def observation_spec(self) -> specs.Spec:
        """The spec of the observation; the same for life."""

    @abc.abstractmethod
    def action_spec(self) -> specs.Spec:
        """The spec of the action; the same for life."""

    def telemetry_spec(self) -> dict[str, TelemetrySpec]:
        """What `telemetry` reports; the same for life."""
        return {}

    @abc.abstractmethod
    def reset(self, seed: int) -> Any:
        """Starts the episode of this seed and returns its first observation."""

    @abc.abstractmethod
    def step(self, action: Any) -> tuple[Any, Any, Any, Any]:
        """Advances by one step.

        Args:
          action: nest that fits `action_spec`; leaves without axes are Python numbers,
            the others arrays that belong to the callee.

        Returns:
          (observation, reward, discount, whether the episode is over).
        """

    def telemetry(self) -> Mapping[str, Any]:
        """The values of this step by the names of `telemetry_spec`."""
        return {}

    def render(self) -> Any:
        """Returns a picture, uint8 [height, width, 3] RGB, or None where there is none."""
        return None

    def close(self) -> None:  # noqa: B027 - many environments hold nothing
        """Frees what the environment holds."""


class SlotGame(Game):
    """Steps one `Single` a slot and checks all that they return.

    Until `reset` gives seeds, slot i has `seeding.slot_seeds(0, B)[i]`. Telemetry that a
    single does not report at FIRST is 0 there.
    """

    def __init__(self, singles: Sequence[Single], name: str) -> None:
        """Takes over the closing of `singles`.

        Raises:
          ValueError: no singles.
          GameError: two of them differ in a spec.
        """
        if not singles:
            raise ValueError(f"{name}: no environments: expected one a slot, at least one.")
        self.name = name
        self.num_slots = len(singles)
        self.steps_per_s = singles[0].steps_per_s
        self._singles = list(singles)
        self._observation_spec = singles[0].observation_spec()
        self._action_spec = singles[0].action_spec()
        self._telemetry_spec = singles[0].telemetry_spec()
        self._check_alike()
        if singles[0].dropped:
            _logger.warning(
                "%s: left out of the observation, because they are not numbers: %s.",
                name,
                ", ".join(singles[0].dropped),
            )
        self._rows = new_time_step(self._observation_spec, self.num_slots)
        self._telemetry = {
            key: np.zeros(self.num_slots, spec.dtype) for key, spec in self._telemetry_spec.items()
        }
        # Rows and one view a slot of them, by the rows' identity; and the rows that were used
        # before others were lent, until those hold all slots.
        self._views_of: dict[int, tuple[specs.Nest, list[Array]]] = {}
        self._views = self._split(self._rows.observation)
        self._earlier: Any = None
        self._steps = [single.step for single in singles]
        self._max_steps = [single.max_steps for single in singles]
        self._seeds = [_episode_seeds(seed) for seed in seeding.slot_seeds(0, self.num_slots)]
        self._episode_seed = [0] * self.num_slots
        self._elapsed = [0] * self.num_slots
        self._over = [True] * self.num_slots
        # Rows that say MID with discount 1 already, as they do in all steps but a few.
        self._in_middle = [False] * self.num_slots
        self._picture_shape: tuple[int, ...] | None = None

    def observation_spec(self) -> specs.Spec:
        """The environments' own."""
        return self._observation_spec

    def action_spec(self) -> specs.Spec:
        """The environments' own."""
        return self._action_spec

    def telemetry_spec(self) -> dict[str, TelemetrySpec]:
        """The environments' own."""
        return self._telemetry_spec

    def lend(self, observation: specs.Nest) -> bool:
        """See `Game`."""
        if observation is not self._rows.observation:
            self._earlier = self._rows.observation if self._earlier is None else self._earlier
            self._rows = self._rows._replace(observation=observation)
            self._views = self._split(observation)
        return True

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> TimeStep:
        """See `Game`.

        Raises:
          ValueError: `seeds` is not int [B] or `slots` not bool [B].
          GameError: an environment raised, or its observation breaks its spec.
        """
        named = self._named("slots", slots)
        if seeds is not None:
            seeds = np.asarray(seeds)
            if seeds.shape != (self.num_slots,) or seeds.dtype.kind not in "iu":
                raise ValueError(
                    f"{self.name}: seeds is {rows.describe(seeds)}, expected "
                    f"int64 [{self.num_slots}]: one seed a slot."
                )
            for slot in named:
                self._seeds[slot] = _episode_seeds(seeds[slot])
        if self._earlier is not None:
            self._catch_up(named)
        for slot in named:
            self._begin(slot)
        return self._rows

    def step(self, action: specs.Nest, active: Array | None = None) -> TimeStep:
        """See `Game`.

        Raises:
          TypeError: the action's numbers are of another kind than its spec's.
          ValueError: the action has another structure or shape, or `active` is not bool [B].
          GameError: an environment raised, or what it returned breaks its spec.
        """
        actions = columns.split(self._action_spec, action, self.num_slots, self.name)
        named = self._named("active", active)
        if self._earlier is not None:
            self._catch_up(named)
        step_types, rewards, discounts, observations, _ = self._rows
        steps, views, over, elapsed = self._steps, self._views, self._over, self._elapsed
        max_steps, telemetry = self._max_steps, self._telemetry
        # The observation of most games is one array that fits: told apart here, where it
        # costs a tenth of a microsecond. All else is judged by `rows.write`.
        spec = self._observation_spec
        dtype, shape = (spec.dtype, spec.shape) if isinstance(spec, specs.ArraySpec) else (None, ())
        in_middle = self._in_middle
        for slot in named:
            if over[slot]:
                self._begin(slot)
                continue
            elapsed[slot] = played = elapsed[slot] + 1
            try:
                # An `errors.Error` passes as it is: a signal may end the run in mid-step.
                observation, reward, discount, last = steps[slot](actions[slot])
                if (
                    type(observation) is np.ndarray
                    and observation.dtype is dtype
                    and observation.shape == shape
                ):
                    views[slot][...] = observation
                else:
                    rows.write(spec, observations, slot, observation)
                rewards[slot] = (
                    reward if type(reward) is float else rows.number("the reward", reward)
                )
                if (
                    not in_middle[slot]
                    or last
                    or played >= max_steps[slot]
                    or type(discount) is not float
                    or discount != 1.0
                ):
                    last = last or played >= max_steps[slot]
                    discounts[slot] = discount = rows.number("the discount", discount)
                    step_types[slot] = LAST if last else MID
                    over[slot] = bool(last)
                    in_middle[slot] = not last and discount == 1.0
                if telemetry:
                    self._report(slot, is_first=False)
            except errors.Error:
                raise
            except (Exception, SystemExit) as error:
                over[slot] = True
                raise self._failure(slot, "step()", error) from error
        return self._rows

    def telemetry(self) -> dict[str, Array]:
        """The environments' own."""
        return self._telemetry

    def render(self, slot: int = 0) -> Array | None:
        """See `Game`.

        Raises:
          GameError: the environment raised, or drew anything but uint8 [height, width, 3].
        """
        self._check_open()
        try:
            value = self._singles[slot].render()
            if value is None:
                return None
            drawn = rows.picture(value, self._picture_shape)
        except errors.Error:
            raise
        except Exception as error:
            raise self._failure(slot, "render()", error) from error
        self._picture_shape = drawn.shape
        return drawn

    def close(self) -> None:
        """Closes every environment, also where closing one fails.

        Raises:
          GameError: an environment raised; the first one is named.
        """
        singles, self._singles = self._singles, []
        failures: list[tuple[int, Exception]] = []
        for slot, single in enumerate(singles):
            try:
                single.close()
            except Exception as error:  # noqa: BLE001 - reported below, once all are closed
                failures.append((slot, error))
        for slot, failure in failures:
            raise self._failure(slot, "close()", failure) from failure

    def _begin(self, slot: int) -> None:
        self._over[slot] = True
        self._in_middle[slot] = False
        self._elapsed[slot] = 0
        self._episode_seed[slot] = seed = next(self._seeds[slot])
        try:
            observation = self._singles[slot].reset(seed)
            rows.write(self._observation_spec, self._rows.observation, slot, observation)
            if self._telemetry:
                self._report(slot, is_first=True)
        except errors.Error:
            raise
        except (Exception, SystemExit) as error:
            raise self._failure(slot, "reset()", error) from error
        self._rows.step_type[slot] = FIRST
        self._rows.reward[slot] = 0.0
        self._rows.discount[slot] = 1.0
        self._over[slot] = False

    def _report(self, slot: int, *, is_first: bool) -> None:
        values = self._singles[slot].telemetry()
        for name, column in self._telemetry.items():
            if name in values:
                column[slot] = rows.number(f"telemetry '{name}'", values[name])
            elif is_first:
                column[slot] = 0
            else:
                raise rows.BadValue(
                    f"telemetry '{name}' is missing, expected all of {sorted(self._telemetry)}"
                )

    def _named(self, argument: str, mask: Array | None) -> Sequence[int]:
        self._check_open()
        if mask is None:
            return range(self.num_slots)
        mask = np.asarray(mask)
        if mask.shape != (self.num_slots,) or mask.dtype != np.bool_:
            raise ValueError(
                f"{self.name}: {argument} is {rows.describe(mask)}, expected bool "
                f"[{self.num_slots}]: True where a slot is meant."
            )
        return np.flatnonzero(mask).tolist()

    def _split(self, observation: specs.Nest) -> list[Array]:
        if not isinstance(self._observation_spec, specs.ArraySpec):
            return []
        known = self._views_of.get(id(observation))
        if known is None:
            shape = self._observation_spec.shape
            views = [row.reshape(shape) for row in np.split(observation, self.num_slots)]
            known = self._views_of[id(observation)] = observation, views
        return known[1]

    def _catch_up(self, named: Sequence[int]) -> None:
        """Copies the rows of slots that do not advance to where the others will be written."""
        if len(named) < self.num_slots:
            others = np.ones(self.num_slots, np.bool_)
            others[named] = False
            for old, new in zip(specs.leaves(self._earlier), specs.leaves(self._rows.observation)):
                new[others] = old[others]
        self._earlier = None

    def _check_open(self) -> None:
        if not self._singles:
            raise ValueError(f"{self.name} is closed: make it anew to play on.")

    def _check_alike(self) -> None:
        for slot, single in enumerate(self._singles):
            for what, ours, theirs in (
                ("observation", self._observation_spec, single.observation_spec()),
                ("action", self._action_spec, single.action_spec()),
            ):
                difference = specs.first_difference(ours, theirs)
                if difference is not None:
                    raise errors.GameError(
                        f"{self.name}: the {what} specs of slots 0 and {slot} differ: "
                        f"{difference}. Make every slot's environment alike."
                    )
            if single.telemetry_spec() != self._telemetry_spec:
                raise errors.GameError(
                    f"{self.name}: the telemetry specs of slots 0 and {slot} differ. "
                    "Make every slot's environment alike."
                )

    def _failure(self, slot: int, call: str, error: BaseException) -> errors.GameError:
        where = (
            f"{self.name}, slot {self.first_slot + slot}, step {self._elapsed[slot]} of the "
            f"episode with seed {self._episode_seed[slot]}"
        )
        if isinstance(error, rows.BadValue):
            return errors.GameError(f"{where}: {error}. Mend what {call} of the game returns.")
        return errors.GameError(
            f"{where}: {call} of the game raised {type(error).__name__}: {error}. "
            "Mend the game; its own traceback is the cause of this error."
        )


def _episode_seeds(slot_seed: int) -> Iterator[int]:
    slot_seeds = np.full(_SEEDS_AT_ONCE, slot_seed, np.int64)
    for start in itertools.count(0, _SEEDS_AT_ONCE):
        numbers = np.arange(start, start + _SEEDS_AT_ONCE)
        yield from seeding.episode_seeds(slot_seeds, numbers).tolist()
