"""Playing episodes: each seed once, in order, and the same whatever the number of slots."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import contract, make_game
from gamebridge.contract import FIRST, LAST, MID, TelemetrySpec, seeding, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.policies import tf_policy  # noqa: E402, TID253
from tf_agents.specs import tensor_spec  # noqa: E402, TID253
from tf_agents.trajectories import policy_step  # noqa: E402, TID253
from tf_agents.trajectories import time_step as ts  # noqa: E402, TID253

from gamebridge.evaluation import rollout  # noqa: E402
from gamebridge.tf import environment  # noqa: E402


class Rule(tf_policy.TFPolicy):
    """Acts by a function of the observation."""

    def __init__(self, game, function):
        self._function = function
        super().__init__(
            ts.time_step_spec(
                tensor_spec.from_spec(environment.to_array_spec(game.observation_spec()))
            ),
            tensor_spec.from_spec(environment.to_array_spec(game.action_spec())),
            clip=False,
        )

    def _action(self, time_step, policy_state=(), seed=None):
        return policy_step.PolicyStep(self._function(time_step.observation), policy_state)


def leaning(game):
    """CartPole's action that goes where the pole leans."""
    return rollout.GraphPolicy(
        Rule(game, lambda observation: tf.cast(observation[:, 2] > 0, tf.int64))
    )


def right(game):
    return rollout.GraphPolicy(Rule(game, lambda o: tf.ones([tf.shape(o)[0]], tf.int64)))


def left(game):
    return rollout.GraphPolicy(Rule(game, lambda o: tf.zeros([tf.shape(o)[0]], tf.int64)))


SEEDS = seeding.slot_seeds(0, 7, seeding.Domain.EVALUATION).tolist()


@pytest.fixture(scope="module")
def one_by_one():
    with make_game("gym/CartPole-v1") as game:
        return rollout.play(game, leaning(game), SEEDS, max_steps=1000)


@pytest.mark.parametrize("num_slots", [2, 3, 8])
def test_the_number_of_slots_changes_nothing(one_by_one, num_slots):
    with make_game("gym/CartPole-v1", num_slots, seed=5) as game:
        assert rollout.play(game, leaning(game), SEEDS, max_steps=1000) == one_by_one


def test_each_seed_is_played_once_and_in_order(one_by_one):
    assert [episode.seed for episode in one_by_one] == SEEDS
    assert len({episode.length for episode in one_by_one}) > 1
    assert {episode.ended for episode in one_by_one} == {"terminated"}
    assert all(episode.episode_return == episode.length for episode in one_by_one)


def test_what_was_played_before_changes_nothing(one_by_one):
    with make_game("gym/CartPole-v1", 3, seed=5) as game:
        policy = leaning(game)
        rollout.play(game, policy, SEEDS[:2], max_steps=5)
        assert rollout.play(game, policy, SEEDS, max_steps=1000) == one_by_one


def test_an_episode_is_cut_after_so_many_steps():
    game = fakes.Corridor(3, length=10)
    played = rollout.play(game, left(game), range(5), max_steps=7)
    assert [episode.length for episode in played] == [7] * 5
    assert {episode.ended for episode in played} == {"truncated"}


def test_playing_ends_early_where_it_is_told_to():
    game = fakes.Corridor(1, length=6)
    asked = []

    def enough():
        asked.append(True)
        return len(asked) > 8

    played = rollout.play(game, right(game), [1, 2, 3], max_steps=100, should_stop=enough)
    assert 1 <= len(played) < 3
    assert len(asked) == 9


def test_the_games_own_ending_is_told_apart():
    game = fakes.Corridor(2, length=4)
    assert {e.ended for e in rollout.play(game, right(game), range(3), max_steps=99)} == {
        "terminated"
    }
    played = rollout.play(game, left(game), range(3), max_steps=99)
    assert {(e.ended, e.length) for e in played} == {("truncated", 16)}
    # Where the limit falls on the game's own last step, the ending is the game's.
    lengths = [e.length for e in rollout.play(game, right(game), range(3), max_steps=99)]
    cut = rollout.play(game, right(game), range(3), max_steps=max(lengths))
    assert {episode.ended for episode in cut} == {"terminated"}


class Reporting(fakes.Corridor):
    """Reports the number of the step, thrice reduced; negative, so that a zero would show."""

    def telemetry_spec(self):
        return {name: TelemetrySpec(reduce=name) for name in ("sum", "last", "max")}

    def telemetry(self):
        values = -1.0 - np.abs(self.elapsed - 3.0)
        return {"sum": values, "last": values, "max": values}


@pytest.mark.parametrize("num_slots", [1, 3])
def test_telemetry_is_reduced_over_the_steps_of_an_episode(num_slots):
    game = Reporting(num_slots, length=50)
    for episode in rollout.play(game, left(game), range(4), max_steps=6):
        values = [-1.0 - abs(step - 3) for step in range(1, 7)]
        assert episode.telemetry == {"sum": sum(values), "last": values[-1], "max": -1.0}


