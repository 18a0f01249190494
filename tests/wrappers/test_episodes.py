from __future__ import annotations

import numpy as np
import pytest
import toy_games
from toy_games import LAST_ROW, START, Scripted, mid

from gamebridge.contract import LAST, seeding
from gamebridge.wrappers import episodes


def actions(num_slots):
    return np.zeros(num_slots, int)


def test_a_finished_episode_is_told_once():
    game = episodes.EpisodeLog(Scripted([START, mid(1), LAST_ROW, START]))
    game.reset()
    game.step(actions(1))
    assert game.take() == []
    game.step(actions(1))
    assert game.take() == [episodes.Episode(0, 9.0, 2, "terminated", {}, None)]
    game.step(actions(1))
    assert game.take() == []


def test_a_last_with_a_discount_is_a_truncation():
    game = episodes.EpisodeLog(Scripted([START, (LAST, 1, 0.99)]))
    game.reset()
    game.step(actions(1))
    assert game.take()[0].ended == "truncated"


def test_endings_come_in_the_order_of_time():
    game = episodes.EpisodeLog(
        Scripted([START, mid(1), LAST_ROW, START], [START, LAST_ROW, START, LAST_ROW])
    )
    game.reset()
    for _ in range(3):
        game.step(actions(2))
    assert [(e.slot, e.length) for e in game.take()] == [(1, 1), (0, 2), (1, 1)]


def test_a_reset_drops_the_unfinished_episodes_of_the_slots_named():
    game = episodes.EpisodeLog(
        Scripted([START, mid(5), START, LAST_ROW], [START, mid(5), mid(5), LAST_ROW])
    )
    game.reset()
    game.step(actions(2))
    game.reset(slots=np.array([True, False]))
    game.step(actions(2), np.array([False, True]))
    game.step(actions(2))
    assert [(e.slot, e.episode_return, e.length) for e in game.take()] == [(0, 8, 1), (1, 18, 3)]


def test_an_episode_whose_start_was_not_seen_does_not_count():
    scripted = Scripted([START, mid(1), LAST_ROW])
    scripted.reset()
    game = episodes.EpisodeLog(scripted)
    game.step(actions(1))
    game.step(actions(1))
    assert game.take() == []


def test_invalid_rows_do_not_count():
    game = episodes.EpisodeLog(Scripted([START, None, mid(1), None, LAST_ROW]))
    game.reset()
    for _ in range(4):
        game.step(actions(1))
    assert [(e.episode_return, e.length) for e in game.take()] == [(9, 2)]


def test_small_rewards_are_not_lost_in_long_episodes():
    game = episodes.EpisodeLog(Scripted([START, mid(2.0**25), *[mid(1)] * 1000, LAST_ROW]))
    game.reset()
    for _ in range(1002):
        game.step(actions(1))
    assert game.take()[0].episode_return == 2.0**25 + 1008


def test_the_seed_of_an_episode_is_told_where_it_is_known():
    toy = toy_games.ToyGame(num_slots=2)
    game = episodes.EpisodeLog(toy)
    game.reset()
    slot_seeds = np.array([11, 12])
    game.reset(slot_seeds, np.array([False, True]))
    while toy.solos[1].number < 3:
        game.step(actions(2))
    told = game.take()
    assert {e.seed for e in told if e.slot == 0} <= {None}
    expected = seeding.episode_seeds(slot_seeds[[1, 1, 1]], np.arange(3))
    assert [e.seed for e in told if e.slot == 1] == expected.tolist()


def test_after_a_process_was_replaced_seeds_are_not_known_until_new_ones_are_given():
    class Restarted(toy_games.ToyGame):
        restarts = 0

        @property
        def num_restarts(self):
            return self.restarts

    toy = Restarted(num_slots=2)
    game = episodes.EpisodeLog(toy)
    slot_seeds = np.array([11, 12])

    def seeds_told():
        told = []
        while len(told) < 3:
            game.step(actions(2))
            told += game.take()
        return [episode.seed for episode in told]

    game.reset(slot_seeds)
    assert None not in seeds_told()
    toy.restarts += 1
    assert set(seeds_told()) == {None}
    game.reset(slot_seeds)
    assert None not in seeds_told()


def test_an_episode_that_a_lost_process_cut_short_does_not_count():
    class Losing(Scripted):
        num_steps = 0

        def step(self, action, active=None):
            self.num_steps += 1
            return super().step(action, active)

        @property
        def num_restarts(self):
            return int(self.num_steps >= 2)

    cut = (LAST, 0, 1)
    game = episodes.EpisodeLog(
        Losing(
            [START, mid(1), cut, None, START, mid(2), LAST_ROW],
            [START, mid(1), LAST_ROW, START, mid(2), cut, START],
            [START, mid(1), mid(1), mid(1), LAST_ROW, START, mid(1)],
        )
    )
    game.reset()
    for _ in range(6):
        game.step(actions(3))
    told = [(e.slot, e.episode_return, e.length, e.ended) for e in game.take()]
    assert told == [
        (1, 9, 2, "terminated"),
        (2, 11, 4, "terminated"),
        (1, 2, 2, "truncated"),
        (0, 10, 2, "terminated"),
    ]


def test_episodes_are_frozen():
    episode = episodes.Episode(0, 1.0, 1, "truncated", {})
    with pytest.raises(AttributeError):
        episode.length = 2
