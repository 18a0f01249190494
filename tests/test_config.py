"""Settings: what is read, what is refused, and how the refusal reads."""

from __future__ import annotations

import dataclasses
import datetime
import math
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal, Optional, Union

import pytest

from gamebridge import config, errors


@dataclasses.dataclass(frozen=True)
class Agent:
    learning_rate: float = 1e-3
    layers: tuple[int, ...] = (64, 64)
    kind: Literal["adam", "sgd"] = "adam"

    def __post_init__(self):
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate is {self.learning_rate}; expected more than 0.")


@dataclasses.dataclass(frozen=True)
class Game:
    id: str = "gym/CartPole-v1"
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Settings:
    steps: int = 1000
    seed: Optional[int] = None  # noqa: UP045 - both spellings are in use
    clip: Union[float, str] = 0.2  # noqa: UP007
    record: bool = False
    run: str = "runs/demo"
    agent: Agent = Agent()
    rival: Agent | None = None
    games: tuple[Game, ...] = ()
    pair: tuple[int, float] = (1, 1.0)
    by_name: dict[str, Game] = dataclasses.field(default_factory=dict)
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    free: dict[str, Any] = dataclasses.field(default_factory=dict)
    stage: Literal[1, 2] | None = None


@dataclasses.dataclass(frozen=True)
class Needy:
    steps: int


def write(tmp_path, content):
    path = tmp_path / "run.toml"
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(content)
    return path


def read_settings(path, schema=Settings):
    values, source = config.read(path)
    return config.convert(values, schema, source=source)


# Reading


def test_a_file_gives_its_values(tmp_path):
    path = write(tmp_path, "steps = 60_000\n[agent]\nlearning_rate = 3e-4\nlayers = [32]\n")
    assert config.load(path) == {
        "steps": 60000,
        "agent": {"learning_rate": 0.0003, "layers": [32]},
    }
    settings = read_settings(str(path))
    assert settings == Settings(steps=60000, agent=Agent(0.0003, (32,)))
    assert isinstance(settings.agent.layers, tuple)


@pytest.mark.parametrize(
    "content", ["", "\n\n", "# only words\n", "\ufeffsteps = 1\n", "steps\t=\t1\r\n", "\tsteps = 1"]
)
def test_empty_files_byte_order_marks_tabs_and_windows_lines_are_fine(tmp_path, content):
    assert config.load(write(tmp_path, content)) in ({}, {"steps": 1})


