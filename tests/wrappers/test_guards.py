from __future__ import annotations

import numpy as np
import pytest

from gamebridge import contract, errors
from gamebridge.contract import FIRST, LAST, MID, specs
from gamebridge.wrappers import guards


class Obedient(contract.Game):
    """Two slots that do right, until `spoil` is called on the rows of step `at`."""

    num_slots = 2
    name = "toy/obedient"

    def __init__(self, spoil=None, at=3):
        self.spoil, self.at = spoil, at
        self.num_steps = 0
        self.rows = contract.new_time_step(self.observation_spec(), 2)
        self.actions = []

    def observation_spec(self):
        return {
            "camera": specs.frame(2, 2, 1),
            "gear": specs.discrete(5, name="gear"),
            "lidar": specs.box((3,), [0.0, -np.inf, 0.0], [1.0, np.inf, np.inf]),
            "pose": (specs.box((2, 2), dtype=np.float64),),
            "slip": specs.box((2,), [-np.inf, 0.0], 1.0),
            "speed": specs.box((), 0.0, 2.0),
        }

    def action_spec(self):
        return {"gas": specs.box((2,), -1.0, 1.0), "gear": specs.discrete(3, start=-1)}

    def reset(self, seeds=None, slots=None):
        self.rows.step_type[slice(None) if slots is None else slots] = FIRST
        return self._told()

    def step(self, action, active=None):
        self.num_steps += 1
        self.actions.append(action)
        types = self.rows.step_type
        moving = np.ones(2, bool) if active is None else active
        types[moving] = np.where(types[moving] == LAST, FIRST, MID)
        return self._told()

    def _told(self):
        if self.num_steps == self.at and self.spoil is not None:
            return self.spoil(self.rows) or self.rows
        return self.rows


def no_action():
    return {"gas": np.zeros((2, 2), np.float32), "gear": np.zeros(2, np.int64)}


def play(spoil, at=3, mode="refuse"):
    game = guards.ValueGuard(Obedient(spoil, at), mode)
    time_step = game.reset()
    for _ in range(5):
        time_step = game.step(no_action())
    return time_step


def setter(place, value, slot=1):
    """Returns what writes `value` into a leaf's row, at an index within it."""

    def spoil(rows):
        leaf, *index = place
        array = rows.observation[leaf] if leaf in rows.observation else getattr(rows, leaf)
        if isinstance(array, tuple):
            array = array[0]
        array[(slot, *index)] = value

    return spoil


def swapped(**leaves):
    return lambda rows: rows._replace(observation={**rows.observation, **leaves})


PLACE = "toy/obedient, slot 1, step 3: "
MEND = " Mend where it comes from: no learner can use it."
SPEC = " The game must keep to its own spec."
CLIP = SPEC + " Or set wrappers.guard=clip."
RULES = " The game must keep to the rules of gamebridge.contract.game."


