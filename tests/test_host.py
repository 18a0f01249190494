"""The host, on distributions that really lie on disk: good ones, and ones that are broken."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from gamebridge import errors, host
from gamebridge.contract import GameFamily, GameRecord, GameRequest, NoSettings

GAMES = """
    from gamebridge.contract import GameFamily, GameRecord, hookimpl

    def _make(request):
        return f"{request.num_slots} slots of {request.game_id}"

    @hookimpl
    def gamebridge_games():
        yield GameRecord("fine/loop", "A loop.", _make)
        yield GameRecord("fine/eight", "An eight.", _make)
        yield GameFamily("fine/ring-<size>", "A ring of any size.")

    @hookimpl
    def gamebridge_find_game(game_id):
        if game_id.startswith("fine/ring-"):
            return GameRecord(game_id, "A ring.", _make)
"""

AGENTS = """
    from gamebridge.contract import AgentRecord, hookimpl

    @hookimpl
    def gamebridge_agents():
        yield AgentRecord("dice", "Throws dice.", lambda request: "a learner")
"""

ONE_GAME = """
    from gamebridge.contract import GameRecord, hookimpl

    @hookimpl
    def gamebridge_games():
        yield GameRecord("{id}", "{summary}", lambda request: "{summary}")
"""

HEAD = """
    from gamebridge.contract import AgentRecord, GameFamily, GameRecord, hookimpl
