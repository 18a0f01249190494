"""The command line without TensorFlow: what it lists, how it refuses, how it ends."""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import textwrap

import pytest

from gamebridge import cli, doctor, errors, opening

HEAVY = ("tensorflow", "tf_agents", "cv2", "gym", "gymnasium", "numba", "av", "rich", "msgspec")

RING = """
    import os
    import subprocess
    import sys
    from gamebridge.contract import GameRecord, hookimpl, specs
    from gamebridge.testing import fakes

    print("a plugin that talks")
    os.write(1, b"and not only through Python\\n")
    subprocess.run(["echo", "nor only in its own process"])

    def _make(request):
        print("made")
        return {made}

    @hookimpl
    def gamebridge_games():
        yield GameRecord("ring/small", "A small ring.", _make, presets={{"ppo": {{"gamma": 0.9}}}})
"""

BARE = "import sys\nsys.exit(7)\n"


@pytest.fixture(autouse=True)
def no_plugin_folder(monkeypatch):
    # Set and not deleted, so that what --plugins writes is undone as well.
    monkeypatch.setenv("GAMEBRIDGE_PLUGINS", "")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "drop ins"
    path.mkdir(mode=0o755)
    return path


def drop_in(folder, name, source, **parts):
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(source).format(**parts) if parts else textwrap.dedent(source))
    path.chmod(0o644)


_MAIN = "import sys; from gamebridge.cli import main; sys.exit(main())"


def run(*arguments):
    """Runs the command in a process of its own; returns what it ended with."""
    return subprocess.run(
        [sys.executable, "-c", _MAIN, *arguments], capture_output=True, text=True, timeout=60
    )


