"""A study in its folder: what it chooses, gives up, survives and leaves. Trainings are played by a
quick program, but for one."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

import gamebridge_agents
from gamebridge import cli, config, errors, opening
from gamebridge.cli import requests
from gamebridge.contract import Range
from gamebridge.training import runs
from gamebridge.tuning import searches, standard, trials
from gamebridge.tuning import study as studies

# Ten checkpoints of the return that the line says; `number` is that of the trial.
PROGRAM = """
import json, os, re, sys, time
text, folder = open(sys.argv[2]).read(), sys.argv[3]
number = int(os.path.basename(folder))
rate = float(re.search(r"learning_rate = (.*)", text)[1])
os.makedirs(folder + "/evaluation")
for step in range(1, 11):
    value = {value}
    with open(folder + "/evaluation/curve.jsonl", "a") as file:
        file.write(json.dumps(dict(step=step, return_mean=value, return_stderr=None,
            return_interval_95=[value, value], num_episodes=1, evaluation_s=0.0, time_s=0.0)))
        file.write("\\n")
    {then}
"""

AGENT = next(one for one in gamebridge_agents.gamebridge_agents() if one.id == "dqn")
TABLES = {"agent": {"batch_size": 8, "num_steps": 1, "gamma": 0.9, "target_update_tau": 0.1}}


def plays(monkeypatch, value="-abs(rate - 0.001)", then="pass"):
    monkeypatch.setattr(trials, "_PROGRAM", PROGRAM.format(value=value, then=then))


def make(folder, said=None, steps=100, tables=TABLES):
    run = runs.RunSettings("toys/corridor", "dqn", steps)
    say = (said if said is not None else []).append
    return studies.Study(folder, run, tables, AGENT, dataclasses.asdict(AGENT.settings()), say)


def settings_of(folder, number):
    return config.load(folder / "trials" / f"{number:04d}.toml")["agent"]


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_defaults_are_tried_first_and_the_best_is_kept_for_train(tmp_path, monkeypatch):
    plays(monkeypatch)
    said = []
    best = make(tmp_path, said).search(4, 1)
    assert settings_of(tmp_path, 0)["learning_rate"] == 5e-4
    values = {
        number: -abs(settings_of(tmp_path, number)["learning_rate"] - 0.001) for number in range(4)
    }
    assert best.number == max(values, key=values.get)
    assert best.value == pytest.approx(values[best.number])
    assert len(said) == 4
    request = requests.read({"steps": 50}, str(best.file))
    assert (request.run.game, request.run.agent) == ("toys/corridor", "dqn")
    assert request.settings["agent"] == {**TABLES["agent"], **best.settings}
    assert f"--set agent.learning_rate={best.settings['learning_rate']}" in (
        studies.assignments(best.settings)
    )
    # A trial has a seed of its own, and ten checkpoints.
    table = config.load(tmp_path / "trials" / "0003.toml")
    assert table["run"]["seed"] == 3
    assert table["training"]["checkpoint_interval_steps"] == 10


def test_it_goes_on_where_it_was_and_only_as_it_was(tmp_path, monkeypatch):
    plays(monkeypatch)
    make(tmp_path).search(2, 1)
    said = []
    make(tmp_path, said).search(2, 1)
    assert said == []
    make(tmp_path, said).search(5, 2)
    assert len(said) == 3
    rates = {settings_of(tmp_path, number)["learning_rate"] for number in range(5)}
    assert len(rates) == 5
    with pytest.raises(errors.ConfigError, match=r"holds a study with other settings"):
        make(tmp_path, steps=200).search(6, 1)


def test_the_later_half_of_the_checkpoints_counts(tmp_path, monkeypatch):
    plays(monkeypatch, value="step")
    assert make(tmp_path).search(1, 1).value == 8.0


def test_what_is_worse_than_most_is_given_up(tmp_path, monkeypatch):
    plays(monkeypatch, value="1.0 if number < 4 else -5.0", then="number < 4 or time.sleep(0.5)")
    said = []
    assert make(tmp_path, said).search(5, 1).value == 1.0
    assert re.search(r"given up at step [2-9]$", said[-1])


def test_the_first_training_that_is_refused_ends_it(tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "_PROGRAM", "raise SystemExit('no such wheel')")
    with pytest.raises(errors.ConfigError, match=r"first trial failed.* no such wheel"):
        make(tmp_path).search(3, 1)


def test_one_that_diverges_is_a_failure_among_others(tmp_path, monkeypatch):
    then = "number == 0 and (sys.stderr.write('loss became nan'), sys.exit(7))"
    plays(monkeypatch, then=then)
    said = []
    assert make(tmp_path, said).search(2, 1).number == 1
    assert said[0].endswith("failed: loss became nan")


def test_ctrl_c_leaves_a_study_that_goes_on(tmp_path, monkeypatch):
    plays(monkeypatch, then="number != 1 or time.sleep(60)")
    study = make(tmp_path)
    study._announce = lambda line: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(errors.Stopped, match=r"Stopped by SIGINT: 1 trials are kept in") as caught:
        study.search(2, 2)
    assert caught.value.exit_code == 130
    wanted = settings_of(tmp_path, 1)
    plays(monkeypatch)
    said = []
    make(tmp_path, said).search(2, 1)
    assert len(said) == 1
    assert settings_of(tmp_path, 2) == wanted


KILLED = f"""
import pathlib, sys
sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
import test_study
test_study.trials._PROGRAM = test_study.PROGRAM.format(
    value="1.0", then="print(os.getpid(), file=open(folder + '/pid', 'w')); time.sleep(60)"
)
test_study.make(pathlib.Path(sys.argv[1])).search(1, 1)
"""


def test_one_that_was_killed_says_so(tmp_path, monkeypatch):
    plays(monkeypatch, then="os.kill(os.getpid(), 9) if number == 1 else None")
    said = []
    make(tmp_path, said).search(2, 1)
    assert said[1].endswith("failed: it was killed by SIGKILL and said nothing")


def test_a_study_that_is_killed_leaves_no_process_and_goes_on(tmp_path, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)]) as process:
        path = tmp_path / "trials" / "0000" / "pid"
        until_s = time.monotonic() + 60
        while not (path.exists() and path.read_text().strip()):
            assert time.monotonic() < until_s
            time.sleep(0.02)
        process.kill()
    time.sleep(0.5)
    assert not is_running(int(path.read_text()))
    plays(monkeypatch)
    assert make(tmp_path).search(1, 1).number == 1
    assert settings_of(tmp_path, 1) == settings_of(tmp_path, 0)


def test_trials_cannot_be_compared_without_validation(tmp_path):
    tables = {**TABLES, "training": {"validation_episodes": 0}}
    with pytest.raises(errors.ConfigError, match="validation_episodes is 0; expected 1 or more"):
        make(tmp_path, tables=tables)


def test_the_command_trains_and_says_how_to_go_on(tmp_path, monkeypatch, toy_plugins, capsys):
    monkeypatch.setenv(opening.PLUGIN_FOLDER_VARIABLE, str(toy_plugins))
    small = ["agent.units=[8]", "agent.warm_up_steps=20", "agent.batch_size=8"]
    words = [word for one in small for word in ("--set", one)]
    command = ["tune", "toys/corridor", "--agent", "dqn", "--steps", "100", "--trials", "1"]
    folder = tmp_path / "study"
    assert cli.main([*command, "--study", str(folder), *words, "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["best"]
    assert best["settings"]["learning_rate"] == 5e-4
    plan = runs.Run(folder / "trials" / "0000").plan()
    assert plan.agent["units"] == [8]
    assert cli.main([*command, "--set", "agent.gama=1"]) == 2
    assert "gama" in capsys.readouterr().err


def test_the_first_trial_is_what_train_would_do_by_itself():
    run = runs.RunSettings("gym/Pendulum-v1", "dqn", 100)
    found = standard.settings(run, {"agent": {"gamma": 0.5}})
    # Those of the preset, of the default, and what is asked.
    assert (found["learning_rate"], found["batch_size"], found["gamma"]) == (1e-3, 64, 0.5)
    assert found["num_steps"] == 1


def test_a_setting_beyond_the_usual_range_is_within_what_is_looked_for():
    own = {"exploration_noise": 0.9, "gamma": 0.93}
    found = searches.space(AGENT, (), own)
    assert found["exploration_noise"] == Range(0.05, 0.9)
    assert 0.93 in found["gamma"]
    assert searches.first(own, found) == own
