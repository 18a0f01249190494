"""The replay buffer against a slow model that keeps every step in lists."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import FIRST, LAST, MID
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.trajectories import policy_step, trajectory  # noqa: E402, TID253
from tf_agents.trajectories import time_step as ts  # noqa: E402, TID253

from gamebridge.tf import replay, reverb_replay  # noqa: E402

SPEC = {"id": tf.TensorSpec((), tf.int64), "frame": tf.TensorSpec((2,), tf.uint8)}
ACTION = tf.TensorSpec((), tf.int32)


@pytest.fixture(params=["memory", "reverb"])
def make(request):
    """Makes replay buffers of one kind, for one number of steps."""
    made = []

    def make(num_slots, capacity, num_steps=1):
        if request.param == "memory":
            return replay.Replay(SPEC, ACTION, num_slots, capacity)
        pytest.importorskip("reverb")
        made.append(
            reverb_replay.ReverbReplay(SPEC, ACTION, num_slots, capacity, num_steps=num_steps)
        )
        return made[-1]

    yield make
    for ring in made:
        ring.close()


@dataclasses.dataclass
class Step:
    """What one slot said: an observation that tells slot and step apart from all others."""

    number: int
    step_type: int
    reward: float
    discount: float
    action: int = 0
    cut: bool = False


class Stream:
    """Random episodes of a few slots, added to a ring and kept in full."""

    def __init__(self, ring, num_slots, seed):
        self.ring = ring
        self.add = tf.function(ring.add, autograph=False)
        self.rng = np.random.default_rng(seed)
        self.count = 0
        self.now = [self.first() for _ in range(num_slots)]
        self.history = [[step] for step in self.now]

    def first(self):
        self.count += 1
        return Step(self.count, FIRST, 0.0, 1.0)

    def after(self, step):
        if step.step_type == LAST:
            return self.first()
        self.count += 1
        reward = float(self.rng.normal())
        ending = self.rng.random()
        if ending < 0.1:
            return Step(self.count, LAST, reward, 0.0)
        if ending < 0.25:
            return Step(self.count, LAST, reward, 1.0)
        return Step(self.count, MID, reward, float(self.rng.choice([1.0, 0.9])))

    def advance(self, slots=None):
        """All slots go on, or those named; what is added of the others means nothing."""
        named = [True] * len(self.now) if slots is None else slots
        for step, goes_on in zip(self.now, named, strict=True):
            step.action = int(self.rng.integers(100)) if goes_on else 77
        later = [
            self.after(step) if goes_on else Step(-1, MID, np.nan, np.nan)
            for step, goes_on in zip(self.now, named, strict=True)
        ]
        mask = None if slots is None else tf.constant(slots)
        self.add(rows(self.now), actions(self.now), rows(later), mask)
        for slot, goes_on in enumerate(named):
            if goes_on:
                self.history[slot].append(later[slot])
                self.now[slot] = later[slot]

    def cut(self):
        """Ends the running episodes where they stand; new ones begin."""
        self.ring.cut(rows(self.now))
        for slot, step in enumerate(self.now):
            if not self.ring.num_added[slot]:
                continue
            step.cut = True
            step.action = 0
            self.now[slot] = self.first()
            self.history[slot].append(self.now[slot])

    def find(self, number):
        """The steps of the slot that has the step of this number, and its index in them."""
        for steps in self.history:
            for index, step in enumerate(steps):
                if step.number == number:
                    return steps, index
        raise AssertionError(f"no step {number}")


def newest_transitions(stream, num_steps):
    """The numbers of all that can be drawn and learned from, by the rule of the kind of buffer."""
    kept = [range(count - num_steps) for count in stream.ring.num_added]
    if isinstance(stream.ring, replay.Replay):
        return {
            stream.history[slot][index].number
            for slot, indices in enumerate(kept)
            for index in indices[-stream.ring.length + num_steps :]
            if can_begin(stream.history[slot][index])
        }
    # All slots of the test went on together: they came row by row, but for the few of each slot
    # that may be on their way.
    everything = [
        steps[index].number
        for index in range(max(map(len, kept)))
        for steps in stream.history
        if can_begin(steps[index])
    ]
    return set(everything[-stream.ring.capacity - 8 * stream.ring.num_slots :])


def can_begin(step):
    return step.step_type != LAST and not step.cut


def walk(steps, index, num_steps, gamma):
    """n steps on from steps[index], one by one, to the episode's end; None where none begins."""
    begin = steps[index]
    if not can_begin(begin):
        return None
    total, reach, taken = 0.0, 1.0, 0
    while taken < num_steps:
        index += 1
        step = steps[index]
        total += reach * gamma**taken * step.reward
        reach *= step.discount
        taken += 1
        if step.step_type == LAST or step.cut:
            break
    return total, reach * gamma ** (taken - 1), steps[index].number


