"""The server that a player calls: on loopback, for one at a time, and never in the way."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import grpc
import pytest
import talkers

from gamebridge import errors
from gamebridge_unity import communicator as communicators
from gamebridge_unity import encoding


def nothing():
    """A player's process that is always there."""


class Gone(Exception):
    pass


def gone():
    raise Gone


@pytest.fixture
def communicator():
    made = communicators.Communicator("player 1")
    yield made
    made.close()


@pytest.fixture
def talk(communicator):
    """Makes players of a port."""
    talkers_made = []

    def make():
        talkers_made.append(talkers.Talker(communicator.port))
        return talkers_made[-1]

    yield make
    for talker in talkers_made:
        talker.close()


def listening():
    """The addresses and ports that this process listens on, as /proc has them."""
    inodes = set()
    for link in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(link).removeprefix("socket:[").rstrip("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1])
    return found


def test_a_call_is_handed_over_as_it_came_and_its_reply_goes_back(communicator, talk):
    call = talk().say(b"news")
    assert communicator.receive(10.0, nothing) == b"news"
    communicator.reply(b"")
    assert call.result() == b""


def test_it_listens_on_loopback_and_nowhere_else(communicator):
    # 127.0.0.1 as such, or as IPv6 writes it.
    loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
    hosts, ports = zip(*(place.split(":") for place in listening()), strict=True)
    assert f"{communicator.port:04X}" in ports
    assert set(hosts) <= loopback


@contextlib.contextmanager
def listener(family, host, *options):
    with socket.socket(family, socket.SOCK_STREAM) as taken:
        for level, option in options:
            taken.setsockopt(level, option, 1)
        taken.bind((host, 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.mark.parametrize(
    ("family", "host", "options"),
    [
        (socket.AF_INET, "127.0.0.1", ()),
        (socket.AF_INET, "0.0.0.0", ()),
        (socket.AF_INET6, "::1", ()),
        (socket.AF_INET6, "::", [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)]),
        (socket.AF_INET, "127.0.0.1", [(socket.SOL_SOCKET, socket.SO_REUSEPORT)]),
    ],
    ids=["127.0.0.1", "0.0.0.0", "::1", "::, IPv6 only", "SO_REUSEPORT"],
)
def test_a_port_that_is_taken_in_any_way_is_an_error_that_names_who_holds_it(
    family, host, options, capfd
):
    with listener(family, host, *options) as port:
        match = rf"player 1: port {port} is taken by process {os.getpid()}\. End that, or use"
        with pytest.raises(errors.PlayerError, match=match):
            communicators.Communicator("player 1", port)
    communicators.Communicator("player 1", port).close()
    assert capfd.readouterr().err == ""


def test_a_second_server_cannot_share_the_port(communicator):
    with pytest.raises(errors.PlayerError, match=f"port {communicator.port} is taken"):
        communicators.Communicator("player 2", communicator.port)


def test_whoever_is_first_is_the_player_and_others_are_refused(communicator, talk, caplog):
    first, second = talk(), talk()
    call = first.say(b"first")
    assert communicator.receive(10.0, nothing) == b"first"
    with caplog.at_level(logging.WARNING), pytest.raises(grpc.RpcError) as caught:
        second.say(b"second").result()
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert communicator.num_refused == 1
    assert f"port {communicator.port}: refused a call of ipv4:127.0.0.1:" in caplog.text
    communicator.reply(b"order")
    assert call.result() == b"order"


STRANGER = """
import sys, grpc
from gamebridge_unity import wire
with grpc.insecure_channel(f"localhost:{sys.argv[1]}") as channel:
    try:
        channel.unary_unary(wire.PATH)(b"rogue", wait_for_ready=True, timeout=10)
    except grpc.RpcError as error:
        print(error.code().name)
"""


def test_a_player_s_children_are_heard_and_others_are_not(communicator, talk):
    sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        communicator.expect(sleeper.pid)
        with pytest.raises(grpc.RpcError) as caught:
            talk().say(b"rogue").result()
        assert f"it is process {os.getpid()}, and process {sleeper.pid} was" in str(caught.value)
    finally:
        sleeper.kill()
        sleeper.wait()
    code = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STRANGER!r}, sys.argv[1]])"
    )
    shell = subprocess.Popen(
        [sys.executable, "-c", code, str(communicator.port)], start_new_session=True
    )
    try:
        communicator.expect(shell.pid)
        assert communicator.receive(20.0, nothing) == b"rogue"
        communicator.reply(b"")
    finally:
        assert shell.wait(20) == 0


def test_one_call_at_a_time_is_heard(communicator, talk):
    talker = talk()
    first = talker.say(b"first")
    assert communicator.receive(10.0, nothing) == b"first"
    with pytest.raises(grpc.RpcError, match="has not been answered yet"):
        talker.say(b"second").result()
    communicator.reply(b"")
    first.result()


def test_a_message_over_the_limit_is_named_with_size_limit_and_cure():
    with contextlib.closing(communicators.Communicator("player 1", 0, 5_000_000)) as communicator:
        talker = talkers.Talker(communicator.port)
        call = talker.say(bytes(6_000_001))
        match = (
            r"player 1 sent a message of 6,000,001 bytes: max_message_bytes allows 5,000,000\. "
            r"Use a compressed observation"
        )
        with pytest.raises(communicators.Broken, match=match):
            communicator.receive(10.0, nothing)
        communicator.renew()
        assert call.result() == encoding.GOODBYE
        talker.close()


