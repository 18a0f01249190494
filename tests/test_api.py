"""The public functions, from a plugin to an agent that is trained, resumed and evaluated."""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import sys

import av
import numpy as np
import pytest

import gamebridge
from gamebridge import api, errors, opening
from gamebridge.contract import seeding
from gamebridge.evaluation import results
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.training import runs  # noqa: E402

DQN = {
    "agent": {
        "units": [8, 8],
        "warm_up_steps": 20,
        "batch_size": 8,
        "train_interval": 8,
        "replay_capacity": 300,
        "epsilon_steps": 100,
    },
    "training": {"checkpoint_interval_steps": 60, "validation_episodes": 2},
}
PPO = {
    "agent": {"units": [8], "rollout_length": 16, "num_epochs": 2, "minibatch_size": 16},
    "training": {"checkpoint_interval_steps": 100, "validation_episodes": 2},
}


@pytest.fixture(scope="module", autouse=True)
def toy_games(toy_plugins):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(opening.PLUGIN_FOLDER_VARIABLE, str(toy_plugins))
        yield


def saved_steps(folder, which="checkpoints"):
    return [int(path.name[5:]) for path in sorted((folder / which).glob("step-*"))]


def newest(folder):
    return folder / "checkpoints" / f"step-{saved_steps(folder)[-1]:012d}"


def arrays_of(path):
    reader = tf.train.load_checkpoint(str(path / "weights"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
    }


def metric_lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """A DQN run that was stopped at its half and resumed, and what was announced."""
    folder, said = tmp_path_factory.mktemp("runs") / "halves", []
    made = gamebridge.train("toys/corridor", "dqn", 180, folder, 2, 7, DQN, announce=said.append)
    assert isinstance(made, runs.Run)
    first = saved_steps(folder)
    gamebridge.resume(folder, 360, announce=said.append)
    return folder, first, said


@pytest.fixture
def copied(halves, tmp_path):
    """A copy of that run, to be spoilt."""
    return shutil.copytree(halves[0], tmp_path / "copied")


def check_same_runs(unbroken, stopped):
    assert saved_steps(unbroken) == saved_steps(stopped)
    assert saved_steps(unbroken, "best") == saved_steps(stopped, "best")
    left, right = arrays_of(newest(unbroken)), arrays_of(newest(stopped))
    assert left.keys() == right.keys()
    assert any("OPTIMIZER_SLOT" in name for name in left)
    for name in left:
        np.testing.assert_allclose(left[name], right[name], atol=1e-5, err_msg=name)
    assert metric_lines(unbroken)[-1]["step"] == metric_lines(stopped)[-1]["step"]
    steps = [line["step"] for line in metric_lines(stopped)]
    assert steps == sorted(steps)


def test_dqn_resumed_equals_dqn_never_stopped(halves, tmp_path):
    folder, first, said = halves
    gamebridge.train("toys/corridor", "dqn", 360, tmp_path / "unbroken", 2, 7, DQN)
    check_same_runs(tmp_path / "unbroken", folder)
    manifests = [
        json.loads((newest(run) / "manifest.json").read_text())
        for run in (tmp_path / "unbroken", folder)
    ]
    replays = [
        [(segment["name"], segment["sha256"]) for segment in manifest["segments"]]
        for manifest in manifests
    ]
    assert replays[0] == replays[1]
    assert f"Going on from the checkpoint of step {first[-1]:,}." in said


def test_a_run_that_has_its_steps_says_so_and_trains_no_more(copied):
    said = []
    before = saved_steps(copied)
    gamebridge.resume(copied, 100, announce=said.append)
    assert "That is 100 steps already: give --steps more to train on." in said
    assert saved_steps(copied) == before


def test_ppo_resumed_equals_ppo_never_stopped(tmp_path):
    gamebridge.train("gym/CartPole-v1", "ppo", 400, tmp_path / "unbroken", 2, 3, PPO)
    gamebridge.train("gym/CartPole-v1", "ppo", 200, tmp_path / "stopped", 2, 3, PPO)
    gamebridge.resume(tmp_path / "stopped", 400)
    check_same_runs(tmp_path / "unbroken", tmp_path / "stopped")


def test_a_run_folder_holds_all_that_is_needed(halves):
    folder, _, _ = halves
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "best",
        "checkpoints",
        "evaluation",
        "lock",
        "metrics.jsonl",
        "replay",
        "run.toml",
        "specs.json",
        "tensorboard",
        "train.log",
    }
    plan = runs.Run(folder).plan()
    # The steps are those of the last resume, which a plain resume would go on to.
    assert plan.run == runs.RunSettings("toys/corridor", "dqn", 360, 7, 2)
    assert plan.agent["units"] == [8, 8]
    assert plan.game == {"length": 6, "break_at": 0}
    assert "checkpoint at step" in (folder / "train.log").read_text()
    assert len(saved_steps(folder)) == 3
    assert len(saved_steps(folder, "best")) == 1
    assert not list(folder.rglob(".tmp-*"))


