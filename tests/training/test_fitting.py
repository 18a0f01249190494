"""Fitting an agent to a game: what is adapted is said, and what cannot be is refused."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import FIRST, AgentNeeds, AgentRecord, specs
from gamebridge.testing import fakes
from gamebridge.training import fitting
from gamebridge.wrappers import actions
from gamebridge.wrappers.settings import WrapperSettings

DISCRETE = AgentRecord("disc", "One integer.", print, AgentNeeds(("discrete",)))
CONTINUOUS = AgentRecord("cont", "Floats.", print, AgentNeeds(("continuous",)))
ANY = AgentRecord("any", "Both.", print)


def game(action_spec):
    return fakes.Scripted([fakes.Moment(step_type=FIRST)], action_spec=action_spec)


@pytest.mark.parametrize(
    ("record", "spec"),
    [
        (DISCRETE, specs.discrete(3)),
        (CONTINUOUS, specs.box((2,), -1.0, 1.0)),
        (CONTINUOUS, specs.box((2,))),
        (ANY, specs.discrete(3)),
        (ANY, specs.box((1,), -1.0, 1.0)),
    ],
)
def test_what_fits_is_left_as_it_is(record, spec):
    plain = game(spec)
    fitted, notes = fitting.fit(record, plain)
    assert fitted is plain
    assert notes == []


@pytest.mark.parametrize(
    ("record", "spec", "offered"),
    [
        (DISCRETE, specs.discrete(3, start=2), specs.discrete(3)),
        (DISCRETE, specs.discrete(3, start=-1, dtype=np.int32), specs.discrete(3, dtype=np.int32)),
        (CONTINUOUS, specs.box((2, 2), 0.0, 5.0), specs.box((4,), -1.0, 1.0)),
        (CONTINUOUS, specs.box((), 0.0, 5.0, dtype=np.float64), specs.box((1,), -1.0, 1.0)),
    ],
)
def test_what_can_be_adapted_is_and_a_line_says_how(record, spec, offered):
    fitted, (note,) = fitting.fit(record, game(spec))
    assert fitted.action_spec() == offered
    assert note == f"action: {spec} is offered as {offered}"


BRANCHES = AgentRecord("many", "Integers.", print, AgentNeeds(("discrete", "branches")))
EVERYTHING = AgentRecord(
    "all", "Any.", print, AgentNeeds(("discrete", "continuous", "branches", "hybrid"))
)
TWO = specs.box((2,), 0, [1, 2], dtype=np.int64)
HYBRID = (specs.box((), dtype=np.bool_), specs.box((1,), 0.0, 4.0))


@pytest.mark.parametrize(
    ("record", "spec", "offered", "said"),
    [
        (
            DISCRETE,
            TWO,
            specs.discrete(6),
            "all choices are made together, one integer for each of 2 x 3 combinations",
        ),
        (
            DISCRETE,
            specs.box((2,), 0.0, 4.0),
            specs.discrete(121),
            "each float is one of 11 values, one integer for each of 11 x 11 combinations",
        ),
        # 5 to the power of 5 fit into 4,096, 7 do not.
        (DISCRETE, specs.box((5,), -1.0, 1.0), specs.discrete(3125), "one of 5 values"),
        (DISCRETE, HYBRID, specs.discrete(22), "11 values, one integer for each of 2 x 11"),
        (
            CONTINUOUS,
            specs.discrete(3),
            specs.box((3,), -1.0, 1.0),
            "floats say how much each of 3 values is preferred; training draws one by them, "
            "evaluation takes the greatest",
        ),
        (CONTINUOUS, TWO, specs.box((5,), -1.0, 1.0), "each of 2 and 3 values"),
        (CONTINUOUS, HYBRID, specs.box((3,), -1.0, 1.0), "each of 2 values"),
        (ANY, TWO, specs.discrete(6), "all choices"),
        (ANY, HYBRID, specs.box((3,), -1.0, 1.0), "floats say"),
        (
            BRANCHES,
            specs.box((9,), -1.0, 1.0),
            tuple([specs.discrete(3)] * 9),
            "each float is one of 3 values, 9 choices in all",
        ),
    ],
    ids=str,
)
def test_other_forms_of_action_are_adapted(record, spec, offered, said):
    fitted, notes = fitting.fit(record, game(spec))
    assert fitted.action_spec() == offered
    assert notes[-1].startswith("action: ")
    assert said in notes[-1]


def test_several_choices_are_made_as_one_where_their_combinations_are_few():
    fitted, _ = fitting.fit(BRANCHES, game(TWO))
    assert fitted.action_spec() == specs.discrete(6)
    fitted, _ = fitting.fit(BRANCHES, game(TWO), WrapperSettings(max_actions=5))
    assert fitted.action_spec() == (specs.discrete(2), specs.discrete(3))


@pytest.mark.parametrize("spec", [TWO, HYBRID, specs.discrete(2), specs.box((1,), -1.0, 1.0)])
def test_an_agent_that_gives_every_form_gets_the_games_own(spec):
    fitted, _ = fitting.fit(EVERYTHING, game(spec))
    assert isinstance(fitted, actions.Canonical) or fitted.action_spec() == spec


def test_the_settings_say_how_finely_floats_are_cut():
    spec = specs.box((2,), -1.0, 1.0)
    fitted, _ = fitting.fit(DISCRETE, game(spec), WrapperSettings(action_bins=4))
    assert fitted.action_spec() == specs.discrete(16)
    fitted, _ = fitting.fit(DISCRETE, game(spec), WrapperSettings(max_actions=30))
    assert fitted.action_spec() == specs.discrete(25)
    fitted, notes = fitting.fit(DISCRETE, game(spec), WrapperSettings(action_bins=(11, 3)))
    assert fitted.action_spec() == specs.discrete(33)
    assert "floats are each one of 11 and 3 values, one integer for each of 11 x 3" in notes[-1]
    # Whoever gives floats has no use for them.
    assert fitting.fit(CONTINUOUS, game(spec), WrapperSettings(action_bins=(2,)))[1] == []


def test_values_that_are_too_many_or_for_other_floats_are_refused():
    spec = specs.box((2,), -1.0, 1.0)
    with pytest.raises(
        errors.FitError, match=r"1,048,576 comb.* Set smaller wrappers\.action_bins"
    ):
        fitting.fit(DISCRETE, game(spec), WrapperSettings(action_bins=(1024, 1024)))
    with pytest.raises(errors.FitError, match=r"is \[5, 5, 5\], and the action .* has 2 of such"):
        fitting.fit(DISCRETE, game(spec), WrapperSettings(action_bins=(5, 5, 5)))


def masked(spec, masks):
    seen = {"observation": specs.box((1,)), "action_mask": masks}
    return fakes.Scripted([fakes.Moment(step_type=FIRST)], action_spec=spec, observation_spec=seen)


def test_masks_of_the_right_sizes_pass():
    masks = (specs.box((2,), dtype=np.bool_), specs.box((3,), dtype=np.int8))
    for record in (DISCRETE, CONTINUOUS, BRANCHES):
        fitting.fit(record, masked(TWO, masks))


@pytest.mark.parametrize(
    ("masks", "shown"),
    [
        (specs.box((5,), dtype=np.bool_), r"bool \[5\]"),
        ((specs.box((2,)), specs.box((3,))), r"float32 \[2\], float32 \[3\]"),
    ],
)
def test_other_masks_are_refused(masks, shown):
    expected = rf"its action_mask is {shown}, and its choices have \[2, 3\] values"
    with pytest.raises(errors.FitError, match=expected):
        fitting.fit(DISCRETE, masked(TWO, masks))


@pytest.mark.parametrize(
    ("record", "spec", "wants"),
    [
        (
            DISCRETE,
            specs.box((9,), -1.0, 1.0),
            r"it gives one integer, and the game takes float32 \[9\] in \[-1, 1\], which makes "
            r"19,683 combinations; wrappers.max_actions allows 4,096\. Set wrappers.max_actions to "
            "19683, or choose another agent",
        ),
        (
            DISCRETE,
            specs.box((2,)),
            r"the game takes .*, whose floats have no bounds .* Set wrappers.action_bound, or",
        ),
        (CONTINUOUS, (specs.discrete(2), specs.box((1,))), "it gives one array of floats"),
        (DISCRETE, specs.discrete(10**6), "it takes one integer out of 1,000,000"),
        (EVERYTHING, specs.box((0,)), r"its action has float32 \[0\]"),
        (
            ANY,
            {"a": specs.box((), dtype=np.int64)},
            r"its action has a: int64 \[\]\. Agents give fl",
        ),
        (ANY, ((),), r"its action has no parts"),
    ],
)
def test_what_cannot_be_joined_is_refused_by_name(record, spec, wants):
    with pytest.raises(
        errors.FitError, match=rf"^{record.id} cannot play testing/scripted: .*{wants}"
    ) as caught:
        fitting.fit(record, game(spec))
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (None, None, ([-2.0, -2.0], [2.0, 2.0])),
        ([-np.inf, -1.0], [np.inf, 1.0], ([-2.0, -1.0], [2.0, 1.0])),
        ([5.0, -3.4e38], [np.inf, -7.0], ([5.0, -11.0], [9.0, -7.0])),
    ],
)
def test_floats_without_bounds_get_those_that_are_asked_for(low, high, expected):
    endless = game(specs.box((2,), low, high))
    with pytest.raises(errors.FitError, match=r"Set wrappers\.action_bound"):
        fitting.fit(DISCRETE, endless)
    fitted, notes = fitting.fit(DISCRETE, endless, WrapperSettings(action_bound=2.0))
    assert notes[0].startswith("action: bounded, now float32 [2] in ")
    least, most = specs.box((2,), *expected).minimum, specs.box((2,), *expected).maximum
    told = []
    endless.step = lambda action, active=None: told.append(np.copy(action))
    for choice in (0, fitted.action_spec().num_values - 1):
        fitted.step(np.array([choice]))
    np.testing.assert_allclose(told, [[least], [most]])


def test_a_game_with_a_leaf_in_which_there_is_nothing_to_see_is_refused():
    empty = game(specs.discrete(3))
    spec = {"far": specs.box((2,)), "near": specs.box((0,))}
    empty.observation_spec = lambda: spec
    with pytest.raises(errors.FitError, match=r"near is float32 \[0\], with nothing to see"):
        fitting.fit(ANY, empty)