"""

# What a broken plugin does: its source, and what its cause must say.
BROKEN = {
    "import-error": (
        "\n\nimport no_such_module_zz",
        ["ModuleNotFoundError: ", "(line 3 of ", "bad.py)", "`pip install no_such_module_zz`"],
    ),
    "import-error-in-a-package-that-is-there": (
        "import json.no_such_part",
        ["ModuleNotFoundError: No module named 'json.no_such_part' (line 1 of "],
    ),
    "sys-exit": ("import sys\nsys.exit(7)", ["SystemExit: 7 (line 2 of "]),
    "syntax-error": ("def f(:", ["SyntaxError: invalid syntax (bad.py, line 1)"]),
    "long-message": ("raise OSError('one\\n  two\\nthree.')", ["OSError: one two three (line 1"]),
    "unreadable-message": (
        "class Bad(Exception):\n    def __str__(self):\n        raise TypeError\nraise Bad",
        ["Bad: its message cannot be read (line 4"],
    ),
    "misspelt-hook": (
        HEAD + "    @hookimpl\n    def gamebridge_gmaes():\n        yield",
        ["no hook 'gamebridge_gmaes'", "Did you mean 'gamebridge_games'", "The hooks are "],
    ),
    "wrong-argument": (
        HEAD + "    @hookimpl\n    def gamebridge_find_game(name):\n        return None",
        ["'gamebridge_find_game'", "{'name'}", "gamebridge_find_game(game_id)"],
    ),
    "no-hookimpl": (
        "def gamebridge_agents():\n    yield 1",
        ["gamebridge_agents is not marked as a hook. Put @hookimpl above it."],
    ),
    "no-hook": ("x = 1", ["it implements no hook. The hooks are gamebridge_agents(), "]),
    "hook-raises": (
        HEAD
        + """
    @hookimpl
    def gamebridge_games():
        yield GameRecord("bad/first", "Yielded before the fault.", print)
        raise KeyError("tracks")
    """,
        ["KeyError: 'tracks' (line 7 of "],
    ),
    "not-a-record": (
        HEAD + "    @hookimpl\n    def gamebridge_games():\n        yield {'id': 'bad/x'}",
        ["gamebridge_games yielded {'id': 'bad/x'}: expected GameRecord or GameFamily."],
    ),
    "an-agent-among-the-games": (
        HEAD
        + """
    @hookimpl
    def gamebridge_games():
        yield AgentRecord("bad", "No game.", print)
    """,
        ["gamebridge_games yielded AgentRecord(", "expected GameRecord or GameFamily."],
    ),
    "returned-not-yielded": (
        HEAD
        + """
    @hookimpl
    def gamebridge_agents():
        return AgentRecord("bad", "Not yielded.", print)
    """,
        ["gamebridge_agents returned AgentRecord(", "expected it to yield AgentRecord."],
    ),
    "yielded-twice": (
        HEAD
        + """
    @hookimpl
    def gamebridge_games():
        yield GameRecord("bad/x", "One.", print)
        yield GameRecord("bad/x", "Two.", print)
    """,
        ["gamebridge_games yielded 'bad/x' twice: expected it once."],
    ),
    "nothing-to-list-it-by": (
        HEAD + "    @hookimpl\n    def gamebridge_games():\n        yield GameFamily(None, 'x')",
        ["yielded GameFamily(pattern=None, summary='x', examples=()): expected text"],
    ),
    "a-record-that-refuses": (
        HEAD + "    @hookimpl\n    def gamebridge_games():\n        yield GameRecord('x', '', 1)",
        ["ValueError: game id 'x': expected '<plugin>/<thing>'"],
    ),
    "newer-api": (
        "gamebridge_api_version = 99",
        ["made for plugin API 99, this gamebridge has 1. Upgrade gamebridge."],
    ),
    "older-api": (
        "gamebridge_api_version = 0",
        ["made for plugin API 0, this gamebridge has 1. Upgrade bad-dist."],
    ),
    "api-that-is-no-number": (
        "gamebridge_api_version = 'one'",
        ["gamebridge_api_version is 'one': expected an int."],
    ),
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Lays a distribution with one plugin on disk, the way pip leaves one."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def lay(distribution, name, source, *, version="1.0", module=None, points=None):
        module = module or name
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        points = points or f"{name} = {module}"
        (info / "entry_points.txt").write_text(f"[gamebridge]\n{points}\n")
        path = site.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    yield lay
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(site)):
            del sys.modules[name]


@pytest.fixture
def good(install):
    """Two good distributions from outside the tree: one brings games, one an agent."""
    install("fine-games", "fine", GAMES)
    install("fine-agents", "luck", AGENTS, version="2.3")


def failure_of(found, name):
    (failure,) = [f for f in found.failures() if f.plugin.name == name]
    assert "\n" not in failure.cause
    return failure


def ids(found, distribution):
    listed = [*found.games(), *found.agents()]
    mine = [x.record for x in listed if x.plugin.distribution == distribution]
    return [x.pattern if isinstance(x, GameFamily) else x.id for x in mine]


def assert_good_ones_work(found):
    assert ids(found, "fine-games") == ["fine/eight", "fine/loop", "fine/ring-<size>"]
    assert ids(found, "fine-agents") == ["dice"]
    request = GameRequest("fine/loop", 2, False, NoSettings())
    assert found.find_game("fine/loop").make(request) == "2 slots of fine/loop"
    assert found.find_game("fine/ring-5").id == "fine/ring-5"
    assert found.find_agent("dice").make(None) == "a learner"
    assert not [f for f in found.failures() if f.plugin.distribution.startswith("fine")]


def test_plugins_from_outside_the_tree_are_listed_and_found(good):
    found = host.Host.discover()
    assert_good_ones_work(found)
    assert found.clashes() == {}


def test_plugins_are_known_by_their_metadata_alone(good, install):
    path = install("bad-dist", "bad", "raise SystemError", module="bad_pack.inner")
    (path.parent / "__init__.py").write_text("raise SystemError")
    infos = {info.name: info for info in host.Host.discover().plugins()}
    assert infos["luck"].distribution == "fine-agents"
    assert infos["luck"].version == "2.3"
    assert infos["luck"].module == "luck"
    assert infos["luck"].origin == "entry point"
    assert infos["luck"].file.endswith("site/luck.py")
    assert infos["bad"].file == str(path)
    assert str(infos["luck"]) == "plugin 'luck' of fine-agents 2.3"


def test_the_bundled_plugins_are_plain_entry_points():
    bundled = [x for x in host.Host.discover().plugins() if x.distribution == "gamebridge"]
    assert {info.name for info in bundled} >= {"agents", "gym"}
    assert {info.origin for info in bundled} == {"entry point"}


def test_discovery_imports_no_plugin_and_no_heavy_module():
    code = """
        import sys
        from gamebridge import host
        modules = [info.module for info in host.Host.discover().plugins()]
        heavy = ["tensorflow", "tf_agents", "cv2", "gym", "gymnasium", "numba", "av"]
        print(modules, [name for name in modules + heavy if name in sys.modules])
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert "gamebridge_gym" in ran.stdout
    assert ran.stdout.endswith("[]\n")


