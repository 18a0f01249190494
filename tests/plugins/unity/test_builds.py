"""Builds are found by their build.toml; what is wrong with one is said of it and hides no other."""

import os
import platform
import shutil
import struct
import subprocess
import sys
import time

import pytest

from gamebridge import errors
from gamebridge_unity import builds, executables

SCRIPT = "#!/bin/sh\nexit 0\n"


@pytest.fixture
def make(tmp_path):
    """Makes a folder with a build."""

    def make(name="race", toml="", files=None, place=tmp_path / "builds"):
        folder = place / name
        folder.mkdir(parents=True)
        (folder / "build.toml").write_text(toml)
        for path, content in ({"race.x86_64": SCRIPT} if files is None else files).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
            file.chmod(0o755)
        return folder

    return make


def elf(machine=62, bits=64, kind=2):
    head = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1, 1]) + bytes(9)
    return head + struct.pack("<HH", kind, machine) + bytes(44)


FULL = """
summary = "Cars."
args = ["--track", "oval"]
behavior = "Car"
agents = 8
num_slots = 16
view = "window"
environment = ["LICENSE_SERVER"]
start_timeout_s = 120
step_timeout_s = 5.5
steps_per_s = 50
[executables]
linux = "bin/race.x86_64"
windows = "race.exe"
[engine]
time_scale = 10
width = 320
height = 200
[parameters]
gravity = -9.81
difficulty = [[0, 0.0], [100000, 1.0]]
[wrappers]
action_repeat = 2
[presets.ppo]
learning_rate = 1e-3
[agent_wrappers.dqn]
action_bins = [11, 3]
[training]
checkpoint_interval_steps = 500000
"""


def test_a_build_toml_says_all_there_is_to_know(make):
    folder = make(toml=FULL, files={"bin/race.x86_64": SCRIPT})
    build = builds.load(folder)
    assert (build.name, build.folder, build.is_own) == ("race", folder, False)
    assert build.executable == folder / "bin/race.x86_64"
    assert build.command() == [str(folder / "bin/race.x86_64")]
    assert (build.summary, build.args, build.behavior) == ("Cars.", ("--track", "oval"), "Car")
    assert (build.agents, build.num_slots, build.view) == (8, 16, "window")
    assert build.environment == ("LICENSE_SERVER",)
    assert (build.start_timeout_s, build.step_timeout_s, build.steps_per_s) == (120, 5.5, 50)
    assert (build.engine.time_scale, build.engine.width, build.engine.height) == (10, 320, 200)
    assert build.engine.quality_level is None
    assert build.parameters == {"gravity": -9.81, "difficulty": ((0, 0.0), (100_000, 1.0))}
    assert build.wrappers == {"action_repeat": 2}
    assert build.presets == {"ppo": {"learning_rate": 1e-3}}
    assert build.agent_wrappers == {"dqn": {"action_bins": [11, 3]}}
    assert build.training == {"checkpoint_interval_steps": 500_000}


def test_an_empty_build_toml_is_enough_where_one_file_can_be_run(make):
    build = builds.load(make(toml="", files={"game": SCRIPT, "data.txt": "no program"}))
    assert build.executable.name == "game"
    assert (build.agents, build.behavior, build.engine.time_scale) == (None, "", None)


@pytest.mark.parametrize(
    "toml, message",
    [
        ("agnets = 8", r"build\.toml:1: unknown key 'agnets'\. Did you mean 'agents'"),
        ("\n[engine]\ntime_scael = 2", r"build\.toml:3: .*'engine\.time_scael'.*'time_scale'"),
        ("[executables]\nlinus = 'a'", r"build\.toml:2: .*Did you mean 'linux'"),
        ("agents = '8'", r"build\.toml:1: 'agents' is '8' \(str\); expected int"),
        ("agents = 0", r"build\.toml:1: 'agents': agents is 0; expected 1 to 100000"),
        ("args = '--fast'", r"'args' is '--fast' \(str\); expected array"),
        ("step_timeout_s = -1", r"step_timeout_s is -1\.0; expected more than 0"),
        ("environment = ['A=B']", r"environment names 'A=B'; expected names of environment"),
        ("[executables]\nlinux = '../other'", r"linux is '\.\./other'; expected a path inside"),
        ("[executables]\nlinux = '/bin/sh'", r"linux is '/bin/sh'; expected a path inside"),
        ("[engine]\ntime_scale = 0.5", r"time_scale is 0\.5; expected 1 to 1000"),
        ("[executables]\nwindows = 'a.exe'", r"executables has windows, and this is linux"),
        ("[executables]\nlinux = 'b.sh'", r"build\.toml: the executable b\.sh is not there"),
        ("[parameters]\nx = [[9, 1], [0, 2]]", r"build\.toml:1: .*x is .*steps that rise from 0"),
        ("agents = ", r"build\.toml:1: "),
        ("agents = 8\nagents = 9", r"build\.toml:2: .*A key or table may be given only once"),
    ],
)
def test_what_is_wrong_in_a_build_toml_is_told_in_a_line(make, toml, message):
    with pytest.raises(errors.ConfigError, match=message) as caught:
        builds.load(make(toml=toml))
    assert "\n" not in str(caught.value)


