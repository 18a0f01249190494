"""What a worker process carries into another Python runs there, with numpy alone beside it."""

from __future__ import annotations

import ast
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys

import pytest

import gamebridge
import gamebridge_gym

PACKAGE = pathlib.Path(gamebridge.__file__).resolve().parent
PLUGIN = pathlib.Path(gamebridge_gym.__file__).resolve().parent
PARTS = ["__init__.py", "errors.py", "assembly.py", "contract", "adapters", "wrappers"]
PARTS += ["supervision/__init__.py", "supervision/settings.py"]
PARTS += [
    f"workers/{name}.py"
    for name in ("__init__", "channel", "layout", "origins", "semaphores", "values", "worker")
]
CARRIED = {"gamebridge": str(PACKAGE.parent), "gamebridge_gym": str(PLUGIN.parent)}
OTHERS = [f"python3.{minor}" for minor in range(8, 14)]
# What gymnasium itself needs.
GYMNASIUM = ("numpy", "gymnasium", "cloudpickle", "farama_notifications", "typing_extensions")

# Lets an interpreter find the packages named, and none that lie beside them.
FINDER = """
import json, sys
from importlib import machinery
folders = json.loads(sys.argv[1])
class Carried:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in folders: return machinery.PathFinder.find_spec(name, [folders[name]])
sys.meta_path.insert(0, Carried)
"""

CARTPOLE = """
from gamebridge import assembly
from gamebridge.wrappers import settings
import gamebridge_gym
record = gamebridge_gym.gamebridge_find_game("gym/CartPole-v1")
assert record in list(gamebridge_gym.gamebridge_games())
wrappers = settings.WrapperSettings(action_repeat=2, episode_limit=30)
with assembly.assemble(
    record, num_slots=3, settings=record.settings(), wrappers=wrappers
) as game:
    import numpy as np
    assert game.reset(np.arange(3)).is_first().all()
    ended = 0
    for number in range(100):
        ended += int(game.step(np.arange(number, number + 3) % 2).is_last().sum())
    assert ended > 3, ended
"""

GUESS = """
from gamebridge import assembly, contract
from gamebridge.wrappers import actions, episodes, seeds, settings
import numpy as np
class Guess(contract.Game):
    def __init__(self, num_slots):
        self.num_slots = num_slots
        self.rows = contract.new_time_step(self.observation_spec(), num_slots)
    def observation_spec(self):
        specs = contract.specs
        return {"shown": specs.box((2, 2), -1.0, 1.0), "parts": (specs.discrete(3),)}
    def action_spec(self):
        return contract.specs.discrete(4, start=2)
    def reset(self, seeds=None, slots=None):
        self.rows.step_type[:] = contract.FIRST
        return self.rows
    def step(self, action, active=None):
        last = self.rows.step_type == contract.MID
        self.rows.step_type[:] = np.where(last, contract.LAST, contract.MID)
        return self.rows if not last.all() else self.rows._replace(discount=np.zeros(2, np.float32))
@contract.hookimpl
def plain(): return 7
@contract.hookimpl(tryfirst=True)
def first(): return 8
assert (plain(), first()) == (7, 8)
record = contract.GameRecord("a/guess", "", lambda request: Guess(request.num_slots))
game = assembly.assemble(
    record, num_slots=2, settings=record.settings(), wrappers=settings.WrapperSettings()
)
game = episodes.EpisodeLog(actions.canonical(seeds.Seeded(game, np.arange(2)))[0])
game.reset()
game.step(np.zeros(2, np.int64))
game.step(np.zeros(2, np.int64))
assert [one.ended for one in game.take()] == ["terminated"] * 2
"""

LOADED = "\nprint(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


def run(python, code, folders, *options):
    return subprocess.run(
        [python, "-I", *options, "-c", FINDER + code + LOADED, json.dumps(folders)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def folder_of(name):
    origin = pathlib.Path(importlib.util.find_spec(name).origin)
    return str(origin.parent.parent if origin.stem == "__init__" else origin.parent)


def without_typing(tree):
    """Takes out what no interpreter evaluates: annotations, and what only type checkers read."""

    class Remover(ast.NodeTransformer):
        def visit_arg(self, node):
            node.annotation = None
            return node

        def visit_FunctionDef(self, node):
            node.returns = None
            return self.generic_visit(node)

        def visit_AnnAssign(self, node):
            if node.value is None:
                return ast.Pass()
            return ast.Assign([node.target], node.value, lineno=node.lineno)

        def visit_If(self, node):
            is_typing = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            return ast.Pass() if is_typing else self.generic_visit(node)

    return ast.fix_missing_locations(Remover().visit(tree))


def rejected(texts, folder):
    """Returns what vermin says of modules that Python 3.8 would not run."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ast.unparse(without_typing(ast.parse(text))), encoding="utf-8")
    options = ["--no-tips", "--violations", "--eval-annotations", "--no-parse-comments"]
    done = subprocess.run(
        [sys.executable, "-c", "import vermin; vermin.main()", *options, "-t=3.8-", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else ""


def texts_of(root, names):
    paths = [path for name in names for path in [root / name, *(root / name).rglob("*.py")]]
    files = [path for path in paths if path.is_file()]
    return {str(path.relative_to(root.parent)): path.read_text("utf-8") for path in files}


def test_what_is_carried_is_written_for_python_3_8(tmp_path):
    texts = texts_of(PACKAGE, PARTS) | texts_of(PLUGIN, ["."])
    assert len(texts) > 30
    assert rejected(texts, tmp_path) == ""


@pytest.mark.parametrize(
    "line",
    [
        "pairs = zip([1], [2], strict=True)",
        "Numbers = dict[str, int]",
        "text = 'abc'.removeprefix('a')",
        "def f():\n    match 3:\n        case 3: pass",
        "both = {} | {}",
    ],
)
def test_what_python_3_8_would_not_run_is_seen(line, tmp_path):
    assert rejected({"module.py": f"from __future__ import annotations\n{line}\n"}, tmp_path)


def test_a_game_of_numpy_needs_nothing_but_numpy():
    folders = {**CARRIED, "numpy": folder_of("numpy")}
    done = run(sys.executable, GUESS, folders, "-S")
    assert done.returncode == 0, done.stderr
    assert not set(json.loads(done.stdout)) & {"pluggy", "msgspec", "typing_extensions", "cv2"}


def test_cartpole_needs_nothing_but_numpy_and_gymnasium():
    folders = CARRIED | {name: folder_of(name) for name in GYMNASIUM}
    done = run(sys.executable, CARTPOLE, folders, "-S")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) & set(GYMNASIUM[:2])


def test_making_a_game_loads_what_it_needs_and_no_more():
    done = run(sys.executable, CARTPOLE, CARRIED)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"cv2", "gym", "msgspec", "tensorflow", "tf_agents", "typer"}


@pytest.mark.parametrize("name", OTHERS)
def test_a_game_is_played_in_every_python_at_hand(name):
    python = shutil.which(name)
    for module, code in (("numpy", GUESS), ("gymnasium", CARTPOLE)):
        if python is None or run(python, f"import {module}", {}).returncode:
            pytest.skip(f"{name} is not here, or has no {module}")
        done = run(python, code, CARRIED)
        assert done.returncode == 0, done.stderr
        assert "tensorflow" not in json.loads(done.stdout)
