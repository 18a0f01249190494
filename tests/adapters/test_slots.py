"""`SlotGame`: rows, seeds, held slots, and every fault of a foreign environment named."""

from __future__ import annotations

import sys
import traceback

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.adapters import Single, SlotGame
from gamebridge.contract import FIRST, LAST, MID, Game, TelemetrySpec, seeding, specs
from gamebridge.testing import GameConformance

VECTOR = specs.box((2,), name="observation")


class Counter(Single):
    """Counts its steps to 3; the observation is [seed's low digits, step]."""

    def __init__(self, spec=VECTOR, action_spec=None):
        self.spec = spec
        self.given_action_spec = action_spec or specs.discrete(2, name="action")
        self.actions = []
        self.num_closed = 0
        self.seeds = []

    def observation_spec(self):
        return self.spec

    def action_spec(self):
        return self.given_action_spec

    def telemetry_spec(self):
        return {"steps": TelemetrySpec(dtype=np.int32)}

    def observe(self):
        return np.array([self.seed % 997, self.count], np.float32)

    def reset(self, seed):
        self.seed = seed
        self.seeds.append(seed)
        self.count = 0
        return self.observe()

    def step(self, action):
        self.actions.append(action)
        self.count += 1
        return self.observe(), float(self.count), 0.0 if self.count == 3 else 1.0, self.count == 3

    def telemetry(self):
        return {"steps": 1} if self.count else {}

    def render(self):
        return np.full((4, 6, 3), self.count, np.uint8)

    def close(self):
        self.num_closed += 1


def game_of(num_slots=1, kind=Counter, **arguments):
    singles = [kind(**arguments) for _ in range(num_slots)]
    return SlotGame(singles, "test/counter"), singles


class TestCounters(GameConformance):
    num_steps = 60

    def make(self) -> Game:
        return game_of(3)[0]

    def make_with(self, num_slots):
        return game_of(num_slots)[0]


def zeros(game):
    return specs.zeros(game.action_spec(), game.num_slots)


def test_an_episode_is_first_mid_last_and_first_again():
    game, _ = game_of()
    said = [game.reset(np.array([5]))]
    assert (said[0].step_type, said[0].reward, said[0].discount) == ([FIRST], [0], [1])
    heads = []
    for _ in range(4):
        step = game.step(zeros(game))
        heads.append((step.step_type[0], step.reward[0], step.discount[0], step.observation[0, 1]))
    assert heads == [(MID, 1, 1, 1), (MID, 2, 1, 2), (LAST, 3, 0, 3), (FIRST, 0, 1, 0)]


def test_a_game_that_was_never_reset_starts_at_its_first_step():
    game, singles = game_of(2)
    assert game.step(zeros(game)).step_type.tolist() == [FIRST, FIRST]
    expected = seeding.episode_seeds(seeding.slot_seeds(0, 2), np.zeros(2))
    assert [single.seeds for single in singles] == [[seed] for seed in expected]


def test_episode_seeds_follow_the_contract_beyond_one_block():
    game, singles = game_of(2)
    slot_seeds = np.array([7, 8])
    game.reset(slot_seeds)
    for _ in range(4 * 70):
        game.step(zeros(game))
    for single, seed in zip(singles, slot_seeds, strict=True):
        numbers = np.arange(len(single.seeds))
        assert len(numbers) == 71
        assert single.seeds == seeding.episode_seeds(np.full(71, seed), numbers).tolist()


def test_rows_are_written_in_place():
    game, _ = game_of(2)
    first = game.reset(np.array([1, 2]))
    assert game.step(zeros(game)) is first


def test_singles_get_python_numbers_and_arrays_of_their_own():
    spec = {"a": specs.discrete(3), "b": (specs.box((2,)), specs.box((), dtype=np.bool_))}
    game, singles = game_of(2, action_spec=spec)
    game.reset()
    rows = np.ones((2, 2), np.float32)
    game.step({"a": np.array([1, 2]), "b": (rows, np.array([True, False]))})
    action = singles[1].actions[0]
    assert type(action["a"]) is int and action["a"] == 2
    assert type(action["b"][1]) is bool
    rows[:] = 5
    assert action["b"][0].tolist() == [1, 1]