def rows(steps):
    numbers = np.array([step.number for step in steps])
    return ts.TimeStep(
        tf.constant([step.step_type for step in steps], tf.int32),
        tf.constant([step.reward for step in steps], tf.float32),
        tf.constant([step.discount for step in steps], tf.float32),
        {
            "id": tf.constant(numbers, tf.int64),
            "frame": tf.constant(np.stack([numbers % 251, numbers % 7], -1), tf.uint8),
        },
    )


def actions(steps):
    return tf.constant([step.action for step in steps], tf.int32)


def drawn(ring, num_steps, gamma, seed=0, batch_size=400):
    sampled = ring.sample(batch_size, num_steps, gamma, tf.constant([seed, 1], tf.int32))
    return tf.nest.map_structure(lambda leaf: leaf.numpy(), sampled)


def check(stream, num_steps, gamma, seed=0):
    batch = drawn(stream.ring, num_steps, gamma, seed)
    seen = set()
    for index, number in enumerate(batch.observation["id"]):
        steps, at = stream.find(number)
        expected = walk(steps, at, num_steps, gamma)
        if expected is None:
            assert batch.weight[index] == 0.0
            continue
        reward, discount, last = expected
        assert batch.weight[index] == 1.0
        np.testing.assert_allclose(batch.reward[index], reward, atol=1e-5)
        np.testing.assert_allclose(batch.discount[index], discount, atol=1e-6)
        assert batch.next_observation["id"][index] == last
        assert batch.observation["frame"][index, 0] == number % 251
        assert batch.action[index] == steps[at].action
        seen.add(number)
    return seen


@pytest.mark.parametrize(
    ("num_slots", "capacity", "num_steps", "num_added"),
    [(1, 50, 1, 30), (1, 24, 3, 100), (3, 60, 5, 57), (4, 37, 2, 150), (2, 1000, 10, 40)],
)
@pytest.mark.parametrize("cut_every", [None, 9])
def test_every_sampled_transition_is_what_a_slow_walk_gives(
    make, num_slots, capacity, num_steps, num_added, cut_every
):
    ring = make(num_slots, capacity, num_steps)
    stream = Stream(ring, num_slots, seed=capacity + num_steps)
    for step in range(1, num_added + 1):
        stream.advance()
        if cut_every and step % cut_every == 0:
            stream.cut()
    seen = check(stream, num_steps, 0.97)
    # Nearly everything that can be drawn was, and nothing else.
    everything = newest_transitions(stream, num_steps)
    assert seen <= everything
    assert len(seen) > 0.8 * min(len(everything), int(ring.num_transitions(num_steps)))


@pytest.mark.parametrize(("num_slots", "capacity", "num_steps"), [(3, 60, 1), (4, 80, 3)])
@pytest.mark.parametrize("cut_every", [None, 13])
def test_slots_that_fill_at_their_own_pace_give_what_a_slow_walk_gives(
    make, num_slots, capacity, num_steps, cut_every
):
    ring = make(num_slots, capacity, num_steps)
    stream = Stream(ring, num_slots, seed=capacity)
    generator = np.random.default_rng(capacity)
    chances = np.linspace(0.1, 1.0, num_slots)
    for step in range(1, 90):
        stream.advance((generator.random(num_slots) < chances).tolist())
        if cut_every and step % cut_every == 0:
            stream.cut()
    expected = [len(steps) - 1 for steps in stream.history]
    np.testing.assert_array_equal(ring.num_added, expected)
    assert min(expected) < ring.length < max(expected)
    for seed in range(3):
        check(stream, num_steps, 0.97, seed)


def test_all_transitions_have_equal_chances_whatever_their_slot_holds(make):
    ring = make(3, 300, 2)
    stream = Stream(ring, 3, seed=5)
    for step in range(60):
        stream.advance([step < 6, False, True])
    if isinstance(ring, replay.Replay):
        assert int(ring.num_transitions(2)) == 4 + 0 + 58
        assert int(ring.num_transitions(6)) == 54
    ids = drawn(ring, 2, 0.9, batch_size=6000).observation["id"]
    counts = {number: (ids == number).sum() for number in ids}
    # Of a server those are drawn that can be learned from.
    assert set(counts) == {
        step.number
        for steps in (stream.history[0][:4], stream.history[2][:58])
        for step in steps
        if isinstance(ring, replay.Replay) or can_begin(step)
    }
    assert min(counts.values()) > 50
    assert max(counts.values()) < 180


def test_only_slots_whose_episode_runs_are_cut(make):
    ring = make(2, 20)
    stream = Stream(ring, 2, seed=2)
    stream.advance()
    stream.advance()
    ring.cut(rows(stream.now), tf.constant([True, False]))
    np.testing.assert_array_equal(ring.num_added, [3, 2])
    kept = ring.rows(np.zeros(2, np.int64), ring.num_added)
    assert kept["next_step_type_0"][1] == LAST
    assert kept["next_step_type_0"][-1] == stream.now[1].step_type


def test_the_newest_transition_can_be_drawn(make):
    ring = make(1, 10, 2)
    stream = Stream(ring, 1, seed=3)
    for _ in range(3):
        stream.advance()
    batch = drawn(ring, 2, 0.9)
    assert set(batch.observation["id"]) == {stream.history[0][0].number}


