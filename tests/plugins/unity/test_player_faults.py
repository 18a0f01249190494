"""Players that die, hang and lie: what is noticed, how soon, what is said, and what goes on.

Each fault is a real process's. Times are those promised on a busy machine.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time

import leftovers
import numpy as np
import pytest
import unity_games as games

from gamebridge import errors
from gamebridge.contract import FIRST, LAST
from gamebridge.supervision import budget, launching
from gamebridge.testing import playing
from gamebridge_unity import launcher

# What is promised beside the limits that are set.
SEEN_S = 2.0


@pytest.fixture(autouse=True, scope="module")
def libraries():
    """What grpc and the like keep for themselves is there before anything is counted."""
    import grpc

    with games.make("basic", 2, "--agents", 2) as game:
        game.reset()
    # Its poller comes and goes with what uses it, after a while.
    with grpc.insecure_channel("127.0.0.1:1"):
        yield


@pytest.fixture(autouse=True)
def nothing_is_left(libraries, monkeypatch, tmp_path):
    # Logs of players that were lost are kept.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    launching.launch(gc.collect)
    before = leftovers.there_is()
    yield
    until_s = time.monotonic() + 2
    while leftovers.there_is() - before and time.monotonic() < until_s:
        time.sleep(0.05)  # grpc closes what it closed
    assert not leftovers.there_is() - before


@pytest.fixture
def no_backoff(monkeypatch):
    """Replaces at once, however often."""
    monkeypatch.setattr(budget, "_MOST_WAIT_S", 0.0)


def open_pair(*args, limits=games.FREE, **settings):
    """Returns a game of two players with two walkers each."""
    return games.make("basic", 4, "--agents", 2, *args, limits=limits, players=2, **settings)


def check_truncated(said, slots):
    """The slots' first odd row is LAST with the row before it, no reward, discount 1."""
    before, now = said[-2], said[-1]
    assert now.valid[slots].all()
    assert (now.step_type[slots] == LAST).all()
    assert (now.reward[slots] == 0).all() and (now.discount[slots] == 1).all()
    assert np.array_equal(now.observation[slots], before.observation[slots])


# What is lost, and replaced.


def test_a_killed_player_is_replaced_while_the_other_plays_on(caplog):
    with open_pair() as game:
        game.reset()
        said = games.play_until(game, lambda now: (now.step_type[:2] == 1).all())
        killed, other = game.pids
        os.kill(killed, signal.SIGKILL)
        began_s = time.monotonic()
        said += [playing.copy(game.step(next(games.actions(game))))]
        assert time.monotonic() - began_s < SEEN_S
        check_truncated(said, slice(0, 2))
        assert game.num_restarts == 1, "told in the same step"
        assert said[-1].valid[2:].any()
        more = games.play_until(game, lambda now: now.valid[:2].all())
        # Meanwhile the other one was played, and nothing was said for those that were lost.
        assert len(more) > 3 and sum(now.valid[2:].any() for now in more) == len(more)
        assert not any(now.valid[:2].any() for now in more[:-1])
        assert (more[-1].step_type[:2] == FIRST).all() and (more[-1].reward[:2] == 0).all()
        assert game.num_restarts == 1 and game.pids[1] == other
        games.play(game, 50)
    message = caplog.records[0].getMessage()
    assert re.search(
        r"unity/basic, player 0, step \d+: was killed by SIGKILL. Likely cause", message
    )
    assert "It is replaced at once (restart 1)" in message and "(log: /" in message


