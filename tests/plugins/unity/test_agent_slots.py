"""Which agent sits in which slot, and what slots are told, message by message."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import contract, errors
from gamebridge.contract import FIRST, LAST, MID
from gamebridge_unity import batches, behaviors, fields
from gamebridge_unity import slots as unity_slots

_BEHAVIOR = behaviors.Behavior("Car?team=0", (behaviors.Observation("lidar", (2,)),), 1, ())


def _batch(decisions=(), ends=()):
    """Returns a message: decisions (id, reward) and ends (id, reward, interrupted).

    Both observe [id, reward].
    """
    ids, rewards = _columns(decisions, 2)
    ended_ids, ended_rewards, interrupted = _columns(ends, 3)
    ended = batches.Ended(
        ended_ids.astype(np.int32),
        ended_rewards.astype(np.float32),
        np.zeros(len(ends), np.int32),
        np.full(len(ends), 0.5, np.float32),
        interrupted.astype(np.bool_),
        (np.stack([ended_ids, ended_rewards], 1).astype(np.float32),),
    )
    return batches.Batch(
        ids.astype(np.int32),
        rewards.astype(np.float32),
        np.zeros(len(decisions), np.int32),
        np.full(len(decisions), 0.5, np.float32),
        (np.stack([ids, rewards], 1).astype(np.float32),),
        None,
        ended,
        _BEHAVIOR,
    )


def _columns(rows, width):
    return np.asarray(rows, np.float64).reshape(len(rows), width).T


class Player:
    """Seats, their rows, and everybody answering at once."""

    def __init__(self, count, vanish_after=100, *, adds_group_reward=False):
        self.slots = unity_slots.Slots(count, vanish_after, adds_group_reward=adds_group_reward)
        self.fields = fields.Fields(_BEHAVIOR, masks=False)
        self.time_step = contract.new_time_step(self.fields.observation_spec, count)
        self.everyone = np.ones(count, np.bool_)
        self.rows = unity_slots.Rows(
            self.time_step.step_type,
            self.time_step.reward,
            self.time_step.discount,
            self.fields.leaves(self.time_step.observation),
            self.time_step.valid,
            np.zeros(count, np.float32),
            (),
            (),
        )

    def say(self, decisions=(), ends=()):
        """Answers all decisions at hand and takes a message; nothing may be untold."""
        self.slots.is_waiting[:] = False
        assert self.slots.is_due
        self.slots.take(_batch(decisions, ends))
        return self

    def step(self, named=None):
        """Answers all decisions at hand and hands out a row; returns what each slot says."""
        named = self.everyone if named is None else named
        self.slots.is_waiting[named] = False
        self.slots.hand_out(named, self.rows, self.fields)
        return self.now()

    def now(self):
        rows = self.time_step
        return [
            (
                int(rows.step_type[slot]),
                float(rows.observation[slot, 0]),
                float(rows.reward[slot]),
                float(rows.discount[slot]),
            )
            if rows.valid[slot]
            else None
            for slot in range(len(rows.valid))
        ]


def test_an_agent_is_told_of_as_first_then_mid():
    player = Player(2)
    assert player.say([(7, 5.0), (3, 5.0)]).step() == [(FIRST, 7, 0, 1), (FIRST, 3, 0, 1)]
    assert player.say([(3, 2.0), (7, 1.0)]).step() == [(MID, 7, 1, 1), (MID, 3, 2, 1)]


def test_an_end_and_a_beginning_in_one_message_are_two_rows():
    player = Player(2)
    player.say([(0, 0), (1, 0)]).step()
    player.say([(0, 9.0), (1, 2.0)], ends=[(0, 1.0, False)])
    assert player.step() == [(LAST, 0, 1, 0), (MID, 1, 2, 1)]
    assert not player.slots.is_due
    # The reward in the message that begins an episode belongs to none.
    assert player.step() == [(FIRST, 0, 0, 1), None]
    player.slots.is_waiting[:] = False
    assert player.slots.is_due


def test_what_is_interrupted_is_truncated():
    player = Player(1)
    player.say([(0, 0)]).step()
    assert player.say(ends=[(0, 1.5, True)]).step() == [(LAST, 0, 1.5, 1)]


def test_a_message_of_ends_alone_says_nothing_of_the_others():
    player = Player(2)
    player.say([(0, 0), (1, 0)]).step()
    assert player.say(ends=[(1, 1, False)]).step() == [None, (LAST, 1, 1, 0)]
    assert player.say([(1, 0)]).step() == [None, (FIRST, 1, 0, 1)]
    assert player.say([(0, 4)]).step() == [(MID, 0, 4, 1), None]


def test_agents_that_decide_in_turns_wait_for_each_other():
    player = Player(2)
    player.say([(0, 0), (1, 0)]).step()
    assert player.say([(0, 1)]).step() == [(MID, 0, 1, 1), None]
    assert player.say([(1, 2)]).step() == [None, (MID, 1, 2, 1)]


def test_a_late_agent_takes_the_lowest_free_slot():
    player = Player(3)
    assert player.say([(5, 0)]).step() == [(FIRST, 5, 0, 1), None, None]
    assert player.say([(5, 1), (9, 0)]).step() == [(MID, 5, 1, 1), (FIRST, 9, 0, 1), None]
    assert not player.slots.seats.is_full
    player.say([(2, 0), (5, 1), (9, 1)]).step()
    assert player.slots.seats.is_full and player.slots.seats.agents.tolist() == [5, 9, 2]


def test_an_agent_that_returns_after_its_end_keeps_its_slot():
    player = Player(2)
    player.say([(0, 0), (1, 0)]).step()
    player.say([(1, 1)], ends=[(0, 1, False)]).step()
    player.say([(1, 1)]).step()
    assert player.say([(1, 1), (0, 0)]).step() == [(FIRST, 0, 0, 1), (MID, 1, 1, 1)]


def test_a_respawned_agent_takes_the_slot_of_the_one_that_ended_longest_ago():
    player = Player(2)
    player.say([(0, 0), (1, 0)]).step()
    player.say([(0, 1)], ends=[(1, 1, False)]).step()
    player.say(ends=[(0, 1, False)]).step()
    assert player.say([(2, 0)]).step() == [None, (FIRST, 2, 0, 1)]
    # In the very message in which one ends, too; its end is told first.
    player.say([(3, 0), (2, 1)]).step()
    player.say([(4, 0), (3, 1)], ends=[(2, 3, False)])
    assert player.step() == [(MID, 3, 1, 1), (LAST, 2, 3, 0)]
    assert player.step() == [None, (FIRST, 4, 0, 1)]


def test_an_agent_without_a_slot_stands_and_pushes_nobody_out():
    player = Player(1)
    player.say([(0, 0), (1, 0)])
    assert player.slots.seats.row_slots.tolist() == [0, -1] and player.slots.seats.num_standing == 1
    player.step()
    player.say([(1, 1)], ends=[(0, 1, False)]).step()
    assert player.say([(1, 1)]).step() == [None]
    assert player.say([(0, 0), (1, 1)]).step() == [(FIRST, 0, 0, 1)]


def test_an_agent_that_vanishes_is_truncated_and_its_slot_is_free():
    player = Player(2, vanish_after=3)
    player.say([(0, 0), (1, 0)]).step()
    player.say([(0, 1), (1, 7)]).step()
    for _ in range(2):
        assert player.say([(0, 1)]).step() == [(MID, 0, 1, 1), None]
    # Its last observation, no reward.
    assert player.say([(0, 1)]).step() == [(MID, 0, 1, 1), (LAST, 1, 0, 1)]
    assert player.time_step.observation[1].tolist() == [1, 7]
    assert player.say([(0, 1), (8, 0)]).step() == [(MID, 0, 1, 1), (FIRST, 8, 0, 1)]


def test_one_that_stood_takes_the_seat_of_one_that_vanished():
    player = Player(1, vanish_after=2)
    player.say([(0, 0), (1, 0)]).step()
    player.say([(1, 0)]).step()
    assert player.say([(1, 1)]).step() == [(LAST, 0, 0, 1)]
    assert player.say([(1, 2)]).step() == [(FIRST, 1, 0, 1)]


def test_one_that_comes_back_after_it_vanished_is_a_new_one():
    player = Player(2, vanish_after=2)
    player.say([(0, 0), (1, 0)]).step()
    player.say([(0, 1)]).step()
    player.say([(0, 1)]).step()
    assert player.say([(0, 1), (1, 5)]).step() == [(MID, 0, 1, 1), (FIRST, 1, 0, 1)]


def test_messages_without_decisions_do_not_count_as_absence():
    player = Player(2, vanish_after=2)
    player.say([(0, 0), (1, 0)]).step()
    for _ in range(5):
        player.say(ends=[(0, 1, False)]).step()
    assert player.slots.seats.agents.tolist() == [0, 1]


def test_an_end_without_a_beginning_is_no_news():
    player = Player(1)
    assert player.say(ends=[(0, 1, False)]).step() == [None]
    player.say([(0, 0)]).step()
    player.say(ends=[(0, 1, False)]).step()
    assert player.say(ends=[(0, 1, False)]).step() == [None]


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ({"decisions": [(4, 0), (4, 0)]}, "agent 4 is to decide"),
        ({"ends": [(4, 0, True), (4, 0, True)]}, "agent 4 has ended"),
    ],
)
def test_an_agent_twice_in_a_message_is_refused(message, what):
    with pytest.raises(errors.GameError, match=f"says twice that {what}; expected each agent once"):
        Player(2).say(**message)


def test_a_restarted_slot_tells_its_decision_at_hand_again_as_first():
    player = Player(2)
    player.say([(0, 0), (1, 0)]).step()
    player.say([(0, 3), (1, 3)]).step()
    named = np.array([True, False])
    player.slots.restart(named)
    player.slots.hand_out(named, player.rows, player.fields)
    assert player.now() == [(FIRST, 0, 0, 1), (MID, 1, 3, 1)]
    assert player.say([(0, 1), (1, 1)]).step() == [(MID, 0, 1, 1), (MID, 1, 1, 1)]


def test_a_restarted_slot_that_waits_begins_with_its_next_decision():
    player = Player(2)
    player.say([(0, 0), (1, 0)]).step()
    player.say([(1, 1)]).step()
    named = np.array([True, False])
    player.slots.restart(named)
    player.slots.hand_out(named, player.rows, player.fields)
    assert player.now()[0] is None
    # The end of what was left is no news.
    assert player.say([(0, 1)], [(0, 1, False)]).step()[0] == (FIRST, 0, 0, 1)


def test_a_lost_player_truncates_what_ran_and_nothing_else():
    player = Player(3)
    player.say([(0, 0), (1, 0)]).step()
    player.say([(0, 1)], ends=[(1, 1, False)]).step()
    player.slots.is_waiting[:] = False
    player.slots.lose()
    assert player.slots.has_news
    assert player.step() == [(LAST, 0, 0, 1), None, None]
    assert player.step() == [None, None, None]
    assert player.say([(0, 0), (1, 0), (2, 0)]).step() == [(FIRST, id, 0, 1) for id in range(3)]


def test_after_a_reset_of_the_scene_all_begin_anew_and_new_ids_may_take_seats():
    player = Player(2)
    player.say([(0, 0), (1, 0)]).step()
    player.slots.begin_anew()
    assert player.say([(1, 1), (5, 1)]).step() == [(FIRST, 5, 0, 1), (FIRST, 1, 0, 1)]


def test_group_rewards_are_added_where_asked_for():
    player = Player(1, adds_group_reward=True)
    player.say([(0, 0)]).step()
    assert player.say([(0, 1)]).step() == [(MID, 0, 1.5, 1)]
    assert player.rows.group_reward.tolist() == [0.5]
    assert player.say([(0, 1)], [(0, 2, False)]).step() == [(LAST, 0, 2.5, 0)]
    assert player.step() == [(FIRST, 0, 0, 1)] and player.rows.group_reward.tolist() == [0]


def test_slots_that_are_not_named_keep_their_rows():
    player = Player(2)
    player.say([(0, 0), (1, 0)]).step()
    player.say([(0, 1), (1, 1)])
    named = np.array([True, False])
    before = player.now()
    assert player.step(named) == [(MID, 0, 1, 1), before[1]]
    assert not player.slots.is_due
    assert player.step(~named) == [(MID, 0, 1, 1), (MID, 1, 1, 1)]


class Crowd:
    """A scene of agents that come, go, end, decide when they like, and sometimes vanish."""

    def __init__(self, seed, most):
        self.random = np.random.default_rng(seed)
        self.most = most
        self.next_id = 0
        self.alive = {}

    def message(self):
        """Returns a message; each decision's reward numbers the agent's steps."""
        random, decisions, ends = self.random, [], []
        for agent in list(self.alive):
            if random.random() < 0.02:
                del self.alive[agent]
                if random.random() < 0.7:
                    ends.append((agent, 1000, False))
                continue
            if random.random() < 0.1:
                ends.append((agent, self.alive[agent], bool(random.random() < 0.5)))
                self.alive[agent] = 0
            if random.random() < 0.6:
                decisions.append((agent, self.alive[agent]))
                self.alive[agent] += 1
        while len(self.alive) < self.most and random.random() < 0.3:
            decisions.append((self.next_id, 0))
            self.alive[self.next_id] = 1
            self.next_id += 1
        order = random.permutation(len(decisions))
        return [decisions[row] for row in order], ends


@pytest.mark.parametrize(("num_slots", "most"), [(4, 4), (4, 6), (6, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_doubled_or_joined(seed, num_slots, most):
    """Of all that is said of agents with a seat, each row comes once, in order, and complete."""
    player, crowd = Player(num_slots, vanish_after=8), Crowd(seed, most)
    running = [None] * num_slots
    num_rows = num_said = 0
    for _ in range(2000):
        while player.slots.has_news:
            for slot, row in enumerate(player.step()):
                if row is None:
                    continue
                num_rows += 1
                step_type, agent, reward, _ = row
                if step_type == FIRST:
                    assert running[slot] is None
                    running[slot] = (agent, player.time_step.observation[slot, 1])
                elif step_type == MID:
                    # The same agent, and the very next of its numbers.
                    assert running[slot] == (agent, reward - 1)
                    running[slot] = (agent, reward)
                else:
                    assert running[slot][0] == agent
                    assert reward in (running[slot][1] + 1, 1000, 0)
                    running[slot] = None
        decisions, ends = crowd.message()
        seated = set(player.slots.seats.agents.tolist())
        player.say(decisions, ends)
        num_said += sum(row >= 0 for row in player.slots.seats.row_slots)
        num_said += sum(agent in seated for agent, _, _ in ends)
    assert num_rows > 2000 and abs(num_rows - num_said) < 0.1 * num_said