def test_numbers_of_the_right_kind_are_cast_to_the_action_spec():
    game, singles = game_of(action_spec=specs.box((1,), dtype=np.float32))
    game.reset()
    game.step(np.array([[0.5]], np.float64))
    assert singles[0].actions[0].dtype == np.float32
    game.step(np.array([[2]]))
    assert singles[0].actions[1].tolist() == [2.0]


@pytest.mark.parametrize(
    ("spec", "action", "kind", "message"),
    [
        (specs.discrete(2, name="go"), np.array([0.5]), TypeError, "'go' is float64, expected int"),
        (specs.discrete(2, name="go"), ["a"], TypeError, "'go' is <U1, expected int64"),
        (
            specs.discrete(2, name="go"),
            np.array([0, 1]),
            ValueError,
            r"shape \[2\], expected \[1\]",
        ),
        (specs.box((2,), name="aim"), np.zeros((1, 3)), ValueError, r"\[1, 3\], expected \[1, 2\]"),
        (
            specs.discrete(2, name="go", dtype=np.int8),
            np.array([300]),
            ValueError,
            "'go' has values that int8 cannot hold",
        ),
        (
            {"a": specs.discrete(2)},
            {"b": 1},
            ValueError,
            r"does not fit its spec: expected the keys",
        ),
        ((specs.discrete(2),), (), ValueError, "expected a tuple of 1 parts, got 0"),
    ],
)
def test_actions_that_do_not_fit_are_refused(spec, action, kind, message):
    game, _ = game_of(action_spec=spec)
    game.reset()
    with pytest.raises(kind, match=message) as caught:
        game.step(action)
    assert "test/counter" in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (specs.discrete(5), 3),
        (specs.discrete(5), np.int32(3)),
        (specs.discrete(5), np.array(3, np.int16)),
        (specs.discrete(5), True),
        (specs.box((), dtype=np.float32), 3),
        (specs.box((), dtype=np.float32), np.float64(3.0)),
        (specs.box((), dtype=np.float32), float("nan")),
        (specs.box((), dtype=np.bool_), 1),
        (specs.box((), dtype=np.bool_), np.bool_(True)),
        (specs.box((2,), dtype=np.float64), np.ones(2)),
        ({"a": (specs.discrete(2), specs.box((1,)))}, {"a": [1, np.ones(1, np.float32)]}),
    ],
)
def test_values_that_fit_are_written(spec, value):
    class Fixed(Counter):
        def observe(self):
            return value

    game, _ = game_of(kind=Fixed, spec=spec)
    said = game.reset()
    written = specs.leaves(said.observation)
    for row, leaf, expected in zip(written, specs.leaves(spec), _flat(value), strict=True):
        assert row.dtype == leaf.dtype
        np.testing.assert_array_equal(row[0], expected)


