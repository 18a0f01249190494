"""Value guard: the first value that breaks the game's spec is refused and named.

A learner turns one NaN into a network of NaN, hours before anybody looks. The guard sits
next to the game, where it sees every step, and costs a few microseconds: whole arrays are
looked at, and only where something is wrong are slots and elements told apart.
"""

from __future__ import annotations

import math
from typing import Literal, NoReturn

import numpy as np

from gamebridge import contract, errors
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.wrappers import leaf_checks, nests

_STEP_NAMES = ("FIRST", "MID", "LAST")
# _LEGAL[step type before, step type now]; a reset counts as LAST.
_LEGAL = np.array([[False, True, True], [False, True, True], [True, False, False]])

_USUAL_DISCOUNTS = {0.0, 1.0}
_LEGAL_PAIRS = {(before, now) for before, now in np.argwhere(_LEGAL).tolist()}

_KEEP_TO_RULES = "The game must keep to the rules of gamebridge.contract.game."
_MEND = "Mend where it comes from: no learner can use it."


class ValueGuard(contract.Wrapper):
    """Checks what the game says, and what it is told, against its specs.

    Looked at are the shape and dtype of every array, the order of step types, rewards,
    discounts, NaN and Inf, and bounds. Invalid rows, and rows of slots that did not
    advance, may hold anything; so may the action of a slot that is about to restart.
    An exception out of the game becomes a GameError that names the game and the step.
    """

    def __init__(self, game: contract.Game, mode: Literal["refuse", "clip"] = "refuse") -> None:
        """Prepares the checks.

        Args:
          game: what is guarded.
          mode: "refuse" raises at any fault; "clip" puts observations and actions that
            are out of bounds back into them, in copies of its own.

        Raises:
          ValueError: `mode` is neither.
        """
        if mode not in ("refuse", "clip"):
            raise ValueError(f"mode is {mode!r}: expected 'refuse' or 'clip'.")
        super().__init__(game)
        num_slots = game.num_slots
        self._clips = mode == "clip"
        self._num_steps = 0
        self._is_reset = True
        # A slot that was never started must start with FIRST, as one that has ended.
        self._before = np.full(num_slots, contract.LAST, np.int32)
        self._all_were_mid = False
        self._all_mid = np.full(num_slots, contract.MID, np.int32).tobytes()
        self._all_true = np.ones(num_slots, np.bool_).tobytes()
        self._heads = [
            leaf_checks.LeafCheck(name, specs.box((), *bounds, dtype=dtype), num_slots)
            for name, dtype, bounds in (
                ("step_type", np.int32, ()),
                ("reward", np.float32, ()),
                ("discount", np.float32, (0, 1)),
                ("valid", np.bool_, ()),
            )
        ]
        # Few numbers are looked at sooner by Python than by numpy.
        self._is_few = num_slots <= leaf_checks.FEW_SLOTS
        self._seen_heads: tuple[Array | None, ...] = (None,) * 4
        self._observation = _Side("observation", game.observation_spec(), num_slots)
        self._action = _Side("action", game.action_spec(), num_slots)

    def lend(self, observation: specs.Nest) -> bool:
        """Lends them to the game."""
        return self.game.lend(observation)

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> contract.TimeStep:
        """Resets the game and checks what the slots named say.

        Raises:
          GameError: the game breaks its spec or the rules of a step, or raises.
        """
        self._is_reset = True
        try:
            time_step = self.game.reset(seeds, slots)
        except errors.Error:
            raise
        except Exception as error:
            raise self._raised(error) from error
        self._before[slice(None) if slots is None else slots] = contract.LAST
        self._all_were_mid = False
        time_step = self._check(time_step, slots)
        # A leaf too many goes unseen in a step: looking for it would cost every step.
        self._check_structure(self._observation, time_step.observation)
        return time_step

    def step(self, action: specs.Nest, active: Array | None = None) -> contract.TimeStep:
        """Checks the action, steps the game and checks what the active slots say.

        Raises:
          ActionError: the action breaks its spec; the game was not stepped.
          GameError: the game breaks its spec or the rules of a step, or raises.
        """
        self._is_reset = False
        self._num_steps += 1
        try:
            action = self._check_side(self._action, action, None, active)
        except errors.GameError as error:
            raise errors.ActionError(str(error)) from None
        try:
            time_step = self.game.step(action, active)
        except errors.Error:
            raise
        except Exception as error:
            raise self._raised(error) from error
        return self._check(time_step, active)

    def _check(self, time_step: contract.TimeStep, named: Array | None) -> contract.TimeStep:
        if not isinstance(time_step, contract.TimeStep):
            found = type(time_step).__name__
            self._refuse(None, f"got a {found}; expected a TimeStep.", _KEEP_TO_RULES)
        step_type, reward, discount, observation, valid = time_step
        heads = self._seen_heads
        if not (
            step_type is heads[0]
            and reward is heads[1]
            and discount is heads[2]
            and valid is heads[3]
        ):
            self._check_heads((step_type, reward, discount, valid))
        all_valid = valid.tobytes() == self._all_true
        all_mid = all_valid and step_type.tobytes() == self._all_mid
        if not (all_mid and self._all_were_mid):
            is_plain = all_valid and named is None
            if not (is_plain and self._is_few and self._is_ordered(step_type)):
                self._check_order(step_type, valid if named is None else valid & named)
            self._all_were_mid = all_mid and named is None
        if self._is_outcome_suspect(reward, discount):
            self._check_outcome(reward, discount, valid if named is None else valid & named)
        checked = self._check_side(self._observation, observation, valid, named)
        if checked is observation:
            return time_step
        return contract.TimeStep(step_type, reward, discount, checked, valid)

    def _check_heads(self, heads: tuple[Array, ...]) -> None:
        for check, array in zip(self._heads, heads):
            fault = check.form_fault(array)
            if fault:
                self._refuse(None, fault, _KEEP_TO_RULES)
        self._seen_heads = heads

    def _check_side(
        self, side: _Side, nest: specs.Nest, valid: Array | None, named: Array | None
    ) -> specs.Nest:
        """Checks all leaves; returns the nest, clipped where the mode is to clip."""
        is_wrong = False
        for leaf, place in side.leaves:
            try:
                array = nests.pick(nest, place) if place else nest
            except (KeyError, IndexError, TypeError):
                self._check_structure(side, nest)
                raise
            fault = leaf.form_fault(array)
            if fault:
                self._refuse(None, fault, side.advice)
            if leaf.is_suspect(array):
                self._judge(side, leaf, array, valid, named)
                is_wrong = True
        return side.clip(nest) if is_wrong and self._clips else nest

    def _judge(
        self,
        side: _Side,
        leaf: leaf_checks.LeafCheck,
        array: Array,
        valid: Array | None,
        named: Array | None,
    ) -> None:
        """Refuses the array unless what is wrong stands in rows that mean nothing."""
        rows = self._before != contract.LAST if valid is None else valid
        if named is not None:
            rows = rows & named
        fault = leaf.first_not_finite(array, rows)
        if fault:
            self._refuse(*fault, _MEND)
        fault = None if self._clips else leaf.first_out_of_bounds(array, rows)
        if fault:
            self._refuse(*fault, f"{side.advice} Or set wrappers.guard=clip.")

    def _check_structure(self, side: _Side, nest: specs.Nest) -> None:
        try:
            specs.map_leaves(lambda _, leaf: leaf, side.spec, nest)
        except ValueError as error:
            self._refuse(
                None, f"the {side.word} has other parts than its spec: {error}", side.advice
            )

    def _is_ordered(self, step_type: Array) -> bool:
        """Whether all slots took a legal step, and notes it if so: the cheap look at a batch."""
        if not _LEGAL_PAIRS.issuperset(zip(self._before.tolist(), step_type.tolist())):
            return False
        self._before[...] = step_type
        return True

    def _is_outcome_suspect(self, reward: Array, discount: Array) -> bool:
        """Whether any row has a reward or discount that may be wrong."""
        if self._is_few:
            # A sum of float32, in double precision, is finite if they are.
            is_finite = math.isfinite(sum(reward.tolist()))
            if is_finite and _USUAL_DISCOUNTS.issuperset(discount.tolist()):
                return False
        return self._heads[1].is_suspect(reward) or self._heads[2].is_suspect(discount)

    def _check_order(self, step_type: Array, heard: Array) -> None:
        known = (step_type >= contract.FIRST) & (step_type <= contract.LAST)
        legal = known & _LEGAL[self._before, np.where(known, step_type, 0)]
        wrong = np.flatnonzero(heard & ~legal)
        if len(wrong):
            slot = int(wrong[0])
            now, before = int(step_type[slot]), int(self._before[slot])
            found = _STEP_NAMES[now] if known[slot] else str(now)
            expected = "FIRST" if before == contract.LAST else "MID or LAST"
            after = "a reset" if self._is_reset else _STEP_NAMES[before]
            self._refuse(
                slot, f"step_type is {found} after {after}; expected {expected}.", _KEEP_TO_RULES
            )
        np.copyto(self._before, step_type, where=heard)

    def _check_outcome(self, reward: Array, discount: Array, heard: Array) -> None:
        wrong = np.flatnonzero(heard & ~np.isfinite(reward))
        if len(wrong):
            slot = int(wrong[0])
            self._refuse(slot, f"reward is {reward[slot]}; expected a finite number.", _MEND)
        # Written so that NaN counts as wrong.
        wrong = np.flatnonzero(heard & ~((discount >= 0) & (discount <= 1)))
        if len(wrong):
            slot = int(wrong[0])
            fault = f"discount is {discount[slot]}; expected a number from 0 to 1."
            self._refuse(slot, fault, _KEEP_TO_RULES)

    def _raised(self, error: Exception) -> errors.GameError:
        return errors.GameError(
            f"{self._place(None)}: the game raised {type(error).__name__}: {error}. "
            "Expected a time step; the traceback of the cause says where to look."
        )

    def _refuse(self, slot: int | None, fault: str, advice: str) -> NoReturn:
        raise errors.GameError(f"{self._place(slot)}: {fault} {advice}")

    def _place(self, slot: int | None) -> str:
        moment = (
            f"reset after step {self._num_steps}" if self._is_reset else f"step {self._num_steps}"
        )
        if slot is None:
            return f"{self.name}, {moment}"
        return f"{self.name}, slot {self.first_slot + slot}, {moment}"


class _Side:
    """What is checked on one side of the game: its observations, or its actions."""

    def __init__(self, word: str, spec: specs.Spec, num_slots: int) -> None:
        self.word = word
        self.spec = spec
        self.advice = (
            "The game must keep to its own spec."
            if word == "observation"
            else "Whoever acts must keep to the action spec."
        )
        self.leaves = []
        for (path, leaf), place in zip(specs.named_leaves(spec), nests.places(spec)):
            name = path or leaf.name
            label = f"{word} '{name}'" if name else word
            self.leaves.append((leaf_checks.LeafCheck(label, leaf, num_slots), place))
        self._clipped = nests.build(spec, [leaf.clipped for leaf, _ in self.leaves])

    def clip(self, nest: specs.Nest) -> specs.Nest:
        """Returns the nest with every leaf put into its bounds, in buffers of its own."""
        for leaf, place in self.leaves:
            leaf.clip(nests.pick(nest, place))
        return nests.overlay(nest, self._clipped)