G1 = {
    "unknown key": (
        "steps = 1\nspeed = 2\n",
        r"run.toml:2: unknown key 'speed'\. .*Allowed here: ",
    ),
    "typo": (
        "[agent]\n\nlerning_rate = 1\n",
        r"run.toml:3: .*'agent.lerning_rate'. Did you mean 'l",
    ),
    "unknown table": ("[agnet]\nx = 1\n", r"run.toml:1: unknown key 'agnet'. Did you mean 'agent'"),
    "typo in an optional table": ("rival.kid = 'sgd'", r"run.toml:1: .*'rival.kid'. .*'kind'"),
    "typo in an array": (
        "[[games]]\nid = 'a'\n[[games]]\nidd = 'b'\n",
        r"run.toml:4: unknown key 'games\[1\].idd'. Did you mean 'id'\? Allowed here: 'id'",
    ),
    "typo in a dict": (
        "[by_name.a]\nid = 'a'\n[by_name.b]\nwait = 1\n",
        r"run.toml:4: unknown key 'by_name.b.wait'",
    ),
    "text for int": ("\nsteps = 'many'", r":2: 'steps' is 'many' \(str\); expected int"),
    "float for int": ("steps = 1e3\n", r"run.toml:1: 'steps' is 1000.0 \(float\); expected int\."),
    "bool for int": ("steps = true\n", r"run.toml:1: 'steps' is True \(bool\); expected int\."),
    "int for bool": ("record = 1\n", r"run.toml:1: 'record' is 1 \(int\); expected bool\."),
    "text for an optional int": (
        "seed = 'x'\n",
        r"run.toml:1: 'seed' is 'x' \(str\); expected int\.",
    ),
    "date for text": ("run = 2020-01-01\n", r"run.toml:1: 'run' is .* \(date\); expected str\."),
    "table for a number": ("[steps]\na = 1\n", r"run.toml:1: 'steps' is .* \(dict\); expected int"),
    "number for a table": ("agent = 3\n", r"run.toml:1: 'agent' is 3 \(int\); expected table\."),
    "text in an array": (
        "agent.layers = [\n  64,\n  'x',\n]\n",
        r"run.toml:1: 'agent.layers\[1\]' is 'x' \(str\); expected int\.",
    ),
    "array too short": (
        "pair = [1]\n",
        r"run.toml:1: 'pair' is \[1\] \(list\); expected array of length 2\.",
    ),
    "array for a union": (
        "clip = []\n",
        r"run.toml:1: 'clip' is \[\] \(list\); expected (float or str|str or float)\.",
    ),
    "wrong value in a dict": (
        "[weights]\na = 1\nb = 'x'\n",
        r"run.toml:3: 'weights.b' is 'x' \(str\); expected float\.",
    ),
    "wrong value in a dict of tables": (
        "[by_name.a]\nid = 'a'\n[by_name.b]\nid = 7\n",
        r"run.toml:4: 'by_name.b.id' is 7 \(int\); expected str\.",
    ),
    "not one of the choices": (
        "[agent]\nkind = 'Adam'\n",
        r"run.toml:2: 'agent.kind' is 'Adam'; expected 'adam' or 'sgd'. Did you mean 'adam'\?",
    ),
    "not one of the numbers": ("stage = 3\n", r"run.toml:1: 'stage' is 3; expected 1 or 2\."),
    "negative": (
        "[agent]\nkind = 'sgd'\nlearning_rate = -1\n",
        r"run.toml:3: 'agent.learning_rate': learning_rate is -1.0; expected more than 0\.",
    ),
    "negative in an array": (
        "[rival]\nlearning_rate = 0.0\n",
        r"run.toml:2: 'rival.learning_rate': learning_rate is 0.0; expected more than 0\.",
    ),
    "not a number": (
        "[agent]\nlearning_rate = nan\n",
        r":2: 'agent.learning_rate' is nan; expected a finite",
    ),
    "infinite": ("clip = -inf\n", r"run.toml:1: 'clip' is -inf; expected a finite number\."),
    "infinite in free settings": ("[free]\na = [0, {b = inf}]\n", r":2: 'free.a\[1\].b' is inf; "),
    "huge": (
        "agent.learning_rate = 1" + "0" * 400,
        r":1: 'agent.learning_rate' is .*; number out of range\.",
    ),
    "too many digits": ("steps = 1" + "0" * 5000, r"run.toml: .*digits"),
    "duplicate key": (
        "a = 1\nsteps = 1\nsteps = 2\n",
        r"run.toml:3: Cannot overwrite a value in 'steps = 2'\. A key",
    ),
    "duplicate table": (
        "[agent]\n[agent]\n",
        r"run.toml:2: Cannot declare .* in '\[agent\]'. .*only once",
    ),
    "no value": (
        "steps = \n",
        r"run.toml:1: Invalid value in 'steps ='\. Expected TOML: key = value",
    ),
    "no equals sign": ("steps 3\n", r"run.toml:1: Expected '=' after a key .* in 'steps 3'"),
    "yaml": ("steps: 3\n", r"run.toml:1: Expected '='"),
    "bare text": ("run = demo\n", r"run.toml:1: Invalid value in 'run = demo'\. .*texts in quotes"),
    "open bracket": ("steps = 1\n\nx = [1,\n2\n\n", r"run.toml:4: Unclosed array in '2'"),
    "open quotes": ('run = """\nabc', r"run.toml:2: Unterminated string in 'abc'"),
    "tab for an equals sign": ("steps\t3\n", r"run.toml:1: Expected '='"),
    "zero byte": ("steps = 1\n\0", r"run.toml:2: Invalid statement"),
    "not UTF-8": (
        b"steps = 1\nrun = '\xff'\n",
        r"run.toml:2: not UTF-8 \(byte 0xff\)\. Save the file",
    ),
    "UTF-16": ("steps = 1".encode("utf-16"), r"run.toml:1: not UTF-8 \(byte 0xff\)"),
    "10 MB": (b"a = 1\n" * 2_000_000, r"run.toml: larger than 256 KiB"),
    "array bomb": (
        "a = " + "[" * 200_000,
        r"run.toml: Tables or arrays are nested more than 32 deep\.",
    ),
    "table bomb": (
        "a = " + "{a=" * 80_000,
        r"run.toml: Tables or arrays are nested more than 32 deep\.",
    ),
    "closed array bomb": (
        "a = " + "[" * 60 + "]" * 60,
        r"run.toml: Tables or arrays are nested more",
    ),
    "dotted bomb": (
        "\n" + "a." * 130_000 + "a = 1",
        r"run.toml:2: Tables or .* nested more than 32 deep in",
    ),
    "quoted dotted bomb": (
        "[" + "'' . " * 50_000 + "a]",
        r"run.toml:1: Tables or .* more than 32 deep",
    ),
    "inline dotted bomb": (
        "b = {" + '"\\"".' * 40_000 + "a=1}",
        r"run.toml:1: Tables or .* more than 32",
    ),
}


