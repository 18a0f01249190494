"""Every rule of the conformance catches a game that breaks it, and passes one that does not."""

from __future__ import annotations

import unittest

import numpy as np
import pytest

from gamebridge.contract import FIRST, LAST, MID, TelemetrySpec, TimeStep, Wrapper, specs
from gamebridge.testing import GameConformance, playing
from gamebridge.testing.fakes import Corridor, Moment, Scripted


def conformance_of(make, **attributes):
    """Returns a conformance of the games that `make()` returns."""
    return type("Conformance", (GameConformance,), {"make": lambda self: make(), **attributes})()


class Broken(Wrapper):
    """A good game, spoilt by a subclass."""

    def __init__(self, num_slots=2):
        super().__init__(Corridor(num_slots, length=8))
        self.num_calls = 0

    def spoil(self, said: TimeStep) -> TimeStep:
        return said

    def reset(self, seeds=None, slots=None):
        return self.spoil(self.game.reset(seeds, slots))

    def step(self, action, active=None):
        self.num_calls += 1
        return self.spoil(self.game.step(action, active))


class ChangesItsSpec(Broken):
    def observation_spec(self):
        return specs.box((2,), 0.0, 1.0 + self.num_calls)


class ChangesItsTelemetrySpec(Broken):
    def telemetry_spec(self):
        return {f"steps_{self.num_calls}": TelemetrySpec()}


class HasFloat64Observations(Broken):
    def spoil(self, said):
        return said._replace(observation=said.observation.astype(np.float64))


class HasFlatObservations(Broken):
    def spoil(self, said):
        return said._replace(observation=said.observation[:, 0])


class HasOtherKeys(Broken):
    def spoil(self, said):
        return said._replace(observation={"extra": said.observation})

    def observation_spec(self):
        return {"wanted": specs.box((2,), 0.0, 1.0)}


class HasRewardsInAList(Broken):
    def spoil(self, said):
        return said._replace(reward=said.reward.tolist())


class SkipsFirst(Broken):
    def spoil(self, said):
        said.step_type[said.step_type == FIRST] = MID
        return said


class PaysAtFirst(Broken):
    def spoil(self, said):
        said.reward[said.is_first()] = 1.0
        return said


class TerminatesInTheMiddle(Broken):
    def spoil(self, said):
        said.discount[said.step_type == MID] = 0.0
        return said


class HasDiscountTwo(Broken):
    def spoil(self, said):
        said.discount[said.step_type == MID] = 2.0
        return said


class SeesNan(Broken):
    def spoil(self, said):
        said.observation[1, 0] = np.nan
        return said


class PaysInfinity(Broken):
    def spoil(self, said):
        said.reward[said.is_last()] = np.inf
        return said


class LeavesItsBounds(Broken):
    def spoil(self, said):
        said.observation[:] += 1.5
        return said


class WritesRowsWhenRead(Broken):
    def reset(self, seeds=None, slots=None):
        self.said = self.game.reset(seeds, slots)
        return self.said

    def telemetry(self):
        self.said.observation[0, 0] += 0.25
        return self.game.telemetry()


class SharesRowsOfSlots(Broken):
    def spoil(self, said):
        row = np.broadcast_to(said.observation[:1], said.observation.shape)
        return said._replace(observation=row)


class SharesRowsOfGames(Broken):
    rows = np.zeros((2, 2), np.float32)

    def spoil(self, said):
        self.rows[:] = said.observation
        return said._replace(observation=self.rows)


class ForgetsTelemetry(Broken):
    def telemetry(self):
        return {}


class HasTelemetryOfOtherDtype(Broken):
    def telemetry(self):
        return {"steps_right": np.zeros(2, np.float64)}


class DrawsSeveralSizes(Broken):
    def render(self, slot=0):
        return np.zeros((4 + self.num_calls % 2, 4, 3), np.uint8)


class DrawsGrey(Broken):
    def render(self, slot=0):
        return np.zeros((4, 4), np.uint8)


class DrawsSometimes(Broken):
    def render(self, slot=0):
        return None if self.num_calls % 2 else np.zeros((4, 4, 3), np.uint8)


