"""The drop-in folder: what is loaded from it, and what is refused."""

from __future__ import annotations

import hashlib
import logging
import os
import pathlib
import random
import sys
import textwrap

import pytest

from gamebridge import errors, host

GAME = """
    from gamebridge.contract import GameRecord, hookimpl

    @hookimpl
    def gamebridge_games():
        yield GameRecord("{id}", "Dropped in.", print)
"""


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "drop"
    path.mkdir()
    path.chmod(0o755)
    yield path
    for name in [name for name in sys.modules if name.startswith("gamebridge_folder_")]:
        del sys.modules[name]


def drop(path: pathlib.Path, source: str) -> pathlib.Path:
    if not path.parent.exists():
        path.parent.mkdir()
        path.parent.chmod(0o755)
    path.write_text(textwrap.dedent(source))
    path.chmod(0o644)
    return path


def dropped(found):
    return [x.record.id for x in found.games() if x.plugin.origin == "folder"]


def test_files_and_packages_of_the_folder_are_plugins(folder):
    drop(folder / "maze.py", GAME.format(id="maze/small"))
    drop(folder / "pack" / "__init__.py", "from .games import gamebridge_games")
    drop(folder / "pack" / "games.py", GAME.format(id="pack/one"))
    drop(folder / "_helper.py", "raise SystemError")
    drop(folder / "notes.txt", "not a plugin").chmod(0o666)
    found = host.Host.discover(folder)
    maze, pack = [info for info in found.plugins() if info.origin == "folder"]
    assert (maze.name, maze.distribution, maze.version) == ("maze", "maze.py", "")
    assert maze.file == str(folder / "maze.py")
    assert str(maze) == f"plugin 'maze' of {folder / 'maze.py'}"
    assert pack.file == str(folder / "pack" / "__init__.py")
    assert dropped(found) == ["maze/small", "pack/one"]
    assert found.find_game("maze.py:maze/small").summary == "Dropped in."
    assert sys.modules["gamebridge_folder_maze"].__file__ == maze.file


def test_discovery_executes_nothing_of_the_folder(folder):
    drop(folder / "bomb.py", "raise SystemError('executed')")
    drop(folder / "pack" / "__init__.py", "raise SystemError('executed')")
    assert {"bomb", "pack"} <= {info.name for info in host.Host.discover(folder).plugins()}


def test_every_file_loaded_is_logged_with_its_hash(folder, caplog):
    single = drop(folder / "maze.py", GAME.format(id="maze/small"))
    first = drop(folder / "pack" / "__init__.py", "from .games import gamebridge_games")
    second = drop(folder / "pack" / "games.py", GAME.format(id="pack/one"))
    with caplog.at_level(logging.INFO, "gamebridge.plugins"):
        host.Host.discover(folder).games()
    for file in (single, first, second):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert caplog.messages.count(f"Loading plugin file {file}, sha256 {digest}") == 1


def test_the_working_directory_is_not_a_plugin_folder(folder, monkeypatch):
    drop(folder / "maze.py", GAME.format(id="maze/small"))
    monkeypatch.chdir(folder)
    assert dropped(host.Host.discover()) == []


def test_a_dropped_in_file_shadows_no_module_of_python(folder):
    drop(folder / "random.py", GAME.format(id="random/walk"))
    assert dropped(host.Host.discover(folder)) == ["random/walk"]
    assert sys.modules["random"] is random


