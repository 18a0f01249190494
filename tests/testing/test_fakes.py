"""The small games conform to the contract and play as they say."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.contract import FIRST, LAST, MID, Game
from gamebridge.testing import GameConformance, fakes
from gamebridge.testing.fakes import Catch, Corridor, Moment, Orders, Scripted, Target


class TestCorridor(GameConformance):
    def make(self) -> Game:
        return Corridor(num_slots=3, length=4)

    def make_with(self, num_slots):
        return Corridor(num_slots, length=4)


class TestTarget(GameConformance):
    def make(self) -> Game:
        return Target(num_slots=2, size=3)

    def make_with(self, num_slots):
        return Target(num_slots, size=3)


class TestOrders(GameConformance):
    def make(self) -> Game:
        return Orders(num_slots=2, sizes=(3, 2), num_levels=2, is_masked=True)

    def make_with(self, num_slots):
        return Orders(num_slots, sizes=(3, 2), num_levels=2, is_masked=True)


class TestOrdersOfOneNumber(GameConformance):
    def make(self) -> Game:
        return Orders(num_slots=2)


class TestCatch(GameConformance):
    num_steps = 60

    def make(self) -> Game:
        return Catch(num_slots=2, size=24)

    def make_with(self, num_slots):
        return Catch(num_slots, size=24)


class TestScripted(GameConformance):
    def make(self) -> Game:
        return Scripted(
            [Moment(0.5, step_type=FIRST), Moment(1.0, 2.0), Moment(step_type=LAST)],
            [Moment(step_type=FIRST), Moment(valid=False), Moment(step_type=LAST, discount=1.0)],
        )


def test_walking_right_reaches_the_goal_of_the_corridor():
    game = Corridor(length=4)
    game.reset(np.array([3]))
    for _ in range(4):
        said = game.step(np.array([1]))
        assert game.telemetry()["steps_right"] == [1.0]
        if said.is_last()[0]:
            break
    assert said.reward == [1.0]
    assert said.discount == [0.0]
    np.testing.assert_allclose(said.observation, [[1.0, 0.0]])


def test_orders_are_paid_for_where_they_are_obeyed_and_masks_are_looked_at():
    game = Orders(num_slots=2, sizes=(4, 3), num_levels=1, num_steps=2, is_masked=True)
    said = game.reset()
    masks, told = said.observation["action_mask"], said.observation["observation"]
    numbers, levels = told["numbers"].copy(), told["levels"].copy()
    assert all(mask[range(2), numbers[:, index]].all() for index, mask in enumerate(masks))
    said = game.step((numbers[:, 0], numbers[:, 1], levels + 0.5))
    np.testing.assert_allclose(said.reward, 1.75)
    assert game.telemetry()["not_allowed"].tolist() == [0, 0]
    forbidden = masks[0].argmin(1)
    were_forbidden = masks[0].min(1) == 0
    said = game.step((forbidden, told["numbers"][:, 1].copy(), levels))
    assert game.telemetry()["not_allowed"].tolist() == were_forbidden.tolist()
    assert said.is_last().all()
    assert not masks[0].any()


def test_walking_left_in_the_corridor_is_truncated():
    game = Corridor(length=4)
    game.reset(np.array([3]))
    said = [game.step(np.array([0])).step_type[0] for _ in range(16)]
    assert said == [MID] * 15 + [LAST]
    assert game.rows.discount == [1.0]
    assert game.rows.reward == pytest.approx(-0.1)


def test_saying_what_was_shown_costs_nothing_at_target():
    game = Target(num_slots=2, size=2, num_steps=3)
    said = game.reset(np.array([1, 2]))
    shown = [said.observation.copy()]
    for _ in range(3):
        said = game.step(said.observation.copy())
        assert said.reward.tolist() == [0.0, 0.0]
        shown.append(said.observation.copy())
    assert said.step_type.tolist() == [LAST, LAST]
    assert said.discount.tolist() == [1.0, 1.0]
    assert len(np.unique(np.stack(shown))) == 16
    game.reset(np.array([1, 2]))
    wrong = game.step(shown[0] + 0.5)
    np.testing.assert_allclose(wrong.reward, [-0.5, -0.5], rtol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_following_the_ball_by_sight_catches_it(seed):
    game = Catch(size=84)
    said = game.reset(np.array([seed]))
    assert said.observation.shape == (1, 84, 84, 1)
    rewards, caught = [], 0.0
    for _ in range(11):
        board = said.observation[0, :, :, 0]
        ball = np.argmax((board == 255).any(axis=0))
        paddle = np.argmax((board == 128).any(axis=0))
        said = game.step(np.array([1 + np.sign(int(ball) - int(paddle))]))
        rewards.append(said.reward[0])
        caught += game.telemetry()["catches"][0]
    assert said.is_last()[0] and said.discount == [0.0]
    assert sum(rewards) == caught == 1.0
    assert game.telemetry()["misses"] == [0.0]


def test_a_missed_ball_costs_one():
    game = Catch(size=12)
    missed = 0
    for seed in range(12):
        game.reset(np.array([seed]))
        for _ in range(11):
            said = game.step(np.array([0]))
        assert said.reward[0] == (-1.0 if game.telemetry()["misses"][0] else 1.0)
        missed += said.reward[0] == -1.0
    assert missed >= 6


def test_catch_renders_what_is_seen_in_rgb():
    game = Catch(num_slots=2, size=12)
    said = game.reset(np.array([5, 6]))
    picture = game.render(1)
    assert picture.shape == (12, 12, 3)
    assert (picture == said.observation[1]).all()


def test_scripted_raises_at_its_moment_and_writes_nests():
    from gamebridge.contract import specs

    game = Scripted(
        [
            Moment({"a": 1.0, "b": [1.0, 2.0]}, step_type=FIRST),
            Moment(float("nan"), reward=float("inf")),
            Moment(error=ZeroDivisionError("at step 2")),
        ],
        observation_spec={"a": specs.box(()), "b": specs.box((2,))},
    )
    said = game.reset()
    assert said.observation["b"].tolist() == [[1.0, 2.0]]
    said = game.step(np.array([0]))
    assert np.isnan(said.observation["a"]).all() and np.isnan(said.observation["b"]).all()
    assert np.isinf(said.reward).all()
    with pytest.raises(ZeroDivisionError, match="at step 2"):
        game.step(np.array([0]))


def test_scripted_can_break_its_promised_spec():
    from gamebridge.contract import specs

    game = Scripted([Moment(step_type=FIRST)], produced_spec=specs.box((3,), dtype=np.float64))
    assert game.observation_spec().shape == (1,)
    assert game.reset().observation.shape == (1, 3)
    assert game.reset().observation.dtype == np.float64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Corridor(num_slots=0), "num_slots is 0: expected at least 1"),
        (lambda: Corridor(length=1), "length is 1: expected at least 2"),
        (lambda: Catch(size=80), "size is 80: expected a multiple of 12"),
        (lambda: Scripted(), "expected one script a slot"),
        (lambda: Scripted([Moment()]), "each with FIRST as its first moment"),
    ],
)
def test_impossible_fakes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_every_public_fake_is_listed():
    assert fakes.__all__ == sorted(fakes.__all__)