def test_games_are_listed_with_their_summary_and_plugin(capsys):
    assert cli.main(["games"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("gym/<id> ") for line in lines)
    (cart_pole,) = [line for line in lines if line.startswith("gym/CartPole-v1 ")]
    assert "  gym  " in cart_pole
    assert "Balance a pole" in cart_pole


def test_games_as_json_tell_families_apart(capsys):
    assert cli.main(["games", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    by_id = {game["id"]: game for game in found["games"]}
    assert by_id["gym/<id>"]["is_family"]
    assert not by_id["gym/CartPole-v1"]["is_family"]
    assert by_id["gym/CartPole-v1"]["plugin"]["distribution"] == "gamebridge"
    assert found["failed"] == found["clashes"] == []


def test_a_game_is_shown_with_its_specs_and_settings(capsys):
    assert cli.main(["games", "gym/CartPole-v1"]) == 0
    text = capsys.readouterr().out
    assert "float32 [4] in" in text
    assert "int64 [] in [0, 1]" in text
    assert "game.max_episode_steps = nothing  (int | None)\n      truncates episodes" in text
    assert "wrappers.action_repeat = 1  (int)" in text
    assert "wrappers.images" not in text  # there is no picture to work on


def test_a_game_is_shown_with_its_telemetry_leaves_and_presets(capsys, folder):
    drop_in(folder, "ring", RING, made="fakes.Corridor(request.num_slots)")
    assert cli.main(["--plugins", str(folder), "games", "ring/small", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["presets"] == {"ppo": {"gamma": 0.9}}
    assert {"path", "kind", "dtype", "shape", "spec"} == set(found["observation"][0])
    assert cli.main(["--plugins", str(folder), "games", "ring/small"]) == 0
    text = capsys.readouterr().out
    assert "telemetry" in text
    assert "preset for ppo\n  gamma=0.9" in text


def test_an_agent_is_shown_with_needs_settings_and_presets(capsys):
    assert cli.main(["agents", "dqn"]) == 0
    text = capsys.readouterr().out
    assert "plays games of discrete or branches actions" in text
    assert "agent.activation = \"relu\"  ('tanh' | 'relu' | 'elu')" in text
    assert "preset for image" in text
    assert cli.main(["agents", "dqn", "--json"]) == 0
    fields = {one["path"]: one for one in json.loads(capsys.readouterr().out)["settings"]}
    assert fields["agent.batch_size"]["kind"] == "int"


def test_agents_are_listed(capsys):
    assert cli.main(["agents"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == sorted(listed)
    assert {"dqn", "ppo"} <= set(listed)


def test_plugins_are_listed_without_being_imported(capsys, folder):
    drop_in(folder, "ring", "raise RuntimeError('imported')\n")
    assert cli.main(["--plugins", str(folder), "plugins", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["plugins"]
    assert {plugin["name"] for plugin in found} >= {"gym", "agents", "ring"}
    assert cli.main(["--plugins", str(folder), "plugins"]) == 0
    assert str(folder / "ring.py") in capsys.readouterr().out


def test_failed_plugins_and_clashes_are_named_below_the_games(capsys, folder):
    drop_in(folder, "bare", BARE)
    drop_in(folder, "ring", RING, made="None")
    drop_in(folder, "other_ring", RING, made="None")
    assert cli.main(["--plugins", str(folder), "games"]) == 0
    text = capsys.readouterr().out
    assert "gym/CartPole-v1" in text
    assert "bare of bare.py: SystemExit: 7 (line 2 of " in text
    assert "The game 'ring/small' is brought by plugin 'other_ring'" in text
    assert "'ring.py:ring/small'" in text
    assert cli.main(["--plugins", str(folder), "games", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [failure["plugin"]["name"] for failure in found["failed"]] == ["bare"]
    assert [clash["id"] for clash in found["clashes"]] == ["ring/small"]


def test_plugins_that_print_do_not_spoil_json(folder):
    drop_in(folder, "ring", RING, made="fakes.Corridor(request.num_slots)")
    for command in (["games", "--json"], ["games", "ring/small", "--json"]):
        done = run("--plugins", str(folder), *command)
        assert done.returncode == 0, done.stderr
        json.loads(done.stdout)
        for line in ("a plugin that talks", "not only through Python", "nor only in its own"):
            assert line in done.stderr


def test_an_empty_plugin_folder_option_means_none(capsys, folder, monkeypatch):
    drop_in(folder, "ring", RING, made="None")
    monkeypatch.setenv("GAMEBRIDGE_PLUGINS", str(folder))
    monkeypatch.chdir(folder)
    assert cli.main(["--plugins", "", "plugins"]) == 0
    assert "ring" not in capsys.readouterr().out


def test_the_version_is_that_of_the_distribution(capsys):
    assert cli.main(["--version"]) == 0
    version = importlib.metadata.version("gamebridge")
    assert capsys.readouterr().out == f"gamebridge {version}\n"


@pytest.mark.parametrize(
    "command", ["games", "agents", "plugins", "train", "evaluate", "bench", "doctor"]
)
def test_every_command_has_help_and_is_named_in_the_overview(capsys, command):
    assert cli.main(["--help"]) == 0
    overview = capsys.readouterr().out
    (line,) = [line for line in overview.splitlines() if line.startswith(f"  {command} ")]
    assert line.endswith(".") and not line.endswith("...")
    assert cli.main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"gamebridge {command}" in text
    assert "--json" in text


def test_no_command_shows_the_overview_and_is_a_usage_error(capsys):
    assert cli.main([]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Commands:" in shown.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["frobnicate"], 2, "No such command 'frobnicate'. `gamebridge --help` shows"),
        (["games", "--jsn"], 2, "No such option: --jsn"),
        (["train", "--steps", "0"], 2, "0 is not in the range x>=1. `gamebridge train --help`"),
        (["train", "--steps", "many"], 2, "'many' is not a valid int"),
        (["evaluate"], 2, "Missing argument 'RUN'"),
        (["games", "gym-CartPole"], 2, "Unknown game 'gym-CartPole'"),
        (["agents", "pop"], 2, "Unknown agent 'pop'. Did you mean 'ppo'?"),
        (["train"], 2, "No game is named."),
        (["train", "gym/CartPole-v1", "--agent", "pop"], 2, "Did you mean 'ppo'?"),
        (["train", "gym/CartPole-v1", "--config", "no.toml"], 2, "no.toml: cannot be read: No "),
        (["train", "gym/CartPole-v1", "--set", "agent.gama=1"], 2, "Did you mean 'gamma'?"),
        (["train", "gym/CartPole-v1", "--set", "agent"], 2, "expected path.to.key=value"),
        (["train", "--resume", "nowhere"], 2, "nowhere is not a run folder"),
        (["evaluate", "nowhere"], 2, "nowhere is not a run folder"),
        (["--plugins", "/nowhere", "games"], 2, "Plugin folder /nowhere does not exist"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_an_exit_code(capsys, arguments, code, said):
    assert cli.main(arguments) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("gamebridge: error: ")
    assert shown.err.count("\n") == 1
    assert said in shown.err


def test_resume_names_all_that_cannot_be_given_with_it(capsys):
    arguments = ["train", "gym/CartPole-v1", "--resume", "r", "--num-slots", "2", "--steps", "9"]
    assert cli.main([*arguments, "--seed", "0", "--set", "a=1", "--config", "c", "--run", "r"]) == 2
    assert (
        "so GAME and --seed and --num-slots and --run and --config and --set cannot be given"
        in capsys.readouterr().err
    )


def test_an_error_in_several_lines_is_said_in_one(capsys, monkeypatch):
    def fail():
        raise errors.GameError("first\n   second\n")

    monkeypatch.setattr(opening, "discover", fail)
    assert cli.main(["games"]) == 4
    assert capsys.readouterr().err == "gamebridge: error: first second\n"
    assert cli.main(["--traceback", "games"]) == 4
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_unexpected_error_is_one_line_with_its_traceback_in_a_file(
    capsys, monkeypatch, tmp_path
):
    def fail():
        raise ZeroDivisionError("the message\nand more")

    monkeypatch.setattr(opening, "discover", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old = tmp_path / "gamebridge-traceback-old.txt"
    old.touch()
    os.utime(old, (0, 0))  # who was to read it has done so long ago
    assert cli.main(["games"]) == 1
    (file,) = tmp_path.glob("gamebridge-traceback-*.txt")
    assert capsys.readouterr().err == (
        "gamebridge: error: internal error: ZeroDivisionError: the message, please report; "
        f"the traceback is in {file}.\n"
    )
    assert "in fail" in file.read_text()


def test_the_traceback_is_shown_if_asked_for_or_offered_if_no_file_can_be_written(
    capsys, monkeypatch
):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr(opening, "discover", fail)
    assert cli.main(["--traceback", "games"]) == 1
    assert "in fail" in capsys.readouterr().err
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    assert cli.main(["games"]) == 1
    assert "`gamebridge --traceback ...` shows the traceback." in capsys.readouterr().err


def test_a_plugin_cannot_end_the_command_in_success(capsys, folder):
    drop_in(folder, "ring", RING, made="sys.exit(0)")
    assert cli.main(["--plugins", str(folder), "games", "ring/small"]) == 3
    assert "'ring/small' could not be made: SystemExit: 0" in capsys.readouterr().err


def test_ctrl_c_outside_training_is_quiet(capsys, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(opening, "discover", interrupt)
    assert cli.main(["games"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_pipe_that_breaks_inside_a_game_is_not_taken_for_stdout(capsys, monkeypatch):
    def fail():
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(opening, "discover", fail)
    assert cli.main(["games"]) == 5
    assert "A pipe to another process broke" in capsys.readouterr().err


def test_doctor_ends_with_2_only_if_something_is_wrong(capsys, monkeypatch):
    warning = doctor.Finding("free disk", None, "0.1 GiB", "Free some space")
    wrong = doctor.Finding("numpy", False, "2.1", "pip install 'numpy<2'")
    monkeypatch.setattr(doctor, "examine", lambda: [doctor.Finding("av", True, "18"), warning])
    assert cli.main(["doctor"]) == 0
    assert "Cure: Free some space" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "examine", lambda: [warning, wrong])
    assert cli.main(["doctor"]) == 2
    assert "WRONG    numpy" in capsys.readouterr().out
    assert cli.main(["doctor", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)[1]["cure"] == "pip install 'numpy<2'"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["--help"], 0),
        (["train", "--help"], 0),
        (["games"], 0),
        (["agents"], 0),
        (["plugins"], 0),
        (["train", "gym/CartPole-v1", "--set", "agent.gama=1"], 2),
    ],
)
def test_what_needs_no_tensorflow_loads_nothing_heavy_and_answers_at_once(command, code):
    script = (
        "import sys; from gamebridge.cli import main; code = main(sys.argv[1:]); "
        "print(code, *sys.modules, file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", script, *command], capture_output=True, text=True, timeout=60
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said, *modules = done.stderr.splitlines()[-1].split()
    assert int(said) == code
    # What reads settings: in a tenth of the time that all else takes.
    allowed = {"msgspec"}
    assert {module.partition(".")[0] for module in modules} & set(HEAVY) <= allowed
    # CPU time, so that a machine that is busy elsewhere does not count.
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used_s < 2.0


def test_a_reader_that_leaves_ends_a_command_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    for command in ("games", "--help", "--version"):
        done = subprocess.run(
            [sys.executable, "-c", _MAIN, command],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), command
    os.close(writer)


def test_a_full_disk_under_stdout_is_said():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", _MAIN, "plugins"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 6
    assert done.stderr == (
        "gamebridge: error: Cannot write to standard output: No space left on device. "
        "Free space or send it somewhere else.\n"
    )


def test_closed_streams_do_not_matter():
    command = f"{sys.executable} -c '{_MAIN}' games"
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        done = subprocess.run(
            f"{command} {closed}", shell=True, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, ""), closed


def test_a_locale_without_utf_8_and_a_missing_home_do_not_matter(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o755)
    drop_in(
        plugins,
        "ring",
        """
        # coding: utf-8
        from gamebridge.contract import GameRecord, hookimpl

        @hookimpl
        def gamebridge_games():
            yield GameRecord("ring/small", "Ein süßer Ring.", print)
        """,
    )
    command = [sys.executable, "-c", _MAIN, "--plugins", str(plugins), "games"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b"Ein s\\xfc\\xdfer Ring." in done.stdout
    done = subprocess.run(
        [sys.executable, "-c", _MAIN, "evaluate", "läufe"],
        env=environment,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert b"this locale's file names are ascii, expected UTF-8. Set LC_ALL=C.UTF-8" in done.stderr


def test_an_argument_that_is_no_text_is_refused_by_name():
    done = run("evaluate", os.fsdecode(b"l\xe4ufe"))
    assert done.returncode == 2
    assert "The argument 'l\\udce4ufe' cannot be read" in done.stderr


def test_the_installed_command_is_this_one():
    script = os.path.join(os.path.dirname(sys.executable), "gamebridge")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("gamebridge ")