def test_discovery_takes_less_than_50_ms():
    times = []
    for _ in range(9):
        start = time.perf_counter()
        host.Host.discover().plugins()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_is_named_with_its_cause_and_hides_no_other(good, install, fault):
    source, expected = BROKEN[fault]
    path = install("bad-dist", "bad", source)
    found = host.Host.discover()
    assert_good_ones_work(found)
    failure = failure_of(found, "bad")
    assert (failure.plugin.distribution, failure.plugin.version) == ("bad-dist", "1.0")
    assert failure.plugin.file == str(path)
    for part in expected:
        assert part in failure.cause
    assert ids(found, "bad-dist") == []
    with pytest.raises(errors.PluginError) as caught:
        found.find_game("bad/x")
    assert caught.value.exit_code == 3
    assert str(failure) in str(caught.value)
    assert str(failure).startswith("plugin 'bad' of bad-dist 1.0: ")


def test_only_a_missing_foreign_module_is_to_be_installed(install, monkeypatch):
    install("a-dist", "a", "import json.no_such_part")
    install("b-dist", "b", "", points="b = not_there_zz")
    install("c-dist", "c", "raise ModuleNotFoundError('no cv2', name='cv2')")
    found = host.Host.discover()
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cv2" else there(name)
    )
    assert failure_of(found, "a").cause.endswith("a.py).")
    assert failure_of(found, "b").cause.endswith("'not_there_zz'. Reinstall b-dist.")
    assert failure_of(found, "c").cause.endswith("Run `pip install opencv-python-headless`.")


def test_a_plugin_that_hangs_at_import_is_given_up_at_the_limit(good, install):
    install("bad-dist", "bad", "import time\ntime.sleep(60)")
    start = time.monotonic()
    found = host.Host.discover(import_limit_s=1.0)
    assert failure_of(found, "bad").cause == "it was not ready within the limit of 1 s."
    assert time.monotonic() - start < 20
    assert_good_ones_work(found)


def test_a_plugin_that_swallows_the_first_alarm_gets_another(install):
    source = "import time\ntry:\n    time.sleep(60)\nexcept BaseException:\n    time.sleep(60)"
    install("bad-dist", "bad", source)
    found = host.Host.discover(import_limit_s=0.5)
    assert "limit of 0.5 s" in failure_of(found, "bad").cause


def test_a_hook_that_hangs_is_given_up_at_the_limit(install):
    source = """
    import time
    @hookimpl
    def gamebridge_find_game(game_id):
        time.sleep(60)
    """
    install("bad-dist", "bad", HEAD + source)
    found = host.Host.discover(import_limit_s=0.5)
    with pytest.raises(errors.PluginError, match=r"limit of 0\.5 s"):
        found.find_game("bad/x")


def test_the_limit_leaves_signals_and_other_timers_as_they_were(good):
    before = signal.getsignal(signal.SIGALRM)
    host.Host.discover().games()
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    signal.setitimer(signal.ITIMER_REAL, 1000.0)
    try:
        host.Host.discover(import_limit_s=1e-6).games()
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 900
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_plugins_load_in_a_thread_too(good):
    found = host.Host.discover(import_limit_s=1e-6)
    thread = threading.Thread(target=found.games)
    thread.start()
    thread.join()
    assert ids(found, "fine-games") == ["fine/eight", "fine/loop", "fine/ring-<size>"]
    assert ids(found, "fine-agents") == ["dice"]


