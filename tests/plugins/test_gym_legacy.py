"""Legacy gym is imported whatever other packages registered with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gamebridge_gym import legacy

SCRIPT = """
import logging, sys
logging.basicConfig(format="%(levelname)s %(message)s")
from gamebridge_gym import legacy
import importlib.metadata
real = importlib.metadata.entry_points
gym = legacy.load()
assert legacy.load() is gym
assert importlib.metadata.entry_points is real
print(sorted(one for one in gym.envs.registry.env_specs if "Found" in one), "CartPole-v1" in
      gym.envs.registry.env_specs)
"""

GOOD = """
import gym

def register():
    gym.register(id="Found-v0", entry_point="nowhere:Nothing")
"""


@pytest.fixture
def site(tmp_path):
    """Returns a function that installs a package with one gym.envs entry point."""

    def install(name, text, value):
        (tmp_path / f"{name}.py").write_text(text)
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[gym.envs]\n{name} = {value}\n")

    install.path = tmp_path
    return install


def load(site):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(site.path)},
        check=False,
    )


def test_gym_is_imported_without_a_word(site):
    done = load(site)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[] True\n", "")


def test_environments_of_other_packages_are_found_beside_broken_ones(site):
    site("good", GOOD, "good:register")
    site("bad", "1 / 0", "bad:register")
    site("exits", "raise SystemExit(3)", "exits:register")
    site("odd", "register = 7", "odd:register")
    site("gone", "", "not_there_at_all:register")
    done = load(site)
    assert done.stdout == "['good/Found-v0'] True\n", done.stderr
    warnings = done.stderr.splitlines()
    assert sorted(warnings) == [
        "WARNING The legacy gym environments of 'bad' are left out: loading bad:register raised "
        "ZeroDivisionError: division by zero. Mend or uninstall bad 1.2.",
        "WARNING The legacy gym environments of 'exits' are left out: loading exits:register "
        "raised SystemExit: 3. Mend or uninstall exits 1.2.",
        "WARNING The legacy gym environments of 'gone' are left out: loading "
        "not_there_at_all:register raised ModuleNotFoundError: No module named "
        "'not_there_at_all'. Mend or uninstall gone 1.2.",
        "WARNING The legacy gym environments of 'odd' are left out: loading odd:register raised "
        "TypeError: it cannot be called. Mend or uninstall odd 1.2.",
    ]


def test_the_same_packages_break_a_plain_import(site):
    site("bad", "1 / 0", "bad:register")
    done = subprocess.run(
        [sys.executable, "-c", "import gym"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(site.path)},
        check=False,
    )
    assert "ZeroDivisionError" in done.stderr


def test_gym_that_something_else_imported_is_taken_as_it_is(monkeypatch):
    marker = object()
    monkeypatch.setitem(sys.modules, "gym", marker)
    assert legacy.load() is marker