def _flat(value):
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in _flat(value[key])]
    return [leaf for part in value for leaf in _flat(part)] if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("spec", "value", "message"),
    [
        (VECTOR, np.ones(2), r"the observation is float64 \[2\], expected float32 \[2\]"),
        (VECTOR, np.ones(3, np.float32), r"is float32 \[3\], expected float32 \[2\]"),
        (VECTOR, np.ones((1, 2), np.float32), r"is float32 \[1, 2\], expected float32 \[2\]"),
        (VECTOR, np.float32(1), r"is float32 1.0, expected float32 \[2\]"),
        (VECTOR, [1.0, 2.0], r"is list, expected float32 \[2\]"),
        (VECTOR, None, r"is None, expected float32 \[2\]"),
        (specs.discrete(5), 3.0, "is float 3.0, expected one int64 number"),
        (specs.discrete(5), 2**63, "is int 9223372036854775808, expected one int64"),
        (specs.discrete(5), 10**40, r"is int 1000000000\d+\.\.\., expected one int64"),
        (specs.discrete(5), "3", "is str, expected one int64 number"),
        (specs.discrete(5), np.array([3]), r"is int64 \[1\], expected one int64 number"),
        (specs.box((), dtype=np.float32), 1e300, "is float 1e.300, expected one float32"),
        (specs.box((), dtype=np.bool_), 2, "is int 2, expected one bool number"),
        ({"a": VECTOR}, {"b": 1}, r"has the keys \['b'\], expected the keys \['a'\]"),
        ({"a": VECTOR}, {"a": 1, "b": 1}, r"has the keys \['a', 'b'\], expected the keys \['a'\]"),
        ({"a": VECTOR}, 7, r"has no keys \(int 7\), expected the keys \['a'\]"),
        ({"a": {"b": VECTOR}}, {"a": {"b": 7}}, "observation 'a/b' is int 7, expected"),
        ((VECTOR, VECTOR), (1,), "has parts: 1, expected 2"),
        ((VECTOR,), "x", "has parts: str, expected 1"),
        (({"a": VECTOR},), ({"a": 7},), "observation '0/a' is int 7"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(spec, value, message):
    class Fixed(Counter):
        def observe(self):
            return value

    game, _ = game_of(kind=Fixed, spec=spec)
    with pytest.raises(errors.GameError, match=message):
        game.reset()


def test_a_bad_value_names_game_slot_step_and_seed():
    class Shrinks(Counter):
        def observe(self):
            return super().observe()[: 2 - (self.count == 2)]

    game, singles = game_of(3, kind=Shrinks)
    game.reset(np.array([1, 2, 3]))
    only_second = np.array([False, True, False])
    game.step(zeros(game), only_second)
    with pytest.raises(errors.GameError) as caught:
        game.step(zeros(game), only_second)
    assert str(caught.value) == (
        f"test/counter, slot 1, step 2 of the episode with seed {singles[1].seeds[0]}: the "
        "observation is float32 [1], expected float32 [2]. Mend what step() of the game returns."
    )


@pytest.mark.parametrize(
    ("reward", "expected"),
    [(2, 2.0), (True, 1.0), (np.float64(0.5), 0.5), (np.array([3]), 3.0), (np.int8(4), 4.0)],
)
def test_a_reward_may_be_any_number(reward, expected):
    class Pays(Counter):
        def step(self, action):
            self.count += 1
            return self.observe(), reward, 1.0, False

    game, _ = game_of(kind=Pays)
    game.reset()
    assert game.step(zeros(game)).reward == [expected]


@pytest.mark.parametrize("reward", [None, "1.5", np.ones(2), [1.0], {"a": 1}, np.array("x")])
def test_a_reward_that_is_no_number_is_refused(reward):
    class Pays(Counter):
        def step(self, action):
            self.count += 1
            return self.observe(), reward, 1.0, False

    game, _ = game_of(kind=Pays)
    game.reset()
    with pytest.raises(errors.GameError, match=r"step 1 .*: the reward is .*, expected one number"):
        game.step(zeros(game))


def test_a_discount_that_is_no_number_is_refused():
    class Discounts(Counter):
        def step(self, action):
            return self.observe(), 1.0, None, False

    game, _ = game_of(kind=Discounts)
    game.reset()
    with pytest.raises(errors.GameError, match="the discount is None, expected one number"):
        game.step(zeros(game))


def test_an_exception_of_the_game_keeps_its_traceback():
    class Raises(Counter):
        def step(self, action):
            if self.count == 1:
                return self.divide(0)
            return super().step(action)

        def divide(self, by):
            return 1 / by

    game, singles = game_of(2, kind=Raises)
    game.reset()
    game.step(zeros(game))
    with pytest.raises(errors.GameError) as caught:
        game.step(zeros(game))
    assert str(caught.value).startswith(
        f"test/counter, slot 0, step 2 of the episode with seed {singles[0].seeds[0]}: step() of "
        "the game raised ZeroDivisionError: division by zero."
    )
    cause = caught.value.__cause__
    assert isinstance(cause, ZeroDivisionError)
    assert traceback.extract_tb(cause.__traceback__)[-1].name == "divide"


def test_an_exception_in_reset_names_the_seed():
    class Raises(Counter):
        def reset(self, seed):
            raise OSError("no level")

    game, _ = game_of(kind=Raises)
    with pytest.raises(errors.GameError, match=r"step 0 .*: reset\(\) of the game raised OSError"):
        game.reset()


def test_a_slot_that_failed_starts_anew():
    class Raises(Counter):
        def step(self, action):
            raise ValueError("once")

    game, _ = game_of(kind=Raises)
    game.reset()
    with pytest.raises(errors.GameError):
        game.step(zeros(game))
    assert game.step(zeros(game)).step_type == [FIRST]


@pytest.mark.parametrize("method", ["reset", "step", "render"])
def test_a_signal_that_arrives_in_a_game_passes_through(method):
    def stop(*_):
        raise errors.Stopped("stopped by a signal", 2)

    game, singles = game_of()
    game.reset()
    setattr(singles[0], method, stop)
    game._steps = [singles[0].step]
    with pytest.raises(errors.Stopped):
        {"reset": game.reset, "step": lambda: game.step(zeros(game)), "render": game.render}[
            method
        ]()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda game: game.reset(np.array([1])), r"seeds is int64 \[1\], expected int64 \[2\]"),
        (lambda game: game.reset(np.ones(2)), r"seeds is float64 \[2\], expected int64"),
        (lambda game: game.reset(slots=np.array([0, 1])), r"slots is int64 \[2\], expected bool"),
        (lambda game: game.step(zeros(game), np.ones(3, bool)), r"active is bool \[3\], expected"),
    ],
)
def test_seeds_and_masks_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(game_of(2)[0])


