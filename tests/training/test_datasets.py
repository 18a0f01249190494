"""Rows to learn from: each once an epoch, in blocks that fit, as the agent would have acted."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import specs
from gamebridge.evaluation import rollout, saved_episodes, saving
from gamebridge.testing import fakes, numbered
from gamebridge.training import datasets
from gamebridge.wrappers import actions, bounds, choices, episodes

NUM_EPISODES = 40


def save(game, folder, seeds, act):
    origin = saving.Origin("testing/theirs", {}, {}, "teacher")
    with saving.Saver(game, folder, seeds, origin) as saver:
        policy = rollout.FunctionPolicy(act)
        rollout.play(saver.game, policy, seeds, max_steps=1000, watch=saver)
    return saved_episodes.SavedEpisodes(folder)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    seeds = list(range(NUM_EPISODES))
    return save(numbered.Numbered(8), folder, seeds, lambda o: o[:, 1] % 10)


def make(saved, seed=0, holdout=0.0, block_bytes=2**20, game=None):
    game = game or episodes.EpisodeLog(numbered.Numbered(1))
    return datasets.Dataset(saved, game, seed, holdout, block_bytes)


def rows_of(dataset, epoch):
    """Returns (seed, step) of each row of an epoch, in the order in which it is learned from."""
    found = []
    for index in range(dataset.num_blocks(epoch)):
        rows = dataset.block(epoch, index)
        order = dataset.order(epoch, index, len(rows.action))
        assert len(order) <= dataset.block_rows
        assert (rows.action == rows.observation[:, 1] % 10).all()
        found += [tuple(row) for row in rows.observation[order, :2].tolist()]
    return found


@pytest.fixture
def short_runs(monkeypatch):
    monkeypatch.setattr(datasets, "_RUN_LENGTH", 4)


@pytest.mark.parametrize("block_bytes", [2**20, 3_200, 1], ids=["one", "some", "many"])
def test_each_row_is_learned_from_once_an_epoch_but_the_last_ones(saved, short_runs, block_bytes):
    dataset = make(saved, block_bytes=block_bytes)
    everything = sorted(
        (int(episode.observation[0, 0]), step)
        for episode in saved
        # Nothing was done at the last observation.
        for step in range(len(episode.reward))
    )
    assert dataset.num_rows == len(everything)
    epochs = [rows_of(dataset, epoch) for epoch in range(3)]
    assert [sorted(rows) for rows in epochs] == [everything] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    # A row of int64 [3] and an int64 is 32 bytes.
    num_blocks = dataset.num_blocks(0)
    assert num_blocks == 1 if block_bytes == 2**20 else num_blocks >= dataset.num_rows // 100


def test_blocks_are_mixed_of_many_episodes(saved, short_runs):
    dataset = make(saved, block_bytes=3_200)
    first = dataset.block(0, 0).observation[:, 0]
    assert len(first) > 90
    assert len(set(first.tolist())) > 10


def test_the_same_seed_gives_the_same_order_and_another_one_another(saved, short_runs):
    one, same, other = (make(saved, seed, block_bytes=3_200) for seed in (3, 3, 4))
    assert rows_of(one, 5) == rows_of(same, 5)
    assert rows_of(one, 5) != rows_of(other, 5)


@pytest.mark.parametrize(("holdout", "num_held"), [(0.0, 0), (0.01, 1), (0.25, 10)])
def test_whole_episodes_are_held_out(saved, holdout, num_held):
    dataset = make(saved, holdout=holdout)
    learned = {seed for seed, _ in rows_of(dataset, 0)}
    assert len(learned) == NUM_EPISODES - num_held
    if num_held:
        held = dataset.held_out().observation
        assert len(held) == dataset.num_held_out == saved.lengths.sum() - dataset.num_rows
        assert len(set(held[:, 0].tolist())) == num_held
        assert not learned & set(held[:, 0].tolist())


def test_of_one_episode_nothing_is_held_out(tmp_path):
    one = save(numbered.Numbered(1), tmp_path, [3], lambda o: o[:, 1] % 10)
    dataset = make(one, holdout=0.5)
    assert (dataset.num_held_out, dataset.num_rows) == (0, one.lengths.sum())


class Others(numbered.Numbered):
    """Other actions than those that were saved."""

    def action_spec(self):
        return specs.discrete(7)


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (
            fakes.Corridor(1),
            r"are of testing/theirs, which has another observation than testing/corridor: the "
            r"only leaf is float32 \[2\] in one and int64 \[3\].* in the other",
        ),
        (
            Others(1),
            r"another action than .*int64 \[\] in \[0, 6\] in one and int64 \[\] in \[0, 9",
        ),
    ],
    ids=["observation", "action"],
)
def test_episodes_of_another_game_are_refused_with_the_leaf_that_differs(saved, game, message):
    with pytest.raises(errors.FitError, match=message):
        make(saved, game=game)


def test_bounds_of_floats_that_are_seen_do_not_matter(tmp_path):
    class Wider(fakes.Target):
        def observation_spec(self):
            return specs.box((1,), -9.0, 9.0)

    guesses = save(fakes.Target(1), tmp_path, [3], lambda o: o)
    assert make(guesses, game=Wider(1)).num_rows == 10


def test_an_adaptor_without_a_way_back_is_refused(saved):
    game = choices.Binned(fakes.Target(1), [5])
    with pytest.raises(
        errors.FitError, match=r"testing/target takes float32 .* only gives .*int64"
    ):
        make(saved, game=episodes.EpisodeLog(game))


def test_bounds_that_an_action_was_given_are_no_obstacle(tmp_path):
    class Endless(fakes.Target):
        def action_spec(self):
            return specs.box((1,))

    guesses = save(Endless(1), tmp_path, [3], lambda o: o)
    assert make(guesses, game=bounds.Bounded(Endless(1), 1.0)).num_rows == 10


def test_actions_are_those_that_the_agent_would_have_given(tmp_path):
    class Odd(fakes.Corridor):
        def action_spec(self):
            return specs.discrete(2, start=-3, dtype=np.int8)

    guesses = save(Odd(1), tmp_path, [3], lambda o: np.asarray([-2], np.int8))
    game, _ = actions.canonical(Odd(1))
    rows = make(guesses, game=episodes.EpisodeLog(game)).block(0, 0)
    assert rows.action.dtype == np.int64
    assert set(rows.action.tolist()) == {1}