class ClosesOnce(Broken):
    is_closed = False

    def close(self):
        if self.is_closed:
            raise RuntimeError("closed already")
        self.is_closed = True


class DrawsItsOwnSeeds(Broken):
    num_games = 0

    def __init__(self):
        super().__init__()
        DrawsItsOwnSeeds.num_games += 1
        self.number = self.num_games

    def reset(self, seeds=None, slots=None):
        return self.game.reset(None if seeds is None else seeds + self.number, slots)


class KeepsItsRandomState(Broken):
    num_resets = 0

    def reset(self, seeds=None, slots=None):
        self.num_resets += 1
        return self.game.reset(None if seeds is None else seeds + self.num_resets, slots)


class StartsOverWithoutSeeds(Broken):
    def reset(self, seeds=None, slots=None):
        if seeds is not None:
            self.seeds = seeds
        return self.game.reset(self.seeds, slots)


class ActsAfterLast(Broken):
    def step(self, action, active=None):
        said = super().step(action, active)
        said.observation[said.is_first(), 0] = action[said.is_first()]
        return said


class IgnoresActive(Broken):
    def step(self, action, active=None):
        return super().step(action)


class AdvancesHeldSlotsLater(Broken):
    def step(self, action, active=None):
        said = super().step(action, active)
        if active is not None and not active.all():
            rows = playing.copy(said)
            super().step(action, ~active)
            for ours, kept in zip(said, rows, strict=True):
                ours[:] = kept
        return said


class ResetsAllSlots(Broken):
    def reset(self, seeds=None, slots=None):
        return super().reset(seeds)


class ResetsNoSlotAlone(Broken):
    def reset(self, seeds=None, slots=None):
        if slots is not None:
            return self.game.rows
        return super().reset(seeds)


BROKEN = [
    (ChangesItsSpec, "specs_stay_the_same", "the observation spec changed in play"),
    (ChangesItsTelemetrySpec, "specs_stay_the_same", "the telemetry spec changed in play"),
    (HasFloat64Observations, "rows_fit_the_specs", r"is float64 \[2, 2\], expected float32"),
    (HasFlatObservations, "rows_fit_the_specs", r"float32 \[2\], expected float32 \[2, 2\]"),
    (HasOtherKeys, "rows_fit_the_specs", r"expected the keys \['wanted'\], got \['extra'\]"),
    (HasRewardsInAList, "rows_fit_the_specs", "reward is <class 'list'>, expected float32"),
    (SkipsFirst, "step_types_follow_each_other", "step type 1 after 2"),
    (PaysAtFirst, "first_has_reward_0_and_discount_1", "FIRST has rewards"),
    (TerminatesInTheMiddle, "only_last_has_discount_0", "discount 0 before LAST"),
    (HasDiscountTwo, "only_last_has_discount_0", "expected values in 0 ... 1"),
    (SeesNan, "values_are_finite_and_in_bounds", "observation is not finite"),
    (PaysInfinity, "values_are_finite_and_in_bounds", "reward not finite"),
    (LeavesItsBounds, "values_are_finite_and_in_bounds", "leaves its bounds"),
    (WritesRowsWhenRead, "rows_stay_valid_until_the_next_step", "observation changed before"),
    (SharesRowsOfSlots, "slots_share_no_memory", "two slots share the memory"),
    (SharesRowsOfGames, "slots_share_no_memory", "two games write into the same rows"),
    (ForgetsTelemetry, "telemetry_fits_its_spec", r"telemetry is \[\], expected"),
    (HasTelemetryOfOtherDtype, "telemetry_fits_its_spec", r"is float64 \[2\], expected float32"),
    (DrawsSeveralSizes, "pictures_keep_their_size", "several sizes"),
    (DrawsGrey, "pictures_keep_their_size", r"uint8 \[4, 4\], expected uint8 \[height"),
    (DrawsSometimes, "pictures_keep_their_size", "several sizes"),
    (DrawsItsOwnSeeds, "same_seeds_give_the_same_episodes", "of a second game differs"),
    (KeepsItsRandomState, "same_seeds_give_the_same_episodes", "of the same game again differs"),
    (StartsOverWithoutSeeds, "a_reset_without_seeds_starts_the_next_episode", "not that of the"),
    (ActsAfterLast, "the_step_after_last_ignores_the_action", "action given after LAST"),
    (IgnoresActive, "slots_that_are_not_active_are_held", "of a held slot changed"),
    (AdvancesHeldSlotsLater, "slots_that_are_not_active_are_held", "depends on having been held"),
    (ResetsAllSlots, "a_reset_of_some_slots_leaves_the_others", "was not reset changed"),
    (ResetsNoSlotAlone, "a_reset_of_some_slots_leaves_the_others", "expected FIRST"),
]


