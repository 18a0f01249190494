"""Games in other interpreters: found, refused, played; environments made for them.

The other environment is one of this Python with nothing but numpy in it; where other
Pythons with numpy are at hand, they play too.
"""

from __future__ import annotations

import dataclasses
import glob
import importlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import zipfile

import numpy as np
import pytest

import gamebridge
from gamebridge import api, cli, environments, errors, interpreters, opening
from gamebridge.contract import GameRecord
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge.workers import carrying, origins, pool, staffs
from gamebridge.wrappers.settings import WrapperSettings

PLUGIN = """
import dataclasses
import json
import sys

from gamebridge.contract import GameRecord, hookimpl
from gamebridge.testing import fakes

@dataclasses.dataclass(frozen=True)
class Settings:
    report: str = ""

def make(request):
    if request.settings.report:
        with open(request.settings.report, "w") as file:
            json.dump([sys.prefix, sorted(sys.modules), sys.path], file)
    return fakes.Corridor(request.num_slots)

@hookimpl
def gamebridge_games():
    yield GameRecord("other/walk", "Right.", make, Settings)
"""


def make_environment(folder, *packages):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in packages:
        path = pathlib.Path(importlib.import_module(name).__file__).resolve().parent
        for part in (path, path.with_name(f"{name}.libs")):
            if part.exists():
                (site / part.name).symlink_to(part)
    return str(folder / "bin" / "python")


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """The python of an environment with numpy alone."""
    return make_environment(tmp_path_factory.mktemp("other") / "mit Leerzeichen", "numpy")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Writes a plugin's files; what was imported of it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    # Here nothing is written, so that what a worker wrote is seen.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    before = set(sys.modules)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/").replace("/init", "/__init__") + ".py")
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")
        importlib.invalidate_caches()
        return tmp_path

    yield write
    for name in set(sys.modules) - before:
        if name.startswith(("solo", "packed", "spread", "dropped", "gamebridge_folder")):
            del sys.modules[name]


def open_pool(origin, python, num_slots=3, shares=(2, 1), **settings):
    record = origin.record()
    order = staffs.Order(
        origin,
        record.settings(**settings),
        WrapperSettings(),
        num_slots,
        shares,
        python=python,
        supervision=SupervisionSettings(max_restarts=2, start_timeout_s=20.0),
    )
    return pool.Pool(order)


def played(game, num_steps=40):
    rows = []
    with game:
        game.reset(np.arange(game.num_slots))
        for step in range(num_steps):
            time_step = game.step((np.arange(game.num_slots) + step) % 2)
            rows.append([np.copy(part) for part in time_step if isinstance(part, np.ndarray)])
    return rows


def same(one, other):
    return all(
        np.array_equal(a, b)
        for x, y in zip(one, other, strict=True)
        for a, b in zip(x, y, strict=True)
    )


def refused(kind, call, limit_s=10.0):
    began_s = time.monotonic()
    with pytest.raises(kind) as caught:
        call()
    assert time.monotonic() - began_s < limit_s
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Finding one.


def test_a_path_may_begin_anywhere(bare, tmp_path, monkeypatch):
    monkeypatch.chdir(pathlib.Path(bare).parent)
    assert interpreters.find("./python") == os.path.join(os.getcwd(), "./python")
    monkeypatch.setenv("HOME", str(pathlib.Path(bare).parent))
    assert interpreters.find("~/python") == bare
    monkeypatch.setenv("PATH", os.path.dirname(bare))
    assert interpreters.find("python") == bare


def test_a_link_to_another_python_is_not_followed(bare):
    assert pathlib.Path(bare).resolve() != pathlib.Path(bare)
    assert interpreters.find(bare) == bare


def test_what_is_no_interpreter_is_refused(bare, tmp_path):
    (tmp_path / "text").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    environment = str(pathlib.Path(bare).parent.parent)
    for path, said in (
        (str(tmp_path / "gone"), "There is no Python at"),
        (str(tmp_path / "text"), "may not be executed"),
        (str(tmp_path / "link"), f"is a link to {tmp_path / 'nowhere'}, which is not there"),
        (str(tmp_path), "is a folder"),
        (environment, f"Its interpreter is {bare}"),
        ("python-of-nobody", "There is no command 'python-of-nobody'"),
    ):
        assert said in refused(errors.ConfigError, lambda path=path: interpreters.find(path))


# What a worker carries.


