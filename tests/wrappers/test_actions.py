from __future__ import annotations

import numpy as np
import pytest

from gamebridge import contract, errors
from gamebridge.contract import specs
from gamebridge.wrappers import actions, guards


class Listener(contract.Game):
    """Keeps the last action it was given."""

    num_slots = 2

    def __init__(self, spec):
        self.spec = spec
        self.rows = contract.new_time_step(self.observation_spec(), 2)

    def observation_spec(self):
        return specs.box((1,))

    def action_spec(self):
        return self.spec

    def reset(self, seeds=None, slots=None):
        self.rows.step_type[:] = contract.FIRST
        return self.rows

    def step(self, action, active=None):
        self.action, self.active = action, active
        self.rows.step_type[:] = contract.MID
        return self.rows


def heard(spec, action):
    """Returns what the game hears through its canonical wrapper, with the guard between."""
    listener = Listener(spec)
    game, _ = actions.canonical(guards.ValueGuard(listener))
    game.reset()
    game.step(action)
    return listener.action


@pytest.mark.parametrize(
    "spec",
    [
        specs.discrete(4),
        specs.discrete(4, dtype=np.int32),
        specs.box((2,), -1.0, 1.0),
        specs.box((2,)),
        specs.box((), dtype=np.int64),
        specs.box((0,), 0, 3, dtype=np.int64),
        (specs.discrete(2), specs.discrete(3)),
        (specs.discrete(2), specs.box((1,), -1.0, 1.0)),
        {"gas": specs.box((1,), 0.0, 1.0), "gear": specs.box((), dtype=np.int64)},
        (),
    ],
)
def test_what_agents_know_and_what_cannot_be_helped_stays(spec):
    game = Listener(spec)
    assert actions.canonical(game) == (game, [])


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8])
def test_an_integer_that_starts_elsewhere_starts_at_0(dtype):
    spec = specs.discrete(3, start=2, name="gear", dtype=dtype)
    game, lines = actions.canonical(Listener(spec))
    offered = np.int32 if dtype == np.int32 else np.int64
    assert game.action_spec() == specs.discrete(3, dtype=offered)
    name = np.dtype(dtype).name
    assert lines == [
        f"action: {name} [] in [2, 4] is offered as {np.dtype(offered).name} [] in [0, 2]"
    ]
    action = heard(spec, np.array([0, 2], offered))
    np.testing.assert_array_equal(action, [2, 4])
    assert action.dtype == dtype


def test_a_bounded_box_becomes_flat_and_scaled():
    spec = specs.box((2, 2), [[0, -2], [-8, 1]], [[1, 2], [-4, 1]], dtype=np.float64)
    game, lines = actions.canonical(Listener(spec))
    assert game.action_spec() == specs.box((4,), -1.0, 1.0)
    assert len(lines) == 1
    assert lines[0].startswith("action: float64 [2, 2] in ")
    assert lines[0].endswith(" is offered as float32 [4] in [-1, 1]")
    action = heard(spec, np.array([[-1, -1, -1, -1], [1, 0, 0.5, 1]], np.float32))
    assert action.dtype == np.float64
    np.testing.assert_array_equal(action, [[[0, -2], [-8, 1]], [[1, 0], [-5, 1]]])


def test_a_scalar_box_becomes_rank_1():
    spec = specs.box((), 0.0, 10.0)
    assert actions.canonical(Listener(spec))[0].action_spec() == specs.box((1,), -1.0, 1.0)
    np.testing.assert_array_equal(heard(spec, np.array([[0], [1]], np.float32)), [5, 10])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scaling_never_leaves_the_games_bounds(dtype):
    rng = np.random.default_rng(0)
    low = rng.uniform(-3, 0, 500)
    spec = specs.box((500,), low, low + rng.uniform(0, 3, 500), dtype=dtype)
    for edge in (-1.0, 1.0, -1.7, 1.7):
        # The guard behind it would refuse a value out of bounds.
        action = heard(spec, np.full((2, 500), edge, np.float32))
        expected = spec.minimum if edge < 0 else spec.maximum
        np.testing.assert_allclose(action[0], expected, atol=4 * np.finfo(dtype).eps)


def test_wide_bounds_do_not_overflow():
    spec = specs.box((1,), -9e29, 9e29)
    np.testing.assert_allclose(heard(spec, np.array([[-1], [1]], np.float32)), [[-9e29], [9e29]])


