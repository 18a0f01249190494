"""Trials of pairs: what passes, what fails and why, and that no cell costs another."""

from __future__ import annotations

import dataclasses
import json
import textwrap

import pytest

from gamebridge import cli, opening
from gamebridge.contract import AgentRecord
from gamebridge.matrix import running, trials

_AGENTS = """
    import dataclasses
    import os

    from gamebridge.contract import AgentNeeds, AgentRecord, GameRecord, hookimpl
    from gamebridge.testing import fakes


    def _frozen(request):
        import tensorflow as tf

        from gamebridge_agents import baseline_settings, baselines

        learner = baselines.RepeatLearner(
            dataclasses.replace(request, settings=baseline_settings.RepeatSettings())
        )
        learner.weight = tf.Variable(1.0)
        learner.trackables = lambda: {"weight": learner.weight}
        return learner


    def _lost(request):
        os._exit(3)


    @hookimpl
    def gamebridge_games():
        yield GameRecord("odd/corridor", "Right.", lambda r: fakes.Corridor(r.num_slots))


    @hookimpl
    def gamebridge_agents():
        yield AgentRecord("frozen", "Learns nothing.", _frozen)
        yield AgentRecord("lost", "Ends its process.", _lost)
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    folder.chmod(0o755)
    path = folder / "odd.py"
    path.write_text(textwrap.dedent(_AGENTS))
    path.chmod(0o644)
    return folder


@pytest.fixture
def found(odd, monkeypatch):
    monkeypatch.setenv(opening.PLUGIN_FOLDER_VARIABLE, str(odd))
    return opening.discover()


def test_each_cell_is_judged_by_itself_and_what_is_done_is_kept(found, tmp_path):
    names = ["lost", "q-learning", "frozen", "random"]
    agents = [found.find_agent(name) for name in names]
    said = []
    tried = running.run(["odd/corridor"], agents, tmp_path, steps=120, announce=said.append)
    outcomes = {trial.cell.agent: trial.outcome for trial in tried}
    assert outcomes == {
        "lost": "failed", "q-learning": "passed", "frozen": "failed", "random": "passed",
    }  # fmt: skip
    reasons = {trial.cell.agent: trial.cell.reason for trial in tried}
    assert "its process exited with code 3" in reasons["lost"]
    assert reasons["frozen"] == "none of its 1 weights changed in 120 steps of training"
    assert len(said) == len(names)

    # What passed is not tried again.
    agents = [found.find_agent(name) for name in ("q-learning", "random")]
    said.clear()
    again = running.run(["odd/corridor"], agents, tmp_path, steps=120, announce=said.append)
    assert [trial.cell.agent for trial in again] == ["q-learning", "random"]
    assert again == [trial for trial in tried if trial.outcome == "passed"]
    assert said == []


def test_a_cell_that_takes_too_long_is_given_up(found, tmp_path, monkeypatch):
    # Less than the process takes to load TensorFlow.
    monkeypatch.setattr(running, "_START_S", 0.5)
    (trial,) = running.run(["odd/corridor"], [found.find_agent("random")], tmp_path, limit_s=0.5)
    assert trial.outcome == "failed"
    assert trial.cell.reason.startswith("its process took longer than 0.5 s")


def test_a_failure_is_the_exit_code_and_stands_in_the_table(
    odd, found, tmp_path, capsys, monkeypatch
):
    kept = tmp_path / "odd-corridor"
    kept.mkdir()
    cell = trials.Cell("q-learning", "odd/corridor", True)
    trial = trials.Trial(cell, "passed", 1.0, 50)
    (kept / "q-learning.json").write_text(json.dumps(trials.to_dict(trial)))
    command = ["--plugins", str(odd), "matrix", "odd/corridor", "--run", "--output", str(tmp_path)]
    command += ["--steps", "50"]
    assert cli.main([*command, "--agents", "q-learning"]) == 0
    assert "1 passed, 0 refused, 0 failed" in capsys.readouterr().out
    monkeypatch.setattr(running, "_START_S", 0.0)
    assert cli.main([*command, "--agents", "q-learning,lost", "--limit", "1"]) == 1
    shown = capsys.readouterr()
    assert "FAILED" in shown.out
    assert "1 of 2 trainings failed" in shown.err


def test_settings_are_small_where_the_agent_has_them_and_smaller_ones_are_kept():
    @dataclasses.dataclass(frozen=True)
    class Settings:
        warm_up_steps: int = 1_000
        batch_size: int = 64
        gamma: float = 0.99

    record = AgentRecord("x", "X.", lambda request: None, settings=Settings)
    assert trials.small_settings(record, {"batch_size": 4}) == {
        "warm_up_steps": 64, "batch_size": 4,
    }  # fmt: skip