@pytest.mark.parametrize("kind", ["module", "package", "namespace", "file", "folder"])
def test_a_plugin_is_carried_and_nothing_beside_it(kind, bare, plugin, tmp_path):
    files, origin = {
        "module": ({"solo": PLUGIN}, ("solo",)),
        "package": (
            {"packed__init": "from packed import inner", "packed__inner": PLUGIN},
            ("packed", "inner"),
        ),
        "namespace": ({"spread__part": PLUGIN}, ("spread.part",)),
        "file": ({"dropped": PLUGIN}, ("gamebridge_folder_dropped", "", "dropped.py")),
        "folder": (
            {
                "dropped__init": "from gamebridge_folder_dropped.inner import *\n",
                "dropped__inner": PLUGIN,
            },
            ("gamebridge_folder_dropped", "", "dropped/__init__.py"),
        ),
    }[kind]
    folder = plugin(**files)
    module, attribute, file = (*origin, "", "")[:3]
    if kind == "folder":
        (folder / "dropped" / "__init__.py").write_text(
            "from gamebridge_folder_dropped import inner\n"
            "gamebridge_games = inner.gamebridge_games\n"
        )
    where = origins.Origin("other/walk", module, attribute, str(folder / file) if file else "")
    report = tmp_path / "report.json"
    there = played(open_pool(where, bare, report=str(report)))
    prefix, modules, path = json.loads(report.read_text())
    assert prefix == os.path.dirname(os.path.dirname(bare))
    heavy = {"pluggy", "msgspec", "cv2", "tensorflow", "typing_extensions", "gym", "gymnasium"}
    assert not heavy & set(modules)
    assert str(folder) not in path
    assert "" not in path
    assert not list(folder.rglob("__pycache__")), "another Python writes no bytecode here"
    assert same(there, played(open_pool(where, "")))


def test_a_plugin_that_needs_what_is_not_there_names_pip(bare, plugin):
    folder = plugin(
        solo="import sys\nif 'gamebridge.api' not in sys.modules: import nowhere_lib\n" + PLUGIN
    )
    where = origins.Origin("other/walk", "solo")
    said = refused(errors.PluginError, lambda: open_pool(where, bare))
    assert f"Run: {shlex.quote(bare)} -m pip install nowhere_lib" in said
    (folder / "solo.py").write_text(PLUGIN + "\nmatch = ][\n")
    said = refused(errors.PluginError, lambda: open_pool(where, bare))
    assert "cannot be imported by Python 3" in said
    assert "SyntaxError" in said


def test_a_package_that_the_game_needs_is_named(bare):
    workers = {"count": 1, "python": bare}
    said = refused(
        errors.PluginError, lambda: gamebridge.make_game("gym/CartPole-v1", workers=workers)
    )
    assert f"{shlex.quote(bare)} -m pip install gymnasium" in said


# What is no Python for a game.


def script(tmp_path, text):
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def where(plugin):
    plugin(solo=PLUGIN)
    return origins.Origin("other/walk", "solo")


def test_no_numpy(where, tmp_path):
    python = make_environment(tmp_path / "none")
    said = refused(errors.ConfigError, lambda: open_pool(where, python))
    assert said.endswith(
        f"has no numpy, which every game needs. Run: {python} -m pip install numpy"
    )


def test_a_numpy_that_cannot_be_loaded(where, tmp_path):
    python = make_environment(tmp_path / "none")
    (site,) = (tmp_path / "none").glob("lib/python*/site-packages")
    (site / "numpy.py").write_text("raise ImportError('built for another one')")
    said = refused(errors.ConfigError, lambda: open_pool(where, python))
    assert "built for another one. Run: " in said


def test_an_old_python_is_refused_by_its_version(where, tmp_path):
    trick = "import sys; program = sys.argv.pop(1); sys.version_info = (3, 7, 1); exec(program)"
    python = script(tmp_path, f'shift; exec {sys.executable} -c "{trick}" "$@"')
    said = refused(errors.ConfigError, lambda: open_pool(where, python))
    assert f"{python} is Python 3.7.1, and a game needs 3.8 or newer" in said


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_old_pythons_at_hand_are_refused(version, where):
    found = glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python")) + [
        path for path in [shutil.which(f"python{version}")] if path and "shims" not in path
    ]
    if not found:
        pytest.skip(f"no Python {version} is here")
    said = refused(errors.ConfigError, lambda: open_pool(where, found[0]))
    assert f"is Python {version}" in said


@pytest.mark.parametrize(
    "text", ["echo hello; exit 3", "exit 0", 'exec /bin/sh "$@"', "kill -9 $$"]
)
def test_what_is_no_python_is_refused(text, where, tmp_path):
    said = refused(errors.ConfigError, lambda: open_pool(where, script(tmp_path, text)))
    assert "before it said a word of Python" in said
    if "hello" in text:
        assert said.endswith("It wrote last: hello")


