"""`gamebridge builds`: adds, lists and checks builds, with one line for whatever goes wrong."""

import json
import os
import pathlib
import shutil
import stat
import textwrap
import time
import zipfile

import pytest

from gamebridge import cli
from gamebridge_unity import builds

# Under a name of its own, wherever the plugin's own hook puts it.
PLUGIN = """
    from gamebridge.contract import CommandRecord, hookimpl

    def _make():
        from gamebridge_unity import commands
        return commands.make()

    @hookimpl
    def gamebridge_commands():
        yield CommandRecord("try-builds", "Builds.", _make)
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in an empty folder; returns its exit code, what it wrote and what it said."""
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o755)
    file = plugins / "trying.py"
    file.write_text(textwrap.dedent(PLUGIN))
    file.chmod(0o644)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("GAMEBRIDGE_PLUGINS", "")
    monkeypatch.delenv("GAMEBRIDGE_UNITY_BUILDS", raising=False)

    def run(*words):
        code = cli.main(["--plugins", str(plugins), "try-builds", *map(str, words)])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def make(tmp_path):
    """Makes a build of the reference player with arguments of its own, in ./unity_builds."""

    def make(*args, toml="", name="race"):
        folder = tmp_path / "here" / "unity_builds" / name
        shutil.copytree(builds.OWN_FOLDER / "racing", folder)
        words = ", ".join(map(json.dumps, args))
        (folder / "build.toml").write_text(f"args = [{words}]\n{toml}")
        return folder

    return make


def make_zip(path, names=("race.x86_64",)):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "#!/bin/sh\nexit 0\n")
    return path


