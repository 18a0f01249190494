"""A display in memory: what is drawn on it is seen, only by us, and nothing of it is left."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from concurrent import futures

import numpy as np
import pytest

from gamebridge import errors
from gamebridge_unity import displays

needs_xvfb = pytest.mark.skipif(
    shutil.which("Xvfb") is None, reason="Xvfb is not installed (Debian: apt-get install xvfb)"
)

# Draws one colour in a window until its input ends.
DRAW = """
import os, sys
os.environ.update(SDL_VIDEODRIVER="x11", SDL_VIDEO_WINDOW_POS="20,30", SDL_AUDIODRIVER="dummy")
import pygame
pygame.display.init()
screen = pygame.display.set_mode((64, 48), pygame.NOFRAME)
screen.fill((200, 100, 50))
screen.fill((0, 0, 255), (0, 0, 10, 10))
pygame.display.flip()
pygame.event.pump()
print("drawn", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def drawing(environment):
    painter = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", DRAW],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
    )
    with painter:
        said = ""
        while said != "drawn\n":
            said = painter.stdout.readline()
            if not said:
                yield painter.stderr.read()
                return
        yield ""
        painter.stdin.close()
        painter.wait(10)


def is_there(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_until(condition, timeout_s=5.0):
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, "it did not come about in time"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def display():
    with displays.Display(320, 200) as display:
        yield display


@needs_xvfb
def test_what_is_drawn_is_seen(display):
    empty = display.picture()
    assert empty.shape == (200, 320, 3)
    assert empty.dtype == np.uint8
    with drawing(display.environment) as trouble:
        assert not trouble
        wait_until(lambda: display.picture()[60, 60].tolist() == [200, 100, 50])
        seen = display.picture()
        assert seen[35, 25].tolist() == [0, 0, 255]
        assert seen[30 + 47, 20 + 63].tolist() == [200, 100, 50]
        assert seen[30 + 48, 20 + 64].tolist() == [0, 0, 0]
    assert empty.max() == 0, "a picture is a copy"


@needs_xvfb
def test_a_picture_costs_little(display):
    display.picture()
    began_s = time.perf_counter()
    for _ in range(20):
        display.picture()
    assert (time.perf_counter() - began_s) / 20 < 0.02


@needs_xvfb
def test_who_has_no_cookie_stays_outside(display):
    with drawing({"DISPLAY": display.name, "XAUTHORITY": "/dev/null"}) as trouble:
        assert trouble
    with drawing({"DISPLAY": display.name, "HOME": "/nonexistent"}) as trouble:
        assert trouble


@needs_xvfb
def test_it_listens_to_no_network(display):
    inodes = set()
    for fd in pathlib.Path(f"/proc/{display.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(fd).removeprefix("socket:[").rstrip("]"))
    for table in ("tcp", "tcp6"):
        lines = pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        assert not {line.split()[9] for line in lines} & inodes


@needs_xvfb
def test_its_files_are_for_this_user_alone(display):
    cookie = pathlib.Path(display.environment["XAUTHORITY"])
    assert cookie.stat().st_mode & 0o777 == 0o600
    assert cookie.parent.stat().st_mode & 0o777 == 0o700


@needs_xvfb
def test_nothing_is_left_of_a_closed_display():
    descriptors = len(list(pathlib.Path("/proc/self/fd").iterdir()))
    display = displays.Display(64, 48)
    pid, folder = display.pid, pathlib.Path(display.environment["XAUTHORITY"]).parent
    display.picture()
    display.close()
    display.close()
    assert not is_there(pid)
    assert not folder.exists()
    assert not pathlib.Path(f"/tmp/.X{display.name[1:]}-lock").exists()
    wait_until(lambda: len(list(pathlib.Path("/proc/self/fd").iterdir())) == descriptors)
    with pytest.raises(errors.PlayerError, match="is closed"):
        display.picture()


@needs_xvfb
def test_eight_at_once_are_eight_displays():
    with futures.ThreadPoolExecutor(8) as threads, contextlib.ExitStack() as opened:
        made = list(threads.map(lambda _: displays.Display(64, 48), range(8)))
        for display in made:
            opened.callback(display.close)
        assert len({display.name for display in made}) == 8


@needs_xvfb
def test_one_that_dies_is_named():
    with displays.Display(64, 48) as display:
        os.kill(display.pid, signal.SIGKILL)
        wait_until(lambda: not is_there(display.pid))
        with pytest.raises(errors.PlayerError, match=r"Xvfb, pid \d+\) was killed by SIGKILL"):
            display.picture()


@needs_xvfb
def test_a_lock_that_was_left_does_not_hurt():
    with displays.Display(64, 48) as display:
        number = int(display.name[1:])
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    lock = pathlib.Path(f"/tmp/.X{number}-lock")
    lock.write_text(f"{dead.pid:10d}\n")
    try:
        with displays.Display(64, 48) as display:
            display.picture()
    finally:
        lock.unlink(missing_ok=True)


@needs_xvfb
@pytest.mark.parametrize("way", ["os.kill(os.getpid(), 9)", "sys.exit(1)", "raise ValueError"])
def test_it_does_not_outlive_us(way, tmp_path):
    code = (
        "import os, sys; from gamebridge_unity import displays; display = displays.Display(64, 48);"
        f"print(display.pid, display.name, flush=True); {way}"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    pid, name = done.stdout.split()
    wait_until(lambda: not is_there(pid), 2)
    # Of one that was killed the lock is left; the next takes it over.
    pathlib.Path(f"/tmp/.X{name[1:]}-lock").unlink(missing_ok=True)
    pathlib.Path(f"/tmp/.X11-unix/X{name[1:]}").unlink(missing_ok=True)


def test_where_there_is_no_xvfb_it_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(errors.PlayerError) as caught:
        displays.Display()
    for word in ("graphics=virtual", "apt-get install xvfb", "dnf install xorg-x11-server-Xvfb"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "script, message",
    [
        (
            "echo no screens found >&2; exit 1",
            r"exited with code 1 before it was ready.*no screens",
        ),
        ("sleep 60", r"was not ready within 0\.5 s"),
    ],
)
def test_an_xvfb_that_does_not_start_says_why(tmp_path, monkeypatch, script, message):
    fake = tmp_path / "Xvfb"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    began_s = time.monotonic()
    with pytest.raises(errors.PlayerError, match=message):
        displays.Display(timeout_s=0.5)
    assert time.monotonic() - began_s < 3


def test_a_file_of_other_pixels_is_refused(tmp_path):
    path = tmp_path / "screen"
    head = np.zeros(25, ">u4")
    head[:6] = 100, 7, 2, 8, 4, 4
    path.write_bytes(head.tobytes() + bytes(400))
    with pytest.raises(errors.PlayerError, match="pixels of another kind"):
        displays._map(path)