def test_messages_far_over_grpc_s_own_limit_are_read_where_there_is_none(communicator, talk):
    call = talk().say(bytes(20_000_000))
    assert len(communicator.receive(10.0, nothing)) == 20_000_000
    communicator.reply(bytes(20_000_000))
    assert len(call.result()) == 20_000_000


def test_a_player_that_says_nothing_is_late_and_what_it_says_then_is_not_heard(communicator, talk):
    began_s = time.monotonic()
    with pytest.raises(communicators.Late, match=r"player 1 said nothing for 0.3 s"):
        communicator.receive(0.3, nothing)
    assert 0.3 <= time.monotonic() - began_s < 1.0
    call = talk().say(b"too late")
    with pytest.raises(communicators.Broken, match="said nothing for"):
        communicator.receive(0.2, nothing)
    communicator.renew()
    assert call.result() == encoding.GOODBYE


def test_waiting_costs_no_time_of_the_processor(communicator):
    began_s = time.process_time()
    with pytest.raises(communicators.Late):
        communicator.receive(1.0, nothing)
    assert time.process_time() - began_s < 0.1


def test_a_process_that_is_gone_is_seen_at_once(communicator):
    began_s = time.monotonic()
    with pytest.raises(Gone):
        communicator.receive(60.0, gone)
    assert time.monotonic() - began_s < 1.0


def test_a_connection_that_ends_while_the_player_waits_is_told(communicator, talk):
    talker = talk()
    call = talker.say(b"news")
    communicator.receive(10.0, nothing)
    call.cancel()
    talker.close()
    time.sleep(0.2)
    communicator.reply(b"order")
    with pytest.raises(Gone):
        communicator.receive(60.0, gone)
    with pytest.raises(communicators.Broken, match="player 1 closed its connection"):
        communicator.receive(60.0, nothing)


def test_the_next_player_dials_the_same_port_and_the_old_one_is_not_heard(communicator, talk):
    old, new = talk(), talk()
    waiting = old.say(b"old")
    communicator.receive(10.0, nothing)
    communicator.renew()
    assert waiting.result() == encoding.GOODBYE
    with pytest.raises(grpc.RpcError, match="it was dismissed"):
        old.say(b"old again").result()
    call = new.say(b"new")
    assert communicator.receive(10.0, nothing) == b"new"
    communicator.reply(b"order")
    assert call.result() == b"order"


def test_goodbye_is_the_reply_to_the_next_call_as_well(communicator, talk):
    talker = talk()
    call = talker.say(b"news")
    communicator.receive(10.0, nothing)
    communicator.reply(b"order")
    call.result()
    communicator.say_goodbye()
    communicator.say_goodbye()
    assert talker.say(b"more news").result() == encoding.GOODBYE


def test_closing_says_goodbye_and_frees_the_port():
    communicator = communicators.Communicator("player 1")
    talker = talkers.Talker(communicator.port)
    call = talker.say(b"news")
    communicator.receive(10.0, nothing)
    began_s = time.monotonic()
    communicator.close()
    communicator.close()
    assert time.monotonic() - began_s < 1.0
    assert call.result() == encoding.GOODBYE
    talker.close()
    communicators.Communicator("player 2", communicator.port).close()


def test_forty_players_leave_no_thread_and_no_file_behind():
    communicator = communicators.Communicator("player 1")

    def play():
        talker = talkers.Talker(communicator.port)
        call = talker.say(b"news")
        communicator.receive(10.0, nothing)
        communicator.renew()
        call.result()
        talker.close()

    def count():
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    for _ in range(5):
        play()
    threads, files = count()
    for _ in range(40):
        play()
    time.sleep(0.2)
    now = count()
    assert now[0] <= threads + 1 and now[1] <= files + 2
    communicator.close()


def test_a_closed_server_leaves_no_thread(communicator):
    before = threading.active_count()
    for _ in range(3):
        made = communicators.Communicator("player 2")
        talker = talkers.Talker(made.port)
        call = talker.say(b"news")
        made.receive(10.0, nothing)
        made.reply(b"")
        call.result()
        talker.close()
        made.close()
    until_s = time.monotonic() + 5.0
    while threading.active_count() > before and time.monotonic() < until_s:
        time.sleep(0.05)
    assert threading.active_count() <= before


UNCLOSED = """
import subprocess, sys, time
from gamebridge_unity import communicator
made = communicator.Communicator("player 1")
talker = subprocess.Popen([sys.executable, "-c", {stranger!r}, str(made.port)])
assert made.receive(20.0, lambda: None) == b"rogue"
print("in hand", flush=True)
{end}
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [("", 0), ("raise SystemExit(3)", 3), ("time.sleep(60)", -signal.SIGINT)],
    ids=["it ends", "it raises", "Ctrl-C"],
)
def test_a_script_that_forgets_to_close_ends_all_the_same(end, code):
    script = UNCLOSED.format(stranger=STRANGER, end=end)
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == "in hand\n"
        began_s = time.monotonic()
        if code < 0:
            process.send_signal(signal.SIGINT)
        assert process.wait(15) == code
        assert time.monotonic() - began_s < 7.0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_garbage_and_idle_connections_do_not_stop_the_player(communicator, talk):
    with contextlib.ExitStack() as opened:
        for number in range(300):
            idle = opened.enter_context(socket.create_connection(("127.0.0.1", communicator.port)))
            if number % 3 == 0:
                with contextlib.suppress(OSError):
                    idle.sendall(os.urandom(1000))
        call = talk().say(b"news")
        assert communicator.receive(20.0, nothing) == b"news"
        communicator.reply(b"order")
        assert call.result() == b"order"
