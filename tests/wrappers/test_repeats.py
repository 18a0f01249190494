from __future__ import annotations

import numpy as np
import pytest
import toy_games
from toy_games import LAST_ROW, START, Scripted, mid

from gamebridge import errors
from gamebridge.contract import FIRST, LAST, MID, specs
from gamebridge.wrappers import repeats


def test_rewards_are_summed_and_discounts_multiplied():
    game = repeats.ActionRepeat(Scripted([START, mid(1, 0.5), mid(2, 0.5), mid(4)]), 3)
    game.reset()
    time_step = game.step(np.zeros(1, int))
    assert (time_step.reward[0], time_step.discount[0]) == (7, 0.25)


def test_a_slot_stops_at_last_while_the_others_go_on():
    scripted = Scripted([START, mid(1), LAST_ROW], [START, mid(1), mid(2), mid(4)])
    game = repeats.ActionRepeat(scripted, 3)
    game.reset()
    time_step = game.step(np.zeros(2, int))
    np.testing.assert_array_equal(time_step.step_type, [LAST, MID])
    np.testing.assert_array_equal(time_step.reward, [9, 7])
    np.testing.assert_array_equal(time_step.discount, [0, 1])
    assert scripted.masks == [None, None, None, [False, True]]


def test_a_first_row_is_not_repeated():
    scripted = Scripted([START, LAST_ROW, START, mid(1)])
    game = repeats.ActionRepeat(scripted, 4)
    game.reset()
    game.step(np.zeros(1, int))
    time_step = game.step(np.zeros(1, int))
    assert time_step.step_type[0] == FIRST
    assert time_step.reward[0] == 0
    assert scripted.scripts == [[mid(1)]]


def test_rows_of_held_slots_stay():
    scripted = Scripted([START, mid(1), mid(2), mid(4), mid(8)], [START, mid(3), mid(5)])
    game = repeats.ActionRepeat(scripted, 2)
    game.reset()
    game.step(np.zeros(2, int))
    time_step = game.step(np.zeros(2, int), np.array([True, False]))
    np.testing.assert_array_equal(time_step.reward, [12, 8])


def test_a_reward_before_an_invalid_row_is_told_with_the_next_valid_one():
    game = repeats.ActionRepeat(Scripted([START, mid(1), None, None, mid(2), LAST_ROW]), 3)
    game.reset()
    assert not game.step(np.zeros(1, int)).valid[0]
    assert not game.step(np.zeros(1, int)).valid[0]
    time_step = game.step(np.zeros(1, int))
    assert time_step.valid[0]
    assert (time_step.step_type[0], time_step.reward[0]) == (LAST, 11)


def test_telemetry_is_reduced_over_the_repeats():
    toy = toy_games.ToyGame(num_slots=1)
    game = repeats.ActionRepeat(toy, 3)
    game.reset(np.array([4]))
    assert {name: v[0] for name, v in game.telemetry().items()} == {
        name: v[0] for name, v in toy.telemetry().items()
    }
    alone = toy_games.Solo(4, toy.shape, 0.0)
    alone.start()
    told = []
    while len(told) < 3 and not alone.ended:
        told.append(alone.step(0).telemetry)
    game.step(np.zeros(1, int))
    assert game.telemetry()["bumps"][0] == sum(values["bumps"] for values in told)
    assert game.telemetry()["place"][0] == told[-1]["place"]
    assert game.telemetry()["speed"][0] == max(values["speed"] for values in told)
    assert game.telemetry()["bumps"].dtype == np.int64


def test_the_greatest_of_integers_and_bools_is_kept():
    class Counting(Scripted):
        def telemetry_spec(self):
            return {
                "depth": specs.TelemetrySpec(reduce="max", dtype=np.int32),
                "hit": specs.TelemetrySpec(reduce="max", dtype=np.bool_),
            }

        def telemetry(self):
            reward = self.rows.reward
            return {"depth": -reward.astype(np.int32), "hit": reward > 3}

    game = repeats.ActionRepeat(Counting([START, mid(5), mid(2)]), 2)
    game.reset()
    game.step(np.zeros(1, int))
    assert game.telemetry()["depth"][0] == -2
    assert game.telemetry()["hit"][0]


def test_a_scene_that_cannot_hold_slots_is_refused_with_the_reason():
    toy = toy_games.ToyGame(num_slots=2, can_hold=False)
    with pytest.raises(
        errors.GameError, match=r"toy/game moves all its 2 slots at once .*action_repeat=1"
    ):
        repeats.ActionRepeat(toy, 2)


def test_a_single_slot_needs_no_holding():
    toy = toy_games.ToyGame(num_slots=1, can_hold=False)
    repeats.ActionRepeat(toy, 2).reset()


def test_times_must_be_positive():
    with pytest.raises(ValueError, match=r"^times is 0: expected at least 1\.$"):
        repeats.ActionRepeat(toy_games.ToyGame(), 0)
