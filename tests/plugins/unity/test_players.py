"""A player is started as a build expects it, knows nothing that it need not, and ends whole."""

import os
import pathlib
import shutil
import signal
import sys
import time

import leftovers
import pytest

from gamebridge import errors
from gamebridge.supervision import launching
from gamebridge_unity import builds, displays, players

# Writes down how it was started, then does what the test wants.
SHOW = """#!/bin/sh
for word in "$@"; do echo "$word"; done >"$0.args"
env >"$0.env"
ulimit -c >"$0.core"
echo started
"""


@pytest.fixture
def make(tmp_path):
    """Makes a build of a shell script."""

    def make(then="sleep 60", **description):
        path = tmp_path / "race"
        path.write_text(SHOW + then + "\n")
        path.chmod(0o755)
        return builds.Build(name="race", folder=tmp_path, executable=path, **description)

    return make


@pytest.fixture
def start(tmp_path):
    """Starts players that end with the test."""
    started = []

    def start(build, **more):
        options = {"label": "unity/race, player 0", "port": 6101, "log_folder": tmp_path / "logs"}
        started.append(players.Player(build, **{**options, **more}))
        return started[-1]

    yield start
    for player in started:
        player.end(0)


@pytest.fixture(autouse=True)
def nothing_is_left():
    launching.launch(lambda: None)
    before = leftovers.there_is()
    yield
    wait_until(lambda: not leftovers.there_is() - before)


def wait_until(condition, timeout_s=5.0):
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, "it did not come about in time"
        time.sleep(0.005)


