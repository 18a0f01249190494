"""A pool is a Game like any other."""

import threading

import numpy as np
import pools
import pytest
import worker_games

from gamebridge import contract, errors
from gamebridge.contract import MID, specs
from gamebridge.testing import GameConformance, numbered, playing, rules
from gamebridge.workers import staffs
from gamebridge.wrappers import episodes, repeats
from gamebridge.wrappers.settings import ImageSettings, WrapperSettings


class Lent(contract.Wrapper):
    """A pool that is given back by close(): starting one for each test would take a minute."""

    def __init__(self, game, shelf):
        super().__init__(game)
        self.shelf = shelf

    def close(self):
        shelf, self.shelf = self.shelf, []
        shelf.append(self.game)


class OfPools(GameConformance):
    num_steps = 60
    game_id = ""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def shelves(cls):
        cls.shelf = {}
        yield
        for shelf in cls.shelf.values():
            for game in shelf:
                game.close()

    def make(self):
        return self.make_with(3)

    def make_with(self, num_slots):
        shelf = self.shelf.setdefault(num_slots, [])
        shares = staffs.even_shares(num_slots, min(2, num_slots))
        return Lent(shelf.pop() if shelf else pools.open_pool(self.game_id, shares), shelf)


class TestPoolOfToys(OfPools):
    game_id = "tests/sight"


class TestPoolOfCartPoles(OfPools):
    game_id = "gym/CartPole-v1"


def plays(game, num_steps=40):
    """Everything that a game says in steps and resets with and without masks."""
    generator = np.random.default_rng(5)
    said = []

    def keep(time_step):
        said.append((playing.copy(time_step), {k: v.copy() for k, v in game.telemetry().items()}))

    with game:
        keep(game.reset(pools.seeds(game.num_slots)))
        for step in range(num_steps):
            action = playing.random_action(game.action_spec(), game.num_slots, generator)
            mask = generator.integers(0, 2, game.num_slots).astype(np.bool_)
            keep(game.step(action, mask if step % 3 == 1 else None))
            if step % 10 == 9:
                keep(game.reset(None, mask))
            if step % 20 == 19:
                keep(game.reset(pools.seeds(game.num_slots, step), ~mask))
    return said


@pytest.mark.parametrize(
    "game_id", ["tests/sight", "tests/numbered", "tests/screen", "gym/CartPole-v1"]
)
def test_the_same_seeds_give_the_same_episodes_however_many_workers(game_id):
    expected = plays(pools.here(game_id, 5))
    for num_workers in (1, 2, 3):
        found = plays(pools.open_pool(game_id, staffs.even_shares(5, num_workers)))
        rules.check_same(game_id, [step for step, _ in expected], [step for step, _ in found])
        for step, (left, right) in enumerate(zip(expected, found, strict=True)):
            for name, column in left[1].items():
                assert right[1][name].dtype == column.dtype
                assert np.array_equal(column, right[1][name]), (step, name)


def test_wrappers_work_in_the_workers():
    wrappers = WrapperSettings(
        images=ImageSettings(grey=True, height=3, width=4, stack=2),
        action_repeat=2,
        episode_limit=3,
    )
    expected = plays(pools.here("tests/sight", 4, wrappers=wrappers))
    found = plays(pools.open_pool("tests/sight", wrappers=wrappers))
    assert found[0][0].observation["eyes"][0].shape == (4, 3, 4, 2)
    rules.check_same("the pool", [step for step, _ in expected], [step for step, _ in found])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("images", [{"stack": 3}, {"height": 80, "width": 80}])
def test_large_rows_are_the_same_however_they_are_prepared(channels, images):
    wrappers = WrapperSettings(images=ImageSettings(**images), action_repeat=2, episode_limit=3)
    settings = worker_games.ScreenSettings(channels)
    expected = plays(pools.here("tests/screen", 5, settings, wrappers))
    found = plays(pools.open_pool("tests/screen", (2, 3), settings, wrappers=wrappers))
    rules.check_same("the pool", [step for step, _ in expected], [step for step, _ in found])


def test_settings_and_specs_cross_as_they_are():
    settings = worker_games.SightSettings(
        (3, 2), (worker_games.Colour("grey", (7, 7, 7)),), scale=1e-3, label="é\n"
    )
    here = worker_games.Sight(2, settings)
    with pools.open_pool("tests/sight", (1, 1), settings) as game:
        for spec, other in (
            (game.observation_spec(), here.observation_spec()),
            (game.action_spec(), here.action_spec()),
        ):
            assert [name for name, _ in specs.named_leaves(spec, "")] == [
                name for name, _ in specs.named_leaves(other, "")
            ]
            for left, right in zip(specs.leaves(spec), specs.leaves(other), strict=True):
                assert (left.shape, left.dtype, left.name, left.kind) == (
                    (right.shape, right.dtype, right.name, right.kind)
                )
                assert np.array_equal(left.minimum, right.minimum)
                assert np.array_equal(left.maximum, right.maximum)
        assert game.telemetry_spec() == here.telemetry_spec()
        time_step = game.reset()
        assert time_step.observation["eyes"][0][:, 0, 0].tolist() == [[7, 7, 7]] * 2


def test_a_game_is_told_how_its_own_processes_are_supervised():
    limits = {**pools.QUICK, "max_restarts": 20}
    with pools.open_pool("tests/limited", supervision=limits) as game:
        assert game.observation_spec() == specs.box((2,), 0, 20)