def test_an_archive_is_added_listed_and_checked(run, tmp_path):
    code, out, error = run("add", make_zip(tmp_path / "race.zip"))
    assert (code, error) == (0, "")
    folder = tmp_path / "here" / "unity_builds" / "race"
    first, digest, last = out.splitlines()
    assert first == f"unity/race is added: {folder / 'race.x86_64'}"
    assert digest.startswith("sha256 ")
    assert last == "See whether it plays: gamebridge builds check race"
    code, out, _ = run("list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["build", "race", "racing"]
    code, out, error = run("check", "race")
    assert code == 5
    assert "unity/race exited with code 0 before it had connected. Likely cause: it ended" in error


def test_what_was_added_elsewhere_says_how_it_is_found(run, tmp_path, monkeypatch):
    code, out, _ = run("add", make_zip(tmp_path / "race.zip"), "--into", tmp_path / "other place")
    assert code == 0
    assert f"export GAMEBRIDGE_UNITY_BUILDS='{tmp_path}/other place'" in out
    monkeypatch.setenv("GAMEBRIDGE_UNITY_BUILDS", str(tmp_path / "other place"))
    code, out, _ = run("list", "--json")
    assert [build["name"] for build in json.loads(out)["builds"]] == ["race", "racing"]
    code, out, _ = run("add", make_zip(tmp_path / "second.zip"), "--json")
    assert json.loads(out)["folder"] == str(tmp_path / "other place" / "second")


@pytest.mark.parametrize(
    "make_source, words, code, said",
    [
        (lambda path: make_zip(path, ["../evil"]), [], 8, "leads out of its folder: '../evil'"),
        (make_zip, ["--sha256", "0" * 64], 8, "expected 0000"),
        (lambda path: make_zip(path, ["notes.txt", "b.sh"]), [], 2, "may be any of b.sh, notes"),
        (lambda path: path, [], 2, "cannot be read: No such file"),
        (lambda path: "", [], 2, "The archive or folder is ''; expected its path"),
        (make_zip, ["--name", "../evil"], 2, "A build cannot be called '../evil'"),
    ],
)
def test_what_is_refused_is_a_line_and_an_exit_code(run, tmp_path, make_source, words, code, said):
    began_s = time.monotonic()
    found, out, error = run("add", make_source(tmp_path / "race.zip"), *words)
    assert (found, out) == (code, "")
    assert said in error
    assert error.count("\n") == 1
    assert time.monotonic() - began_s < 5.0
    assert not (tmp_path / "here" / "unity_builds").exists()


def test_a_broken_build_is_listed_with_its_cause(run, make):
    make(name="good")
    make(name="broken", toml="agnets = 1")
    lost = make(name="lost")
    (lost / "racing.x86_64").chmod(0o644)
    code, out, _ = run("list")
    assert code == 0
    assert "\nFolders with a build.toml that are no builds:\n  broken: " in out
    assert "Did you mean 'agents'" in out
    (line,) = [line for line in out.splitlines() if line.startswith("lost ")]
    assert "is not executable (mode 644). Run: chmod +x" in line


def test_a_build_is_checked_by_playing_with_it(run, make):
    make("--agents", "3", "--camera", "grey", toml='behavior = "Car"\nagents = 3\n')
    code, out, error = run("check", "race")
    assert (code, error) == (0, "")
    first, *lines = out.splitlines()
    assert first.startswith("unity/race connected after ")
    assert "protocol 1.5.0, ML-Agents package " in first
    assert lines[0] == "behavior Car?team=0: 3 agents"
    assert any(line.startswith("  observation ") and "frame [" in line for line in lines)
    assert any(line.startswith("  observation ") and "array [" in line for line in lines)
    assert lines[-1].startswith("  action 2 continuous")


def test_what_a_build_toml_says_is_compared_with_what_is_seen(run, make):
    make("--agents", "3", name="a")
    assert "warning: add `agents = 3` to build.toml." in run("check", "a")[1]
    make("--agents", "3", toml="agents = 5", name="b")
    assert "build.toml says agents = 5; the scene showed 3 at first" in run("check", "b")[1]
    make("--agents", "3", toml="behavior = 'Cart'", name="c")
    assert 'build.toml says behavior = "Cart"; the scene has' in run("check", "c")[1]
    make("--scene", "two-behaviors", name="d")
    code, out, error = run("check", "unity/d", "--json")
    assert (code, error) == (0, "")
    assert len(json.loads(out)["report"]["behaviors"]) == 2
    assert "the scene has several behaviours" in run("check", "d")[1]


@pytest.mark.parametrize(
    "args, said",
    [
        (["--fault", "exit-early"], "unity/race exited with code "),
        (["--fault", "exit-between"], "unity/race exited with code "),
        (["--fault", "wrong-version"], "1.5.0"),
        (["--fault", "never-connect"], "it runs and never spoke"),
        (["--fault", "no-agents"], "add a Decision Requester"),
        (["--scene", "no-such"], "expected one of"),
    ],
)
def test_a_build_that_does_not_play_says_why(run, make, args, said):
    make(*args)
    limit_s = "2" if "never-connect" in args else "4"
    code, out, error = run("check", "race", "--timeout-s", limit_s)
    assert (code, out) == (5, ""), error
    assert said in error
    assert error.startswith("gamebridge: error: unity/race")
    assert error.count("\n") == 1


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")
def test_a_build_that_draws_is_checked_on_a_virtual_display(run, make, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    make("--scene", "window", toml="agents = 1\n")
    code, out, error = run("check", "race", "--graphics", "virtual")
    assert (code, error) == (0, "")
    assert "frame [" in out
    code, _, error = run("check", "race", "--graphics", "display")
    assert code == 5
    assert "graphics=display, and DISPLAY is not set" in error


def test_a_path_is_checked_as_well_as_a_name(run, make, tmp_path):
    folder = make("--agents", "2")
    for path in (folder, folder / "racing.x86_64"):
        code, out, _ = run("check", path)
        assert code == 0
        assert "2 agents" in out
    code, _, error = run("check", tmp_path / "nothing")
    assert code == 5
    assert "cannot be found" in error


def test_nothing_is_left_of_a_check(run, make, tmp_path, monkeypatch):
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", None)
    make("--fault", "ignore-goodbye")
    code, _, error = run("check", "race")
    assert (code, error) == (0, "")
    assert not list(place.iterdir())
    children = pathlib.Path(f"/proc/{os.getpid()}/task").glob("*/children")
    assert not [pid for task in children for pid in task.read_text().split()]


def test_a_build_toml_that_asks_for_variables_is_told_of(run, tmp_path):
    source = make_zip(tmp_path / "race.zip")
    with zipfile.ZipFile(source, "a") as archive:
        member = zipfile.ZipInfo("build.toml")
        member.external_attr = (stat.S_IFREG | 0o644) << 16
        archive.writestr(member, "environment = ['AWS_SECRET_ACCESS_KEY']")
    code, out, _ = run("add", source)
    assert code == 0
    assert "Its build.toml asks for these variables: AWS_SECRET_ACCESS_KEY" in out