# The alarm may interrupt importlib between opening and closing a source file of the plugin.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"
)
def test_an_alarm_at_the_last_moment_leaves_no_timer_behind(good):
    before = signal.getsignal(signal.SIGALRM)
    for limit_s in [1e-6, 1e-5, 1e-4] * 20:
        host.Host.discover(import_limit_s=limit_s).games()
        assert signal.getsignal(signal.SIGALRM) is before
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_ctrl_c_is_not_a_failure_of_a_plugin(install):
    install("bad-dist", "bad", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        host.Host.discover().games()


def test_ctrl_c_passes_through_a_family(install):
    source = (
        "    @hookimpl\n    def gamebridge_find_game(game_id):\n        raise KeyboardInterrupt"
    )
    install("bad-dist", "bad", HEAD + source)
    with pytest.raises(KeyboardInterrupt):
        host.Host.discover().find_game("bad/x")


def test_an_entry_point_that_names_no_module_is_a_failure(good, install):
    install("bad-dist", "bad", "", points="bad = not a module!")
    found = host.Host.discover()
    assert "bad" in [info.name for info in found.plugins()]
    assert failure_of(found, "bad").plugin.module == "not a module!"
    assert_good_ones_work(found)


def test_an_entry_point_may_name_an_object_in_a_module(install):
    source = """
    class Plugin:
        @hookimpl
        def gamebridge_games(self):
            yield GameRecord("objects/one", "From an object.", print)

    plugin = Plugin()
    """
    install("object-dist", "objects", HEAD + source, points="objects = objects:plugin")
    assert host.Host.discover().find_game("objects/one").summary == "From an object."


def test_one_module_under_two_entry_points_is_loaded_once(install):
    source = ONE_GAME.format(id="twice/x", summary="X")
    install("twice-dist", "twice", source, points="twice = twice\nzz = twice")
    found = host.Host.discover()
    assert found.find_game("twice/x").summary == "X"
    assert failure_of(found, "zz").cause == (
        "'twice' is already loaded as 'twice-dist:twice'. "
        "Remove one of the entry points of twice-dist."
    )


def test_one_plugin_name_in_two_distributions_works(install):
    install("a-dist", "same", ONE_GAME.format(id="same/a", summary="A"), module="same_a")
    install("b-dist", "same", ONE_GAME.format(id="same/b", summary="B"), module="same_b")
    found = host.Host.discover()
    assert found.find_game("same/a").summary == "A"
    assert found.find_game("same/b").summary == "B"


def test_a_clash_is_named_and_settled_by_the_distribution(good, install):
    install("a-dist", "a", ONE_GAME.format(id="race/oval", summary="Oval of A"))
    install("b-dist", "b", ONE_GAME.format(id="race/oval", summary="Oval of B"), version="2.0")
    found = host.Host.discover()
    assert_good_ones_work(found)
    both = found.clashes()["race/oval"]
    assert [info.distribution for info in both] == ["a-dist", "b-dist"]
    assert ids(found, "a-dist") == ids(found, "b-dist") == ["race/oval"]
    with pytest.raises(errors.PluginError) as caught:
        found.find_game("race/oval")
    assert str(caught.value) == (
        "The game 'race/oval' is brought by plugin 'a' of a-dist 1.0 and by plugin 'b' of "
        "b-dist 2.0. Choose one: use 'a-dist:race/oval' or 'b-dist:race/oval'."
    )
    assert found.find_game("a-dist:race/oval").summary == "Oval of A"
    assert found.find_game("b-dist:race/oval").summary == "Oval of B"


def test_a_clash_of_agents_is_settled_the_same_way(good, install):
    install("more-agents", "more", AGENTS.replace("Throws dice.", "Throws more dice."))
    found = host.Host.discover()
    assert list(found.clashes()) == ["dice"]
    with pytest.raises(errors.PluginError, match="use 'fine-agents:dice' or 'more-agents:dice'"):
        found.find_agent("dice")
    assert found.find_agent("more-agents:dice").summary == "Throws more dice."


def test_a_clash_within_one_distribution_is_settled_by_the_plugin(install):
    path = install(
        "a-dist", "a", ONE_GAME.format(id="race/oval", summary="A"), points="a = a\nb = b"
    )
    other = ONE_GAME.format(id="race/oval", summary="B")
    path.with_name("b.py").write_text(textwrap.dedent(other))
    found = host.Host.discover()
    with pytest.raises(errors.PluginError, match="use 'a-dist:a:race/oval' or 'a-dist:b:race/"):
        found.find_game("race/oval")
    assert found.find_game("a-dist:b:race/oval").summary == "B"


def test_two_families_that_know_one_id_clash(good, install):
    install("other-games", "other", GAMES.replace('yield GameRecord("fine', 'yield GameRecord("o'))
    found = host.Host.discover()
    assert found.clashes() == {}
    with pytest.raises(errors.PluginError, match="use 'fine-games:fine/ring-5' or 'other-games:"):
        found.find_game("fine/ring-5")
    assert found.find_game("other-games:fine/ring-5").id == "fine/ring-5"


def test_a_colon_after_the_slash_belongs_to_the_game(install):
    source = """
    @hookimpl
    def gamebridge_find_game(game_id):
        return GameRecord(game_id, "Any.", print) if game_id.startswith("any/") else None
    """
    install("any-dist", "any", HEAD + source)
    found = host.Host.discover()
    assert found.find_game("any/module:Game-v1").id == "any/module:Game-v1"
    assert found.find_game("any-dist:any/module:Game-v1").id == "any/module:Game-v1"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("raise RuntimeError('no list')", "RuntimeError: no list (line 6 of "),
        ("raise SystemExit(3)", "SystemExit: 3 (line 6 of "),
        ("return 'bad/x'", "expected a GameRecord or None, got 'bad/x'."),
    ],
)
def test_a_family_that_breaks_is_named_and_hides_no_other(good, install, body, cause):
    source = f"    @hookimpl\n    def gamebridge_find_game(game_id):\n\n        {body}"
    install("bad-dist", "bad", HEAD + source)
    found = host.Host.discover()
    assert_good_ones_work(found)
    with pytest.raises(errors.PluginError) as caught:
        found.find_game("bad/x")
    assert "plugin 'bad' of bad-dist 1.0: gamebridge_find_game('bad/x'): " in str(caught.value)
    assert cause in str(caught.value)
    with pytest.raises(errors.UnknownId, match=r"may be of a plugin that failed: .*'bad'"):
        found.find_game("fine/nothing")


