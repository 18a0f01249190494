"""The structure of the project: its layers, its public names, its hooks and its start-up."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import pathlib
import re
import subprocess
import sys
import textwrap
import types

import pytest

import gamebridge
from gamebridge import contract
from gamebridge.contract import hookspecs

ROOT = pathlib.Path(gamebridge.__file__).resolve().parent.parent
PACKAGE = ROOT / "gamebridge"
# Beside this file, also where the package under test is an installed wheel.
CHECKOUT = pathlib.Path(__file__).resolve().parent.parent

# From left to right: who stands further left never imports who stands further right, and
# neighbours of one place never import each other. A part is a package or a module; several
# in one word ("host+loading+plugins") are one part.
LAYERS = [
    ["errors"],
    ["config", "files", "machine", "interpreters"],
    ["supervision"],
    ["contract"],
    ["host+loading+plugins", "adapters", "wrappers", "testing", "doctor", "environments"],
    ["assembly"],
    ["workers"],
    ["tf"],
    ["evaluation"],
    ["training"],
    ["benching"],
    ["opening"],
    ["following"],
    ["api"],
    ["matrix", "tuning"],
    ["cli"],
]
# What plugins may use of gamebridge. Those of games the contract, what reads TOML files, and what
# starts processes.
FOR_GAMES = {"config", "contract", "errors", "supervision"}
FOR_AGENTS = FOR_GAMES | {"tf", "training"}

TYPING = {"annotations", "Any", "TYPE_CHECKING"}
HEAVY = ("tensorflow", "tf_agents", "cv2", "gym", "gymnasium", "numba", "av", "reverb")

PART_OF = {
    name: (place, part)
    for place, parts in enumerate(LAYERS)
    for part in parts
    for name in part.split("+")
}


def imports_of(path, package):
    """Yields the absolute dotted name of every module or name that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; name the package in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_used(name):
    """The part of gamebridge that a dotted name lies in; None where it is not gamebridge's."""
    parts = name.split(".")
    return parts[1] if parts[0] == "gamebridge" and len(parts) > 1 else None


def breaches(part, path):
    place, whole = PART_OF[part]
    for name in imports_of(path, part):
        used = part_used(name)
        if used is None or used == "__version__":
            continue
        their_place, their_whole = PART_OF[used]
        if their_place > place or (their_place == place and their_whole != whole):
            yield f"{path.relative_to(ROOT)} imports {name}"


def modules_of(part):
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{part}.py"]


def test_every_part_has_a_place_in_the_layers():
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert found - {"__init__", "__pycache__", "py"} == set(PART_OF)


@pytest.mark.parametrize("part", sorted(PART_OF))
def test_no_part_imports_what_stands_right_of_it(part):
    assert [breach for path in modules_of(part) for breach in breaches(part, path)] == []


def test_a_breach_of_the_layers_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(
        "def f():\n    from gamebridge.training import runs\nimport gamebridge.errors\n"
    )
    assert list(breaches("tf", path)) == ["module.py imports gamebridge.training.runs"]
    path.write_text("from gamebridge import adapters\n")
    assert list(breaches("wrappers", path)) == ["module.py imports gamebridge.adapters"]
    assert list(breaches("adapters", path)) == []


def plugin_packages():
    found = [importlib.util.find_spec(name) for name in ("gamebridge_agents", "gamebridge_gym")]
    return [pathlib.Path(spec.origin).parent for spec in found]


def test_nothing_imports_a_plugin():
    names = {path.name for path in plugin_packages()}
    for path in PACKAGE.rglob("*.py"):
        assert not {name.split(".")[0] for name in imports_of(path, None)} & names, path


@pytest.mark.parametrize("folder", plugin_packages(), ids=lambda path: path.name)
def test_plugins_use_only_what_any_plugin_may_use(folder):
    source = (folder / "__init__.py").read_text(encoding="utf-8")
    allowed = FOR_AGENTS if "def gamebridge_agents" in source else FOR_GAMES
    for path in folder.rglob("*.py"):
        names = list(imports_of(path, None))
        used = {part_used(name) for name in names} - {None}
        assert used <= allowed, f"{path.name} uses {sorted(used - allowed)} of gamebridge"
        others = {name.split(".")[0] for name in names if name.startswith("gamebridge_")}
        assert others <= {folder.name}, f"{path.name} imports another plugin: {others}"


@pytest.mark.parametrize("module", [gamebridge, contract], ids=lambda module: module.__name__)
def test_all_names_what_is_public_and_nothing_else(module):
    def is_name(name):
        return not isinstance(getattr(module, name), types.ModuleType)

    public = {
        name
        for name in dir(module)
        if not name.startswith("_") and name not in TYPING and is_name(name)
    }
    assert public == {name for name in module.__all__ if is_name(name)}
    assert len(set(module.__all__)) == len(module.__all__)
    folded = [(not name.isupper(), not name[0].isupper(), name) for name in module.__all__]
    assert folded == sorted(folded)


def hooks():
    return {
        name: value
        for name, value in vars(hookspecs).items()
        if name.startswith("gamebridge_") and inspect.isfunction(value)
    }


def test_the_hooks_are_known():
    assert set(hooks()) == {
        *("gamebridge_agents", "gamebridge_commands", "gamebridge_find_game", "gamebridge_games")
    }


@pytest.mark.parametrize("name", sorted(hooks()))
def test_every_hook_shows_a_whole_plugin(name):
    text = inspect.getdoc(hooks()[name])
    blocks = re.findall(r"::\n\n((?:    .*\n|\n)+)", text + "\n")
    assert blocks, f"{name} has no example"
    for block in blocks:
        ast.parse(textwrap.dedent(block))
        assert "from gamebridge.contract import" in block
        assert "@hookimpl" in block
    assert f"def {name}(" in "".join(blocks)


@pytest.mark.parametrize("name", sorted(hooks()))
def test_every_hook_is_told_of_in_the_readme(name):
    assert f"`{name}`" in (CHECKOUT / "README.md").read_text(encoding="utf-8")


def loaded_by(statement):
    """The top-level modules that a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "import gamebridge",
        "import gamebridge.contract",
        "import gamebridge.testing",
        "from gamebridge import opening; opening.discover().games()",
        "from gamebridge import opening; opening.discover().agents()",
    ],
)
def test_starting_loads_nothing_heavy(statement):
    loaded = loaded_by(statement)
    assert "gamebridge" in loaded
    assert not loaded & set(HEAVY)


def test_making_a_game_loads_no_tensorflow():
    loaded = loaded_by("import gamebridge; gamebridge.make_game('gym/CartPole-v1', 2).reset()")
    assert "gymnasium" in loaded
    assert not loaded & {"tensorflow", "tf_agents", "cv2", "av", "numba"}


def test_no_test_file_has_the_name_of_another():
    names = [path.name for path in (CHECKOUT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))
    assert not list((CHECKOUT / "tests").rglob("__init__.py"))
