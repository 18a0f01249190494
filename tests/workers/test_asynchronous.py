"""A pool whose batch is made of the slots that are ready first."""

import os
import signal
import time

import numpy as np
import pools
import pytest

from gamebridge.contract import FIRST, LAST
from gamebridge.testing import GameConformance, numbered
from gamebridge.tf import environment
from gamebridge.workers import asynchronous


def open_pool(*args, ready_slots=1, **more):
    return asynchronous.AsynchronousPool(pools.order(*args, **more), ready_slots)


class Diary:
    """Checks what each slot of a `Numbered` game says, in whatever order slots come."""

    def __init__(self, num_slots):
        self.last = [None] * num_slots
        self.sent = np.full(num_slots, -1)
        self.seeds = set()
        self.num_transitions = self.num_lost = 0

    def note(self, slot, step_type, reward, discount, numbers):
        seed, step, echo = numbers.tolist()
        before, self.last[slot] = self.last[slot], (step_type, seed, step)
        if step_type == FIRST:
            assert (before is None or before[0] == LAST) and (step, echo) == (0, -1)
            assert seed not in self.seeds
            self.seeds.add(seed)
            return
        assert before is not None and before[0] != LAST
        if step_type == LAST and (seed, step) == before[1:]:
            assert (reward, discount) == (0, 1)
            self.num_lost += 1
            return
        assert (seed, step, echo) == (before[1], before[2] + 1, self.sent[slot])
        assert (step_type == LAST) == (step == numbered.Numbered.length(seed))
        self.num_transitions += 1

    def note_all(self, time_step, slots):
        for row, slot in enumerate(slots):
            self.note(
                slot,
                time_step.step_type[row],
                time_step.reward[row],
                time_step.discount[row],
                time_step.observation[row],
            )


def converse(pool, diary, num_steps, interfere=None):
    """Sends and receives, so often."""
    waiting = np.arange(pool.num_slots)
    for step in range(num_steps):
        actions = (waiting * 31 + step) % 1000
        diary.sent[waiting] = actions
        pool.send(actions, waiting)
        time_step, waiting = pool.recv()
        diary.note_all(time_step, waiting)
        if interfere is not None:
            interfere(step)


def test_every_slot_gets_its_own_answers_in_its_own_order():
    with open_pool(shares=(1, 2, 1), ready_slots=2) as pool:
        diary = Diary(4)
        diary.note_all(pool.reset(pools.seeds()), range(4))
        converse(pool, diary, 400)
        assert diary.num_transitions > 700


def test_a_step_ignores_the_actions_of_busy_slots_and_gives_each_answer_once():
    with open_pool(shares=(1, 2, 1)) as pool:
        diary = Diary(4)
        time_step = pool.reset(pools.seeds())
        valid = time_step.valid.copy()
        diary.note_all(time_step, range(4))
        for step in range(400):
            actions = (np.arange(4) * 31 + step) % 1000
            diary.sent[valid] = actions[valid]
            time_step = pool.step(actions)
            valid = time_step.valid.copy()
            assert valid.any()
            for slot in np.flatnonzero(valid):
                diary.note(
                    slot,
                    time_step.step_type[slot],
                    time_step.reward[slot],
                    time_step.discount[slot],
                    time_step.observation[slot],
                )
        assert diary.num_transitions > 350


def test_a_slow_worker_does_not_hold_up_the_others():
    slow = int(pools.seeds()[3])
    settings = {"fault": "slow", "at": -1, "victim": slow}
    with open_pool("tests/faulty", (3, 1), settings) as pool:
        pool.reset(pools.seeds())
        began_s = time.monotonic()
        heard = np.zeros(4, np.int64)
        for _ in range(30):
            heard += pool.step(np.zeros(4, np.int64)).valid
        assert time.monotonic() - began_s < 2.0, "30 steps of 0.4 s each would take 12 s"
        assert heard[0] >= 25 and heard[3] < 10


def test_a_lost_worker_ends_its_episodes_and_no_others():
    with open_pool(shares=(2, 2)) as pool:
        diary = Diary(4)
        diary.note_all(pool.reset(pools.seeds()), range(4))

        def kill_sometimes(step):
            time.sleep(0.002)
            if step in (50, 250):
                os.kill(pools.pids(pool)[0], signal.SIGKILL)

        converse(pool, diary, 500, kill_sometimes)
        assert pool.num_restarts == 2
        assert diary.num_lost <= 4
        # The second worker was never held up.
        assert diary.last[2][1] != pools.seeds()[2]