def test_a_broken_file_is_named_and_hides_no_other(folder):
    drop(folder / "maze.py", GAME.format(id="maze/small"))
    bad = drop(folder / "bad.py", "import sys\nsys.exit(7)")
    own = drop(folder / "own" / "__init__.py", "from . import missing")
    drop(folder / "gone" / "__init__.py", "import gamebridge_folder_gone.part")
    found = host.Host.discover(folder)
    assert dropped(found) == ["maze/small"]
    causes = {x.plugin.name: x.cause for x in found.failures() if x.plugin.origin == "folder"}
    assert causes["bad"] == f"SystemExit: 7 (line 2 of {bad})."
    assert f"(line 1 of {own})." in causes["own"]
    assert "No module named 'gamebridge_folder_gone.part'" in causes["gone"]
    assert "pip install" not in causes["gone"]
    assert not [name for name in sys.modules if name == "gamebridge_folder_bad"]
    with pytest.raises(errors.PluginError, match="SystemExit: 7"):
        found.find_game("bad/x")


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757, 0o1777])
def test_a_folder_that_others_can_write_is_refused(folder, mode):
    drop(folder / "maze.py", GAME.format(id="maze/small"))
    folder.chmod(mode)
    with pytest.raises(errors.SecurityError) as caught:
        host.Host.discover(folder)
    assert caught.value.exit_code == 8
    assert str(caught.value).startswith(f"{folder} can be written by others (mode {mode:o})")
    assert f"`chmod go-w {folder}`" in str(caught.value)


@pytest.mark.parametrize("name", ["maze.py", "pack/__init__.py", "pack/table.csv"])
@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_plugin_file_that_others_can_write_is_refused(folder, name, mode):
    drop(folder / "maze.py", GAME.format(id="maze/small"))
    drop(folder / "pack" / "__init__.py", GAME.format(id="pack/one"))
    drop(folder / "pack" / "table.csv", "1,2")
    (folder / name).chmod(mode)
    with pytest.raises(errors.SecurityError, match=f"chmod go-w {folder / name}"):
        host.Host.discover(folder)


def test_links_are_judged_by_what_they_lead_to(folder, tmp_path):
    target = drop(tmp_path / "elsewhere" / "maze.py", GAME.format(id="maze/small"))
    drop(folder / "pack" / "__init__.py", GAME.format(id="pack/one"))
    (folder / "maze.py").symlink_to(target)
    (folder / "pack" / "loop").symlink_to(folder / "pack")
    assert dropped(host.Host.discover(folder)) == ["maze/small", "pack/one"]
    target.chmod(0o666)
    with pytest.raises(errors.SecurityError, match=f"chmod go-w {target}"):
        host.Host.discover(folder)


@pytest.mark.parametrize("name", [".", "maze.py"])
def test_what_belongs_to_another_user_is_refused(folder, name, monkeypatch):
    drop(folder / "maze.py", GAME.format(id="maze/small"))
    path = (folder / name).resolve()
    if os.getuid() == 0:
        os.chown(path, 65534, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 65534)
    with pytest.raises(errors.SecurityError) as caught:
        host.Host.discover(folder)
    assert "belongs to user " in str(caught.value)
    assert f"`chown {os.getuid()} " in str(caught.value)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of root")
def test_what_belongs_to_root_is_accepted(folder, monkeypatch):
    drop(folder / "maze.py", GAME.format(id="maze/small"))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert dropped(host.Host.discover(folder)) == ["maze/small"]


def test_a_missing_folder_is_named(folder):
    for path in (folder / "not there", drop(folder / "maze.py", "")):
        with pytest.raises(errors.ConfigError) as caught:
            host.Host.discover(path)
        assert caught.value.exit_code == 2
        assert str(caught.value).startswith(f"Plugin folder {path} does not exist or is no folder")
    with pytest.raises(errors.ConfigError, match=r"`mkdir -m 755 '.*/not there'`"):
        host.Host.discover(folder / "not there")


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(pathlib.Path, "iterdir", refuse)
    with pytest.raises(errors.ConfigError, match=f"{folder} cannot be read: .*Permission denied"):
        host.Host.discover(folder)


def test_a_link_to_nothing_hides_no_other(folder):
    drop(folder / "pack" / "__init__.py", GAME.format(id="pack/one"))
    (folder / "pack" / ".#lock.py").symlink_to("nothing")
    (folder / "gone.py").symlink_to("nothing")
    found = host.Host.discover(folder)
    assert dropped(found) == ["pack/one"]
    (failure,) = [x for x in found.failures() if x.plugin.origin == "folder"]
    assert failure.plugin.name == "gone"
    assert failure.cause.startswith("FileNotFoundError: ")
