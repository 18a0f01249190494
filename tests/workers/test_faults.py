"""What a pool does when a worker dies, hangs, raises or lies: its slots are cut short and begin
anew, the others never notice."""

import dataclasses
import logging
import os
import re
import signal
import threading
import time

import numpy as np
import pools
import pytest

from gamebridge import errors
from gamebridge.contract import FIRST, LAST
from gamebridge.supervision import budget as budgets
from gamebridge.testing import numbered, playing
from gamebridge.workers import pool
from gamebridge.wrappers import episodes, repeats
from gamebridge.wrappers.settings import WrapperSettings

UNGUARDED = WrapperSettings(guard="off")
EVERY = np.arange(4)
FIRST_SEED = int(pools.seeds()[0])


def _same_row(left, right, slot):
    return playing.first_difference(left, right, np.array([slot])) is None


@pytest.fixture
def impatient(monkeypatch):
    """No back-off."""
    monkeypatch.setattr(budgets, "_MOST_WAIT_S", 0.0)


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.INFO, logger="gamebridge.workers")
    return lambda: [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def start(game):
    ledger = numbered.Ledger(game.num_slots)
    ledger.note(None, game.reset(pools.seeds(game.num_slots)))
    return ledger


def recover(game, ledger, num_restarts=1, timeout_s=20.0):
    """Plays until so many workers were replaced and all slots are in play again."""
    pools.play(
        game,
        ledger,
        until=lambda: game.num_restarts >= num_restarts and pools.is_whole(game),
        pause_s=0.001,
        timeout_s=timeout_s,
    )
    pools.play(game, ledger, 40)
    assert game.num_restarts == num_restarts


def test_a_lost_worker_cuts_its_slots_short_and_leaves_the_others(warnings):
    with pools.open_pool() as game, pools.here() as other:
        seeds = pools.seeds()
        ledger, said = start(game), other.reset(seeds)
        for number in range(3):
            ledger.note(pools.action(game, number), game.step(pools.action(game, number)))
            said = other.step(pools.action(game, number))
        before = playing.copy(said)
        os.kill(pools.pids(game)[0], signal.SIGKILL)
        began_s = time.monotonic()
        found, number, seen = [], 3, []
        while not found or found[-1].step_type[0] != FIRST:
            action = pools.action(game, number % 1000)
            found.append(playing.copy(game.step(action)))
            ledger.note(action, found[-1])
            seen.append(time.monotonic() - began_s)
            said = playing.copy(other.step(action))
            assert playing.first_difference(said, found[-1], np.array([2, 3])) is None
            number += 1
            time.sleep(0.001)
        assert seen[0] < 2.0
        assert found[0].step_type[:2].tolist() == [LAST, LAST]
        assert found[0].valid.all()
        assert np.array_equal(found[0].observation[:2], before.observation[:2])
        assert (found[0].reward[:2].tolist(), found[0].discount[:2].tolist()) == ([0, 0], [1, 1])
        assert len(found) > 2
        is_back = [bool(time_step.valid[:2].all()) for time_step in found]
        assert is_back == [True, *[False] * (len(found) - 2), True]
        assert found[-1].step_type[:2].tolist() == [FIRST, FIRST]
        pools.play(game, ledger, 80)
        assert (game.num_restarts, ledger.num_lost) == (1, 2)
    assert warnings() == [
        "At step 4, tests/numbered, worker 0 (slots 0 to 1) was killed by SIGKILL",
        "tests/numbered, worker 0 is replaced at once (restart 1).",
    ]


def test_a_slot_that_had_ended_is_not_ended_again():
    with pools.open_pool(shares=(1, 1)) as game:
        ledger = start(game)
        while game.step(pools.action(game)).step_type[0] != LAST:
            pass
        os.kill(pools.pids(game)[0], signal.SIGKILL)
        time_step = game.step(pools.action(game))
        assert time_step.valid.tolist() == [False, True]
        ledger = numbered.Ledger(2)
        ledger.note(None, game.reset())
        pools.play(game, ledger, 20)


def test_a_slot_that_is_held_hears_of_the_loss_when_it_is_played_again():
    with pools.open_pool() as game:
        game.reset(pools.seeds())
        before = playing.copy(game.step(pools.action(game)))
        os.kill(pools.pids(game)[1], signal.SIGKILL)
        held = np.array([True, True, True, False])
        time_step = game.step(pools.action(game), held)
        assert time_step.step_type[2:].tolist() == [LAST, before.step_type[3]]
        assert time_step.valid.all()
        pools.wait_until(lambda: game.step(pools.action(game), held).step_type[2] == FIRST)
        assert _same_row(before, game.step(pools.action(game), held), 3)
        time_step = game.step(pools.action(game))
        assert (time_step.step_type[3], time_step.reward[3], time_step.discount[3]) == (LAST, 0, 1)
        assert game.step(pools.action(game)).step_type[3] == FIRST


@pytest.mark.parametrize("seed", range(2))
def test_no_transition_is_wrong_whenever_workers_are_killed(seed, impatient):
    generator = np.random.default_rng(seed)
    with pools.open_pool(shares=(2, 1, 2)) as game:
        ledger, killed = start(game), []
        is_over = threading.Event()

        def kill():
            for _ in range(4):
                is_over.wait(float(generator.uniform(0.05, 0.5)))
                pid = pools.pids(game)[generator.integers(3)]
                # One that is being replaced already is another test.
                if pid is not None and pid not in killed:
                    killed.append(pid)
                    os.kill(pid, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            pools.play(game, ledger, until=lambda: not thread.is_alive())
        finally:
            thread.join()
        recover(game, ledger, len(killed))
        assert ledger.num_transitions > 200


def test_a_worker_that_hangs_is_seen_in_time(warnings):
    with pools.open_pool() as game:
        ledger = start(game)
        pools.play(game, ledger, 5)
        pid = pools.pids(game)[1]
        os.kill(pid, signal.SIGSTOP)
        began_s = time.monotonic()
        pools.play(game, ledger, 1)
        assert 1.0 <= time.monotonic() - began_s < 1.0 + 2.0
        assert not pools.is_there(pid)
        recover(game, ledger)
        assert ledger.num_lost == 2
    assert warnings()[0] == (
        "At step 6, tests/numbered, worker 1 (slots 2 to 3) had not answered after 1 s "
        "(supervision.step_timeout_s)"
    )


def test_a_slow_step_is_waited_for():
    with pools.faulty("slow", at=3) as game:
        pools.play(game, start(game), 10)
        assert game.num_restarts == 0


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    """A pool whose first worker does what it is told by a file, and its ledger."""
    told = tmp_path_factory.mktemp("troubled") / "told"
    with pools.faulty("as told", at=-1, needs=str(told), victim=FIRST_SEED) as game:
        yield game, start(game), told


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise", "raised GameError: tests/faulty, step N: the game raised ZeroDivisionError: the"),
        ("recurse", "raised GameError: tests/faulty, step N: the game raised RecursionError: "),
        ("nan", "raised GameError: tests/faulty, slot 0, step N: reward is nan"),
        ("shape", "raised GameError: tests/faulty, step N: observation 'numbers' is int64 [2, 5];"),
        ("sys.exit", "raised SystemExit: enough"),
        ("os._exit", "exited with code 3"),
        ("kill", "was killed by SIGKILL"),
        ("interrupt", "was killed by SIGINT"),
        ("segfault", "was killed by SIGSEGV"),
        ("stop", "had not answered after 1 s"),
        ("hang", "had not answered after 1 s"),
    ],
)
def test_a_game_that_breaks_is_replaced(troubled, fault, said, impatient, warnings):
    game, ledger, told = troubled
    # The seed by which the first worker knows itself.
    ledger.forget()
    ledger.note(None, game.reset(pools.seeds()))
    pools.play(game, ledger, 2)
    num_restarts, num_lost = game.num_restarts, ledger.num_lost
    told.write_text(fault)
    began_s = time.monotonic()
    pools.play(game, ledger, until=lambda: game.num_restarts > num_restarts)
    assert time.monotonic() - began_s < 1.0 + 2.0
    recover(game, ledger, num_restarts + 1)
    assert ledger.num_lost == num_lost + 2
    message = re.sub(r"step \d+", "step N", warnings()[0])
    assert message.startswith("At step N, tests/faulty, worker 0 (slots 0 to 1) " + said), message
    assert ("Traceback (most recent call last)" in message) == ("raised" in said)
    if fault in ("raise", "recurse", "sys.exit", "segfault"):
        assert "worker_games.py" in message