def test_a_setting_that_cannot_cross_is_refused():
    settings = worker_games.SightSettings(colours=({1, 2},))
    with pytest.raises(TypeError, match="A setting is a set, which a worker process cannot"):
        pools.open_pool("tests/sight", (1, 1), settings)


def test_pictures_come_from_the_slot_that_is_asked_for():
    with pools.open_pool("tests/sight", (1, 2), picture=True) as game:
        game.reset(pools.seeds(3))
        first = [game.render(slot) for slot in range(3)]
        expected = pools.here("tests/sight", 3)
        expected.reset(pools.seeds(3))
        for slot, picture in enumerate(first):
            assert picture.dtype == np.uint8
            assert np.array_equal(picture, expected.render(slot))
        action = playing.random_action(game.action_spec(), 3, np.random.default_rng(0))
        before = playing.copy(game.step(action))
        game.render(2)
        now = game.step(action, np.zeros(3, np.bool_))
        assert playing.first_difference(before, now, np.arange(3)) is None
        with pytest.raises(ValueError, match="slot is 3, expected 0 to 2"):
            game.render(3)


def test_a_wrong_action_is_its_callers_error_and_costs_no_worker():
    told = []
    for game in (pools.here("tests/sight", 3), pools.open_pool("tests/sight", (1, 2))):
        with game:
            game.reset(pools.seeds(3))
            action = playing.random_action(game.action_spec(), 3, np.random.default_rng(0))
            action["leg"][2] = 9
            with pytest.raises(errors.ActionError, match="slot 2, step 1: action 'leg'") as caught:
                game.step(action)
            told.append(str(caught.value))
            assert game.num_restarts == 0
    assert told[0].rstrip(".") == told[1].rstrip(".")


def test_a_picture_that_cannot_be_drawn_is_told_and_not_tried_again():
    pool = pools.faulty("raise", where="render", picture=True)
    with pool:
        pool.reset(pools.seeds())
        with pytest.raises(errors.GameError, match="raised ZeroDivisionError: the ball left"):
            pool.render(3)
        assert pool.num_restarts == 0


def test_a_game_without_pictures_renders_none():
    with pools.open_pool("tests/corridor", (1, 1)) as game:
        game.reset()
        assert game.render(1) is None


def test_rows_are_good_until_the_next_step():
    with pools.open_pool() as game:
        game.reset(pools.seeds())
        for number in range(20):
            said = game.step(pools.action(game, number))
            kept = playing.copy(said)
            game.telemetry()
            game.render(0)
            assert playing.first_difference(kept, said, np.arange(4)) is None


def test_what_is_no_action_is_refused_and_the_next_one_is_played():
    with pools.open_pool() as game:
        ledger = numbered.Ledger(4)
        ledger.note(None, game.reset(pools.seeds()))
        for wrong in (np.zeros(3, np.int64), np.zeros((4, 1), np.int64)):
            with pytest.raises(ValueError, match="tests/numbered"):
                game.step(wrong)
        with pytest.raises(TypeError, match="tests/numbered"):
            game.step(np.zeros(4, np.float32))
        with pytest.raises(ValueError, match="active is"):
            game.step(pools.action(game), np.ones(4, np.int64))
        with pytest.raises(ValueError, match="seeds is"):
            game.reset(np.zeros(4))
        pools.play(game, ledger, 20)


def test_a_step_before_the_first_reset_starts_every_slot():
    with pools.open_pool() as game:
        assert game.step(pools.action(game)).is_first().all()
        assert (game.step(pools.action(game)).step_type == MID).all()


def test_a_closed_pool_says_so():
    game = pools.open_pool()
    game.close()
    game.close()
    for call in (game.reset, lambda: game.step(pools.action(game)), game.render):
        with pytest.raises(ValueError, match="tests/numbered is closed: make it anew"):
            call()


def test_two_pools_are_two_games():
    with pools.open_pool() as one, pools.open_pool("tests/numbered", (1, 1)) as other:
        ledgers = numbered.Ledger(4), numbered.Ledger(2)
        ledgers[0].note(None, one.reset(pools.seeds(4)))
        ledgers[1].note(None, other.reset(pools.seeds(2)))
        for _ in range(30):
            pools.play(one, ledgers[0], 1)
            pools.play(other, ledgers[1], 1)


def test_workers_outlive_the_thread_that_made_the_pool():
    made = []
    thread = threading.Thread(target=lambda: made.append(pools.open_pool()))
    thread.start()
    thread.join()
    with made[0] as game:
        ledger = numbered.Ledger(4)
        ledger.note(None, game.reset(pools.seeds()))
        pools.play(game, ledger, 50)
        assert game.num_restarts == 0


def test_wrappers_can_stand_around_a_pool():
    with episodes.EpisodeLog(repeats.ActionRepeat(pools.open_pool(), 2)) as game:
        assert game.name == "tests/numbered"
        seeds = pools.seeds()
        game.reset(seeds)
        for _ in range(40):
            game.step(pools.action(game))
        first = {episode.slot: episode for episode in reversed(game.take())}
        expected = numbered.Numbered.length(
            contract.seeding.episode_seeds(seeds, np.zeros(4, np.int64))
        )
        for slot, episode in first.items():
            steps = int(expected[slot])
            assert episode.episode_return == steps * (steps + 1) / 2
            assert episode.length == -(-steps // 2)
        assert len(first) == 4