@pytest.mark.parametrize("num_slots", [1, 3])
def test_the_watcher_is_told_of_each_step_once(num_slots):
    game = fakes.Corridor(num_slots, length=6)
    told = []
    played = rollout.play(game, right(game), range(5), max_steps=4, watch=told.append)
    for number, episode in enumerate(played):
        moments = [moment for moment in told if moment.episode == number]
        assert [moment.step for moment in moments] == list(range(1, episode.length + 1))
        assert [moment.ended for moment in moments] == [""] * (episode.length - 1) + [episode.ended]
        assert moments[-1].episode_return == episode.episode_return
        assert sum(moment.reward for moment in moments) == pytest.approx(episode.episode_return)
        assert all(moment.action == 1 for moment in moments)
        assert moments[0].telemetry == {"steps_right": 1.0}
    assert len(told) == sum(episode.length for episode in played)


def test_silent_slots_are_not_counted():
    moment = fakes.Moment
    game = fakes.Scripted(
        [
            moment(step_type=FIRST),
            moment(0.5, 1.0),
            moment(0.9, 99.0, valid=False),
            moment(0.5, 1.0, LAST),
            moment(0.9, 99.0, valid=False),
        ]
    )
    policy = rollout.GraphPolicy(Rule(game, lambda o: tf.zeros([tf.shape(o)[0]], tf.int64)))
    (episode,) = rollout.play(game, policy, [3], max_steps=10)
    assert (episode.length, episode.episode_return, episode.ended) == (2, 2.0, "terminated")


class CannotHold(fakes.Corridor):
    """Moves all its slots at once."""

    can_hold = False

    def step(self, action, active=None):
        assert active is None
        return super().step(action)


def test_a_game_that_cannot_hold_slots_back_plays_the_same():
    game, usual = CannotHold(3, length=6), fakes.Corridor(3, length=6)
    played = rollout.play(game, right(game), range(5), max_steps=99)
    assert played == rollout.play(usual, right(usual), range(5), max_steps=99)


def test_actions_are_held_to_their_bounds_where_there_are_any():
    seen = []

    class Keeping(fakes.Scripted):
        def step(self, action, active=None):
            seen.append(specs.map_leaves(np.copy, action))
            return super().step(action, active)

    spec = {
        "bounded": specs.box((1,), -1.0, 1.0),
        "free": specs.box((1,)),
        "one": specs.discrete(9),
    }
    moment = fakes.Moment
    script = [moment(step_type=FIRST), moment(), moment(step_type=LAST)]
    game = Keeping(script, action_spec=spec)
    action = {
        "bounded": tf.constant([[5.0]]),
        "free": tf.constant([[5.0]]),
        "one": tf.constant([8], tf.int64),
    }
    rollout.play(game, rollout.GraphPolicy(Rule(game, lambda _: action)), [0], max_steps=9)
    assert {key: float(value.ravel()[0]) for key, value in seen[0].items()} == {
        "bounded": 1.0,
        "free": 5.0,
        "one": 8.0,
    }


def test_a_policy_is_traced_once():
    game = fakes.Corridor(2)
    policy = right(game)
    for _ in range(2):
        rollout.play(game, policy, range(3), max_steps=9)
    assert policy._act.experimental_get_tracing_count() == 1


def test_no_seed_of_one_purpose_is_ever_one_of_another():
    seen = {}
    for domain in seeding.Domain:
        slots = np.concatenate([seeding.slot_seeds(seed, 500, domain) for seed in range(20)])
        episodes = np.concatenate(
            [seeding.episode_seeds(slots, np.full(slots.size, number)) for number in range(3)]
        )
        seen[domain] = set(slots.tolist()) | set(episodes.tolist())
    domains = list(seeding.Domain)
    for index, domain in enumerate(domains):
        for other in domains[index + 1 :]:
            assert not seen[domain] & seen[other]
    assert MID == 1


class Losing(contract.Wrapper):
    """Loses the process of slot 0 once, in the middle of an episode."""

    lost_at = 9
    restarts = 0
    count = 0

    @property
    def num_restarts(self):
        return self.restarts

    def step(self, action, active=None):
        time_step = self.game.step(action, active)
        self.count += 1
        if self.count != self.lost_at:
            return time_step
        self.restarts += 1
        step_type, reward, discount = (part.copy() for part in time_step[:3])
        step_type[0], reward[0], discount[0] = LAST, 0.0, 1.0
        return time_step._replace(step_type=step_type, reward=reward, discount=discount)


def test_an_episode_that_was_lost_with_its_process_is_played_again():
    with make_game("gym/CartPole-v1", 3, workers=0) as game:
        whole = rollout.play(game, leaning(game), SEEDS, max_steps=500)
        losing = Losing(game)
        assert rollout.play(losing, leaning(game), SEEDS, max_steps=500) == whole
        assert losing.restarts == 1