@pytest.mark.parametrize("fault", ["raise", "kill", "os._exit", "stop"])
def test_a_worker_lost_in_a_reset_is_replaced_and_the_reset_done(fault, tmp_path):
    flag = str(tmp_path / "done")
    with pools.faulty(fault, where="reset", at=2, flag=flag) as game, pools.here() as other:
        start(game)
        found = game.reset(pools.seeds(seed=8))
        assert playing.first_difference(other.reset(pools.seeds(seed=8)), found, EVERY) is None
        assert game.num_restarts == 1
        pools.play(game, start(game), 40)


def test_a_worker_killed_in_its_first_reset_plays_the_seeds_that_were_given(tmp_path):
    flag = str(tmp_path / "done")
    with pools.faulty("kill", where="reset", flag=flag) as game, pools.here() as other:
        found = game.reset(pools.seeds())
        assert playing.first_difference(other.reset(pools.seeds()), found, EVERY) is None
        assert game.num_restarts == 1


def test_a_worker_lost_while_it_draws_is_replaced(tmp_path):
    flag = str(tmp_path / "done")
    with pools.faulty("kill", where="render", flag=flag, picture=True) as game:
        ledger = start(game)
        pools.play(game, ledger, 3)
        assert game.render(3) is None
        recover(game, ledger)
        assert game.render(3).shape == (2, 2, 3)
        assert ledger.num_lost == 2