@pytest.mark.parametrize("case", G1)
def test_a_bad_file_is_refused_in_one_line_that_names_the_place(tmp_path, case):
    content, message = G1[case]
    path = write(tmp_path, content)
    start = time.perf_counter()
    with pytest.raises(errors.ConfigError, match=message) as caught:
        read_settings(path)
    assert time.perf_counter() - start < 3
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))
    assert str(caught.value).startswith(str(path))


def test_what_cannot_be_opened_is_refused_by_name(tmp_path):
    with pytest.raises(errors.ConfigError, match=r"no.toml: cannot be read: No such file"):
        config.load(tmp_path / "no.toml")
    with pytest.raises(errors.ConfigError, match=r"cannot be read: Is a directory"):
        config.load(tmp_path)
    with pytest.raises(errors.ConfigError, match=r"cannot be read: embedded null byte"):
        config.load("a\0b")
    with pytest.raises(errors.ConfigError, match=r"/dev/zero: larger than 256 KiB"):
        config.load("/dev/zero")


@pytest.mark.parametrize(
    "content",
    [
        "steps = 'x'\n" + "".join(f"[free.a{i}]\nsteps = 1\n" for i in range(9_000)),
        "".join(f"[free.a{i}]\nsteps = 1\n" for i in range(9_000)) + "[agent]\nsteps = 1\n",
        "run = '" + " ." * 100_000 + "'\nsteps = 'x'\n",
        "run = '" + '"' * 200_000 + "'\nsteps = 'x'\n",
        "run = '" + ',"a".' * 40_000 + "'\nsteps = 'x'\n",
        "run = '''" + "a.\n" * 60_000 + "'''\nsteps = 'x'\n",
        'run = "' + "\\u0041" * 40_000 + "\"\nsteps = 'x'\n",
    ],
)
def test_large_files_are_answered_in_time(tmp_path, content):
    path = write(tmp_path, content)
    start = time.perf_counter()
    with pytest.raises(errors.ConfigError, match=r"'(agent\.)?steps'|nested more than 32"):
        read_settings(path)
    assert time.perf_counter() - start < 3


# The place of a value


@pytest.mark.parametrize(
    ("text", "keys", "line"),
    [
        ("a = 1\nb = 2\n", ("b",), 2),
        ("# b = 0\nb = 2\n", ("b",), 2),
        ("x = 'b = 1'\nb = 2\n", ("b",), 2),
        ("x = '''\nb = 1\n'''\nb = 2\n", ("b",), 4),
        ("a.b = 1\nb = 2\n", ("b",), 2),
        ("b = 1\n[a]\nb = 2\n", ("a", "b"), 3),
        ("[a]\nb = [\n1,\n2,\n]\nc = 1\n", ("a", "b", 1), 2),
        ("[a]\nb = [\n1,\n2,\n]\nc = 1\n", ("a", "c"), 6),
        ("[a.b.c]\nd = 1\n", ("a", "b"), 1),
        ("[x]\n[a.b.c]\nd = 1\n[a.b]\ne = 1\n", ("a", "b"), 2),
        ("[x]\n[a.b.c]\nd = 1\n[a.b]\ne = 1\n", ("a", "b", "e"), 5),
        ("y = {a = 1}\nx = {a = 1, b.c = 2}\n", ("x", "b", "c"), 2),
        ("'b' = 1\n", ("b",), 1),
        ('a."b c" = 1\n', ("a", "b c"), 1),
        ("bb = 1\nb-b = 2\nb = 3\n", ("b",), 3),
        ("b- = 1\nb-- = 1\nb = 3\n", ("b",), 3),
        ("[[t]]\nb = 1\n[[t]]\nb = 2\n", ("t", 1, "b"), 4),
        ("[[t]]\nb = 1\n[[t]]\nb = 2\n", ("t", 1), 1),
        ("\r\nb = 1\r\n", ("b",), 2),
        ("b = 1\n", ("c",), None),
        ("b = 1\n", (), None),
        ('"\\u0062" = 1\n', ("b",), None),
        ("1 = 2\nx = [1]\n", ("1",), None),
    ],
)
def test_the_line_of_a_key_is_the_one_that_names_it_first(text, keys, line):
    assert config.Source("run.toml", text).line(keys) == line


