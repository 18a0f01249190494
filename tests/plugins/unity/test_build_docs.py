"""docs/unity-builds.md tells of every key of build.toml, and its example is one."""

import dataclasses
import pathlib
import re
import textwrap

import pytest

from gamebridge_unity import builds, descriptions, diagnosis, settings

DOCS = pathlib.Path(__file__).resolve().parents[3] / "docs" / "unity-builds.md"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the docs are not here")


def section(title):
    return DOCS.read_text("utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    "schema", [descriptions.Description, descriptions.Executables, settings.Engine]
)
def test_every_key_is_told_of(schema):
    told = re.findall(r"`\[?([a-z_]+)", section("build.toml"))
    assert {field.name for field in dataclasses.fields(schema)} <= set(told)


def test_the_example_is_a_build(tmp_path):
    blocks = re.findall(r"\n\n((?:    .*\n|\n(?=    ))+)", section("build.toml"))
    folder = tmp_path / "karts"
    folder.mkdir()
    (folder / "build.toml").write_text(textwrap.dedent(blocks[0]))
    (folder / "karts.x86_64").write_text("#!/bin/sh\n")
    build = builds.load(folder)
    assert (build.behavior, build.agents, build.engine.time_scale) == ("Kart", 12, 10)
    assert build.parameters["track_width"] == ((0, 8.0), (500_000, 4.0))


def test_the_causes_that_are_told_are_those_that_are_said():
    causes = " ".join(cause for _, cause in diagnosis._RULES)
    moments = [
        ("connect", "is running"),
        ("agents", "is running"),
        ("step", "was killed by SIGKILL"),
    ]
    causes += " ".join(diagnosis.likely_cause(stage, ending, []) for stage, ending in moments)
    said = re.findall(r"^\| `(it [^`]+|[^`]*memory[^`]*)`", section("When it does not work"), re.M)
    assert len(said) > 5
    for text in said:
        assert text.replace("libGL.so.1", "{what}") in causes
