"""A call aside: its outcome comes out whole, one at a time, and its thread goes with its owner."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from gamebridge.tf import aside


def test_a_call_runs_while_its_asker_goes_on():
    thread = aside.Aside("toy")
    gate = threading.Event()
    thread.begin(lambda: (gate.wait(10), threading.current_thread().name))
    assert thread.is_busy
    gate.set()
    assert thread.end() == (True, "toy")
    assert not thread.is_busy
    thread.close()


def test_what_a_call_raises_comes_out_as_it_was_raised():
    thread = aside.Aside("toy")
    for error in (ZeroDivisionError("wheel"), SystemExit(3), KeyboardInterrupt()):

        def fail(error=error):
            raise error

        thread.begin(fail)
        with pytest.raises(type(error)) as caught:
            thread.end()
        assert caught.value is error
    thread.begin(lambda: 5)
    assert thread.end() == 5
    thread.close()


def test_one_call_at_a_time():
    thread = aside.Aside("toy")
    with pytest.raises(RuntimeError, match="No call is under way"):
        thread.end()
    thread.begin(int)
    with pytest.raises(RuntimeError, match="A call is under way"):
        thread.begin(int)
    thread.end()
    thread.close()


def test_waiting_can_have_a_limit_and_go_on_later():
    thread = aside.Aside("toy, a step ahead")
    gate = threading.Event()
    thread.begin(lambda: gate.wait(10))
    with pytest.raises(TimeoutError, match=r"toy, a step ahead: a call has not ended in 0.02 s"):
        thread.end(0.02)
    assert thread.is_busy
    gate.set()
    assert thread.end()
    thread.close()


def threads_named(name):
    return [thread for thread in threading.enumerate() if thread.name == name]


@pytest.mark.parametrize("is_closed", [True, False])
def test_the_thread_ends_with_its_owner(is_closed):
    thread = aside.Aside("toy that ends")
    for _ in range(3):
        thread.begin(int)
        thread.end()
    assert len(threads_named("toy that ends")) == 1
    if is_closed:
        thread.close()
        thread.close()
    else:
        del thread
        gc.collect()
    deadline = time.monotonic() + 5
    while threads_named("toy that ends"):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_no_thread_is_made_before_it_is_needed():
    before = threading.active_count()
    thread = aside.Aside("toy")
    thread.close()
    assert threading.active_count() == before