def test_a_value_from_the_command_line_is_named_as_such(tmp_path):
    path = write(tmp_path, "steps = 1\n[agent]\nkind = 'sgd'\n")
    values, source = config.read(path)
    given = ("steps=1", "steps=many", "agent.layers=[1, 'x']")
    source = dataclasses.replace(source, assignments=given)
    for assignment in given:
        config.assign(values, assignment)
    with pytest.raises(errors.ConfigError, match=r"^--set steps=many: 'steps' is 'many' \(str\)"):
        config.convert(values, Settings, source=source)
    values["steps"] = 3
    with pytest.raises(errors.ConfigError, match=r"^--set agent.layers=.*: 'agent.layers\[1\]' is"):
        config.convert(values, Settings, source=source)
    values["agent"]["layers"] = [3]
    config.assign(values, "agent.kind=adams")
    with pytest.raises(errors.ConfigError, match=r"run.toml:3: 'agent.kind' is 'adams'"):
        config.convert(values, Settings, source=source)


def test_a_table_made_on_the_command_line_is_named_as_such():
    source = config.Source(assignments=("rival.x.y=1",))
    assert source.place(("rival",)) == "--set rival.x.y=1"
    assert source.place(("other",)) == ""
    assert config.Source("run.toml", "a = 1").place(("other",)) == "run.toml"


# Assignments


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("steps=100", {"steps": 100}),
        ("steps = 60_000 ", {"steps": 60_000}),
        ("agent.kind=sgd", {"agent": {"kind": "sgd"}}),
        ("a.b.c=1e-3", {"a": {"b": {"c": 0.001}}}),
        ("record=true", {"record": True}),
        ("layers=[64, 32]", {"layers": [64, 32]}),
        ("table={a = 1}", {"table": {"a": 1}}),
        ("id=gym/CartPole-v1", {"id": "gym/CartPole-v1"}),
        ("id=gym/module:Id-v0", {"id": "gym/module:Id-v0"}),
        ("words=two words", {"words": "two words"}),
        ("equation=a=b", {"equation": "a=b"}),
        ("colour=#ff0000", {"colour": "#ff0000"}),
        ("version=1.2.3", {"version": "1.2.3"}),
        ("steps=7 # words", {"steps": 7}),
        ("quoted='7'", {"quoted": "7"}),
        ('empty=""', {"empty": ""}),
        ('a."b c"=1', {"a": {"b c": 1}}),
        ("day=2020-01-01", {"day": datetime.date(2020, 1, 1)}),
    ],
)
def test_an_assignment_sets_one_value(assignment, expected):
    values: dict[str, Any] = {}
    config.assign(values, assignment)
    assert values == expected


def test_assignments_keep_what_is_beside_them():
    values = {"agent": {"kind": "sgd", "layers": [1]}, "steps": 1}
    config.assign(values, "agent.kind=adam")
    assert values == {"agent": {"kind": "adam", "layers": [1]}, "steps": 1}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("steps", r"--set steps: expected path.to.key=value, such as run.steps=1000\."),
        ("=3", r"--set =3: expected path"),
        ("", r"--set : expected path"),
        ("a..b=3", r"--set a..b=3: expected path"),
        ("a b=3", r"--set a b=3: expected path"),
        ("#=3", r"--set #=3: expected path"),
        ("a=1\nb=2", r"expected path"),
        ("a." * 40 + "b=1", r"expected path"),
        ("steps=", r'--set steps=: no value after the "="; an empty text'),
        ("layers=[1, 2", r"--set layers=\[1, 2: '\[1, 2' is no TOML value\. Close every bracket"),
        ("name='x", r"is no TOML value\. .*quotes"),
        ("steps.more=1", r"--set steps.more=1: 'steps' is 5, not a table"),
        ("a.b.c=1", r"--set a.b.c=1: 'a.b' is \[1\], not a table"),
    ],
)
def test_a_bad_assignment_is_refused_by_name(assignment, message):
    values = {"steps": 5, "a": {"b": [1]}}
    with pytest.raises(errors.ConfigError, match=message):
        config.assign(values, assignment)
    assert values == {"steps": 5, "a": {"b": [1]}}