def test_resuming_what_is_done_changes_nothing(copied):
    before = arrays_of(newest(copied))
    gamebridge.resume(copied)
    gamebridge.resume(runs.Run(copied), 100)
    after = arrays_of(newest(copied))
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_damaged_newest_checkpoint_is_named_and_walked_past(copied, caplog):
    steps, said = saved_steps(copied), []
    data = next(newest(copied).glob("weights.data*"))
    data.write_bytes(data.read_bytes()[:-1])
    gamebridge.resume(copied, announce=said.append)
    assert f"step-{steps[-1]:012d} is lost: weights.data" in caplog.text
    assert f"Going on from the checkpoint of step {steps[-2]:,}." in said


def test_where_all_checkpoints_are_damaged_nothing_is_trained(copied):
    for path in (copied / "checkpoints").glob("*/weights.index"):
        path.unlink()
    before = metric_lines(copied)
    with pytest.raises(errors.StorageError, match="None of the 3 checkpoints") as caught:
        gamebridge.resume(copied, 1000)
    assert caught.value.exit_code == 6
    assert metric_lines(copied) == before


def test_a_start_from_zero_is_never_silent(copied):
    shutil.rmtree(copied / "checkpoints")
    said = []
    gamebridge.resume(copied, 10, announce=said.append)
    assert f"{copied} has no checkpoint yet: training starts from step 0." in said


@pytest.mark.parametrize("units", ["[8, 9]", "[8]", "[8, 8, 8]"])
def test_changed_settings_of_the_network_are_refused_by_name(copied, units):
    path = copied / "run.toml"
    text = path.read_text()
    changed = text.replace("units = [\n    8,\n    8,\n]", f"units = {units}")
    assert changed != text
    path.write_text(changed)
    for function in (gamebridge.resume, gamebridge.evaluate):
        with pytest.raises(
            errors.StorageError,
            match=r"holds the weights of another network: .*(shape|dense|unmatched).*run.toml",
        ):
            function(copied)


def test_a_run_in_use_is_refused_with_the_pid(copied):
    with runs.Run(copied).lock(), pytest.raises(errors.ConfigError, match="in use by process"):
        gamebridge.resume(copied)


def test_a_run_is_never_trained_over(copied):
    with pytest.raises(errors.ConfigError, match="holds a run already"):
        gamebridge.train("toys/corridor", "dqn", 10, copied, settings=DQN)


@contextlib.contextmanager
def file_size_limit(num_bytes):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("num_bytes", [0, 1500, 4000])
def test_a_full_disk_ends_a_run_and_spares_its_checkpoints(copied, num_bytes):
    before = {path: path.read_bytes() for path in (copied / "checkpoints").rglob("weights*")}
    with file_size_limit(num_bytes), pytest.raises(errors.StorageError) as caught:
        gamebridge.resume(copied, 1000)
    assert caught.value.exit_code == 6
    assert all(path.read_bytes() == data for path, data in before.items() if path.exists())
    said = []
    gamebridge.resume(copied, 370, announce=said.append)
    assert any("Going on from the checkpoint of step" in line for line in said)


