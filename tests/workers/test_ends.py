"""However a pool ends, nothing of it is left."""

import gc
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
from concurrent import futures

import leftovers
import numpy as np
import pools
import pytest

from gamebridge.supervision import launching
from gamebridge.testing import numbered

GRACE_S = pools.QUICK["close_timeout_s"] + 2.0


@pytest.fixture(autouse=True)
def nothing_is_left():
    # The thread that starts processes is the interpreter's, not the pool's.
    launching.launch(gc.collect)
    before, names = leftovers.there_is(), set(os.listdir("/dev/shm"))
    yield
    assert not leftovers.there_is() - before
    assert set(os.listdir("/dev/shm")) <= names


def test_forty_pools_leave_nothing():
    def play(number):
        with pools.open_pool(shares=(1,)) as game:
            game.reset()
            game.step(pools.action(game))

    with futures.ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(play, range(40)))) == 40


def test_a_pool_that_nobody_closes_ends_with_its_last_reference():
    game = pools.open_pool()
    pids = pools.pids(game)
    game.reset()
    del game
    gc.collect()
    assert not any(map(pools.is_there, pids))


@pytest.mark.parametrize("fault", ["stop", "hang", "slow"])
def test_close_in_the_middle_of_a_step_is_in_time(fault):
    game = pools.faulty(fault, at=3, supervision={**pools.FREE, "step_timeout_s": 30.0})
    game.reset()
    game.step(pools.action(game))
    game.step(pools.action(game))
    with pytest.raises(KeyboardInterrupt), interrupt_after(0.1):
        game.step(pools.action(game))
    pids = pools.pids(game)
    began_s = time.monotonic()
    game.close()
    game.close()
    assert time.monotonic() - began_s < GRACE_S
    assert not any(map(pools.is_there, pids))


def test_close_while_a_worker_is_stopped_dead_or_being_replaced_is_in_time():
    game = pools.open_pool(shares=(1, 1, 1))
    game.reset()
    pids = pools.pids(game)
    os.kill(pids[0], signal.SIGKILL)
    while game.num_restarts < 1 or pools.pids(game)[0] is None:
        game.step(pools.action(game))
    assert game._staff.stations[0].stage != "up"
    os.kill(pids[1], signal.SIGSTOP)
    os.kill(pids[2], signal.SIGKILL)
    pids += pools.pids(game)
    began_s = time.monotonic()
    game.close()
    assert time.monotonic() - began_s < GRACE_S
    assert not any(map(pools.is_there, pids))


def test_a_worker_that_ignores_sigterm_or_hangs_in_close_is_ended():
    for fault, where in (("ignore SIGTERM", "step"), ("hang", "close")):
        game = pools.faulty(fault, where=where)
        game.reset()
        game.step(pools.action(game))
        began_s = time.monotonic()
        game.close()
        assert time.monotonic() - began_s < GRACE_S


def test_children_of_a_worker_end_with_the_pool(tmp_path):
    flag = tmp_path / "pid"
    with pools.faulty("breed", shares=(2,), flag=str(flag)) as game:
        game.reset()
        game.step(pools.action(game))
        grandchild = int(flag.read_text())
        assert pools.is_there(grandchild)
    pools.wait_until(lambda: not pools.is_there(grandchild), 2.0)


class interrupt_after:
    """Ctrl-C after so many seconds: a signal, whose handler raises KeyboardInterrupt."""

    def __init__(self, *seconds):
        self.seconds = seconds

    def __enter__(self):
        def handle(number, frame):
            raise KeyboardInterrupt

        self.old = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, *self.seconds)

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.old)


def test_a_step_that_was_broken_off_is_finished_before_the_next(tmp_path):
    with pools.faulty("slow", at=4, flag=str(tmp_path / "done")) as game:
        ledger = numbered.Ledger(4)
        ledger.note(None, game.reset(pools.seeds()))
        pools.play(game, ledger, 3)
        with pytest.raises(KeyboardInterrupt), interrupt_after(0.1):
            game.step(pools.action(game))
        before = game.step(pools.action(game, 9), np.zeros(4, np.bool_))
        assert before.observation[:, 1].tolist() == [4] * 4
        after = game.step(pools.action(game, 8))
        assert after.observation[:, 1:].tolist() == [[5, 8]] * 4
        assert game.num_restarts == 0


