"""Floats cut into choices, and several choices made one, masks along with them."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import contract
from gamebridge.contract import specs
from gamebridge.wrappers import choices, preferences

TWO = (specs.discrete(2), specs.discrete(3, dtype=np.int32))
HYBRID = (specs.discrete(3), specs.box((2,), -1.0, 1.0))


class Masked(contract.Game):
    """Keeps its action and shows the masks that it was made with."""

    num_slots = 2

    def __init__(self, spec, masks=None):
        self.spec = spec
        seen = specs.box((1,))
        if masks is not None:
            widths = specs.map_leaves(
                lambda mask: specs.box(mask.shape[1:], dtype=mask.dtype), masks
            )
            seen = {"observation": seen, "action_mask": widths}
        self.seen = seen
        self.rows = contract.new_time_step(seen, 2)
        self.masks = masks

    def observation_spec(self):
        return self.seen

    def action_spec(self):
        return self.spec

    def _show(self):
        if self.masks is not None:
            specs.map_leaves(np.copyto, self.rows.observation["action_mask"], self.masks)
        return self.rows

    def reset(self, seeds=None, slots=None):
        return self._show()

    def step(self, action, active=None):
        self.action, self.active = specs.map_leaves(np.array, action), active
        return self._show()


def same(nest, expected):
    specs.map_leaves(np.testing.assert_array_equal, nest, expected)


def test_each_combination_is_a_choice_and_the_first_varies_slowest():
    game = Masked(TWO)
    combined = choices.Combined(game)
    assert combined.action_spec() == specs.discrete(6)
    told = []
    for number in range(6):
        combined.step(np.array([number, 5 - number]))
        told.append((int(game.action[0][0]), int(game.action[1][0])))
        assert [rows.dtype for rows in game.action] == [np.int64, np.int32]
    assert told == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_a_combination_is_allowed_where_all_its_choices_are():
    masks = (np.array([[1, 0], [1, 1]], np.int8), np.array([[1, 0, 1], [0, 0, 1]], np.bool_))
    combined = choices.Combined(Masked(TWO, masks))
    assert combined.observation_spec()["action_mask"] == specs.box((6,), dtype=np.bool_)
    expected = [[1, 0, 1, 0, 0, 0], [0, 0, 1, 0, 0, 1]]
    for time_step in (combined.reset(), combined.step(np.zeros(2, np.int64))):
        np.testing.assert_array_equal(time_step.observation["action_mask"], expected)
        np.testing.assert_array_equal(time_step.observation["observation"], np.zeros((2, 1)))


def test_each_float_is_a_choice_of_evenly_spaced_values():
    game = Masked(specs.box((2,), -1.0, 1.0))
    binned = choices.Binned(game, [5, 3])
    assert binned.action_spec() == (specs.discrete(5), specs.discrete(3))
    binned.step((np.array([0, 3]), np.array([1, 2])))
    np.testing.assert_array_equal(game.action, [[-1, 0], [0.5, 1]])
    assert game.action.dtype == np.float32


def test_choices_beside_floats_stay_choices():
    game = Masked(HYBRID)
    binned = choices.Binned(game, [3, 3])
    assert binned.action_spec() == (specs.discrete(3), specs.discrete(3), specs.discrete(3))
    binned.step((np.array([2, 0]), np.array([0, 1]), np.array([2, 2])))
    same(game.action, (np.array([2, 0]), np.array([[-1, 1], [0, 1]])))


def test_all_values_of_a_float_are_allowed():
    mask = np.array([[1, 0, 1], [0, 1, 0]], np.bool_)
    binned = choices.Binned(Masked(HYBRID, mask), [2, 4])
    widths = [leaf.shape for leaf in specs.leaves(binned.observation_spec()["action_mask"])]
    assert widths == [(3,), (2,), (4,)]
    everything = np.ones((2, 2)), np.ones((2, 4))
    same(binned.reset().observation["action_mask"], (mask, *everything))


def test_rows_can_be_kept_only_where_no_mask_is_made_here():
    class Kept(Masked):
        can_keep_rows = True

    assert choices.Combined(Kept(TWO)).can_keep_rows
    masks = (np.ones((2, 2), np.bool_), np.ones((2, 3), np.bool_))
    assert not choices.Combined(Kept(TWO, masks)).can_keep_rows
    assert preferences.Preferences(Kept(TWO, masks)).can_keep_rows


def test_what_is_preferred_most_is_taken_and_floats_stay():
    game = Masked(HYBRID)
    wrapper = preferences.Preferences(game)
    assert wrapper.action_spec() == specs.box((5,), -1.0, 1.0)
    assert wrapper.preferences == ((0, 3),)
    wrapper.step(np.array([[0.1, 0.3, 0.2, -0.5, 2.0], [9, 0, 0, 0, -3.0]], np.float32))
    same(game.action, (np.array([1, 0]), np.array([[-0.5, 1], [0, -1]])))


def test_what_is_forbidden_is_not_taken_unless_everything_is():
    masks = (np.array([[1, 0], [0, 0]], np.bool_), np.array([[0, 1, 1], [1, 0, 0]], np.int8))
    game = Masked(TWO, masks)
    wrapper = preferences.Preferences(game)
    action = np.array([[0, 1, 0.9, 0.1, 0.2], [0, 1, 0, 0.5, 1]], np.float32)
    wrapper.reset()
    wrapper.step(action)
    same(game.action, (np.array([0, 1]), np.array([2, 0])))
    # The masks are those that were seen before the step.
    game.masks = (np.ones((2, 2), np.bool_), np.ones((2, 3), np.bool_))
    wrapper.step(action)
    same(game.action, (np.array([0, 1]), np.array([2, 0])))
    wrapper.step(action)
    same(game.action, (np.array([1, 1]), np.array([0, 2])))


@pytest.mark.parametrize(
    "wrap", [choices.Combined, lambda game: choices.Binned(game, [3]), preferences.Preferences]
)
def test_active_is_handed_on(wrap):
    game = Masked(TWO)
    wrapper = wrap(game)
    active = np.array([True, False])
    action = specs.zeros(wrapper.action_spec(), 2)
    wrapper.step(action, active)
    assert game.active is active


def test_floats_without_bounds_are_no_neighbours_of_preferences():
    with pytest.raises(TypeError, match=r"the action has float32 \[1\]; expected bounded floats"):
        preferences.Preferences(Masked((specs.discrete(2), specs.box((1,)))))