def test_an_error_of_the_game_ends_the_run_and_keeps_its_checkpoints(tmp_path):
    settings = {**DQN, "game": {"break_at": 60}}
    with pytest.raises(errors.GameError, match=r"toys/corridor.* step 60: .*oops") as caught:
        gamebridge.train("toys/corridor", "dqn", 500, tmp_path / "run", 2, settings=settings)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert saved_steps(tmp_path / "run")


def test_a_default_that_was_overruled_stays_so_when_resumed(tmp_path):
    settings = {**DQN, "wrappers": {"episode_limit": None}}
    run = gamebridge.train("toys/limited", "dqn", 60, tmp_path / "run", 2, settings=settings)
    lengths = [episode.length for episode in gamebridge.evaluate(run, 4).episodes]
    assert max(lengths) > 3
    gamebridge.resume(run, 120)
    assert metric_lines(tmp_path / "run")[-1]["length_mean"] > 3


# Wrong calls: no graph is built for any of them.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("toys/corridr", "dqn"), errors.UnknownId, "toys/corridor"),
        (("toys/corridor", "dqm"), errors.UnknownId, "dqn"),
        (("toys/corridor", "dqn", 0), errors.ConfigError, "steps is 0; expected 1 or more"),
        (("toys/corridor", "dqn", 9, None, 0), errors.ConfigError, "num_slots is 0"),
        (("toys/corridor", "dqn", 9, None, 1, -1), errors.ConfigError, "seed is -1"),
        (
            ("toys/corridor", "dqn", 9, None, 1, 0, {"agnet": {}}),
            errors.ConfigError,
            "unknown table 'agnet'. Did you mean 'agent'.*game, wrappers, agent, training",
        ),
        (
            ("toys/corridor", "dqn", 9, None, 1, 0, {"agent": 3}),
            errors.ConfigError,
            "'agent' is 3; expected a table",
        ),
        (
            ("toys/corridor", "dqn", 9, None, 1, 0, {"agent": {"gama": 0.9}}),
            errors.ConfigError,
            "unknown key 'agent.gama'.*'gamma'",
        ),
        (
            ("toys/corridor", "dqn", 9, None, 1, 0, {"game": {"length": "long"}}),
            errors.ConfigError,
            "'game.length' is 'long'",
        ),
        (
            ("toys/corridor", "dqn", 9, None, 1, 0, {"training": {"keep_checkpoints": 0}}),
            errors.ConfigError,
            "keep_checkpoints is 0",
        ),
        (("toys/catch", "q-learning"), errors.FitError, "q-learning cannot see frames"),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, monkeypatch, arguments, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        gamebridge.train(*arguments)


