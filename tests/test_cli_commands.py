"""Commands of plugins are gamebridge's too; what is wrong with one never costs the others."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import textwrap

import pytest

from gamebridge import cli, errors
from gamebridge.contract import CommandRecord, hookspecs
from gamebridge.host import Host

(_EXAMPLE,) = re.findall(
    r"::\n\n((?:    .*\n|\n)+)", inspect.getdoc(hookspecs.gamebridge_commands) + "\n"
)


@pytest.fixture(autouse=True)
def no_plugin_folder(monkeypatch):
    # Set and not deleted, so that what --plugins writes is undone as well.
    monkeypatch.setenv("GAMEBRIDGE_PLUGINS", "")


@pytest.fixture
def folder(tmp_path):
    """A plugin folder with the documented plugin."""
    tmp_path.chmod(0o755)
    drop_in(tmp_path, "levels", textwrap.dedent(_EXAMPLE))
    return tmp_path


def drop_in(folder, name, source):
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(source))
    path.chmod(0o644)


def one_command(name, make="lambda: None"):
    return f"""
        import typer
        from gamebridge.contract import CommandRecord, hookimpl

        @hookimpl
        def gamebridge_commands():
            yield CommandRecord("{name}", "Of a plugin.", {make})
    """


def test_the_documented_plugin_adds_its_commands(capsys, folder):
    chosen = ["--plugins", str(folder)]
    assert cli.main([*chosen, "levels", "add", "one.lvl"]) == 0
    assert capsys.readouterr().out == "one.lvl is added.\n"
    assert cli.main([*chosen, "levels", "list"]) == 0
    assert capsys.readouterr().out == "There are none.\n"


def test_its_errors_are_lines_with_exit_codes(capsys, folder):
    assert cli.main(["--plugins", str(folder), "levels", "add", "one.txt"]) == 2
    said = "gamebridge: error: one.txt is no level: expected a name in .lvl.\n"
    assert capsys.readouterr().err == said
    assert cli.main(["--plugins", str(folder), "levels", "ad"]) == 2
    assert "No such command 'ad'. Did you mean 'add'?" in capsys.readouterr().err


def test_its_help_is_like_that_of_our_own(capsys, folder, monkeypatch):
    monkeypatch.setenv("GAMEBRIDGE_PLUGINS", str(folder))
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr()
    assert "  levels    Add and list levels.\n" in shown.out
    assert shown.err == ""
    assert cli.main(["levels", "-h"]) == 0
    text = capsys.readouterr().out
    assert "Usage: gamebridge levels" in text
    assert "completion" not in text
    assert cli.main(["levels", "add", "--help"]) == 0
    assert "Add a level." in capsys.readouterr().out


def test_near_misses_know_commands_of_plugins(capsys, folder):
    assert cli.main(["--plugins", str(folder), "level"]) == 2
    assert "No such command 'level'. Did you mean 'levels'" in capsys.readouterr().err


def test_our_own_commands_import_no_plugin(folder):
    drop_in(folder, "loud", "raise SystemExit('imported')")
    code = "import sys; from gamebridge.cli import main; sys.exit(main())"
    for name, imports in (("plugins", False), ("doctor --help", False), ("frobnicate", True)):
        words = [sys.executable, "-c", code, "--plugins", str(folder), *name.split()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert ("imported" in done.stderr) == imports


def test_a_broken_plugin_costs_its_own_commands_alone(capsys, folder, monkeypatch):
    drop_in(folder, "broken", "import no_such_module_zz")
    monkeypatch.setenv("GAMEBRIDGE_PLUGINS", str(folder))
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr()
    assert "levels" in shown.out
    assert "a plugin failed, so that its commands are missing here; `gamebridge ga" in shown.err
    assert cli.main(["levels", "list"]) == 0
    capsys.readouterr()
    assert cli.main(["of-the-broken-one"]) == 2
    error = capsys.readouterr().err
    assert "It may be of a plugin that failed" in error
    assert "pip install no_such_module_zz" in error


def test_a_folder_that_is_not_there_costs_no_help(capsys, monkeypatch):
    monkeypatch.setenv("GAMEBRIDGE_PLUGINS", "/no/such/folder")
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr()
    assert "  train " in shown.out
    assert "warning: Plugin folder /no/such/folder does not exist" in shown.err


@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        ("lambda: None", 3, "The command 'bad' of plugin 'bad' of .* was made as None; expected"),
        ("lambda: 1 / 0", 3, "could not be made: ZeroDivisionError: division by zero. Mend or"),
        ("lambda: exit(7)", 3, "could not be made: SystemExit: 7"),
        ("3", 2, "'bad': make is 3, which cannot be called"),
    ],
)
def test_a_command_that_cannot_be_made_says_so(capsys, folder, make, code, said):
    drop_in(folder, "bad", one_command("bad", make))
    assert cli.main(["--plugins", str(folder), "bad"]) == code
    assert re.search(said, capsys.readouterr().err)
    assert cli.main(["--plugins", str(folder), "levels", "list"]) == 0


def test_of_two_commands_of_one_name_none_is_chosen(capsys, folder):
    made = "typer.Typer(no_args_is_help=True)"
    drop_in(folder, "more", one_command("levels", f"lambda: {made}"))
    assert cli.main(["--plugins", str(folder), "levels", "list"]) == 3
    error = capsys.readouterr().err
    assert "The command 'levels' is brought by plugin 'levels' of" in error
    assert "Choose one: use 'levels.py:levels' or 'more.py:levels'" in error
    assert cli.main(["--plugins", str(folder), "levels.py:levels", "list"]) == 0


def test_no_plugin_takes_the_name_of_our_own(capsys, folder):
    drop_in(folder, "taker", one_command("games"))
    drop_in(folder, "agent", one_command("ppo"))
    assert cli.main(["--plugins", str(folder), "games"]) == 0
    capsys.readouterr()
    assert cli.main(["--plugins", str(folder), "lvl"]) == 2
    error = capsys.readouterr().err
    assert "brings the command 'games', which is gamebridge's own." in error
    assert "Use 'taker.py:taker:games' for that." in error


def test_the_host_finds_commands(folder):
    host = Host.discover(folder)
    assert "levels" in [listed.record.name for listed in host.commands()]
    assert host.locate_command("levels").record.summary == "Add and list levels."
    with pytest.raises(errors.UnknownId, match=r"'lvels'. Did you mean 'levels'\? `gamebridge --h"):
        host.locate_command("lvels")
    assert not host.clashes()


@pytest.mark.parametrize("name", ["Levels", "le vels", "", "-levels", 3])
def test_a_name_is_lower_case_words(name):
    with pytest.raises(ValueError, match="expected lower case, such as 'builds'"):
        CommandRecord(name, "", lambda: None)