@pytest.mark.parametrize("fault", ["raise", "os._exit", "kill", "stop", "widen"])
def test_a_replacement_that_fails_is_replaced(fault, tmp_path, impatient, warnings):
    # Once there is a file, the next worker that is made breaks; once.
    needs, flag = tmp_path / "needs", tmp_path / "done"
    limits = {**pools.FREE, "start_timeout_s": 2.0}
    with pools.faulty(
        fault, where="make", needs=str(needs), flag=str(flag), supervision=limits
    ) as game:
        ledger = start(game)
        pools.play(game, ledger, 5)
        needs.touch()
        os.kill(pools.pids(game)[0], signal.SIGKILL)
        recover(game, ledger, 2)
        assert ledger.num_lost == 2
    expected = {
        "raise": "raised PluginError: 'tests/faulty' could not be made: ZeroDivisionError",
        "os._exit": "exited with code 3",
        "kill": "was killed by SIGKILL",
        "stop": "had not made its game within 2 s (supervision.start_timeout_s)",
        "widen": "made a game of other specs than the one before it",
    }[fault]
    assert f"worker 0 (slots 0 to 1) {expected}" in "\n".join(warnings()[2:])


def test_a_replacement_killed_in_its_start_is_replaced(impatient):
    with pools.open_pool() as game:
        ledger = start(game)
        os.kill(pools.pids(game)[0], signal.SIGKILL)
        for _ in range(3):
            pools.play(game, ledger, until=lambda: pools.pids(game)[0] and game.num_restarts)
            assert game._staff.stations[0].stage != "up"
            os.kill(pools.pids(game)[0], signal.SIGKILL)
            restarts = game.num_restarts
            pools.play(
                game,
                ledger,
                until=lambda restarts=restarts: (
                    game.num_restarts > restarts and pools.pids(game)[0]
                ),
            )
        recover(game, ledger, 4)


@pytest.mark.parametrize(
    ("fault", "kind", "exit_code", "told"),
    [
        ("raise", errors.PluginError, 3, "'tests/faulty' could not be made: ZeroDivisionError"),
        ("sys.exit", errors.PluginError, 3, "'tests/faulty' could not be made: SystemExit: enough"),
        ("os._exit", errors.PlayerError, 5, "worker [01] exited with code 3 before it could play"),
        ("kill", errors.PlayerError, 5, "worker [01] was killed by SIGKILL before it could play"),
        ("say and die", errors.PlayerError, 5, r"last: the last words \| without a newline"),
        ("hang", errors.PlayerError, 5, r"had not made its game within 1.5 s"),
    ],
)
def test_a_game_that_cannot_be_made_says_why(fault, kind, exit_code, told):
    limits = {**pools.FREE, "start_timeout_s": 1.5}
    before = pools.children()
    began_s = time.monotonic()
    with pytest.raises(kind, match=told) as caught:
        pools.faulty(fault, where="make", supervision=limits)
    assert time.monotonic() - began_s < 1.5 + 2.0
    assert caught.value.exit_code == exit_code
    if kind is errors.PluginError:
        assert "worker_games.py" in str(caught.value.__cause__)
    assert pools.children() == before