def test_interrupts_at_any_moment_lose_no_worker_and_mix_no_rows():
    # Patient: a worker that a busy machine holds up for a second is not lost by an interrupt.
    patient = {**pools.QUICK, "step_timeout_s": 10.0}
    with pools.open_pool(shares=(1, 1), supervision=patient) as game:
        game.reset(pools.seeds(2))
        # What was not broken off is whole: steps of a slot grow by one for each that began.
        interrupts = 0
        until_s = time.monotonic() + 3.0
        last = np.zeros(2, np.int64)
        while time.monotonic() < until_s:
            try:
                with interrupt_after(np.random.default_rng(interrupts).uniform(1e-4, 3e-3)):
                    while True:
                        said = game.step(pools.action(game, 5))
                        last = said.observation[:, 1].copy()
            except KeyboardInterrupt:
                interrupts += 1
            held = game.step(pools.action(game), np.zeros(2, np.bool_))
            step, echo = held.observation[:, 1], held.observation[:, 2]
            lengths = numbered.Numbered.length(held.observation[:, 0])
            assert (step <= lengths).all()
            assert ((step == last) | (step == last + 1) | (step == 0)).all(), (step, last)
            assert ((echo == 5) | (step == 0)).all()
            assert ((held.step_type == 0) == (step == 0)).all()
            assert ((held.step_type == 2) == (step == lengths)).all()
            last = step.copy()
        assert interrupts > 50
        assert game.num_restarts == 0


def test_an_interrupted_start_leaves_nothing():
    for after_s in (0.02, 0.1, 0.2, 0.4):
        with pytest.raises(KeyboardInterrupt), interrupt_after(after_s):
            pools.faulty("hang", where="make")


def test_a_fork_that_ends_leaves_the_pool_alone():
    code = """
    import os, sys
    game = pools.open_pool()
    game.reset()
    if os.fork() == 0:
        sys.exit(0)
    os.wait()
    for _ in range(5):
        game.step(pools.action(game))
    assert game.num_restarts == 0
    game.close()
    """
    assert run(code)[0] == 0


def run(code, **more):
    """Runs code in a Python of its own; returns its exit code, what it wrote, and how long."""
    began_s = time.monotonic()
    code = "import pools\n" + textwrap.dedent(code)
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=pathlib.Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=60,
        **more,
    )
    return child.returncode, child.stdout, child.stderr, time.monotonic() - began_s


@pytest.mark.parametrize(
    ("ending", "exit_code", "stderr"),
    [
        ("pass", 0, ""),
        ("raise SystemExit(7)", 7, ""),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", -2, "KeyboardInterrupt\n"),
    ],
)
def test_an_interpreter_ends_quickly_without_close(ending, exit_code, stderr):
    code = f"""
    import os, signal, time
    game = pools.open_pool()
    game.reset()
    game.step(pools.action(game))
    print(*pools.pids(game), flush=True)
    print(time.monotonic(), flush=True)
    {ending}
    """
    code, stdout, found, _ = run(code)
    ended_s = time.monotonic()
    pids, said_s = stdout.splitlines()
    assert ended_s - float(said_s) < 1.5
    assert code == exit_code
    assert found.endswith(stderr) if stderr else found == ""
    assert not any(pools.is_there(int(pid)) for pid in pids.split())


def test_workers_go_with_a_process_that_is_killed_even_if_they_are_stopped():
    code = """
    import os, signal, time
    game = pools.open_pool(shares=(1, 1, 1))
    game.reset()
    os.kill(pools.pids(game)[1], signal.SIGSTOP)
    print(*pools.pids(game), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    code, stdout, _, _ = run(code)
    assert code == -signal.SIGKILL
    for pid in map(int, stdout.split()):
        pools.wait_until(lambda pid=pid: not pools.is_there(pid), 2.0)


def test_a_worker_loads_no_tensorflow_and_is_quick_to_start():
    best_s = 9.0
    for _ in range(3):
        began_s = time.monotonic()
        with pools.open_pool(shares=(1,)) as game:
            best_s = min(best_s, time.monotonic() - began_s)
            maps = pathlib.Path(f"/proc/{pools.pids(game)[0]}/maps").read_text()
    assert "tensorflow" not in maps
    assert "cv2" not in maps
    print(f"a worker is up after {best_s:.2f} s")
    assert best_s < 1.0