def test_an_unbounded_box_becomes_flat_and_unscaled():
    spec = specs.box((1, 2), dtype=np.float64)
    game, lines = actions.canonical(Listener(spec))
    assert game.action_spec() == specs.box((2,))
    assert lines == ["action: float64 [1, 2] is offered as float32 [2]"]
    action = heard(spec, np.array([[3, -4], [0, 9]], np.float32))
    np.testing.assert_array_equal(action, [[[3, -4]], [[0, 9]]])
    assert action.dtype == np.float64


def test_a_half_bounded_box_keeps_its_bounds_and_is_clipped_to_them():
    spec = specs.box((2,), [0.1, -1e300], [np.inf, 5.0], dtype=np.float64)
    game, _ = actions.canonical(Listener(spec))
    offered = game.action_spec()
    most = np.finfo(np.float32).max
    assert offered == specs.box((2,), [np.float32(0.1), -most], [np.inf, 5.0])
    action = heard(spec, np.array([[0.05, 9], [7, -9]], np.float32))
    np.testing.assert_array_equal(action, [[0.1, 5], [7, -9]])


def test_nan_is_left_to_the_guard():
    spec = specs.box((1,), 0.0, 1.0)
    with pytest.raises(errors.GameError, match=r"action\[0\] is nan"):
        heard(spec, np.array([[0], [np.nan]], np.float32))


def test_active_is_handed_on():
    listener = Listener(specs.box((1,), 0.0, 2.0))
    active = np.array([True, False])
    actions.canonical(listener)[0].step(np.zeros((2, 1), np.float32), active)
    assert listener.active is active
    listener = Listener(specs.discrete(2, start=1))
    actions.canonical(listener)[0].step(np.zeros(2, np.int64), active)
    assert listener.active is active


_THREE = specs.discrete(3, dtype=np.int64)


