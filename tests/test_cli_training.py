"""`train` and `evaluate` as a person runs them: in processes of their own, with signals."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from gamebridge import cli

_MAIN = "import sys; from gamebridge.cli import main; sys.exit(main())"
_QUICK = ("--set", "training.checkpoint_interval_steps=1000", "--set", "agent.rollout_length=32")

# Everything that may stand on stderr while a training runs without a terminal.
_SAID = re.compile(r"(step|checkpoint at step) [\d,]+( of [\d,]+)?, [\d,]+ steps/s.*|Preset .*")


def command(*arguments):
    return [sys.executable, "-c", _MAIN, *arguments]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("läufe und mehr")


@pytest.fixture(scope="module")
def trained(folder):
    """A short run, made without HOME, in the C locale, in a folder with letters and spaces."""
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    arguments = ("train", "gym/CartPole-v1", "--agent", "ppo", "--steps", "2000")
    return subprocess.run(
        command(*arguments, "--run", "erster lauf", *_QUICK),
        cwd=folder,
        env={**environment, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_train_says_where_the_run_is_and_how_to_go_on(folder, trained):
    assert trained.returncode == 0, trained.stderr
    first, best, last = trained.stdout.splitlines()
    assert first == "The run is in erster lauf"
    assert re.fullmatch(r"Best validation return: [\d,.]+", best)
    arguments = shlex.split(last.removeprefix("Go on with: "))
    assert arguments == ["gamebridge", "evaluate", "erster lauf", "--record"]
    assert (folder / "erster lauf" / "run.toml").exists()


def test_train_keeps_stderr_free_of_noise(trained):
    lines = trained.stderr.splitlines()
    assert [line for line in lines if not _SAID.fullmatch(line)] == []
    assert sum(line.startswith("checkpoint at step") for line in lines) >= 2


def test_evaluate_json_is_exactly_evaluation_json(folder, trained):
    done = subprocess.run(
        command("evaluate", "erster lauf", "--episodes", "2", "--max-steps", "20", "--json"),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    written = folder / "erster lauf" / "evaluation" / "evaluation.json"
    assert done.stdout == written.read_text(encoding="utf-8")
    assert len(json.loads(done.stdout)["episodes"]) == 2


def test_evaluate_shows_returns_episodes_and_videos(folder, trained, capsys, tmp_path):
    arguments = ("--episodes", "3", "--max-steps", "20", "--record-episodes", "1", "--seed", "5")
    run = str(folder / "erster lauf")
    assert cli.main(["evaluate", run, *arguments, "--output", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "ppo on gym/CartPole-v1, checkpoint of step" in text
    assert re.search(r"^  episode +seed +return +length +ended$", text, re.M)
    assert len(re.findall(r"^  \d +\d+ +[\d.]+ +\d+ +(truncated|terminated)$", text, re.M)) == 3
    assert re.search(r"mean return [\d.]+, 95 % interval [\d.]+ to [\d.]+, standard dev", text)
    (video,) = tmp_path.glob("*.mp4")
    assert f"  {video}  (" in text
    assert str(tmp_path / "evaluation.json") in text


def test_evaluate_refuses_a_game_of_other_specs(folder, trained, capsys):
    run = str(folder / "erster lauf")
    assert cli.main(["evaluate", run, "--game", "gym/MountainCar-v0"]) == 4
    assert "has other specs than gym/CartPole-v1" in capsys.readouterr().err


def test_a_run_folder_is_not_used_twice_nor_one_that_cannot_be_made(folder, trained, capsys):
    run = str(folder / "erster lauf")
    assert cli.main(["train", "gym/CartPole-v1", "--run", run]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert cli.main(["train", "gym/CartPole-v1", "--run", "/proc/no/run"]) == 6
    assert "Cannot write the run folder /proc/no/run" in capsys.readouterr().err


def test_a_run_is_repeated_from_its_own_run_toml(folder, trained, capsys, tmp_path):
    settings = str(folder / "erster lauf" / "run.toml")
    arguments = ["train", "--config", settings, "--steps", "500", "--run", str(tmp_path / "r")]
    assert cli.main([*arguments, "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["run"] == str(tmp_path / "r")
    assert outcome["step"] >= 500
    assert outcome["best_validation_return"] > 0
    assert "rollout_length = 32" in (tmp_path / "r" / "run.toml").read_text(encoding="utf-8")


def start(run):
    """Starts a long training and waits for its first checkpoint."""
    process = subprocess.Popen(
        command("train", "gym/CartPole-v1", "--steps", "10000000", "--run", str(run), *_QUICK),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("checkpoint at step"):
            return process
    raise AssertionError("".join(said))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_a_signal_saves_and_leaves_and_resume_goes_on_from_there(tmp_path, capsys, number, code):
    process = start(tmp_path / "r")
    if number == signal.SIGTERM:
        assert cli.main(["train", "--resume", str(tmp_path / "r")]) == 2
        assert f"is in use by process {process.pid} on " in capsys.readouterr().err
    began_s = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert time.monotonic() - began_s < 10
    last = said.splitlines()[-1]
    stopped = re.match(r"gamebridge: error: Stopped by SIG\w+ at step ([\d,]+); the check", last)
    assert stopped, last
    step = int(stopped[1].replace(",", ""))
    assert "Traceback" not in said
    saved = sorted(path.name for path in (tmp_path / "r" / "checkpoints").glob("step-*"))
    assert saved[-1] == f"step-{step:012d}"
    if number == signal.SIGTERM:
        arguments = ["train", "--resume", str(tmp_path / "r"), "--steps", str(step + 100)]
        assert cli.main(arguments) == 0
        shown = capsys.readouterr()
        assert f"Going on from the checkpoint of step {step:,}." in shown.err
        assert "Best validation return: " in shown.out


def test_a_second_signal_leaves_at_once(tmp_path):
    process = start(tmp_path / "r")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (130, 143)
    assert "Stopped by" not in said
    assert "Traceback" not in said
