"""What is said while a training runs, to a log file and on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import types

from gamebridge.cli import progress, terminal


def told(step, note="", target=100, rate=10.0, mean=None, validation=None, restarts=0):
    return types.SimpleNamespace(
        step=step,
        target=target,
        steps_per_s=rate,
        mean_return=mean,
        validation_return=validation,
        note=note,
        num_restarts=restarts,
    )


def test_a_summary_tells_of_restarts_where_there_were_any():
    assert "3 restarts" in progress.summary(told(50, restarts=3))
    assert "restarts" not in progress.summary(told(50))


def test_a_summary_leaves_out_what_is_not_known_yet():
    assert progress.summary(told(0, target=1_000, rate=0.0)) == "step 0 of 1,000, 0 steps/s"
    assert progress.summary(told(40, target=80_000, mean=1.5, validation=-2.0)) == (
        "step 40 of 80,000, 10 steps/s, return 1.50, validation -2.00, 2:13:16 left"
    )


def test_lines_come_every_ten_seconds_and_at_each_checkpoint():
    said, now_s = [], [0.0]
    lines = progress.Lines(said.append, lambda: now_s[0])
    for second in range(1, 26):
        now_s[0] = float(second)
        lines.watch(told(second, note="checkpoint at step 12" if second == 12 else ""))
    lines.announce("Preset")
    lines.close()
    assert [line.partition(",")[0] for line in said] == [
        "step 10 of 100",
        "checkpoint at step 12",
        "step 22 of 100",
        "Preset",
    ]


def test_a_terminal_gets_a_bar_with_lines_above_it_and_keeps_its_cursor():
    script = """
import logging, types
from gamebridge.cli import progress, terminal
screen = terminal.Terminal()
with screen.foreign_code(), progress.Watcher(screen) as watcher:
    watcher.announce("Preset [ppo]")
    for step in (40, 100):
        watcher.watch(types.SimpleNamespace(
            step=step, target=100, steps_per_s=10.0, mean_return=None, validation_return=None,
            note="checkpoint at step 40" if step == 40 else "", num_restarts=0))
    logging.getLogger("gamebridge.x").warning("said above the bar")
    logging.getLogger("gamebridge_game.x").warning("said by a plugin")
    logging.getLogger("gamebridge_game.x").info("nothing to worry about")
    logging.getLogger("library").error("a library's")
    print("a game that prints")
screen.result("the result")
"""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=follower, env=environment
    )
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 4096):
            shown += chunk
    except OSError:
        pass  # Linux says so when the last writer has left
    result, _ = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == 0, shown.decode()
    assert result == b"the result\n"
    text = shown.decode()
    for part in (
        "loading TensorFlow",
        "Preset [ppo]",
        "checkpoint at step 40",
        "step 100 of 100",
        "gamebridge: warning: said above the bar",
        "gamebridge: warning: said by a plugin",
        "a game that prints",
    ):
        assert part in text, part
    for part in ("nothing to worry about", "a library's"):
        assert part not in text, part
    # Shown again at once: a second Ctrl-C would leave no time for it.
    assert text.rindex("\x1b[?25l") < text.index("\x1b[?25h") < text.index("Preset")


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for name, has_bar in (("dumb", False), ("unknown", False), ("xterm", True)):
        monkeypatch.setenv("TERM", name)
        assert terminal.Terminal().has_bar == has_bar