def test_a_stopped_player_is_seen_after_the_step_timeout():
    limits = games.dataclasses.replace(games.FREE, step_timeout_s=0.5)
    with open_pair(limits=limits) as game:
        game.reset()
        games.play(game, 5)
        stopped = game.pids[0]
        os.kill(stopped, signal.SIGSTOP)
        began_s = time.monotonic()
        games.play_until(game, lambda now: game.num_restarts == 1)
        assert time.monotonic() - began_s < 0.5 + SEEN_S
        assert not games.is_there(stopped)
        games.play_until(game, lambda now: now.valid[:2].all())


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("exit", r"exited with code 3.*It wrote last: .*ends itself, as it was told"),
        ("hang", r"had not answered after 0\.5 s \(supervision\.step_timeout_s\)"),
        ("status:500", r"sent status 500: expected 200"),
        ("nan", r"'Walker\?team=0', agent 0: observation 'place' is nan at \[0\] \(slot 0\)"),
        ("inf", r"agent 0: observation 'place' is inf"),
        ("nan-reward", r"agent 0: reward is nan \(slot 0\); no learner can use it"),
        ("spec-change", r"changed a behaviour .* it was .*; now it is .*7 continuous"),
        ("shape-change", r"agent 0"),
        ("duplicate-ids", r"says twice that agent 0 is to decide; expected each agent once"),
    ],
)
def test_a_player_that_fails_in_a_step_is_replaced_once(caplog, tmp_path, fault, text):
    limits = games.dataclasses.replace(games.FREE, step_timeout_s=0.5)
    once = tmp_path / "once"
    with games.make(
        "basic", 2, "--agents", 2, "--fault", fault, "--at", 5, "--once", once, limits=limits
    ) as game:
        game.reset()
        said = games.play_until(game, lambda now: game.num_restarts == 1)
        was_running = said[-2].step_type < LAST
        assert (said[-1].step_type[was_running] == LAST).all()
        assert np.isfinite(said[-1].observation).all()
        games.play_until(game, lambda now: now.valid.all() and now.is_first().all())
        games.play(game, 20)
        assert game.num_restarts == 1
    assert re.search(text, caplog.records[0].getMessage())


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("bad-png", "agent 0"),
        ("png-bomb", r"60,?000"),
        ("jpeg", "PNG"),
        ("nan-image", r"nan|finite"),
    ],
)
def test_a_picture_that_is_none_is_refused(caplog, tmp_path, fault, text):
    with games.make(
        "grey", 2, "--agents", 2, "--fault", fault, "--at", 3, "--once", tmp_path / "once",
        limits=games.FREE,
    ) as game:  # fmt: skip
        game.reset()
        began_s = time.monotonic()
        games.play_until(game, lambda now: game.num_restarts == 1)
        assert time.monotonic() - began_s < SEEN_S
        games.play_until(game, lambda now: now.valid.all())
    assert re.search(text, caplog.records[0].getMessage())


def test_a_message_over_the_limit_is_refused(caplog, tmp_path):
    with games.make(
        "basic", 2, "--agents", 2, "--fault", "oversize:2", "--at", 3, "--once",
        tmp_path / "once", limits=games.FREE, max_message_mib=1,
    ) as game:  # fmt: skip
        game.reset()
        games.play_until(game, lambda now: game.num_restarts == 1)
    message = caplog.records[0].getMessage()
    assert re.search(r"2,\d\d\d,\d\d\d bytes.*1,048,576", message)
    assert "compressed observation" in message and "max_message" in message


def test_a_player_whose_agents_are_gone_for_good_is_replaced(caplog, tmp_path):
    with games.make(
        "basic", 2, "--agents", 2, "--fault", "empty", "--at", 5, "--once", tmp_path / "once",
        limits=games.FREE, agents_timeout_s=0.5,
    ) as game:  # fmt: skip
        game.reset()
        games.play_until(game, lambda now: game.num_restarts == 1)
        games.play_until(game, lambda now: now.valid.all())
    text = r"has shown no agent of behaviour 'Walker\?team=0' for 0\.5 s \(agents_timeout_s\)"
    assert re.search(text, caplog.text)


# What cannot go on, and says so.


def test_a_crash_loop_ends_in_one_error_that_says_all(no_backoff):
    limits = games.dataclasses.replace(games.QUICK, max_restarts=2, window_restarts=5)
    with games.make(
        "basic", 2, "--agents", 2, "--fault", "kill9", "--at", 3, limits=limits
    ) as game:
        game.reset()
        with pytest.raises(errors.PlayerError) as raised:
            games.play(game, 1000)
        assert game.num_restarts == 2
        with pytest.raises(ValueError, match="is closed"):
            game.step(next(games.actions(game)))
    message = str(raised.value)
    assert re.match(r"unity/basic, step \d+: was killed by SIGKILL\. Likely cause: ", message)
    assert re.search(r"It was replaced 2 times \(.* s ago\); the limit is 2 in all and", message)
    assert "raise supervision.max_restarts" in message
    assert "It wrote last: " in message and "Fault: kill9" in message


@pytest.mark.parametrize("fault", ["nan", "spec-change", "duplicate-ids"])
def test_where_the_games_errors_are_to_stop_all_they_do(fault):
    limits = games.dataclasses.replace(games.FREE, on_error="stop")
    with games.make("basic", 2, "--agents", 2, "--fault", fault, "--at", 3, limits=limits) as game:
        game.reset()
        with pytest.raises(errors.GameError, match=r"step \d+: .*supervision.on_error is stop"):
            games.play(game, 100)
        assert game.num_restarts == 0


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("exit-early", r"start: exited with code 3\..*ends itself.*\(log: /"),
        ("exit-between", r"start: exited with code 3\."),
    ],
)
def test_a_player_that_exits_before_it_plays_is_told_with_its_last_words(fault, text):
    began_s = time.monotonic()
    with pytest.raises(errors.PlayerError, match=text):
        games.make("basic", 2, "--fault", fault, limits=games.ONCE)
    assert time.monotonic() - began_s < SEEN_S