def test_a_game_that_keeps_to_its_spec_passes_untouched():
    game = Obedient()
    guard = guards.ValueGuard(game)
    assert guard.reset() is game.rows
    assert guard.step(no_action()) is game.rows


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("lidar", 1), np.nan, "observation 'lidar'[1] is nan; expected a finite number." + MEND),
        (("lidar", 1), np.inf, "observation 'lidar'[1] is inf; expected a finite number." + MEND),
        (("lidar", 0), -0.5, "observation 'lidar'[0] is -0.5; expected [0.0, 1.0]." + CLIP),
        (("lidar", 2), -0.5, "observation 'lidar'[2] is -0.5; expected [0.0, inf]." + CLIP),
        (
            ("pose", 1, 0),
            -np.inf,
            "observation 'pose/0'[1, 0] is -inf; expected a finite number that float32 can hold."
            + MEND,
        ),
        (
            ("pose", 1, 0),
            -1e39,
            "observation 'pose/0'[1, 0] is -1e+39; expected a finite number that float32 can hold."
            + MEND,
        ),
        (("slip", 0), -np.inf, "observation 'slip'[0] is -inf; expected a finite number." + MEND),
        (("slip", 0), 1.5, "observation 'slip'[0] is 1.5; expected [-inf, 1.0]." + CLIP),
        (("speed",), np.nan, "observation 'speed' is nan; expected a finite number." + MEND),
        (("speed",), 2.5, "observation 'speed' is 2.5; expected [0.0, 2.0]." + CLIP),
        (("gear",), 5, "observation 'gear' is 5; expected [0, 4]." + CLIP),
        (("reward",), np.nan, "reward is nan; expected a finite number." + MEND),
        (("reward",), np.inf, "reward is inf; expected a finite number." + MEND),
        (("discount",), 1.5, "discount is 1.5; expected a number from 0 to 1." + RULES),
        (("discount",), np.nan, "discount is nan; expected a number from 0 to 1." + RULES),
        (("step_type",), FIRST, "step_type is FIRST after MID; expected MID or LAST." + RULES),
        (("step_type",), 7, "step_type is 7 after MID; expected MID or LAST." + RULES),
    ],
)
def test_the_first_bad_value_is_refused_and_named(place, value, message):
    with pytest.raises(errors.GameError) as caught:
        play(setter(place, value))
    assert str(caught.value) == PLACE + message


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            swapped(lidar=np.zeros((2, 4), np.float32)),
            "observation 'lidar' is float32 [2, 4]; expected float32 [2, 3]." + SPEC,
        ),
        (
            swapped(lidar=np.zeros((2, 3))),
            "observation 'lidar' is float64 [2, 3]; expected float32 [2, 3]." + SPEC,
        ),
        (swapped(gear=[0, 0]), "observation 'gear' is a list; expected int64 [2]." + SPEC),
        (
            lambda rows: rows._replace(observation={"camera": rows.observation["camera"]}),
            "the observation has other parts than its spec: expected the keys ['camera', 'gear', "
            "'lidar', 'pose', 'slip', 'speed'], got ['camera']." + SPEC,
        ),
        (
            swapped(pose=()),
            "the observation has other parts than its spec: expected a tuple of 1 parts, got 0."
            + SPEC,
        ),
        (
            lambda rows: rows._replace(reward=rows.reward.astype(np.float64)),
            "reward is float64 [2]; expected float32 [2]." + RULES,
        ),
        (
            lambda rows: rows._replace(valid=rows.valid[:1]),
            "valid is bool [1]; expected bool [2]." + RULES,
        ),
        (lambda rows: tuple(rows), "got a tuple; expected a TimeStep." + RULES),
    ],
)
def test_a_wrong_form_is_refused_and_named(spoil, message):
    with pytest.raises(errors.GameError) as caught:
        play(spoil)
    assert str(caught.value) == "toy/obedient, step 3: " + message


def test_faults_of_a_reset_are_named_as_such():
    game = guards.ValueGuard(Obedient(setter(("lidar", 0), np.nan), at=0))
    with pytest.raises(errors.GameError, match=r"^toy/obedient, slot 1, reset after step 0: obs"):
        game.reset()


def test_a_part_too_many_is_found_at_the_reset():
    game = guards.ValueGuard(Obedient(swapped(extra=np.zeros(2)), at=0))
    with pytest.raises(errors.GameError, match=r"reset after step 0: .* got \[.*'extra'"):
        game.reset()


def test_an_episode_starts_with_first():
    game = guards.ValueGuard(Obedient(setter(("step_type",), MID), at=0))
    with pytest.raises(errors.GameError, match=r"step_type is MID after a reset; expected FIRST"):
        game.reset()


def test_first_comes_after_last():
    game = Obedient()
    guard = guards.ValueGuard(game)
    guard.reset()
    guard.step(no_action())
    game.spoil, game.at = setter(("step_type",), LAST), 2
    guard.step(no_action())
    np.testing.assert_array_equal(guard.step(no_action()).step_type, [MID, FIRST])
    game.at = 4
    guard.step(no_action())
    game.spoil, game.at = setter(("step_type",), MID), 5
    with pytest.raises(errors.GameError, match=r"step_type is MID after LAST; expected FIRST"):
        guard.step(no_action())


def test_a_reset_in_mid_episode_starts_with_first_as_well():
    game = Obedient()
    guard = guards.ValueGuard(game)
    guard.reset()
    guard.step(no_action())
    guard.step(no_action())
    game.spoil, game.at = lambda rows: rows.step_type.fill(MID), 2
    with pytest.raises(errors.GameError, match=r"slot 0, reset after step 2: step_type is MID"):
        guard.reset()


def test_a_slot_that_moves_while_it_is_held_is_found_out():
    game = Obedient()
    guard = guards.ValueGuard(game)
    guard.reset()
    game.spoil, game.at = setter(("step_type",), LAST), 1
    guard.step(no_action())
    game.spoil, game.at = setter(("step_type",), MID), 2
    guard.step(no_action(), np.array([True, False]))
    with pytest.raises(errors.GameError, match=r"slot 1, step 3: step_type is MID after LAST"):
        guard.step(no_action())