# Merging and writing


def test_merging_goes_into_tables_and_leaves_both_as_they_were():
    base = {"a": {"x": 1, "y": {"z": 1}}, "b": [1, 2], "c": 1}
    over = {"a": {"y": {"w": 2}}, "b": [3], "c": {"d": 1}, "e": {"f": 1}}
    merged = config.merge(base, over)
    assert merged == {
        "a": {"x": 1, "y": {"z": 1, "w": 2}},
        "b": [3],
        "c": {"d": 1},
        "e": {"f": 1},
    }
    merged["a"]["y"]["z"] = merged["e"]["f"] = 9
    assert base["a"]["y"] == {"z": 1}
    assert over["e"] == {"f": 1}
    assert config.merge({"a": {"x": 1}}, {"a": 2}) == {"a": 2}


def test_settings_are_written_and_read_back(tmp_path):
    settings = Settings(games=(Game("a/b", 0.1),), free={"x": [1, {"y": "ü\n"}]}, seed=None)
    text = config.to_toml(dataclasses.asdict(settings))
    assert "seed" not in text and "rival" not in text
    assert read_settings(write(tmp_path, text)) == settings
    with pytest.raises(TypeError):
        config.to_toml({"a": object()})


# Converting


def test_ints_stand_for_floats_and_nothing_else_is_converted():
    settings = config.convert({"agent": {"learning_rate": 1}, "clip": "off"}, Settings)
    assert isinstance(settings.agent.learning_rate, float)
    assert settings.clip == "off"


def test_without_a_source_the_key_alone_is_named():
    with pytest.raises(errors.ConfigError, match=r"^unknown key 'stepz'\. Did you mean 'steps'"):
        config.convert({"stepz": 1}, Settings)
    with pytest.raises(errors.ConfigError, match=r"^'agent.layers' is 3 \(int\); expected array"):
        config.convert({"layers": 3}, Agent, path="agent")
    with pytest.raises(errors.ConfigError, match=r"^'learning_rate': learning_rate is"):
        config.convert({"learning_rate": -1.0}, Agent)


def test_the_path_of_the_table_is_part_of_key_and_line(tmp_path):
    values, source = config.read(write(tmp_path, "steps = 1\n[agent]\n\nlayer = 1\n"))
    with pytest.raises(errors.ConfigError, match=r"run.toml:4: unknown key 'agent.layer'"):
        config.convert(values["agent"], Agent, path="agent", source=source)


def test_a_missing_value_is_named():
    with pytest.raises(errors.ConfigError, match=r"^'train.steps' is missing; give it a value"):
        config.convert({}, Needy, path="train")


def test_a_schema_without_fields_says_that_nothing_is_allowed():
    empty = dataclasses.make_dataclass("Empty", [], frozen=True)
    assert config.convert({}, empty) == empty()
    with pytest.raises(errors.ConfigError, match=r"unknown key 'a'\. Allowed here: none\."):
        config.convert({"a": 1}, empty)


def test_a_schema_that_cannot_be_used_is_the_plugins_fault():
    broken = dataclasses.make_dataclass("Broken", [("a", "Nowhere", 1)], frozen=True)
    with pytest.raises(errors.PluginError, match=r"Broken' cannot be used: NameError: .*Nowhere"):
        config.convert({"a": 1}, broken)

    def stumble(self):
        raise ZeroDivisionError("by zero")

    name_space = {"__post_init__": stumble}
    raising = dataclasses.make_dataclass("Raising", [("a", int, 1)], namespace=name_space)
    with pytest.raises(errors.PluginError, match=r"Raising' cannot be used: ZeroDivisionError: by"):
        config.convert({"a": 1}, raising)


def test_an_error_of_ours_in_a_schema_passes():
    def refuse(self):
        raise errors.FitError("no")

    schema = dataclasses.make_dataclass("S", [("a", int, 1)], namespace={"__post_init__": refuse})
    with pytest.raises(errors.FitError, match="no"):
        config.convert({}, schema)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_may_be_infinite_even_where_anything_is_allowed(value):
    with pytest.raises(
        errors.ConfigError, match=r"'free.a\[0\]' is -?(nan|inf); expected a finite"
    ):
        config.convert({"free": {"a": [value]}}, Settings)


def test_importing_it_loads_neither_msgspec_nor_tomli_w():
    code = "import sys, gamebridge.config; print({'msgspec', 'tomli_w'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