def test_the_file_that_is_named_is_there_also_where_the_player_made_no_log():
    with pytest.raises(errors.PlayerError, match="expected one of bad-png") as raised:
        games.make("basic", 2, "--fault", "no-such-fault", limits=games.ONCE)
    assert pathlib.Path(re.search(r"\(log: (.*?)\)", str(raised.value))[1]).exists()


@pytest.mark.parametrize("fault", ["exit-early", "exit-between"])
def test_one_that_exits_before_it_plays_has_another_chance(tmp_path, fault):
    with games.make("basic", 2, "--agents", 2, "--fault", fault, "--once", tmp_path / "o") as game:
        assert game.reset().valid.all() and game.num_restarts == 1


def test_a_player_that_never_connects_is_told_after_the_start_timeout():
    limits = games.dataclasses.replace(games.QUICK, start_timeout_s=1.0)
    began_s, cpu_s = time.monotonic(), time.process_time()
    with pytest.raises(
        errors.PlayerError, match=r"had not connected after 1 s \(.*Likely cause: it runs and"
    ):
        games.make("basic", 2, "--fault", "never-connect", limits=limits)
    assert 1.0 <= time.monotonic() - began_s < 2.0
    assert time.process_time() - cpu_s < 0.2


def test_a_slow_start_within_the_limit_is_no_fault():
    with games.make("basic", 2, "--agents", 2, "--fault", "slow-start:1") as game:
        assert game.reset().valid.all() and game.num_restarts == 0


def test_another_version_of_the_protocol_stops_at_once():
    with pytest.raises(errors.PlayerError, match=r"'2\.0\.0'.*expected 1\.5\.0"):
        games.make("basic", 2, "--fault", "wrong-version")


def test_a_scene_without_agents_is_told_with_what_is_missing_in_it():
    with pytest.raises(errors.GameError) as raised:
        games.make("basic", 2, "--fault", "empty", agents_timeout_s=0.5)
    message = str(raised.value)
    assert "no agent asked for a decision within 0.5 s (agents_timeout_s)" in message
    assert "Decision Requester" in message and "Behavior Type" in message


def test_a_player_that_connects_and_says_nothing_of_agents_is_told():
    limits = games.dataclasses.replace(games.QUICK, start_timeout_s=1.0, step_timeout_s=1.0)
    text = r"no agent asked for a decision within 1 s \(supervision.step_timeout_s\).*Requester"
    with pytest.raises(errors.GameError, match=text):
        games.make("basic", 2, "--fault", "no-agents", limits=limits)


def test_fewer_agents_than_slots_are_told_with_what_to_set():
    with pytest.raises(errors.GameError) as raised:
        games.make("basic", 4, "--agents", 3, agents_timeout_s=0.3)
    message = str(raised.value)
    assert "has shown 3 agents of behaviour 'Walker?team=0' within 0.3 s" in message
    assert (
        "there are 4 slots for them. Set --num-slots 3 (or agents = 3 in the build.toml)" in message
    )


def test_a_display_that_is_not_there_is_told(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(errors.PlayerError, match=r"graphics=display, and DISPLAY is not set"):
        games.make("basic", 2, graphics="display")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (":4711", "No such file or directory"),
        ("unix:4711.0", "No such file or directory"),
        ("127.0.0.1:4711", "Connection refused"),
        ("nowhere", "it is no name of a display, such as ':0'"),
    ],
)
def test_a_display_that_nobody_answers_at_is_told_at_once(monkeypatch, name, reason):
    monkeypatch.setenv("DISPLAY", name)
    with pytest.raises(errors.PlayerError) as caught:
        games.make("basic", 2, graphics="display", limits=games.FREE)
    said = f"no X server answers at DISPLAY={name}: {reason}. Start it from a desktop, set DISPLAY"
    assert said in str(caught.value)


def test_a_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(errors.PlayerError, match=rf"{port}.*{os.getpid()}"):
            games.make("basic", 2, port=port)