def test_a_program_of_no_known_format_is_refused(where, tmp_path):
    path = tmp_path / "python"
    path.write_bytes(b"\0\1\2\3")
    path.chmod(0o755)
    said = refused(errors.ConfigError, lambda: open_pool(where, str(path)))
    assert "cannot be run: Exec format error" in said


@pytest.mark.parametrize("minor", range(8, 14))
def test_the_pythons_at_hand_play_the_same_game(minor, where):
    python = shutil.which(f"python3.{minor}")
    code = "import sys, numpy; print(sys.executable)"
    done = python and subprocess.run([python, "-c", code], capture_output=True, text=True)
    if not done or done.returncode:
        pytest.skip(f"python3.{minor} is not here, or has no numpy")
    there = played(open_pool(where, done.stdout.strip()))
    assert same(there, played(open_pool(where, "")))


# Frames that a worker cannot prepare.


@pytest.mark.parametrize(
    "images",
    [
        {"grey": True, "height": 12, "width": 12, "stack": 3},
        {"crop_top": 2, "height": 16, "width": 20},
        {"stack": 2},
    ],
    ids=["grey", "crop", "stack"],
)
def test_frames_are_the_same_where_they_are_prepared_here(images, bare, toy_plugins, monkeypatch):
    monkeypatch.setenv(opening.PLUGIN_FOLDER_VARIABLE, str(toy_plugins))

    def frames(workers):
        game = gamebridge.make_game(
            "toys/catch", 3, 5, wrappers={"images": images}, workers=workers
        )
        return played(game, 60)

    there = frames({"count": 2, "python": bare})
    assert same(there, frames(0))
    assert same(there, frames(2))


# An upgrade while a training runs.


def test_a_worker_of_another_gamebridge_is_not_started(where, monkeypatch):
    game = open_pool(where, "")
    with game:
        game.reset()
        monkeypatch.setattr(carrying, "_STAMPS", {})
        monkeypatch.setattr(carrying, "_DIGEST", "of another")
        for station in game._staff.stations:
            os.kill(station.pid, signal.SIGKILL)

        def play():
            for _ in range(200):
                game.step(np.zeros(3, np.int64))

        assert "changed on disk" in refused(errors.PlayerError, play)
    assert "changed on disk" in refused(errors.PlayerError, lambda: open_pool(where, ""))


def test_files_that_were_only_touched_are_the_same(monkeypatch):
    monkeypatch.setattr(carrying, "_STAMPS", {})
    assert not carrying.has_changed()


# The commands.


