from __future__ import annotations

import numpy as np
import pytest
import toy_games
from toy_games import LAST_ROW, START, Scripted, mid

from gamebridge import errors
from gamebridge.contract import FIRST, LAST, MID
from gamebridge.wrappers import limits

NO_ACTION = np.zeros(2, int)


def test_the_step_at_the_limit_is_last_with_its_own_discount():
    game = limits.EpisodeLimit(Scripted([START, mid(1, 0.9), mid(1, 0.9)]), 2)
    game.reset()
    assert game.step(NO_ACTION[:1]).step_type[0] == MID
    time_step = game.step(NO_ACTION[:1])
    assert time_step.step_type[0] == LAST
    assert time_step.discount[0] == np.float32(0.9)


def test_an_ending_of_the_game_at_the_limit_stays_the_games():
    scripted = Scripted([START, mid(1), LAST_ROW, START])
    game = limits.EpisodeLimit(scripted, 2)
    game.reset()
    game.step(NO_ACTION[:1])
    time_step = game.step(NO_ACTION[:1])
    assert (time_step.step_type[0], time_step.discount[0]) == (LAST, 0)
    assert game.step(NO_ACTION[:1]).step_type[0] == FIRST
    # All by step: no reset after the first.
    assert scripted.masks == [None] * 4


def test_a_cut_slot_restarts_while_the_others_go_on():
    scripted = Scripted([START, mid(1), mid(2), START], [START, LAST_ROW, START, mid(3)])
    game = limits.EpisodeLimit(scripted, 2)
    game.reset()
    game.step(NO_ACTION)
    np.testing.assert_array_equal(game.step(NO_ACTION).step_type, [LAST, FIRST])
    time_step = game.step(NO_ACTION)
    np.testing.assert_array_equal(time_step.step_type, [FIRST, MID])
    np.testing.assert_array_equal(time_step.reward, [0, 3])
    assert scripted.masks[3:] == [[True, False], [False, True]]


def test_a_cut_slot_that_is_held_stays_last():
    scripted = Scripted([START, mid(1), START], [START, mid(1), START, mid(2)])
    game = limits.EpisodeLimit(scripted, 1)
    game.reset()
    game.step(NO_ACTION)
    only_second = np.array([False, True])
    np.testing.assert_array_equal(game.step(NO_ACTION, only_second).step_type, [LAST, FIRST])
    np.testing.assert_array_equal(game.step(NO_ACTION, only_second).step_type, [LAST, LAST])
    np.testing.assert_array_equal(game.step(NO_ACTION, ~only_second).step_type, [FIRST, LAST])


def test_a_reset_counts_from_0():
    game = limits.EpisodeLimit(Scripted([START, mid(1), START, mid(1), mid(1)]), 2)
    game.reset()
    game.step(NO_ACTION[:1])
    game.reset()
    assert game.step(NO_ACTION[:1]).step_type[0] == MID
    assert game.step(NO_ACTION[:1]).step_type[0] == LAST


def test_the_next_episode_after_a_cut_is_the_next_by_number():
    toy = toy_games.ToyGame(num_slots=1)
    game = limits.EpisodeLimit(toy, 1)
    game.reset(np.array([3]))
    for number in range(1, 6):
        game.step(NO_ACTION[:1])
        assert game.step(NO_ACTION[:1]).step_type[0] == FIRST
        assert toy.solos[0].number == number


def test_invalid_rows_are_not_counted():
    game = limits.EpisodeLimit(Scripted([START, mid(1), None, mid(1)]), 2)
    game.reset()
    game.step(NO_ACTION[:1])
    assert not game.step(NO_ACTION[:1]).valid[0]
    assert game.step(NO_ACTION[:1]).step_type[0] == LAST


def test_a_scene_that_cannot_hold_slots_is_refused_with_the_reason():
    toy = toy_games.ToyGame(num_slots=2, can_hold=False)
    with pytest.raises(errors.GameError, match=r"one of them cannot be restarted alone\. Leave"):
        limits.EpisodeLimit(toy, 5)


def test_a_single_slot_needs_no_holding():
    toy = toy_games.ToyGame(num_slots=1, can_hold=False)
    game = limits.EpisodeLimit(toy, 1)
    game.reset()
    game.step(NO_ACTION[:1])
    assert game.step(NO_ACTION[:1]).step_type[0] == FIRST


def test_max_steps_must_be_positive():
    with pytest.raises(ValueError, match=r"^max_steps is 0: expected at least 1\.$"):
        limits.EpisodeLimit(toy_games.ToyGame(), 0)