def test_telemetry_is_zero_at_first_and_then_reported():
    game, _ = game_of(2)
    game.reset()
    assert game.telemetry()["steps"].tolist() == [0, 0]
    game.step(zeros(game), np.array([False, True]))
    assert game.telemetry()["steps"].tolist() == [0, 1]


def test_telemetry_that_is_missing_is_refused():
    class Silent(Counter):
        def telemetry(self):
            return {}

    game, _ = game_of(kind=Silent)
    game.reset()
    with pytest.raises(errors.GameError, match="telemetry 'steps' is missing"):
        game.step(zeros(game))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((4, 6, 3)), r"the picture is float64 \[4, 6, 3\], expected uint8"),
        (np.zeros((4, 6, 4), np.uint8), r"the picture is uint8 \[4, 6, 4\], expected uint8"),
        ([[0]], "the picture is list, expected uint8"),
        (np.zeros((5, 6, 3), np.uint8), r"is uint8 \[5, 6, 3\], expected uint8 \[4, 6, 3\] as"),
    ],
)
def test_pictures_that_are_none_are_refused(picture, message):
    game, singles = game_of()
    game.reset()
    if picture is not None and getattr(picture, "shape", ())[:1] == (5,):
        assert game.render().shape == (4, 6, 3)
    singles[0].render = lambda: picture
    with pytest.raises(errors.GameError, match=message):
        game.render()


def test_a_game_without_pictures_renders_none():
    game, singles = game_of()
    singles[0].render = lambda: None
    assert game.render() is None


def test_closing_closes_every_single_once_even_where_one_fails():
    game, singles = game_of(3)

    def fail():
        raise OSError("window is gone")

    singles[0].close = fail
    with pytest.raises(errors.GameError, match=r"slot 0.*close\(\) of the game raised OSError"):
        game.close()
    game.close()
    assert [single.num_closed for single in singles[1:]] == [1, 1]


@pytest.mark.parametrize("call", ["reset", "render"])
def test_a_closed_game_says_so(call):
    game, _ = game_of()
    game.close()
    with pytest.raises(ValueError, match="test/counter is closed: make it anew"):
        getattr(game, call)()
    with pytest.raises(ValueError, match="is closed"):
        game.step(zeros(game))


def test_slots_must_be_alike():
    with pytest.raises(
        errors.GameError, match=r"observation specs of slots 0 and 1 differ: the only"
    ):
        SlotGame([Counter(), Counter(spec=specs.box((3,)))], "test/x")
    with pytest.raises(errors.GameError, match="action specs of slots 0 and 1 differ"):
        SlotGame([Counter(), Counter(action_spec=specs.discrete(3))], "test/x")
    other = Counter()
    other.telemetry_spec = dict
    with pytest.raises(errors.GameError, match="telemetry specs of slots 0 and 1 differ"):
        SlotGame([Counter(), other], "test/x")
    with pytest.raises(ValueError, match="no environments: expected one a slot"):
        SlotGame([], "test/x")


def test_a_game_that_asks_python_to_exit_is_named_instead():
    class Leaving(Counter):
        def step(self, action):
            sys.exit(3)

    game = SlotGame([Leaving()], "toy/leaving")
    game.reset()
    with pytest.raises(errors.GameError, match=r"toy/leaving, slot 0, step 1 .* SystemExit: 3"):
        game.step(np.zeros(1, np.int64))