@pytest.mark.parametrize(("kind", "rule", "message"), BROKEN, ids=[x[0].__name__ for x in BROKEN])
def test_a_broken_game_is_caught(kind, rule, message):
    with pytest.raises(AssertionError, match=message):
        getattr(conformance_of(kind), f"test_{rule}")()


def test_closing_twice_is_tried():
    with pytest.raises(RuntimeError, match="closed already"):
        conformance_of(ClosesOnce).test_close_may_be_called_twice()


def test_episodes_that_depend_on_the_number_of_slots_are_caught():
    class MixesSlots(Broken):
        def reset(self, seeds=None, slots=None):
            return self.game.reset(seeds + self.num_slots, slots)

    tested = conformance_of(MixesSlots, make_with=lambda self, num_slots: MixesSlots(num_slots))
    with pytest.raises(AssertionError, match="depends on the number of slots"):
        tested.test_episodes_do_not_depend_on_the_number_of_slots()


def test_every_rule_has_a_broken_game_that_it_catches():
    rules = {name for name in dir(GameConformance) if name.startswith("test_")}
    others = {
        "test_close_may_be_called_twice",
        "test_episodes_do_not_depend_on_the_number_of_slots",
    }
    assert {f"test_{rule}" for _, rule, _ in BROKEN} | others == rules


def test_a_game_that_cannot_be_seeded_may_say_so():
    tested = conformance_of(DrawsItsOwnSeeds, is_repeatable=False)
    with pytest.raises(unittest.SkipTest, match="cannot be seeded"):
        tested.test_same_seeds_give_the_same_episodes()


def test_a_game_that_cannot_hold_slots_may_say_so():
    class Scene(Broken):
        def __init__(self):
            super().__init__()
            self.can_hold = False

    with pytest.raises(unittest.SkipTest, match="cannot hold"):
        conformance_of(Scene).test_slots_that_are_not_active_are_held()


def test_an_author_is_told_to_override_make():
    with pytest.raises(NotImplementedError, match="Override make"):
        GameConformance().test_close_may_be_called_twice()


def test_invalid_rows_may_hold_anything():
    nonsense = Moment(9.0, reward=float("nan"), step_type=7, discount=5.0, valid=False)
    script = [Moment(step_type=FIRST), nonsense, Moment(step_type=LAST), nonsense]
    tested = conformance_of(lambda: Scripted(script, script))
    for name in dir(tested):
        if name.startswith("test_") and name != (
            "test_episodes_do_not_depend_on_the_number_of_slots"
        ):
            getattr(tested, name)()


@pytest.mark.parametrize(
    ("spec", "low", "high"),
    [
        (specs.discrete(3, start=2), 2, 4),
        (specs.box((2,), -2.0, 3.0, dtype=np.float64), -2, 3),
        (specs.box((2,), [0.0, -np.inf], [np.inf, 0.0]), -np.inf, np.inf),
        (specs.box((3,)), -10, 10),
        (specs.box((3,), dtype=np.int32), 0, 9),
        (specs.box((), dtype=np.bool_), 0, 1),
        (specs.box((2,), 0, 1, dtype=np.int8), 0, 1),
    ],
    ids=str,
)
def test_random_actions_fit_their_spec(spec, low, high):
    values = playing.random_action({"a": (spec,)}, 50, np.random.default_rng(0))["a"][0]
    assert values.shape == (50, *spec.shape) and values.dtype == spec.dtype
    assert values.min() >= low and values.max() <= high
    assert len(np.unique(values)) > 1
    if spec.minimum is not None and spec.maximum is not None:
        assert (values >= spec.minimum).all() and (values <= spec.maximum).all()