def test_a_cut_before_anything_was_added_is_nothing(make):
    ring = make(2, 10)
    ring.cut(rows([Step(1, FIRST, 0.0, 1.0), Step(2, FIRST, 0.0, 1.0)]))
    assert not ring.num_added.any()


def test_a_terminated_episode_stays_terminated_when_cut(make):
    ring = make(1, 10)
    first, last = Step(1, FIRST, 0.0, 1.0), Step(2, LAST, 5.0, 0.0)
    ring.add(rows([first]), actions([first]), rows([last]))
    ring.cut(rows([last]))
    batch = drawn(ring, 1, 0.9, batch_size=8)
    assert set(batch.discount) == {0.0}
    assert set(batch.reward) == {5.0}


def test_a_cut_episode_bootstraps_from_where_it_stood(make):
    ring = make(1, 10, 2)
    first, mid, fresh = Step(1, FIRST, 0.0, 1.0), Step(2, MID, 5.0, 1.0), Step(3, FIRST, 0.0, 1.0)
    ring.add(rows([first]), actions([first]), rows([mid]))
    ring.cut(rows([mid]))
    ring.add(rows([fresh]), actions([fresh]), rows([Step(4, MID, 100.0, 1.0)]))
    batch = drawn(ring, 2, 0.5, batch_size=50)
    assert set(batch.observation["id"][batch.weight > 0]) == {1}
    began = batch.observation["id"] == 1
    assert set(batch.reward[began]) == {5.0}
    assert set(batch.discount[began]) == {1.0}
    assert set(batch.next_observation["id"][began]) == {2}


def test_tf_agents_own_n_step_return_would_join_two_episodes():
    first, last, fresh = Step(1, FIRST, 0.0, 1.0), Step(2, LAST, 1.0, 1.0), Step(3, FIRST, 0.0, 1.0)
    stream = [first, last, fresh, Step(4, MID, 100.0, 1.0), Step(5, MID, 0.0, 1.0)]
    ring = replay.Replay(SPEC, ACTION, 1, 10)
    for now, later in itertools.pairwise(stream):
        ring.add(rows([now]), actions([now]), rows([later]))
    batch = drawn(ring, 3, 1.0, batch_size=4)
    assert set(batch.reward) == {1.0}
    stock = trajectory.to_n_step_transition(
        tf.nest.map_structure(
            lambda *steps: tf.stack(steps, 1),
            *(
                trajectory.from_transition(
                    rows([now]), policy_step.PolicyStep(actions([now])), rows([later])
                )
                for now, later in itertools.pairwise(stream)
            ),
        ),
        gamma=1.0,
    )
    assert float(stock.next_time_step.reward[0]) == 101.0


def test_the_same_seed_draws_the_same_batch_and_another_seed_another():
    ring = replay.Replay(SPEC, ACTION, 2, 100)
    stream = Stream(ring, 2, seed=1)
    for _ in range(40):
        stream.advance()
    first, again, other = (drawn(ring, 2, 0.9, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.observation["id"], again.observation["id"])
    assert not np.array_equal(first.observation["id"], other.observation["id"])


@pytest.mark.parametrize("num_added", [7, 30, 73])
@pytest.mark.parametrize("in_turns", [False, True])
def test_a_ring_written_back_in_segments_draws_the_same(make, num_added, in_turns):
    ring = make(2, 40, 3)
    stream = Stream(ring, 2, seed=num_added)
    segments, begin = [], np.zeros(2, np.int64)
    for step in range(1, num_added + 1):
        stream.advance([True, step % 3 > 0] if in_turns else None)
        if step % 6 == 0 or step == num_added:
            segments.append((begin, ring.num_added, ring.rows(begin, ring.num_added)))
            begin = ring.num_added
    other = make(2, 40, 3)
    for segment in segments:
        other.restore_rows(*segment)
    other.set_num_added(ring.num_added)
    np.testing.assert_array_equal(other.num_added, ring.num_added)
    assert int(other.num_transitions(3)) == int(ring.num_transitions(3))
    if isinstance(ring, replay.Replay):
        tf.nest.map_structure(
            np.testing.assert_array_equal, drawn(ring, 3, 0.9, 5), drawn(other, 3, 0.9, 5)
        )
    stream.ring = other
    assert check(stream, 3, 0.9)


def test_a_ring_too_large_for_the_machine_is_refused_with_a_size_that_fits():
    with pytest.raises(
        errors.ConfigError,
        match=r"A replay of 1,000,000,000,000 steps of \d+ bytes takes .* GiB; this machine has "
        r".*Set agent.replay_capacity to [\d,]+ or less",
    ):
        replay.Replay(SPEC, ACTION, 1, 10**12)


def test_a_row_holds_each_observation_once():
    ring = replay.Replay(tf.TensorSpec((84, 84, 4), tf.uint8), ACTION, 2, 100)
    size = sum(np.prod(v.shape) * v.dtype.size for v in ring.variables)
    # And one row more a slot.
    assert size < 102 * (84 * 84 * 4 + 32)