def test_with_all_slots_lost_recv_waits_for_the_replacement():
    with open_pool(shares=(2,)) as pool:
        diary = Diary(2)
        diary.note_all(pool.reset(pools.seeds(2)), range(2))
        os.kill(pools.pids(pool)[0], signal.SIGKILL)
        converse(pool, diary, 50)
        assert pool.num_restarts == 1 and diary.num_lost == 2


def test_nothing_is_received_before_something_is_sent():
    with open_pool() as pool:
        pool.reset(pools.seeds())
        with pytest.raises(ValueError, match="every slot waits for an action"):
            pool.recv()


def test_a_busy_slot_takes_no_second_action():
    with open_pool() as pool:
        pool.reset(pools.seeds())
        pool.send(np.zeros(2, np.int64), [0, 1])
        with pytest.raises(ValueError, match=r"slots \[1\] have not been heard"):
            pool.send(np.zeros(2, np.int64), [1, 2])
        time_step, slots = pool.recv()
        assert slots.tolist() == [0, 1] and time_step.valid.all()


def test_a_part_of_a_workers_slots_may_be_sent_to():
    with open_pool(shares=(4,)) as pool:
        diary = Diary(4)
        diary.note_all(pool.reset(pools.seeds()), range(4))
        pool.send(np.array([5]), [2])
        pool.send(np.array([6, 7]), [0, 1])  # waits until the worker has answered
        diary.sent[[2, 0, 1]] = 5, 6, 7
        heard = []
        while len(heard) < 3:
            time_step, slots = pool.recv()
            diary.note_all(time_step, slots)
            heard += slots.tolist()
        assert sorted(heard) == [0, 1, 2] and heard[0] == 2


def test_what_was_received_stays_as_it_is():
    with open_pool() as pool:
        pool.reset(pools.seeds())
        pool.send(np.zeros(4, np.int64), np.arange(4))
        first, slots = pool.recv(4)
        kept = first.observation.copy()
        pool.send(np.ones(4, np.int64), slots)
        pool.recv(4)
        assert np.array_equal(first.observation, kept)


def test_a_reset_in_the_middle_forgets_what_was_under_way():
    with open_pool() as pool:
        pool.reset(pools.seeds())
        pool.send(np.zeros(4, np.int64), np.arange(4))
        time_step = pool.reset(pools.seeds(seed=8))
        assert time_step.is_first().all() and time_step.valid.all()
        diary = Diary(4)
        diary.note_all(time_step, range(4))
        converse(pool, diary, 50)


def test_a_reset_of_some_slots_loses_nothing_of_the_others():
    with open_pool(shares=(1, 1, 2)) as pool:
        diary = Diary(4)
        diary.note_all(pool.reset(pools.seeds()), range(4))
        waiting = np.arange(4)
        generator = np.random.default_rng(0)
        for step in range(300):
            actions = (waiting * 31 + step) % 1000
            diary.sent[waiting] = actions
            pool.send(actions, waiting)
            time_step, waiting = pool.recv()
            diary.note_all(time_step, waiting)
            if step % 10 == 9:
                named = np.zeros(4, np.bool_)
                named[generator.integers(4)] = True
                time_step = pool.reset(None, named)
                slot = int(np.flatnonzero(named)[0])
                diary.last[slot] = None
                assert time_step.valid[slot]
                diary.note(slot, time_step.step_type[slot], 0, 1, time_step.observation[slot])
                waiting = np.union1d(waiting, [slot])
        assert diary.num_transitions > 400


def test_under_the_door_that_waits_all_rows_are_valid():
    with open_pool(shares=(1, 3)) as pool:
        door = environment.GamePyEnvironment(pool, pools.seeds())
        door.reset()
        for step in range(50):
            time_step = door.step(np.full(4, step))
            assert len(time_step.reward) == 4


def test_telemetry_belongs_to_the_rows():
    with open_pool(shares=(1, 3)) as pool:
        pool.reset(pools.seeds())
        for step in range(100):
            time_step = pool.step(np.full(4, step))
            valid = time_step.valid
            steps = pool.telemetry()["step"]
            assert np.array_equal(steps[valid], time_step.observation[valid, 1])


class TestWhereAllSlotsAreWaitedFor(GameConformance):
    """It is then a Game that keeps all of the contract."""

    def make(self):
        return self.make_with(3)

    def make_with(self, num_slots):
        return open_pool("tests/sight", (num_slots,), ready_slots=num_slots)