@pytest.mark.parametrize(
    ("spec", "offered", "action", "taken"),
    [
        (
            specs.box((2,), [0, -1], [2, 1], dtype=np.int16),
            (_THREE, _THREE),
            ([0, 2], [0, 1]),
            [[0, -1], [2, 0]],
        ),
        (
            specs.box((2, 1), 1, [[2], [3]], dtype=np.int32),
            (specs.discrete(2, dtype=np.int32), specs.discrete(3, dtype=np.int32)),
            ([0, 1], [2, 1]),
            [[[1], [3]], [[2], [2]]],
        ),
        (
            specs.box((2,), dtype=np.bool_),
            (specs.discrete(2), specs.discrete(2)),
            ([0, 1], [1, 1]),
            [[False, True], [True, True]],
        ),
        (specs.box((), dtype=np.bool_), specs.discrete(2), [0, 1], [False, True]),
        ((specs.discrete(2, start=1),), specs.discrete(2), [0, 1], ([1, 2],)),
        ({"a": specs.box((1,), 0.0, 1.0)}, specs.box((1,), -1.0, 1.0), [[0], [1]], [[0.5], [1]]),
        (specs.box((1,), 0, 4, dtype=np.uint8), specs.discrete(5), [0, 4], [[0], [4]]),
        (
            (specs.box((1,), 0.0, 4.0), specs.box((), -1.0, 1.0, dtype=np.float64)),
            specs.box((2,), -1.0, 1.0),
            [[0, 0.5], [1, -2]],
            ([[2], [4]], [0.5, -1]),
        ),
        (
            (specs.box((1,), 0.0, 4.0), specs.box((2,))),
            specs.box((3,), [-1, -np.inf, -np.inf], [1, np.inf, np.inf]),
            [[0, 7, 8], [1, -2, 0]],
            ([[2], [4]], [[7, 8], [-2, 0]]),
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_structured_actions_become_one_part_or_a_tuple_of_parts(spec, offered, action, taken):
    game, (line,) = actions.canonical(Listener(spec))
    assert game.action_spec() == offered
    assert " is offered as " in line
    told = specs.map_leaves(lambda part, rows: np.asarray(rows, part.dtype), offered, action)
    got = specs.leaves(heard(spec, told))
    expected = taken if isinstance(taken, (dict, tuple)) else (taken,)
    for leaf, values, wanted in zip(got, specs.leaves(expected), specs.leaves(spec), strict=True):
        np.testing.assert_array_equal(leaf, values)
        assert leaf.dtype == wanted.dtype


def test_a_nest_has_a_part_for_each_integer_and_one_for_its_floats():
    spec = {
        "turn": specs.box((2,), 0.0, 2.0),
        "gears": specs.box((2,), 1, [2, 4], dtype=np.int64),
        "jump": (specs.discrete(2), specs.box((), dtype=np.bool_)),
    }
    game, lines = actions.canonical(Listener(spec))
    assert game.action_spec() == (
        specs.discrete(2),
        specs.discrete(4),
        specs.discrete(2),
        specs.discrete(2),
        specs.box((2,), -1.0, 1.0),
    )
    assert lines == [
        "action: {gears: int64 [2] in [1, [2,4]], jump/0: int64 [] in [0, 1], jump/1: bool [], "
        "turn: float32 [2] in [0, 2]} is offered as {0: int64 [] in [0, 1], 1: int64 [] in [0, 3], "
        "2: int64 [] in [0, 1], 3: int64 [] in [0, 1], 4: float32 [2] in [-1, 1]}"
    ]
    both = np.array([0, 1])
    action = heard(spec, (both, np.array([3, 1]), both, 1 - both, np.array([[-1, 0], [1, 0.5]])))
    np.testing.assert_array_equal(action["gears"], [[1, 4], [2, 2]])
    np.testing.assert_array_equal(action["jump"][0], [0, 1])
    np.testing.assert_array_equal(action["jump"][1], [True, False])
    np.testing.assert_array_equal(action["turn"], [[0, 1], [2, 1.5]])


def test_the_wrapper_refuses_actions_it_is_not_for():
    nested = {"gas": specs.box((1,)), "gear": specs.box((), dtype=np.int64)}
    with pytest.raises(TypeError, match=r"gear is int64 \[\]; expected bounded integers or floats"):
        actions.Canonical(Listener(nested))


@pytest.mark.parametrize(
    ("spec", "form"),
    [
        (specs.discrete(3), "discrete"),
        (specs.discrete(3, start=1), None),
        (specs.box((2,)), "continuous"),
        (specs.box((2, 2)), None),
        (specs.box((), dtype=np.bool_), None),
        ((specs.discrete(3), specs.discrete(2)), "branches"),
        ((specs.discrete(3), specs.box((2,))), "hybrid"),
        ((specs.box((1,)), specs.box((2,))), None),
        ((specs.box((1,)), specs.discrete(2)), None),
        ((specs.discrete(3), (specs.discrete(2),)), None),
        ((specs.discrete(3), specs.discrete(2, start=1)), None),
        ((specs.discrete(3),), None),
        ({"a": specs.discrete(3), "b": specs.discrete(3)}, None),
    ],
    ids=str,
)
def test_forms(spec, form):
    assert actions.form(spec) == form


@pytest.mark.parametrize(
    "spec",
    [
        specs.discrete(4),
        specs.discrete(5, start=-3, dtype=np.int8),
        specs.box((2, 2), [[0, -2], [-8, 1]], [[1, 2], [-4, 2]], dtype=np.float64),
        specs.box((2,)),
        specs.box((2,), [1, 0], [3, 5], dtype=np.int16),
        specs.box((3,), dtype=np.bool_),
        {
            "steer": specs.box((1, 2), -3.0, 3.0),
            "gear": specs.discrete(3, start=1),
            "brake": specs.box((), 0.0, 1.0),
        },
    ],
    ids=str,
)
def test_what_the_game_was_told_can_be_turned_back(spec):
    game = actions.Canonical(Listener(spec))
    rng = np.random.default_rng(0)

    def draw(part):
        if part.is_discrete:
            return rng.integers(0, part.num_values, 2, part.dtype)
        return rng.uniform(-1, 1, (2, *part.shape)).astype(np.float32)

    given = specs.map_leaves(draw, game.action_spec())
    game.step(given)
    told = specs.map_leaves(np.copy, game.game.action)
    # Of any number of rows.
    undone = game.undo(specs.map_leaves(lambda rows: np.concatenate([rows, rows]), told))
    for found, wanted in zip(specs.leaves(undone), specs.leaves(given), strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, np.concatenate([wanted, wanted]), atol=1e-6)


def test_a_float_of_one_value_is_turned_back_into_the_middle():
    game = actions.Canonical(Listener(specs.box((2,), [7.0, 0.0], [7.0, 2.0])))
    np.testing.assert_array_equal(game.undo(np.array([[7.0, 2.0]], np.float32)), [[0.0, 1.0]])