def run_cli(capsys, *arguments):
    code = cli.main(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_wrong_interpreter_ends_a_command_in_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, error = run_cli(
        capsys, "train", "gym/CartPole-v1", "--game-python", "venv/bin/python", "--run", "run"
    )
    assert (code, out) == (2, "")
    assert error.count("\n") == 1
    assert f"There is no Python at {tmp_path}/venv/bin/python" in error
    assert not (tmp_path / "run").exists()


def test_a_run_keeps_its_interpreter(bare, toy_plugins, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(opening.PLUGIN_FOLDER_VARIABLE, str(toy_plugins))
    monkeypatch.chdir(os.path.dirname(bare))
    quick = {"checkpoint_interval_steps": 200, "validation_episodes": 1}
    run = api.train(
        "toys/corridor",
        "dqn",
        200,
        tmp_path / "run",
        num_slots=1,
        settings={"workers": {"python": "./python"}, "training": quick},
    )
    assert f'python = "{os.getcwd()}/./python"' in (run.folder / "run.toml").read_text()
    monkeypatch.chdir(tmp_path)
    evaluation = api.evaluate(run, 2, max_steps=10, num_slots=1)
    for python in (bare, "", sys.executable):
        assert api.evaluate(run, 2, max_steps=10, num_slots=1, python=python) == evaluation
    code, _, error = run_cli(capsys, "evaluate", str(run.folder), "--game-python", "/no/python")
    assert code == 2
    assert "There is no Python at /no/python" in error


# Environments.


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "gamebridge" / "environments"


def record(*requirements, name="other/Game:x-v1", **more):
    return GameRecord(name, "", lambda request: None, requirements=requirements, **more)


def wheel(folder, name, version="1.0"):
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        info = f"{name}-{version}.dist-info"
        file.writestr(f"{name}.py", f"__version__ = '{version}'\n")
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


def test_an_environment_holds_what_a_game_requires(home, tmp_path, monkeypatch, capfd):
    for name in ("numpy", "tiny_engine"):
        wheel(tmp_path, name, "77.0")
    for name, value in (
        ("NO_INDEX", "1"),
        ("FIND_LINKS", str(tmp_path)),
        ("CONFIG_FILE", os.devnull),
    ):
        monkeypatch.setenv(f"PIP_{name}", value)
    wanted = record("tiny-engine>=2")
    made = environments.create(wanted)
    assert made.folder == home / "other-Game-x-v1"
    code = "import numpy, tiny_engine; print(numpy.__version__, tiny_engine.__version__)"
    done = subprocess.run([made.python, "-c", code], capture_output=True, text=True)
    assert done.stdout == "77.0 77.0\n", done.stderr
    assert environments.listed() == [made]
    assert "Successfully installed" in capfd.readouterr().err
    assert {path.name for path in home.iterdir()} == {"other-Game-x-v1"}
    said = refused(
        errors.StorageError, lambda: environments.create(record("no-such"), tmp_path / "b")
    )
    assert said.startswith("pip failed with exit code 1")
    assert not (tmp_path / "b").exists()


@pytest.fixture
def builder(monkeypatch):
    """Makes environments of a few files, quickly; `fail` says at which of the two commands."""
    calls = []

    def run(command, claim, name, cure):
        calls.append(name)
        if name == "venv":
            folder = pathlib.Path(command[-1])
            (folder / "bin").mkdir(parents=True)
            (folder / "bin" / "python").symlink_to(sys.executable)
            (folder / "number").write_text(str(len(calls)))
        if name == run.fail:
            raise run.error

    run.fail, run.error, run.calls = "", errors.StorageError("pip failed."), calls
    monkeypatch.setattr(environments, "_run", run)
    return run


def test_a_second_one_is_refused_unless_forced(home, builder):
    wanted = record("engine")
    made = environments.create(wanted)
    assert "--force" in refused(errors.ConfigError, lambda: environments.create(wanted))
    assert (made.folder / "number").read_text() == "1"
    assert environments.create(wanted, force=True) == made
    assert (made.folder / "number").read_text() == "3"
    assert len(list(made.folder.iterdir())) == 3


def test_one_whose_python_is_gone_is_made_anew(home, builder):
    made = environments.create(record("engine"))
    (made.folder / "bin" / "python").unlink()
    assert environments.listed() == []
    assert environments.create(record("engine")) == made


@pytest.mark.parametrize("command", ["venv", "pip"])
@pytest.mark.parametrize(
    "error", [errors.StorageError("x"), KeyboardInterrupt(), OSError(28, "full")]
)
def test_nothing_half_made_is_left(command, error, home, builder):
    builder.fail, builder.error = command, error
    kind = errors.StorageError if isinstance(error, OSError) else type(error)
    with pytest.raises(kind):
        environments.create(record("engine"))
    assert list(home.iterdir()) == []
    builder.fail = ""
    made = environments.create(record("engine"))
    before = (made.folder / "number").read_text()
    builder.fail = command
    with pytest.raises(kind):
        environments.create(record("engine"), force=True)
    assert environments.listed() == [made]
    assert (made.folder / "number").read_text() == before
    assert len(list(made.folder.iterdir())) == 3


@pytest.mark.parametrize("had_one", [False, True])
def test_what_a_kill_leaves_is_not_there_and_is_made_anew(had_one, home, builder):
    if had_one:
        environments.create(record("engine"))
    code = """
        import os, pathlib
        from gamebridge import environments
        from gamebridge.contract import GameRecord
        def run(command, claim, name, cure):
            if name == "venv": (pathlib.Path(command[-1]) / "half").mkdir()
            else: os._exit(9)
        environments._run = run
        record = GameRecord("other/Game:x-v1", "", print, requirements=("engine",))
        environments.create(record, force=True)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)])
    assert done.returncode == 9
    assert environments.listed() == []
    if had_one:  # it is back, and refused
        refused(errors.ConfigError, lambda: environments.create(record("engine")))
    else:
        environments.create(record("engine"))
    (made,) = environments.listed()
    assert len(list(made.folder.iterdir())) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_that_was_started_and_leaves_nothing(home, tmp_path, number):
    # An interpreter that tells its version and then starts another process, as venv does.
    pid_file = tmp_path / "pid"
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -E ]; then echo 3.11.1; exit; fi\n'
        f"sleep 600 & echo $! > {pid_file}.new; mv {pid_file}.new {pid_file}; wait\n"
    )
    python.chmod(0o755)
    code = """
        import sys
        from gamebridge import environments, errors
        from gamebridge.contract import GameRecord
        record = GameRecord("other/Game:x-v1", "", print, requirements=("engine",))
        try:
            environments.create(record, python=sys.argv[1])
        except errors.Stopped as stopped:
            print(stopped)
            sys.exit(stopped.exit_code)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(python)], stdout=subprocess.PIPE
    )
    until_s = time.monotonic() + 20
    while not pid_file.exists():
        assert child.poll() is None and time.monotonic() < until_s
        time.sleep(0.01)
    os.kill(child.pid, number)
    said, _ = child.communicate(timeout=20)
    assert child.returncode == 128 + number
    assert said.decode() == f"Stopped by {number.name}: no environment was made.\n"
    stat = pathlib.Path(f"/proc/{pid_file.read_text().strip()}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"
    assert environments.listed() == []
    assert not environments.default_folder("other/Game:x-v1").exists()


def test_a_folder_of_something_else_is_left_alone(home, builder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    for force in (False, True):
        said = refused(
            errors.ConfigError,
            lambda force=force: environments.create(record("x"), tmp_path / "mine", force=force),
        )
        assert "gamebridge did not make" in said
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert builder.calls == []


def test_two_at_once_do_not_meet(home, builder):
    folder = environments.default_folder("other/Game:x-v1")
    with environments._claimed(folder, force=False):
        said = refused(errors.ConfigError, lambda: environments.create(record("engine")))
    assert "Another process makes an environment" in said


def test_bases_that_are_no_python_and_games_that_need_nothing(home, builder, tmp_path):
    python = script(tmp_path, "echo Perl")
    for call, said in (
        (lambda: environments.create(record("x"), python=python), "is no Python"),
        (lambda: environments.create(record()), "--with PACKAGE"),
    ):
        assert said in refused(errors.ConfigError, call)
    assert environments.create(record(), also=["engine"]).requirements == ("engine", "numpy")


def test_a_game_is_played_in_its_environment_where_this_python_lacks_something(home, builder):
    wanted = record("numpy>=1000", "msgspec")
    said = refused(errors.ConfigError, lambda: environments.python_for(wanted, ""))
    assert "needs numpy>=1000, which this Python does not have" in said
    assert f"gamebridge env create {wanted.id}" in said
    assert environments.python_for(wanted, sys.executable) == sys.executable
    made, told = environments.create(wanted), []
    assert environments.python_for(wanted, "", told.append) == made.python
    assert made.python in told[0]
    more = dataclasses.replace(wanted, requirements=("numpy>=1000", "msgspec", "engine"))
    assert "--force" in refused(errors.ConfigError, lambda: environments.python_for(more, ""))


@pytest.mark.parametrize(
    "requirements", [(), ("numpy", "msgspec[yaml]>=0.1"), ("engine; python_version < '3'",)]
)
def test_a_game_whose_requirements_are_met_is_played_here(requirements, home):
    assert environments.python_for(record(*requirements), "") == ""


def test_the_commands_of_environments(home, builder, capsys):
    assert run_cli(capsys, "env", "list")[1].startswith("There are none.")
    code, out, _ = run_cli(capsys, "env", "create", "gym/CartPole-v1")
    python = str(home / "gym-CartPole-v1" / "bin" / "python")
    assert code == 0
    assert out.splitlines()[1] == (
        f"Go on with: gamebridge train gym/CartPole-v1 --game-python {python}"
    )
    (listed,) = json.loads(run_cli(capsys, "env", "list", "--json")[1])
    assert listed["python"] == python
    assert listed["requirements"] == ["gymnasium[classic-control]", "numpy"]
    assert python in run_cli(capsys, "env", "list")[1]
    code, _, error = run_cli(capsys, "env", "create", "gym/CartPole-v1")
    assert (code, error.count("\n")) == (2, 1)


def test_no_workers_means_this_process_whatever_the_record_says(tmp_path, monkeypatch):
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o755)
    (plugins / "odd.py").write_text(
        textwrap.dedent(
            """
            from gamebridge.contract import GameRecord, hookimpl
            from gamebridge.testing import fakes

            @hookimpl
            def gamebridge_games():
                make = lambda request: fakes.Corridor(request.num_slots)
                yield GameRecord("odd/corridor", "Right.", make, python="/no/python")
            """
        )
    )
    (plugins / "odd.py").chmod(0o644)
    monkeypatch.setenv(opening.PLUGIN_FOLDER_VARIABLE, str(plugins))
    with pytest.raises(errors.ConfigError, match="There is no Python at /no/python"):
        gamebridge.make_game("odd/corridor", 2)
    with gamebridge.make_game("odd/corridor", 2, workers=0) as game:
        assert game.reset().valid.all()