@pytest.mark.parametrize("num_slots", [1, 2, 16, 17, 40])
@pytest.mark.parametrize(
    ("leaf", "value", "message"),
    [
        ("observation", 9.0, "observation is 9.0; expected"),
        ("observation", np.nan, "observation is nan; expected a finite number"),
        ("reward", -np.inf, "reward is -inf; expected a finite number"),
        ("discount", np.nan, "discount is nan; expected a number from 0 to 1"),
        ("discount", -0.5, "discount is -0.5; expected a number from 0 to 1"),
        ("step_type", LAST, "step_type is LAST after LAST; expected FIRST"),
        ("action", 7, "action is 7; expected"),
    ],
)
def test_few_slots_and_many_are_held_to_the_same(num_slots, leaf, value, message):
    class Wide(contract.Game):
        def __init__(self):
            self.num_slots = num_slots
            self.rows = contract.new_time_step(self.observation_spec(), num_slots)

        def observation_spec(self):
            return specs.box((), -1.0, 1.0)

        def action_spec(self):
            return specs.discrete(5, start=2)

        def reset(self, seeds=None, slots=None):
            return self.rows

        def step(self, action, active=None):
            self.rows.step_type[:] = (self.rows.step_type + 1) % 3
            self.rows.reward[:], self.rows.discount[:] = np.float32(3e38), 0.9
            return self.rows

    game = Wide()
    guard = guards.ValueGuard(game)
    guard.reset()
    action = np.full(num_slots, 2)
    for _ in range(4):
        guard.step(action)
    if leaf == "action":
        action[-1] = value
    else:
        guard.step(action)
        getattr(game.rows, leaf)[-1] = value
        game.step = lambda action, active: game.rows
        game.rows.step_type[:-1] = FIRST
        game.rows.step_type[-1] = LAST if leaf == "step_type" else FIRST
    with pytest.raises(errors.GameError, match=f"slot {num_slots - 1}, .*{message}"):
        guard.step(action)


def test_discounts_of_endings_pass():
    def end(rows):
        rows.step_type[1], rows.discount[1] = LAST, 0.0

    play(end, at=5)


def test_invalid_rows_may_hold_anything():
    def lose(rows):
        rows.valid[1] = False
        rows.step_type[1], rows.reward[1], rows.discount[1] = 77, np.nan, np.nan
        rows.observation["lidar"][1] = np.nan
        rows.observation["gear"][1] = 99

    assert not play(lose, at=5).valid[1]


def test_rows_of_held_slots_are_not_looked_at():
    game = Obedient()
    guard = guards.ValueGuard(game)
    game.rows.observation["lidar"][1] = np.nan
    game.rows.reward[1] = np.nan
    first = np.array([True, False])
    guard.reset(slots=first)
    guard.step(no_action(), first)
    with pytest.raises(errors.GameError, match="slot 1, step 2: "):
        guard.step(no_action())


def test_clipping_puts_values_into_bounds_in_copies():
    game = Obedient(at=0)
    guard = guards.ValueGuard(game, "clip")
    game.rows.observation["lidar"][1] = [-0.5, -7, 9]
    game.rows.observation["gear"][0] = 99
    observation = guard.reset().observation
    np.testing.assert_array_equal(observation["lidar"], [[0, 0, 0], [0, -7, 9]])
    np.testing.assert_array_equal(observation["gear"], [4, 0])
    assert observation["pose"][0] is game.rows.observation["pose"][0]
    assert observation["camera"] is game.rows.observation["camera"]
    assert game.rows.observation["gear"][0] == 99


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [("lidar", 0), ("lidar", 1), ("speed",), ("pose", 0, 0)])
def test_clipping_still_refuses_what_is_not_finite(place, value):
    with pytest.raises(errors.GameError, match=r"slot 1, step 3: .* expected a finite number"):
        play(setter(place, value), mode="clip")


