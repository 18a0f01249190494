"""Policies of agents that do not learn."""

from __future__ import annotations

import types

import numpy as np
import pytest

from gamebridge import errors
from gamebridge_unity import behaviors, others

_HYBRID = behaviors.Behavior("Car?team=0", (), 2, (3, 2))


def _batch(count, masks=None, behavior=_HYBRID):
    return types.SimpleNamespace(ids=np.arange(count), masks=masks, behavior=behavior)


def test_random_actions_are_seeded_and_in_bounds():
    batch = _batch(1000)
    actions = others.make("random", 3)(batch)
    again = others.make("random", 3)(batch)
    assert np.array_equal(actions.continuous, again.continuous)
    assert actions.continuous.dtype == np.float32 and np.all(np.abs(actions.continuous) <= 1)
    counts = np.bincount(actions.discrete[:, 0], minlength=3)
    assert actions.discrete.dtype == np.int32 and counts.min() > 250
    assert set(actions.discrete[:, 1]) == {0, 1}


@pytest.mark.parametrize("setting", ["random", "zero", (0.5, -0.5, 1, 0)])
def test_what_is_forbidden_is_not_done(setting):
    masks = np.tile(np.array([False, False, True, False, True]), (50, 1))
    actions = others.make(setting, 0)(_batch(50, masks))
    assert np.all(actions.discrete == [2, 1])


def test_zero_does_nothing():
    actions = others.make("zero", 0)(_batch(2))
    assert not actions.continuous.any() and not actions.discrete.any()


def test_a_fixed_action_is_done_by_all():
    actions = others.make((0.5, -0.5, 2, 1), 0)(_batch(2))
    assert actions.continuous.tolist() == [[0.5, -0.5]] * 2
    assert actions.discrete.tolist() == [[2, 1]] * 2


@pytest.mark.parametrize("values", [(0.5,), (0, 0, 3, 0), (0, 0, 0.5, 0)])
def test_a_fixed_action_that_does_not_fit_is_refused(values):
    with pytest.raises(errors.ConfigError, match="takes 2 continuous values and one of each"):
        others.make(values, 0)(_batch(1))


def test_kinds_that_a_behaviour_does_not_have_are_none():
    walker = behaviors.Behavior("Walker", (), 0, (3,))
    flyer = behaviors.Behavior("Flyer", (), 2, ())
    assert others.make("random", 0)(_batch(1, None, walker)).continuous is None
    assert others.make("random", 0)(_batch(1, None, flyer)).discrete is None