def test_what_cannot_be_made_says_the_same_as_in_this_process():
    settings = {"fault": "raise", "where": "make"}
    record = pools.origin("tests/faulty").record()
    with pytest.raises(errors.PluginError) as here:
        pools.here("tests/faulty", settings=record.settings(**settings))
    with pytest.raises(errors.PluginError) as there:
        pools.faulty(**settings)
    assert str(there.value) == " ".join(str(here.value).split())


def test_workers_that_make_different_games_are_refused(tmp_path):
    with pytest.raises(errors.GameError, match="the workers made games of different specs"):
        pools.faulty("widen", where="make", flag=str(tmp_path / "done"))


def test_a_game_that_the_plugin_no_longer_has_is_named():
    order = pools.order()
    gone = dataclasses.replace(order.origin, game_id="tests/gone")
    order = dataclasses.replace(order, origin=gone)
    with pytest.raises(errors.PluginError, match="has no game 'tests/gone' in this process"):
        pool.Pool(order)


def test_an_interpreter_that_is_none_is_refused():
    with pytest.raises(errors.ConfigError, match="/no/python cannot be run: No such file"):
        pools.open_pool(python="/no/python")


def test_the_default_budget_stops_after_three_within_its_window(impatient):
    with pools.faulty("say and die", at=4, supervision=pools.QUICK) as game:
        ledger = start(game)
        with pytest.raises(errors.PlayerError) as caught:
            pools.play(game, ledger, until=lambda: False)
        assert caught.value.exit_code == 5
        message = str(caught.value)
        assert message.startswith("At step ")
        assert ") was killed by SIGKILL. It was replaced" in message
        assert "It was replaced 3 times (" in message
        assert " s ago); the limit is 10 in all and 3 within 600 s." in message
        assert "raise supervision.window_restarts (supervision.max_restarts=-1" in message
        assert message.endswith("It wrote last: the last words | without a newline")
        with pytest.raises(ValueError, match="is closed"):
            game.step(pools.action(game))


def test_the_budget_of_a_life_is_kept_too(impatient):
    limits = {**pools.QUICK, "max_restarts": 1}
    with pools.faulty("raise", at=4, supervision=limits) as game:
        with pytest.raises(errors.PlayerError, match=r"once .* raise supervision.max_re") as caught:
            pools.play(game, start(game), until=lambda: False)
        assert "the ball left\nthe world" in str(caught.value.__cause__)
        assert "worker_games.py" in str(caught.value.__cause__)


def test_without_a_budget_it_goes_on(impatient):
    with pools.faulty("os._exit", at=3, shares=(1, 1)) as game:
        ledger = start(game)
        pools.play(game, ledger, until=lambda: game.num_restarts >= 6)