ADVICE = " Whoever acts must keep to the action spec."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"gas": np.array([[0, 0], [0, 1.5]], np.float32)},
            "slot 1, step 1: action 'gas'[1] is 1.5; expected [-1.0, 1.0]."
            + ADVICE
            + " Or set wrappers.guard=clip.",
        ),
        (
            {"gas": np.array([[np.nan, 0], [0, 0]], np.float32)},
            "slot 0, step 1: action 'gas'[0] is nan; expected a finite number." + MEND,
        ),
        (
            {"gear": np.array([0, 2])},
            "slot 1, step 1: action 'gear' is 2; expected [-1, 1]."
            + ADVICE
            + " Or set wrappers.guard=clip.",
        ),
        (
            {"gas": np.zeros((2, 2))},
            "step 1: action 'gas' is float64 [2, 2]; expected float32 [2, 2]." + ADVICE,
        ),
        (
            {"gear": np.zeros((2, 1), np.int64)},
            "step 1: action 'gear' is int64 [2, 1]; expected int64 [2]." + ADVICE,
        ),
        ({"gear": 1}, "step 1: action 'gear' is a int; expected int64 [2]." + ADVICE),
    ],
)
def test_a_bad_action_is_refused_before_the_game_sees_it(change, message):
    game = Obedient()
    guard = guards.ValueGuard(game)
    guard.reset()
    with pytest.raises(errors.GameError) as caught:
        guard.step({**no_action(), **change})
    assert str(caught.value) == "toy/obedient, " + message
    assert game.actions == []


def test_an_action_without_its_parts_is_refused():
    guard = guards.ValueGuard(Obedient())
    guard.reset()
    with pytest.raises(
        errors.GameError, match=r"the action has other parts than its spec: expected the keys"
    ):
        guard.step({"gas": np.zeros((2, 2), np.float32)})


def test_clipping_puts_actions_into_bounds_in_copies():
    game = Obedient()
    guard = guards.ValueGuard(game, "clip")
    guard.reset()
    action = {"gas": np.full((2, 2), 3, np.float32), "gear": np.array([-4, 1])}
    guard.step(action)
    np.testing.assert_array_equal(game.actions[0]["gas"], np.ones((2, 2)))
    np.testing.assert_array_equal(game.actions[0]["gear"], [-1, 1])
    assert action["gas"][0, 0] == 3


def test_the_action_of_a_held_or_restarting_slot_may_hold_anything():
    game = Obedient()
    guard = guards.ValueGuard(game)
    guard.reset()
    bad = no_action()
    bad["gas"][1] = np.nan
    guard.step(bad, np.array([True, False]))
    game.spoil, game.at = setter(("step_type",), LAST), 2
    guard.step(no_action())
    guard.step(bad)
    with pytest.raises(errors.GameError, match=r"slot 1, step 4: action 'gas'\[0\] is nan"):
        guard.step(bad)


@pytest.mark.parametrize(("at", "moment"), [(0, "reset after step 0"), (3, "step 3")])
def test_an_exception_of_the_game_names_game_and_step(at, moment):
    def fail(rows):
        raise ZeroDivisionError("no wheels")

    with pytest.raises(errors.GameError) as caught:
        play(fail, at=at)
    assert str(caught.value) == (
        f"toy/obedient, {moment}: the game raised ZeroDivisionError: no wheels. Expected a time "
        "step; the traceback of the cause says where to look."
    )
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("at", [0, 3])
def test_our_own_errors_pass_as_they_are(at):
    def fail(rows):
        raise errors.PlayerError("gone")

    with pytest.raises(errors.PlayerError, match=r"^gone$"):
        play(fail, at=at)


def test_a_single_leaf_is_named_by_its_spec():
    class Bare(Obedient):
        def observation_spec(self):
            return specs.box((2,), name="state")

        def action_spec(self):
            return specs.discrete(2)

    guard = guards.ValueGuard(Bare(lambda rows: rows.observation.fill(np.nan), at=0))
    with pytest.raises(errors.GameError, match=r"slot 0, .*: observation 'state'\[0\] is nan"):
        guard.reset()
    guard = guards.ValueGuard(Bare())
    guard.reset()
    with pytest.raises(errors.GameError, match=r"slot 0, step 1: action is 2; expected \[0, 1\]"):
        guard.step(np.array([2, 0]))


def test_bools_and_whole_ranges_have_no_bounds_to_break():
    class Plain(Obedient):
        def observation_spec(self):
            return (
                specs.box((2,), 0, 1, dtype=np.bool_),
                specs.box((2,), 0, 255, dtype=np.uint8),
                specs.box((2,), -np.inf, np.inf),
            )

    game = Plain()
    guard = guards.ValueGuard(game, "clip")
    told = guard.reset().observation
    assert all(ours is theirs for ours, theirs in zip(told, game.rows.observation, strict=True))


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match=r"^mode is 'off': expected 'refuse' or 'clip'\.$"):
        guards.ValueGuard(Obedient(), "off")