def test_which_of_several_files_is_meant_has_to_be_said(make):
    files = {"one.sh": SCRIPT, "two.sh": SCRIPT}
    with pytest.raises(errors.ConfigError, match=r"may be any of one\.sh, two\.sh\. Name it in bu"):
        builds.load(make(files=files))
    with pytest.raises(errors.ConfigError, match="is not there: no program for this machine"):
        builds.load(make("empty", files={"readme.txt": "none"}))
    make("named", toml="[executables]\nlinux = 'two.sh'", files=files)


def test_one_broken_build_hides_no_other(make, tmp_path):
    make("good")
    make("better")
    broken = make("broken", toml="agnets = 8")
    make("a name", toml="")
    make("editor", toml="")
    found, failed = builds.find([tmp_path / "builds"])
    assert [build.name for build in found] == ["better", "good"]
    assert [failure.name for failure in failed] == ["a name", "broken", "editor"]
    assert failed[1].folder == broken
    assert "'agents'" in str(failed[1].cause)
    assert builds.named("good", [tmp_path / "builds"]).name == "good"
    with pytest.raises(errors.ConfigError, match="agnets"):
        builds.named("broken", [tmp_path / "builds"])


def test_an_unknown_build_is_answered_with_the_nearest(make, tmp_path):
    make("racing-night")
    with pytest.raises(errors.UnknownId, match=r"'racing-nigth'\. Did you mean 'racing-night'\?"):
        builds.named("racing-nigth", [tmp_path / "builds"])


def test_of_two_builds_of_one_name_the_second_is_listed_as_failed(make, tmp_path):
    first = make("race", place=tmp_path / "a")
    make("race", place=tmp_path / "b")
    found, failed = builds.find([tmp_path / "a", tmp_path / "b"])
    assert [build.folder for build in found] == [first]
    assert f"is called as {first}, which is taken. Rename" in str(failed[0].cause)


def test_builds_are_looked_for_where_the_user_says_then_here_then_in_the_plugin(
    make, tmp_path, monkeypatch
):
    make("one", place=tmp_path / "first")
    make("two", place=tmp_path / "second")
    make("three", place=tmp_path / "unity_builds")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GAMEBRIDGE_UNITY_BUILDS", f"{tmp_path / 'first'}:second:{tmp_path}/none")
    found, failed = builds.find()
    assert {build.name for build in found} == {"one", "two", "three", "racing"}
    assert not failed
    assert [build.name for build in found if build.is_own] == ["racing"]
    assert all(build.folder.is_absolute() for build in found)


def test_a_folder_that_everybody_may_write_into_is_not_trusted(make, tmp_path, monkeypatch):
    folder = make("race", place=tmp_path / "unity_builds")
    monkeypatch.chdir(tmp_path)
    for path in (folder.parent, folder, folder / "build.toml", folder / "race.x86_64"):
        mode = path.stat().st_mode
        path.chmod(mode | 0o002)
        found, failed = builds.find()
        assert [build.name for build in found] == ["racing"]
        (failure,) = failed
        assert isinstance(failure.cause, errors.SecurityError)
        assert f"{path} can be written by everybody" in str(failure.cause)
        assert "chmod o-w" in str(failure.cause)
        path.chmod(mode)
    assert {build.name for build in builds.find()[0]} == {"race", "racing"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_is_taken_only_where_it_is_named(make, tmp_path, monkeypatch):
    folder = make("race", place=tmp_path / "unity_builds")
    monkeypatch.chdir(tmp_path)
    os.chown(folder.parent, 12345, 12345)
    found, failed = builds.find()
    assert [build.name for build in found] == ["racing"]
    assert isinstance(failed[0].cause, errors.SecurityError)
    assert "belongs to user 12345" in str(failed[0].cause)
    found, failed = builds.find([tmp_path / "unity_builds", tmp_path / "other"])
    assert failed, "also when it is named by find, it is the current folder's"


def test_a_path_names_a_build(make, tmp_path):
    folder = make("race", toml=FULL, files={"bin/race.x86_64": SCRIPT})
    for path in (folder, folder / "bin/race.x86_64"):
        build = builds.for_path(path)
        assert build.executable == folder / "bin/race.x86_64"
    assert builds.for_path(folder).behavior == "Car"
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "play.x86_64").write_text(SCRIPT)
    (plain / "play.x86_64").chmod(0o755)
    for path in (plain, plain / "play.x86_64"):
        build = builds.for_path(path)
        assert (build.name, build.executable) == ("play", plain / "play.x86_64")
    beside = folder / "other.sh"
    beside.write_text(SCRIPT)
    assert builds.for_path(beside).behavior == "", "it is another program than the build's"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the heads are for x86_64")