def test_a_family_may_refuse_an_id_of_its_own_in_its_own_words(good, install):
    source = """
    from gamebridge import errors
    @hookimpl
    def gamebridge_find_game(game_id):
        raise errors.UnknownId(f"strict has no '{game_id}'.")
    """
    install("strict-dist", "strict", HEAD + source)
    found = host.Host.discover()
    assert_good_ones_work(found)
    with pytest.raises(errors.UnknownId, match=r"^strict has no 'strict/x'.$"):
        found.find_game("strict/x")


def test_an_unknown_id_answers_with_the_nearest(good):
    found = host.Host.discover()
    with pytest.raises(errors.UnknownId) as caught:
        found.find_game("fine/lop")
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith("Unknown game 'fine/lop'. Did you mean 'fine/loop'")
    assert "`gamebridge games` lists all." in str(caught.value)
    with pytest.raises(errors.UnknownId, match=r"Unknown agent 'dce'\. Did you mean 'dice'"):
        found.find_agent("dce")
    with pytest.raises(errors.UnknownId, match="Unknown game 'luck:fine/loop': 'luck' brings no"):
        found.find_game("luck:fine/loop")
    with pytest.raises(errors.UnknownId, match="Did you mean 'fine-games'"):
        found.find_game("fine-game:fine/loop")
    with pytest.raises(errors.UnknownId, match=r"Unknown game 'fine-agents:fine/loop'. Did you"):
        found.find_game("fine-agents:fine/loop")


def test_an_unknown_id_names_the_plugins_that_failed(good, install):
    install("bad-dist", "bad", "import sys\nsys.exit(7)")
    found = host.Host.discover()
    with pytest.raises(errors.UnknownId, match=r"failed: .*'bad' of bad-dist 1.0: SystemExit: 7"):
        found.find_game("elsewhere/x")
    with pytest.raises(errors.UnknownId, match=r"failed: .*'bad' of bad-dist 1.0: SystemExit: 7"):
        found.find_agent("elsewhere")
    with pytest.raises(errors.PluginError, match="Cannot give the game 'bad-dist:elsewhere/x'"):
        found.find_game("bad-dist:elsewhere/x")


def test_games_and_agents_are_sorted_by_id(good):
    found = host.Host.discover()
    games = [x.record for x in found.games()]
    names = [x.id if isinstance(x, GameRecord) else x.pattern for x in games]
    assert names == sorted(names)
    assert [x.record.id for x in found.agents()] == sorted(x.record.id for x in found.agents())