@pytest.mark.parametrize(
    ("content", "mode", "text"),
    [
        (b"#!/bin/sh\n", 0o644, "is not executable"),
        (
            b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(60),
            0o755,
            "is built for",
        ),
    ],
)
def test_what_cannot_be_run_stops_at_once(tmp_path, content, mode, text):
    path = tmp_path / "game.x86_64"
    path.write_bytes(content)
    path.chmod(mode)
    began_s = time.monotonic()
    with pytest.raises(errors.PlayerError, match=text):
        games.make("basic", 2, build=games.builds.for_path(path))
    assert time.monotonic() - began_s < 1.0


# Strangers, and many.


def test_calls_of_others_change_nothing():
    with games.make("numbered", 4, "--agents", 4, "--fault", "flood:20", "--at", 5) as game:
        game.reset()
        said = games.play(game, 200)
        assert game.num_restarts == 0
        # Each row goes on from the one before it.
        for before, now in itertools.pairwise(said):
            goes_on = now.valid & before.valid & (now.step_type == 1)
            assert (now.reward[goes_on] == before.observation[goes_on, 2] + 1).all()


def test_a_stranger_who_calls_first_is_not_heard(caplog, tmp_path):
    """Of this machine and user, but no child of ours."""
    port, said = _free_port(), tmp_path / "said"
    code = f"""
import os, time
if os.fork() or os.setsid() and os.fork():
    os._exit(0)
import grpc
from gamebridge_unity import wire
from gamebridge_unity.player import messages
codes = []
with grpc.insecure_channel("127.0.0.1:{port}") as channel:
    for _ in range(3):
        try:
            channel.unary_unary(wire.PATH)(
                messages.hello("1.5.0"), timeout=20, wait_for_ready=True
            )
        except grpc.RpcError as error:
            codes.append(error.code().name)
open({str(said) + "-"!r}, "w").write(" ".join(codes))
os.rename({str(said) + "-"!r}, {str(said)!r})
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
    time.sleep(0.5)
    with games.make("basic", 2, "--agents", 2, "--fault", "slow-start:2", port=port) as game:
        game.reset()
        games.play(game, 20)
        assert game.num_restarts == 0
        until_s = time.monotonic() + 10
        while not said.exists() and time.monotonic() < until_s:
            time.sleep(0.05)
    assert said.read_text() == "PERMISSION_DENIED " * 2 + "PERMISSION_DENIED"
    assert "was started as the player" in caplog.text


@pytest.mark.slow
def test_eight_trainers_at_once_each_play_their_own_player(tmp_path):
    script = tmp_path / "trainer.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import pathlib, sys
            sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
            import unity_games as games, unity_ledgers as ledgers
            path = pathlib.Path(sys.argv[1])
            seed = int(sys.argv[2])
            with games.make("numbered", 4, "--agents", 4, "--ledger", path, seed=seed) as game:
                heard = ledgers.Heard(game)
                print("ready", flush=True)
                sys.stdin.readline()
                heard.note(None, game.reset(game._slot_seeds))
                for _, action in zip(range(200), games.actions(game, seed)):
                    heard.note(action, game.step(action))
            ended, running, _ = ledgers.logged(path, "")
            ledgers.compare(heard, ended, running)
            print("same", len(ended))
            """
        )
    )
    trainers = [
        subprocess.Popen(
            [sys.executable, script, tmp_path / f"ledger-{number}", str(100 * number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(8)
    ]  # fmt: skip
    for trainer in trainers:
        assert trainer.stdout.readline() == "ready\n"
    for trainer in trainers:
        trainer.stdin.write("\n")
        trainer.stdin.flush()
    for trainer in trainers:
        said, _ = trainer.communicate(timeout=60)
        assert said.startswith("same") and trainer.returncode == 0


def family(root):
    """Process ids of a process and of all that came of it."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def listening(pids):
    """The addresses, in hexadecimal, on which processes listen by TCP."""
    inodes = set()
    for pid in pids:
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                yield fields[1].partition(":")[0]


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")
def test_nothing_listens_beyond_this_machine():
    with games.make("window", 4, "--agents", 2, players=2, graphics="virtual") as game:
        games.play(game, 3)
        pids = family(os.getpid())
        assert set(filter(None, game.pids)) <= pids
        found = list(listening(pids))
    # 127.0.0.1, as such and as an IPv6 address.
    loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
    assert len(found) >= 2 and set(found) <= loopback


# The end.


@pytest.mark.parametrize("faults", [("ignore-goodbye", "ignore-sigterm"), ("hang",)])
def test_a_player_that_will_not_go_is_killed(faults):
    limits = games.dataclasses.replace(games.QUICK, close_timeout_s=1.0)
    words = [word for fault in faults for word in ("--fault", fault)]
    game = games.make("basic", 2, "--agents", 2, *words, "--at", 3, limits=limits)
    pids = games.children()
    game.reset()
    games.play(game, 2)
    if "hang" in faults:
        os.kill(game.pids[0], signal.SIGSTOP)
    began_s = time.monotonic()
    game.close()
    game.close()
    assert time.monotonic() - began_s < 1.0 + SEEN_S
    assert not any(map(games.is_there, pids))


def test_grandchildren_go_with_their_player():
    game = games.make("basic", 2, "--agents", 2, "--fault", "grandchildren")
    pids = games.children()
    assert len(pids) == 3
    os.kill(game.pids[0], signal.SIGKILL)
    game.reset()
    games.play_until(game, lambda now: game.num_restarts == 1)
    assert games.gone_within(pids, 2.0)
    game.close()


@pytest.mark.parametrize(
    ("ending", "code"),
    [("", 0), ("raise SystemExit(5)", 5), ("os.kill(os.getpid(), signal.SIGKILL)", -9)],
)
def test_a_main_that_ends_without_close_leaves_no_player(tmp_path, ending, code):
    script = tmp_path / "main.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import os, signal, sys
            sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
            import unity_games as games
            game = games.make("basic", 2, "--agents", 2)
            game.reset()
            games.play(game, 3)
            print(*games.children(), flush=True)
            {ending}
            """
        )
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
    )
    pids = [int(word) for word in done.stdout.readline().split()]
    began_s = time.monotonic()
    assert done.wait(timeout=20) == code
    assert time.monotonic() - began_s < 7.0
    assert len(pids) == 1 and games.gone_within(pids, 2.0)
    done.stdout.close()
    # What a killed one could not remove goes when the next one starts.
    launcher.Launcher(None, (), "none", "", (64, 48), is_seen=False).close(False)
    assert not list(tmp_path.glob("gamebridge-unity-*"))


def test_a_game_that_nobody_closes_ends_with_its_last_reference():
    game = games.make("basic", 2, "--agents", 2)
    pids = games.children()
    game.reset()
    del game
    gc.collect()
    assert not any(map(games.is_there, pids))


def test_a_game_can_be_closed_while_a_player_starts():
    game = open_pair()
    game.reset()
    games.play(game, 3)
    os.kill(game.pids[0], signal.SIGKILL)
    games.play_until(game, lambda now: game.num_restarts == 1)
    game.close()
    assert not games.children()


def test_logs_are_kept_where_a_player_was_lost(tmp_path, caplog):
    with games.make("basic", 2, "--agents", 2, limits=games.FREE) as game:
        game.reset()
        os.kill(game.pids[0], signal.SIGKILL)
        games.play_until(game, lambda now: game.num_restarts == 1)
    log = re.search(r"\(log: (.*?)\)", caplog.records[0].getMessage())[1]
    assert "Met a trainer" in pathlib.Path(log).read_text()


def test_without_a_loss_no_folder_of_logs_is_left(tmp_path):
    with games.make("basic", 2, "--agents", 2) as game:
        game.reset()
        assert list(tmp_path.glob("gamebridge-unity-*"))
    assert not list(tmp_path.glob("gamebridge-unity-*"))


def test_logs_go_where_the_settings_say(tmp_path):
    folder = tmp_path / "logs"
    with games.make("basic", 2, "--agents", 2, log_folder=str(folder)) as game:
        game.reset()
    assert folder.stat().st_mode & 0o777 == 0o700 and list(folder.glob("*.log"))


@pytest.mark.slow
def test_forty_kills_leave_nothing(no_backoff, caplog):
    caplog.set_level(logging.ERROR)
    limits = games.dataclasses.replace(games.FREE, close_timeout_s=1.0)
    with games.make("basic", 2, "--agents", 2, limits=limits) as game:
        game.reset()
        counts = []
        for number in range(40):
            games.play(game, 2)
            os.kill(game.pids[0], signal.SIGKILL)
            games.play_until(game, lambda now, count=number: game.num_restarts == count + 1)
            games.play_until(game, lambda now: now.valid.all())
            there_is = leftovers.there_is()
            num_threads = sum(name.startswith("thread") for name in there_is.elements())
            counts.append((len(games.children()), num_threads, there_is["file"]))
        # A thread of grpc's comes and goes.
        assert np.ptp(counts[1:], axis=0).max() <= 1, counts
        assert game.num_restarts == 40


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
