"""Temporary folders of processes that were killed are removed, and no other ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from gamebridge.supervision import scratch

HOLDS = """
import sys
from gamebridge.supervision import scratch
print(scratch.Scratch("gamebridge-test-").path, flush=True)
sys.stdin.read()
"""
WEEK_S = 7 * 86_400


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def age(path, seconds):
    for one in (*path.glob("*"), path):
        os.utime(one, (time.time() - seconds,) * 2)


def test_the_folder_of_a_killed_process_goes_with_the_next_one(place):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(place)},
    ) as other:
        theirs = other.stdout.readline().strip()
        with scratch.Scratch("gamebridge-test-") as mine:
            assert os.path.isdir(theirs), "it lives"
            assert mine.stat().st_mode & 0o777 == 0o700
        assert not mine.exists()
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert os.path.isdir(theirs)
        with scratch.Scratch("gamebridge-test-") as mine:
            assert list(place.iterdir()) == [mine]


def test_a_living_folder_is_left_however_old_it_is(place):
    with scratch.Scratch("gamebridge-test-") as mine:
        age(mine, 3 * WEEK_S)
        scratch.sweep("gamebridge-test-")
        assert mine.exists()


def test_what_was_kept_goes_after_a_week(place):
    made = scratch.Scratch("gamebridge-test-")
    (made.path / "player.log").write_text("Met a trainer")
    made.keep()
    made.keep()
    made.remove()
    scratch.sweep("gamebridge-test-")
    assert [path.name for path in made.path.iterdir()] == ["player.log"]
    age(made.path, WEEK_S - 60)
    scratch.sweep("gamebridge-test-")
    assert made.path.exists()
    os.utime(made.path, (0, 0))
    scratch.sweep("gamebridge-test-")
    assert made.path.exists(), "it is as old as the newest file in it"
    age(made.path, WEEK_S + 60)
    scratch.sweep("gamebridge-test-")
    assert not made.path.exists()


def test_files_that_were_kept_go_after_a_week(place):
    old, new = place / "gamebridge-test-old.txt", place / "gamebridge-test-new.txt"
    for path in (old, new):
        path.write_text("Traceback")
    age(old, WEEK_S + 60)
    scratch.sweep("gamebridge-test-")
    assert list(place.iterdir()) == [new]


def test_other_names_and_links_are_left(place):
    target = place / "target"
    target.mkdir()
    (target / ".owned").touch()
    (place / "gamebridge-test-link").symlink_to(target)
    (place / "gamebridge-other-1").mkdir()
    (place / "gamebridge-other-1" / ".owned").touch()
    scratch.sweep("gamebridge-test-")
    assert len(list(place.iterdir())) == 3 and (target / ".owned").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_what_another_user_owns_is_left(place):
    theirs = place / "gamebridge-test-theirs"
    theirs.mkdir()
    (theirs / ".owned").touch()
    os.chown(theirs, 12345, 12345)
    scratch.sweep("gamebridge-test-")
    assert theirs.exists()