def test_a_worker_that_fails_at_once_is_waited_for_longer_each_time():
    budget = budgets.Budget(pools.order().supervision)
    budget.note_up()
    waits = []
    for _ in range(9):
        waits.append(budget.spend())
        budget.note_up()
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_worker_that_was_well_is_replaced_at_once(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(budgets.time, "monotonic", lambda: now[0])
    budget = budgets.Budget(pools.order().supervision)
    budget.note_up()
    assert [budget.spend(), budget.spend()] == [0, 1]
    now[0] += 50.0  # which it took to start, and failed
    assert budget.spend() == 2
    budget.note_up()
    now[0] += 5.0
    assert budget.spend() == 0


@pytest.mark.parametrize("wrappers", [WrapperSettings(), UNGUARDED])
def test_an_error_of_the_game_stops_where_that_is_asked_for(wrappers):
    limits = {**pools.FREE, "on_error": "stop"}
    with pools.faulty("raise", at=4, supervision=limits, wrappers=wrappers) as game:
        ledger = start(game)
        with pytest.raises(errors.GameError, match="ZeroDivisionError") as caught:
            pools.play(game, ledger, 10)
        assert "worker_games.py" in str(caught.value.__cause__)
        assert caught.value.exit_code == 4


def test_an_exception_without_a_text_is_reported(tmp_path, warnings):
    flag = str(tmp_path / "done")
    with pools.faulty("raise unprintable", at=5, flag=flag, wrappers=UNGUARDED) as game:
        recover(game, start(game))
    assert "raised Odd: (its text cannot be had)" in warnings()[0]


def test_a_flood_never_holds_up_and_is_named_once(tmp_path, warnings):
    for fault in ("flood stderr", "flood stdout", "flood one line"):
        flag = str(tmp_path / fault)
        limits = {**pools.FREE, "step_timeout_s": 30.0}
        with pools.faulty(fault, at=2, flag=flag, supervision=limits) as game:
            ledger = start(game)
            pools.play(game, ledger, 5)
            assert game.num_restarts == 0
            # A thread reads what a worker prints, and may be behind the worker's answer.
            until_s = time.monotonic() + 20
            tails: list[list[str]] = []
            while not any(tail and tail[-1].endswith("the last line") for tail in tails):
                assert time.monotonic() < until_s, tails
                time.sleep(0.01)
                tails = [station.process.tail() for station in game._staff.stations]
    found = warnings()
    assert len(found) == 3
    assert all("floods its output: more than 64 KiB in a second" in message for message in found)


def test_what_a_worker_prints_is_logged(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="gamebridge")
    with pools.faulty("say and die", at=3, flag=str(tmp_path / "done")) as game:
        recover(game, start(game))
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    for text in ("the last words", "without a newline"):
        assert sum(line.endswith(f": {text}") for line in lines) == 1
    assert any("it wrote: without a newline" in record.getMessage() for record in caplog.records)


def test_a_game_that_closes_all_files_plays_on(tmp_path):
    with pools.faulty("close all", at=3, flag=str(tmp_path / "done")) as game:
        ledger = start(game)
        pools.play(game, ledger, 40)
        assert game.num_restarts == 0


def test_children_of_a_lost_worker_go_with_it(tmp_path):
    flag = tmp_path / "pid"
    with pools.faulty("breed", at=3, flag=str(flag), victim=FIRST_SEED) as game:
        ledger = start(game)
        pools.play(game, ledger, 5)
        grandchild = int(flag.read_text())
        assert pools.is_there(grandchild)
        os.kill(pools.pids(game)[0], signal.SIGKILL)
        pools.play(game, ledger, 2)
        pools.wait_until(lambda: not pools.is_there(grandchild), 2.0)


def test_wrappers_around_a_pool_see_whole_episodes(impatient):
    inner = pools.open_pool()
    with episodes.EpisodeLog(repeats.ActionRepeat(inner, 3)) as game:
        game.reset(pools.seeds())
        found, num_lost = [], 0
        for kill_at in range(3):
            for number in range(15):
                game.step(pools.action(game, number))
            os.kill(pools.pids(inner)[kill_at % 2], signal.SIGKILL)
            while inner.num_restarts == kill_at or not pools.is_whole(inner):
                found += game.take()
                num_restarts = inner.num_restarts
                now = game.step(pools.action(game))
                if inner.num_restarts != num_restarts:
                    lost = np.flatnonzero(now.valid & now.is_last() & (now.discount == 1))
                    ended = game.take()
                    assert not {episode.slot for episode in ended} & set(lost.tolist())
                    found, num_lost = found + ended, num_lost + len(lost)
        found += game.take()
        assert found
        for episode in found:
            # Rewards are 1, 2, 3 ...: the last of them is the number of steps, whatever the cut.
            steps = int(episode.telemetry["step"])
            assert episode.episode_return == steps * (steps + 1) / 2
            assert episode.ended == "terminated" or -(-steps // 3) <= episode.length
        assert num_lost >= 4


def test_the_door_to_tensorflow_waits_until_rows_are_valid():
    environment = pytest.importorskip("gamebridge.tf.environment")
    inner = pools.open_pool()
    door = environment.GamePyEnvironment(inner)
    try:
        said = door.reset()
        for number in range(30):
            if number == 10:
                os.kill(pools.pids(inner)[0], signal.SIGKILL)
            before, said = said, door.step(pools.action(inner, number))
            for slot in range(4):
                was, now = before.step_type[slot], said.step_type[slot]
                assert (now == FIRST) == (was == LAST)
                if now == LAST and said.reward[slot] == 0:
                    assert np.array_equal(before.observation[slot], said.observation[slot])
                elif now != FIRST:
                    assert said.observation[slot, 2] == number
                    assert said.observation[slot, 1] == before.observation[slot, 1] + 1
        assert inner.num_restarts == 1
    finally:
        door.close()
