"""A child, whatever it does and whatever becomes of us, ends with its whole group."""

import contextlib
import ctypes
import os
import pathlib
import select
import signal
import subprocess
import sys
import textwrap
import time

import leftovers
import pytest

from gamebridge.supervision import children, launching, logs


@pytest.fixture
def log():
    log = logs.Log()
    yield log
    log.close()


@pytest.fixture
def start(log):
    """Starts children that end with the test."""
    with contextlib.ExitStack() as opened:

        def start(command, **more):
            child = children.Child("the child", command, log, **more)
            opened.callback(child.end, 0)
            return child

        yield start


@pytest.fixture(autouse=True)
def nothing_is_left():
    launching.launch(lambda: None)  # its thread is the interpreter's
    before = leftovers.there_is()
    yield
    wait_until(lambda: not leftovers.there_is() - before)


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
        time.sleep(0.005)


def shell(text):
    return ["/bin/sh", "-c", text]


@pytest.mark.parametrize(
    "command, ending",
    [("exit 0", "exited with code 0"), ("exit 3", "exited with code 3")]
    + [(f"kill -{name} $$", f"was killed by SIG{name}") for name in ("KILL", "TERM", "SEGV")]
    + [("kill -35 $$", "was killed by signal 35")],
)
def test_it_says_how_it_ended_before_and_after_it_is_reaped(start, command, ending):
    child = start(shell(command))
    assert child.wait(5)
    assert not child.is_alive()
    assert child.ending() == ending
    child.end(0)
    assert child.ending() == ending


def test_what_runs_says_so(start):
    child = start(["/bin/sleep", "60"])
    assert child.is_alive()
    assert not child.wait(0.05)
    assert child.ending() == "is running"
    assert os.getpgid(child.pid) == os.getsid(child.pid) == child.pid


def test_what_it_writes_is_kept(start, tmp_path):
    path = tmp_path / "output"
    child = start(shell("echo one; echo two >&2; printf three"), kept=path)
    assert child.wait(5)
    assert child.tail() == ["one", "two", "three"]
    wait_until(lambda: path.read_text() == "one\ntwo\nthree")
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_has_the_environment_and_the_folder_that_it_is_given(start, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "canary")
    child = start(["/usr/bin/env"], env={"LANG": "C.UTF-8", "NAME": "v\u00e4lue"}, cwd=tmp_path)
    assert child.wait(5)
    assert sorted(child.tail()) == ["LANG=C.UTF-8", "NAME=v\u00e4lue"]
    for given in ({"LANG": "C"}, {"LANG": "C", "LC_CTYPE": "C"}):
        child = start(["/usr/bin/env"], env=given)
        assert child.wait(5)
        assert dict(line.split("=") for line in child.tail()) == given
    child = start(shell("pwd; read line || echo nothing to read"), cwd=tmp_path)
    assert child.wait(5)
    assert child.tail() == [str(tmp_path), "nothing to read"]


def test_it_gets_the_files_that_it_is_given_and_no_other(start):
    read_fd, write_fd = os.pipe()
    hidden = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(hidden, True)
    try:
        child = start(
            shell(f"ls /proc/$$/fd; echo said >/proc/self/fd/{write_fd}"), pass_fds=[write_fd]
        )
        assert child.wait(5)
        assert select.select([read_fd], [], [], 5)[0]
        assert os.read(read_fd, 100) == b"said\n"
        assert set(child.tail()) == {"0", "1", "2", str(write_fd)}
    finally:
        for number in (read_fd, write_fd, hidden):
            os.close(number)


def test_a_foreign_executable_has_the_signals_of_a_shells_child(start):
    child = start(["/bin/grep", "-E", "SigIgn|SigBlk", "/proc/self/status"])
    assert child.wait(5)
    own = pathlib.Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split() for line in own if line.startswith("SigIgn"))
    # What Python ignores of its own accord; all else it was itself started with, as by nohup.
    pythons = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    found = dict(line.split() for line in child.tail())
    assert int(found["SigBlk:"], 16) == 0
    assert int(found["SigIgn:"], 16) == int(status["SigIgn:"], 16) & ~pythons


def test_a_foreign_executable_leaves_no_core_file(start):
    child = start(shell("ulimit -c; ulimit -Hc"))
    assert child.wait(5)
    assert child.tail() == ["0", "0"]


