"""What behaviours are as specs, and how their rows and actions are converted."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import specs
from gamebridge_unity import behaviors, fields

_VECTOR = behaviors.Observation("VectorSensor_size4", (4,))
_FRAME = behaviors.Observation("Main Camera", (8, 6, 3), is_frame=True)
_BUFFER = behaviors.Observation("BufferSensor-Enemies", (5, 2), is_variable=True)


def _fields(*observations, num_continuous=0, branches=(3,), masks=False):
    behavior = behaviors.Behavior("Car?team=0", observations, num_continuous, branches)
    return fields.Fields(behavior, masks=masks)


def test_one_observation_is_a_leaf():
    assert _fields(_VECTOR).observation_spec == specs.box((4,))
    assert _fields(_FRAME).observation_spec == specs.frame(8, 6, 3)
    assert _fields(_BUFFER).observation_spec == specs.box((5, 2))


def test_several_are_a_dict_by_cleaned_names():
    goal = behaviors.Observation("Kind", (2,), is_goal=True)
    spec = _fields(_FRAME, _VECTOR, _BUFFER, goal).observation_spec
    assert list(spec) == ["Main_Camera", "VectorSensor_size4", "BufferSensor_Enemies", "goal_Kind"]


def test_names_are_identifiers_and_different():
    names = ["7 rays", "é", "a-b", "a b"]
    made = _fields(*(behaviors.Observation(name, (1,)) for name in names))
    assert made.names == ("sensor_7_rays", "observation", "a_b", "a_b_2")


def test_a_stack_of_values_that_are_no_picture_is_an_array():
    grid = behaviors.Observation("grid", (4, 4, 2))
    assert _fields(grid).observation_spec == specs.box((4, 4, 2))


@pytest.mark.parametrize(
    ("num_continuous", "branches", "expected"),
    [
        (2, (), specs.box((2,), -1, 1)),
        (0, (5,), specs.discrete(5)),
        (0, (3, 2), specs.box((2,), 0, [2, 1], dtype=np.int64)),
        (1, (4,), {"continuous": specs.box((1,), -1, 1), "discrete": specs.discrete(4)}),
    ],
)
def test_actions_are_one_spec_of_each_kind(num_continuous, branches, expected):
    made = _fields(_VECTOR, num_continuous=num_continuous, branches=branches)
    assert specs.first_difference(made.action_spec, expected) is None


def test_actions_are_what_is_sent():
    made = _fields(_VECTOR, num_continuous=1, branches=(3, 2))
    action = {"continuous": np.float32([[0.5], [-1]]), "discrete": np.array([[2, 1], [0, 0]])}
    continuous, discrete = made.actions(action, 2, "unity/x")
    assert continuous.dtype == np.float32 and discrete.dtype == np.int32
    assert continuous.tolist() == [[0.5], [-1]] and discrete.tolist() == [[2, 1], [0, 0]]
    one = _fields(_VECTOR).actions(np.array([1, 2]), 2, "unity/x")
    assert one.continuous is None and one.discrete.tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("action", "error", "text"),
    [
        (np.zeros((2, 1), np.int64), ValueError, r"int64 \[2, 1\]; expected int64 \[2\]"),
        (np.zeros(2), TypeError, r"float64 \[2\]; expected numbers of the kind of int64"),
    ],
)
def test_an_action_that_does_not_fit_is_refused(action, error, text):
    with pytest.raises(error, match=text):
        _fields(_VECTOR).actions(action, 2, "unity/x")


def test_a_hybrid_action_that_is_no_dict_is_refused():
    made = _fields(_VECTOR, num_continuous=1)
    with pytest.raises(ValueError, match=r"is a dict of .'continuous'.; expected a dict of 'cont"):
        made.actions({"continuous": np.zeros((2, 1), np.float32)}, 2, "unity/x")


def test_masks_are_observed_beside_the_observation():
    made = _fields(_VECTOR, branches=(3, 2), masks=True)
    assert list(made.observation_spec) == ["observation", "action_mask"]
    rows = specs.zeros(made.observation_spec, 3)
    seen = np.arange(8, dtype=np.float32).reshape(2, 4)
    masks = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 1]], bool)
    made.write(made.leaves(rows), np.array([2, 0]), (seen,), np.array([0, 1]), masks)
    assert rows["observation"][2].tolist() == [0, 1, 2, 3]
    first, second = rows["action_mask"]
    assert first.tolist() == [[False, True, True], [False] * 3, [True, False, True]]
    assert second.tolist() == [[False, True], [False] * 2, [True, False]]
    made.write(made.leaves(rows), np.array([2]), (seen,), np.array([0]), None)
    assert first[2].all() and second[2].all()


def test_one_branch_has_one_mask():
    assert _fields(_VECTOR, masks=True).observation_spec["action_mask"].shape == (3,)


def test_forbidden_actions_are_told_by_their_masks():
    made = _fields(_VECTOR, branches=(3, 2))
    masks = np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]], bool)
    chosen = np.array([[1, 0], [2, 1], [0, 1], [1, 1]], np.int32)
    forbidden = made.forbidden(chosen, masks, np.array([0, 0, 0, 1]))
    assert forbidden.tolist() == [True, True, True, False]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2], [0, 2, 1], []])
def test_rows_go_where_they_belong(order):
    made = _fields(_VECTOR, _FRAME)
    rows = specs.zeros(made.observation_spec, 4)
    seen = np.random.default_rng(0).random((3, 4), np.float32)
    frames = np.arange(3, dtype=np.uint8).repeat(144).reshape(3, 8, 6, 3)
    source, slots = np.arange(len(order)), np.array(order, np.int64)
    made.write(made.leaves(rows), slots, (seen, frames), source, None)
    for row, slot in zip(source, slots, strict=True):
        assert rows["VectorSensor_size4"][slot].tolist() == seen[row].tolist()
        assert (rows["Main_Camera"][slot] == row).all()


def test_a_behaviour_that_cannot_be_learnt_is_refused():
    with pytest.raises(errors.GameError, match="takes no actions; expected some to learn"):
        _fields(_VECTOR, branches=())
    with pytest.raises(errors.GameError, match="has no observations; expected some to learn from"):
        _fields()
