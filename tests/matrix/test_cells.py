"""The matrix from specs alone: what is joined, what is not and why, without TensorFlow."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from gamebridge import cli, errors, host, opening
from gamebridge.contract import AgentNeeds, AgentRecord, GameFamily, GameRecord
from gamebridge.host import Host
from gamebridge.matrix import cells

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples" / "plugins"
CHOOSER = AgentRecord("chooser", "Chooses.", lambda request: None, AgentNeeds(("discrete",)))
SHY = AgentRecord(
    "shy",
    "Learns what shows two numbers.",
    lambda request: None,
    objection=lambda seen, action, settings: "" if seen.shape == (2,) else f"it sees {seen}",
)


@pytest.fixture
def toys(toy_plugins, monkeypatch):
    monkeypatch.setenv(opening.PLUGIN_FOLDER_VARIABLE, str(toy_plugins))


@pytest.fixture
def examples(monkeypatch, tmp_path):
    # A copy: who checks the sources out may let others write to them, which is refused.
    for path in EXAMPLES.glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        (tmp_path / path.name).chmod(0o644)
    tmp_path.chmod(0o755)
    monkeypatch.setenv(opening.PLUGIN_FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def test_a_pair_is_joined_as_it_is_or_by_adaptors(toys):
    assert cells.look("toys/corridor", [CHOOSER]) == [cells.Cell("chooser", "toys/corridor", True)]
    (cell,) = cells.look("toys/target", [CHOOSER])
    assert cell.fits
    assert "one of 11 values" in cell.adaptors[-1]


def test_what_an_agent_would_refuse_is_told_though_none_is_made(toys):
    (cell,) = cells.look("toys/target", [SHY])
    assert not cell.fits
    assert cell.reason == "it sees float32 [1] in [-1, 1]"
    (cell,) = cells.look("toys/corridor", [SHY])
    assert cell.fits


def test_a_game_that_cannot_be_made_is_a_row_with_its_reason(toys):
    found = cells.look("gym/NoSuchGame-v0", [CHOOSER, SHY])
    assert [cell.agent for cell in found] == ["chooser", "shy"]
    assert not any(cell.fits for cell in found)
    assert all("NoSuchGame-v0" in cell.reason for cell in found)


def test_all_games_are_those_that_need_no_help_and_examples_of_families(monkeypatch):
    found = Host([])
    records = [
        GameRecord("a/whole", "Plays.", lambda request: None),
        GameRecord("a/half", "Waits for somebody.", lambda request: None, plays_alone=False),
        GameFamily("a/<size>", "Any.", examples=("a/9",)),
        GameFamily("b/<size>", "Any."),
    ]
    monkeypatch.setattr(found, "games", lambda: [host.Listed(one, None) for one in records])
    assert cells.game_ids(found) == ["a/9", "a/whole"]
    assert cells.chosen(found, [], [])[0] == ["a/9", "a/whole"]


def test_unknown_ids_are_refused_before_a_game_is_made(toys):
    with pytest.raises(errors.UnknownId, match=r"Unknown agent 'dqm'\. Did you mean 'dqn'\?"):
        cells.chosen(opening.discover(), ["toys/corridor"], ["dqm"])
    with pytest.raises(errors.UnknownId, match="Unknown game 'toys/corridr'"):
        cells.chosen(opening.discover(), ["toys/corridr"], [])


def test_every_kind_of_space_has_an_agent_that_can_be_joined(examples, capsys):
    games = [one.record.id for one in opening.discover().games() if one.plugin.name == "spaces"]
    assert len(games) == 12
    command = ["--plugins", str(examples), "matrix", *games, "--agents", "ppo,dqn,sac", "--json"]
    assert cli.main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert [cell["game"] for cell in found[::3]] == games
    assert set(found[0]) == {"agent", "game", "fits", "adaptors", "reason"}
    refused = {(cell["game"], cell["agent"]) for cell in found if not cell["fits"]}
    assert refused == {("spaces/endless-action", "dqn"), ("spaces/endless-action", "sac")}
    assert all(cell["reason"] for cell in found if not cell["fits"])


def test_the_table_loads_no_tensorflow():
    code = (
        "import sys\nfrom gamebridge.cli import main\n"
        "main(['matrix', 'gym/CartPole-v1', '--json'])\n"
        "assert 'tensorflow' not in sys.modules"
    )
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def test_agents_that_refuse_when_they_are_made_object_here(toys):
    agents = [opening.discover().find_agent(name) for name in ("q-learning", "sac")]
    table, squashing = cells.look("toys/catch", agents)
    assert "cannot see frames" in table.reason
    assert squashing.fits
    table, _ = cells.look("gym/LunarLander-v3", agents)
    assert table.fits
    table, _ = cells.look("gym/CartPole-v1", agents)
    assert table.fits