def test_a_run_that_was_refused_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.FitError):
        gamebridge.train("toys/catch", "q-learning", 9)
    settings = {"agent": {"replay_capacity": 10**12}}
    with pytest.raises(errors.ConfigError, match=r"Set agent.replay_capacity to"):
        gamebridge.train("toys/corridor", "dqn", 9, settings=settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("function", [gamebridge.resume, gamebridge.evaluate])
def test_what_is_no_run_is_refused(tmp_path, function):
    with pytest.raises(errors.ConfigError, match="is not a run folder"):
        function(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"episodes": 0}, "episodes is 0; expected 1 or more"),
        ({"max_steps": 0}, "max_steps is 0; expected 1 or more"),
        ({"num_slots": 0}, "num_slots is 0"),
        ({"num_slots": -1}, "num_slots is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"record": -1}, "record is -1"),
        ({"fps": 0.0}, "fps is 0"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(halves, arguments, message):
    with pytest.raises(errors.ConfigError, match=message):
        gamebridge.evaluate(halves[0], **arguments)


def test_a_run_without_a_checkpoint_cannot_be_evaluated(copied):
    shutil.rmtree(copied / "checkpoints")
    shutil.rmtree(copied / "best")
    with pytest.raises(errors.ConfigError, match=r"has no checkpoint yet. Wait for the first one"):
        gamebridge.evaluate(copied)


# Evaluation.


def test_an_evaluation_plays_seeds_of_its_own_and_writes_them_down(copied):
    evaluation = gamebridge.evaluate(copied, 5)
    assert isinstance(evaluation, results.Evaluation)
    expected = seeding.slot_seeds(0, 5, seeding.Domain.EVALUATION).tolist()
    assert [episode.seed for episode in evaluation.episodes] == expected
    assert evaluation.checkpoint_step == saved_steps(copied, "best")[-1]
    found = json.loads((copied / "evaluation" / "evaluation.json").read_text())
    assert found == json.loads(json.dumps(evaluation.to_dict()))
    assert set(found["episodes"][0]) == {"seed", "return", "length", "ended", "telemetry"}
    assert found["episodes"][0]["ended"] in ("terminated", "truncated")
    assert set(found["episodes"][0]["telemetry"]) == {"steps_right"}
    again = gamebridge.evaluate(copied, 5, num_slots=2)
    assert again.episodes == evaluation.episodes
    others = gamebridge.evaluate(copied, 5, seed=1)
    assert {e.seed for e in others.episodes}.isdisjoint(expected)


def test_an_evaluation_on_another_game_of_the_same_specs(copied, tmp_path):
    evaluation = gamebridge.evaluate(copied, 2, game="toys/longer", output=tmp_path / "out")
    assert evaluation.game == "toys/longer"
    assert (tmp_path / "out" / "evaluation.json").exists()
    assert not (copied / "evaluation" / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("game", "difference"),
    [
        ("gym/CartPole-v1", "observation is float32 .4., and was float32 .2."),
        ("toys/catch", "action is int64 .*0, 2.*, and was int64 .*0, 1"),
        ("gym/MountainCar-v0", "action is int64 .*0, 2.*, and was int64 .*0, 1"),
    ],
)
def test_another_game_of_other_specs_is_refused_by_name(halves, game, difference):
    with pytest.raises(
        errors.FitError,
        match=rf"{game} has other specs than toys/corridor, which .* was trained on: {difference}",
    ):
        gamebridge.evaluate(halves[0], 2, game=game)


def test_a_game_without_a_picture_cannot_be_recorded(copied):
    with pytest.raises(errors.GameError, match="toys/corridor gives no picture"):
        gamebridge.evaluate(copied, 2, record=True)


def test_a_pixel_game_is_trained_evaluated_and_recorded(tmp_path):
    settings = {
        "agent": {"units": [8], "conv_filters": [2, 2, 2], "rollout_length": 16, "num_epochs": 1},
        "training": {"validation_episodes": 1},
    }
    said = []
    run = gamebridge.train(
        "toys/catch", "ppo", 60, tmp_path / "run", 2, settings=settings, announce=said.append
    )
    assert said[0].startswith("Preset ppo for image observations: learning_rate=0.0005")
    assert runs.Run(tmp_path / "run").plan().agent["entropy_weight"] == 0.01
    evaluation = gamebridge.evaluate(run, 5, record=2, num_slots=3)
    assert [video.episode for video in evaluation.videos] == [0, 1]
    for video in evaluation.videos:
        with av.open(video.path) as container:
            frames = sum(1 for _ in container.decode(video=0))
        assert frames == video.num_frames == evaluation.episodes[video.episode].length
    assert evaluation.telemetry_means().keys() == {"catches", "misses"}


# Games.


def test_make_game_gives_the_same_game_for_the_same_seed():
    with (
        api.make_game("toys/corridor", 3, seed=5, length=9) as game,
        api.make_game("toys/corridor", 3, seed=5, length=9) as again,
    ):
        assert (game.num_slots, game.name) == (3, "toys/corridor")
        np.testing.assert_array_equal(game.reset().observation, again.reset().observation)
    with pytest.raises(errors.ConfigError, match=r"unknown key 'game.lenth'.*'length'"):
        api.make_game("toys/corridor", lenth=9)
    with pytest.raises(errors.ConfigError, match=r"unknown key 'wrappers.stack'"):
        api.make_game("toys/corridor", wrappers={"stack": 2})


def test_a_scene_has_as_many_slots_as_its_settings_say(tmp_path):
    with api.make_game("toys/scene", length=5) as game:
        assert game.num_slots == 5
    run = gamebridge.train(
        "toys/scene", "ppo", 100, tmp_path / "run", settings={"game": {"length": 3}, **PPO}
    )
    assert run.plan().run.num_slots == 3
    # A plugin has a logger of its own.
    assert "WARNING toys: The scene begins." in (run.folder / "train.log").read_text()
    assert len(gamebridge.evaluate(run, 2).episodes) == 2
    # What a run was told of its scene is known better than by its settings.
    with pytest.raises(errors.PluginError, match="4 slots"):
        gamebridge.evaluate(run, 2, num_slots=4)
    with pytest.raises(errors.PluginError, match="ValueError: 3 slots"):
        gamebridge.evaluate(run, 2, num_slots=3, settings={"length": 5})
    with pytest.raises(errors.ConfigError, match=r"workers.count is 2: toys/scene is one scene"):
        api.make_game("toys/scene", workers=2)


def test_a_scene_in_another_python_has_one_worker(tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    with api.make_game("toys/scene", workers={"python": str(python)}, length=3) as game:
        assert game.reset().observation.shape[0] == 3


def test_wrappers_can_be_set_for_a_game():
    with api.make_game("toys/catch", wrappers={"images": {"stack": 2}}) as game:
        assert game.observation_spec().shape == (24, 24, 2)


def test_where_the_best_checkpoint_is_damaged_the_newest_is_judged(copied, caplog):
    (damaged,) = (copied / "best").iterdir()
    (damaged / "weights.index").write_bytes(b"")
    evaluation = gamebridge.evaluate(copied, 2)
    assert evaluation.checkpoint_step == saved_steps(copied)[-1]
    assert "Taking the newest checkpoint instead." in caplog.text


def test_no_run_is_resumed_for_no_steps(copied):
    with pytest.raises(errors.ConfigError, match=r"^steps is 0; expected 1 or more\.$"):
        gamebridge.resume(copied, 0)


@pytest.mark.parametrize(
    ("seed", "num_workers", "given", "expected"),
    [
        (7, 2, {}, False),
        (None, 2, {}, True),
        (None, 0, {}, False),
        (None, 2, {"overlap": False}, False),
        (7, 0, {"overlap": True}, True),
    ],
)
def test_a_plan_says_whether_training_overlaps_the_game(
    tmp_path, seed, num_workers, given, expected
):
    training = {**DQN.get("training", {}), **given}
    settings = {**DQN, "training": training, "workers": {"count": num_workers}}
    run = gamebridge.train("toys/corridor", "dqn", 60, tmp_path / "run", 2, seed, settings)
    assert run.plan().training["overlap"] is expected
    assert run.plan().run.seed == (seed or 0)
    gamebridge.resume(run, 120)
    assert run.plan().training["overlap"] is expected


def test_a_log_that_cannot_be_written_is_an_error_of_storage(tmp_path):
    (tmp_path / "run" / "train.log").mkdir(parents=True)
    with pytest.raises(errors.StorageError, match=r"Cannot write .*train\.log: Is a directory"):
        gamebridge.train("gym/CartPole-v1", "random", 100, tmp_path / "run", 2, 0)