@pytest.mark.parametrize("is_foreign", [True, False])
def test_what_cannot_be_started_is_an_error_and_leaves_nothing(start, tmp_path, is_foreign):
    path = tmp_path / "text"
    path.write_text("no program")
    for wanted, error in ((tmp_path / "missing", FileNotFoundError), (path, PermissionError)):
        with pytest.raises(error):
            start([str(wanted)], is_foreign=is_foreign)
    path.chmod(0o755)
    with pytest.raises(OSError, match="Exec format error"):
        start([str(path)], is_foreign=is_foreign)
    with pytest.raises(FileNotFoundError):
        start(["/bin/true"], cwd=tmp_path / "missing", is_foreign=is_foreign)


def test_the_end_waits_so_long_and_no_longer(start):
    began_s = time.monotonic()
    child = start(shell("sleep 0.2; exit 4"))
    child.end(5)
    assert child.ending() == "exited with code 4"
    assert time.monotonic() - began_s < 3
    child, began_s = start(["/bin/sleep", "60"]), time.monotonic()
    child.end(0.3)
    child.end(0.3)
    assert 0.3 <= time.monotonic() - began_s < 1.5
    assert child.ending() == "was killed by SIGKILL"


def test_a_group_that_ignores_all_it_can_is_gone_with_the_child(start, tmp_path):
    breed = f"trap '' TERM HUP INT; sleep 600 & echo $! >{tmp_path}/pid; {{}}"
    for end, timeout_s in (("wait", 0.2), ("exit 0", 5)):
        child = start(shell(breed.format(end)))
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        grandchild = int((tmp_path / "pid").read_text())
        assert is_there(grandchild)
        began_s = time.monotonic()
        child.end(timeout_s)
        wait_until(lambda pid=grandchild: not is_there(pid), 2)
        assert time.monotonic() - began_s < 2.5
        (tmp_path / "pid").unlink()


def test_a_stopped_child_is_ended_too(start):
    child = start(["/bin/sleep", "60"])
    os.kill(child.pid, signal.SIGSTOP)
    assert child.is_alive()
    child.end(0.1)
    assert not is_there(child.pid)


PARENT = """
import os, signal, sys, threading, time
from gamebridge.supervision import children, logs
log = logs.Log()
made = []
def start():
    made.append(children.Child("the child", ["/bin/sh", "-c", "kill -STOP $$; sleep 60"], log))
thread = threading.Thread(target=start)
thread.start()
thread.join()
time.sleep(0.3)  # it lives on though the thread that wanted it is gone
print(made[0].pid, made[0].is_alive(), flush=True)
exec(sys.argv[1])
"""


@pytest.mark.parametrize(
    "end",
    [
        "time.sleep(60)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os._exit(0)",
        "sys.exit(1)",
        "raise ValueError",
    ],
)
def test_a_stopped_foreign_child_does_not_outlive_us(end):
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), end],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with parent:
        pid, is_alive = parent.stdout.readline().split()
        assert is_alive == "True"
        if "sleep" in end:
            assert is_there(pid)
            parent.kill()
        parent.wait(10)
        wait_until(lambda: not is_there(pid), 2)


def test_forty_children_leave_nothing_behind(log):
    for number in range(40):
        child = children.Child(f"child {number}", ["/bin/true"], log)
        child.end(5)
        assert child.ending() == "exited with code 0"


def test_ctrl_c_while_it_starts_leaves_nothing(log, monkeypatch):
    def start_and_raise(job):
        launching_launch(job)
        raise KeyboardInterrupt

    launching_launch = launching.launch
    monkeypatch.setattr(launching, "launch", start_and_raise)
    with pytest.raises(KeyboardInterrupt):
        children.Child("the child", ["/bin/sleep", "60"], log)


def test_a_child_that_is_waited_for_by_another_has_ended(start):
    child = start(shell("exit 7"))
    os.waitpid(child.pid, 0)
    assert not child.is_alive()
    assert child.ending() == "ended"
    child.end(0)


def test_the_kernel_is_asked_before_the_executable_runs(start):
    # 1 is what prctl calls PR_SET_PDEATHSIG, 2 what reads it back.
    code = "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); "
    child = start([sys.executable, "-c", code + "print(n.value)"])
    assert child.wait(10)
    assert child.tail() == [str(int(signal.SIGKILL))]
    ours = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(ours))
    assert ours.value == 0