def is_there(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def written(player, what):
    """What a player wrote down of its start."""
    path = player.build.executable.with_name(f"race.{what}")
    wait_until(lambda: player.build.executable.with_name("race.core").exists())
    return path.read_text().splitlines()


def gone(player):
    def has_gone():
        try:
            player.check()
        except players.Gone as gone:
            said.append(str(gone))
        return bool(said)

    said = []
    wait_until(has_gone)
    return said[0]


def test_it_has_the_arguments_that_the_stock_client_gives(make, start, tmp_path):
    player = start(make(args=("--track", "oval")), extra_args=["-quality", "0"])
    log = str(tmp_path / "logs" / "unity-race-player-0.log")
    assert written(player, "args") == [
        *["-nographics", "-batchmode", "--mlagents-port", "6101", "-logFile", log],
        *["--track", "oval", "-quality", "0"],
    ]
    assert str(player.log_path) == log


def test_with_graphics_it_is_not_told_to_draw_nothing(make, start):
    player = start(make(), graphics="display", display=":77")
    assert written(player, "args")[0] == "--mlagents-port"
    assert "DISPLAY=:77" in written(player, "env")


def test_a_log_that_the_arguments_name_is_taken(make, start, tmp_path):
    path = tmp_path / "mine.log"
    path.write_text("first\nlast\n")
    player = start(make(), extra_args=["-LogFile", str(path)])
    assert sum(word.lower() == "-logfile" for word in written(player, "args")) == 1
    assert player.log_path == path
    assert player.tail(1) == ["last"]


def test_its_environment_is_minimal(make, start, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("http_proxy", "http://proxy:1")
    monkeypatch.setenv("DISPLAY", ":78")
    monkeypatch.setenv("LICENSE_SERVER", "licence")
    monkeypatch.setenv("MY_LEVEL", "3")
    monkeypatch.delenv("LANG", raising=False)
    player = start(make(environment=("LICENSE_SERVER", "NOT_SET")), extra_environment=["MY_LEVEL"])
    found = dict(line.partition("=")[::2] for line in written(player, "env"))
    assert set(found) - {"PWD", "OLDPWD", "SHLVL", "_"} <= {
        *players.PASSED_ON, "PATH", "GAMEBRIDGE_PLAYER_PYTHON", "LICENSE_SERVER", "MY_LEVEL",
    }  # fmt: skip
    assert "canary" not in str(found)
    assert (found["LICENSE_SERVER"], found["MY_LEVEL"]) == ("licence", "3")
    assert found["LANG"] == "C.UTF-8"
    assert found["PATH"].startswith(os.path.dirname(sys.executable) + ":")
    assert found["GAMEBRIDGE_PLAYER_PYTHON"] == sys.executable


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")
def test_a_display_of_ours_lets_it_in(make, start):
    with displays.Display(64, 48) as display:
        player = start(make(), graphics="virtual", display=display)
        env = written(player, "env")
        assert f"DISPLAY={display.name}" in env
        assert f"XAUTHORITY={display.environment['XAUTHORITY']}" in env


def test_nobody_else_reads_its_logs(make, start, tmp_path):
    before = os.umask(0)
    try:
        player = start(make("echo to the terminal; exit 0"))
    finally:
        os.umask(before)
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert player.output_path.stat().st_mode & 0o777 == 0o600
    assert gone(player) == "exited with code 0"
    wait_until(lambda: player.output_path.read_text() == "started\nto the terminal\n")


def test_the_next_player_keeps_the_log_of_the_last(make, start):
    logs = [start(make("exit 0")) for _ in range(3)]
    assert len({player.log_path for player in logs}) == 3
    assert len({player.output_path for player in logs}) == 3


def test_it_leaves_no_core_file(make, start):
    assert written(start(make()), "core") == ["0"]


@pytest.mark.parametrize(
    "then, ending",
    [("exit 3", "exited with code 3"), ("kill -9 $$", "was killed by SIGKILL")],
)
def test_its_end_is_seen_at_once(make, start, then, ending):
    player = start(make(f"sleep 0.2; {then}"))
    player.check()
    began_s = time.monotonic()
    assert gone(player) == ending
    assert time.monotonic() - began_s < 2.0
    player.end(0)
    assert gone(player) == ending


def test_its_last_lines_are_of_its_log_and_else_of_its_output(make, start):
    player = start(make("echo to the terminal; sleep 60"))
    wait_until(lambda: player.tail() == ["started", "to the terminal"])
    player.log_path.write_bytes(b"noise \xff\n" * 100_000 + b"one\n\n  two\nthree" + b"x" * 1000)
    assert player.tail(3)[:2] == ["one", "two"]
    assert player.tail(1) == ["three" + "x" * 295]
    player.log_path.unlink()
    os.mkfifo(player.log_path)
    assert player.tail(1) == ["to the terminal"]


def test_nothing_of_its_group_outlives_it(make, start, tmp_path):
    pids = tmp_path / "pids"
    player = start(make(f"trap '' TERM INT; sleep 600 & echo $! $$ >{pids}; wait; sleep 600"))
    wait_until(lambda: pids.exists() and pids.read_text())
    began_s = time.monotonic()
    player.end(1.0)
    player.end(1.0)
    assert time.monotonic() - began_s < 7.0
    for pid in pids.read_text().split():
        wait_until(lambda pid=pid: not is_there(pid), 2)


def test_a_stopped_player_is_alive_and_ends(make, start):
    player = start(make())
    os.kill(player.pid, signal.SIGSTOP)
    player.check()
    player.end(0.1)
    assert not is_there(player.pid)
    with pytest.raises(players.Gone, match="was ended"):
        player.check()
    assert player.likely_cause("step") == "", "it was us who killed it"


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda path: path.unlink(), "cannot be found"),
        (lambda path: path.chmod(0o644), r"is not executable \(mode 644\)\. Run: chmod \+x"),
        (lambda path: path.write_bytes(b"MZ"), "is a Windows program"),
        (lambda path: path.write_text("sleep 1"), "is neither a Linux program nor a script"),
        (lambda path: path.write_bytes(b"\x7fELF\2\1\1" + bytes(60)), "is no program"),
    ],
)
def test_what_cannot_run_is_told_before_it_is_started(make, start, tmp_path, spoil, message):
    build = make()
    spoil(build.executable)
    began_s = time.monotonic()
    with pytest.raises(errors.PlayerError, match=message) as caught:
        start(build)
    assert str(build.executable) in str(caught.value)
    assert time.monotonic() - began_s < 1.0
    assert not (tmp_path / "logs").exists()


def test_what_the_kernel_refuses_is_told(make, start):
    build = make()
    # Right at first sight: nothing but its head is there.
    build.executable.write_bytes(pathlib.Path(shutil.which("true")).read_bytes()[:64])
    with pytest.raises(errors.PlayerError, match=r"player 0 cannot be started: .*: Exec format"):
        start(build)


def test_a_folder_that_cannot_be_written_is_told(make, start, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(errors.PlayerError, match=r"log cannot be written into .*game\.log_folder"):
        start(make(), log_folder=tmp_path / "file" / "logs")


def test_why_it_failed_is_told_from_what_it_wrote(make, start):
    player = start(make("echo 'Unable to open display' >&2; exit 1"), graphics="display")
    gone(player)
    player.end(0)
    cause = player.likely_cause("connect")
    assert cause.startswith("Likely cause: it found no display")