@pytest.mark.parametrize(
    "content, mode, message",
    [
        (None, 0, r"cannot be found: No such file .*Did you mean 'race\.x86_64\.old'"),
        ("folder", 0, r"is a folder; expected its executable\. Name the file in it"),
        (SCRIPT, 0o644, r"is not executable \(mode 644\)\. Run: chmod \+x '?/"),
        (elf(183), 0o755, r"is built for 64-bit ARM \(aarch64\), and this machine is x86_64\. Bu"),
        (elf(3, 32), 0o755, r"is built for 32-bit x86, and this machine is x86_64\. Build it for"),
        (elf(62, 32), 0o755, r"is built for x86_64, and this machine"),
        (elf(4242), 0o755, r"is built for machine number 4242"),
        (elf(62, kind=1), 0o755, r"is no program that could be run"),
        (b"MZ\x90\0", 0o755, r"is a Windows program\. Build it for Linux, architecture x86_64"),
        (b"\xcf\xfa\xed\xfe", 0o755, r"is a macOS program\. Build it for Linux"),
        (b"PK\3\4", 0o644, r"is an archive"),
        ("echo no shebang", 0o755, r"is neither a Linux program nor a script whose first line"),
        ("", 0o755, r"is an empty file"),
        ("#!/no/such/python -u\n", 0o755, r"wants to be run by /no/such/python .*is not here"),
    ],
)
def test_what_this_machine_cannot_run_is_refused_before_it_is_started(
    tmp_path, content, mode, message
):
    path = tmp_path / "race.x86_64"
    (tmp_path / "race.x86_64.old").touch()
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
    began_s = time.monotonic()
    with pytest.raises(errors.PlayerError, match=message) as caught:
        executables.check(path)
    assert str(path) in str(caught.value)
    assert time.monotonic() - began_s < 1.0


def test_a_unity_player_is_known_by_its_data_folder(tmp_path):
    program = shutil.which("true")
    names = ["Race.x86_64", "UnityCrashHandler64", "UnityPlayer.so", "tool", "Race_Data/deep"]
    (tmp_path / "Race_Data").mkdir()
    (tmp_path / "start.sh").write_text(SCRIPT)
    for name in names:
        shutil.copy(program, tmp_path / name)
    assert executables.candidates(tmp_path) == [tmp_path / "Race.x86_64"]
    (tmp_path / "Race_Data").rename(tmp_path / "data")
    found = {path.name for path in executables.candidates(tmp_path)}
    assert found == {"Race.x86_64", "tool"}
    for name in ("Race.x86_64", "tool", "data/deep"):
        (tmp_path / name).unlink()
    assert [path.name for path in executables.candidates(tmp_path)] == ["start.sh"]


def test_our_own_build_runs_also_where_its_mode_was_lost(tmp_path, monkeypatch):
    own = tmp_path / "builds"
    shutil.copytree(builds.OWN_FOLDER, own)
    monkeypatch.setattr(builds, "OWN_FOLDER", own)
    build = builds.named("racing", [own])
    assert build.is_own
    assert build.command() == [str(build.executable)]
    build.executable.chmod(0o644)
    assert build.command() == ["/bin/sh", str(build.executable)]


def test_the_reference_build_can_be_run_as_it_is_installed(tmp_path):
    (build,) = [build for build in builds.find([builds.OWN_FOLDER])[0] if build.name == "racing"]
    done = subprocess.run(
        [*build.command(), "--help"],
        env={"PATH": os.environ["PATH"], "GAMEBRIDGE_PLAYER_PYTHON": sys.executable},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "--scene" in done.stdout


def test_the_reference_build_takes_no_module_from_the_current_folder(tmp_path):
    (tmp_path / "numpy.py").write_text("raise SystemExit('canary')")
    (tmp_path / "gamebridge_unity").mkdir()
    test_the_reference_build_can_be_run_as_it_is_installed(tmp_path)
