"""A session: when it saves, validates, stops and gives up, and that it resumes exactly."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import LAST, Wrapper
from gamebridge.testing import fakes
from gamebridge.tf import start
from gamebridge.workers import choice
from gamebridge.wrappers import episodes

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.policies import tf_policy  # noqa: E402, TID253
from tf_agents.trajectories import policy_step  # noqa: E402, TID253

from gamebridge.tf import environment  # noqa: E402
from gamebridge.training import checkpoints, learners, runs, session  # noqa: E402
from gamebridge.training import settings as training_settings  # noqa: E402


class Walker(tf_policy.TFPolicy):
    """Walks right while its variable says so, else left."""

    def __init__(self, env, walks_right):
        self._walks_right = walks_right
        super().__init__(env.time_step_spec(), env.action_spec())

    def _variables(self):
        return [self._walks_right]

    def _action(self, time_step, policy_state=(), seed=None):
        count = time_step.step_type.shape[0]
        return policy_step.PolicyStep(tf.fill([count], self._walks_right.read_value()))


class Toy(learners.OffPolicyLearner):
    """Counts its trainings; its policy is good for the first `good_for` of them."""

    replay_use = learners.ReplayUse(1000, 4, 1, 0.9, 8, 4)

    def __init__(self, env, good_for=10**9, loss=1.0):
        self.trained = tf.Variable(0, dtype=tf.int64)
        self.loss = tf.Variable(loss)
        self._right = tf.Variable(1, dtype=tf.int64)
        self._good_for = good_for
        self.policy = Walker(env, self._right)

    def trackables(self):
        return {"trained": self.trained, "right": self._right}

    def act(self, time_step, num_steps, seed):
        return tf.random.stateless_uniform([time_step.step_type.shape[0]], seed, 0, 2, tf.int64)

    def train(self, batch, seed):
        number = self.trained.assign_add(1)
        self._right.assign(tf.cast(number <= self._good_for, tf.int64))
        return {"loss": self.loss.read_value()}


class Telling(Wrapper):
    """Measures something, loses a process in every second step, and keeps what it is told."""

    num_steps = 0

    def __init__(self, game):
        super().__init__(game)
        self.told = []

    @property
    def num_restarts(self):
        return self.num_steps // 2

    def step(self, action, active=None):
        self.num_steps += 1
        return super().step(action, active)

    def take_stats(self):
        return {"wind": 1.5}

    def note_progress(self, num_steps):
        self.told.append(num_steps)


class Sitting:
    """A session of the toy learner on a corridor, in a run folder."""

    def __init__(
        self,
        folder,
        game=None,
        watch=None,
        interval=40,
        validation=2,
        overlap=None,
        is_seeded=True,
        **settings,
    ):
        game = game or fakes.Corridor(2, length=4)
        self.learner = Toy(environment.GameTFEnvironment(game), **settings)
        self.session = session.Session(
            runs.Run(folder),
            episodes.EpisodeLog(game),
            self.learner,
            0,
            training_settings.TrainingSettings(
                checkpoint_interval_steps=interval,
                validation_episodes=validation,
                validation_max_steps=50,
                log_interval_s=0.0,
                overlap=overlap,
            ),
            watch,
            is_seeded=is_seeded,
        )

    def train(self, steps):
        self.session.train(steps)
        return self


def saved_steps(folder, which="checkpoints"):
    return [int(path.name[5:]) for path in sorted((folder / which).glob("step-*"))]


def state_of(folder, step, which="checkpoints"):
    path = folder / which / f"step-{step:012d}" / "manifest.json"
    return json.loads(path.read_text())["state"]


def metric_lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 170 steps whose policy turns bad after 12 trainings, and what was told."""
    folder = tmp_path_factory.mktemp("trained")
    told = []
    sitting = Sitting(folder, watch=told.append, good_for=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "_CALL_S", 0.01)
        sitting.train(170)
    return folder, sitting, told


def test_checkpoints_are_taken_at_every_multiple_of_the_interval_and_at_the_end(trained):
    folder, sitting, told = trained
    notes = [progress.note for progress in told if progress.note]
    # Two slots take two steps at once, so a multiple is passed by one at most.
    saved = [int(re.sub(r"[^0-9]", "", note)) for note in notes]
    assert len(saved) == 5
    for step, goal in zip(saved, (40, 80, 120, 160, 170), strict=True):
        assert goal <= step <= goal + 1
    assert saved_steps(folder) == saved[-3:]
    assert sitting.session.num_steps == saved[-1]


def test_the_best_checkpoint_is_the_last_of_the_best_validations(trained):
    folder, _, _ = trained
    # 12 trainings are 48 steps after the warm-up: good at 40, bad from 80 on.
    (best,) = saved_steps(folder, "best")
    assert 40 <= best <= 41
    newest = saved_steps(folder)[-1]
    state = state_of(folder, newest)
    assert state["best"] == state_of(folder, best, "best")["validation"]
    assert state["validation"] < state["best"]


def test_metrics_are_written_in_order_with_validations(trained):
    folder, _, _ = trained
    lines = metric_lines(folder)
    steps = [line["step"] for line in lines]
    assert steps == sorted(steps)
    validations = [line["validation_return"] for line in lines if "validation_return" in line]
    assert len(validations) == 5
    assert validations[0] > 0 > validations[1]
    assert {"loss", "steps_per_s", "return_mean", "length_mean", "telemetry/steps_right"} <= set(
        lines[-2]
    )


def test_progress_is_told_often_and_in_order(trained):
    _, _, told = trained
    steps = [progress.step for progress in told]
    assert steps == sorted(steps)
    assert len(told) > 5
    assert told[0].validation_return is None
    assert told[-1].validation_return is not None
    assert told[-1].target == 170
    assert told[-1].mean_return is not None
    assert all(progress.steps_per_s > 0 for progress in told)


def test_a_session_that_is_already_there_does_nothing(trained):
    folder, sitting, _ = trained
    again = Sitting(folder)
    restored = again.session.restore()
    assert restored.step == sitting.session.num_steps
    assert int(again.learner.trained) == int(sitting.learner.trained)
    before = metric_lines(folder)
    again.train(100)
    assert metric_lines(folder) == before
    assert again.session.num_steps == restored.step


def test_without_validation_the_newest_is_the_best(tmp_path):
    Sitting(tmp_path, validation=0).train(90)
    assert saved_steps(tmp_path, "best") == saved_steps(tmp_path)[-1:]


def test_where_no_episode_ends_between_checkpoints_a_warning_says_what_to_raise(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "gamebridge"):
        Sitting(tmp_path, fakes.Corridor(2, length=500), validation=0, interval=40).train(80)
    assert "no episode ended before step 40: raise training.checkpoint_interval_steps" in (
        caplog.text
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_saves_and_leaves(tmp_path, monkeypatch, number, code):
    monkeypatch.setattr(session, "_CALL_S", 0.001)
    told = []

    def watch(progress):
        told.append(progress.step)
        if progress.step >= 60 and len([step for step in told if step >= 60]) == 1:
            os.kill(os.getpid(), number)

    sitting = Sitting(tmp_path, watch=watch, interval=50, good_for=8)
    with pytest.raises(
        errors.Stopped,
        match=rf"Stopped by {number.name} at step .*; the checkpoint of step .* is saved\. Go on "
        rf"with `gamebridge train --resume {tmp_path}`",
    ) as caught:
        sitting.train(100_000)
    assert caught.value.exit_code == code
    newest = saved_steps(tmp_path)[-1]
    assert newest == sitting.session.num_steps >= 60
    # Validated once, at 50; a checkpoint nobody validated does not take its place.
    (best,) = saved_steps(tmp_path, "best")
    assert 50 <= best <= 51
    again = Sitting(tmp_path)
    assert again.session.restore().step == newest
    again.train(newest + 10)
    steps = [line["step"] for line in metric_lines(tmp_path)]
    assert steps == sorted(steps)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    sitting = Sitting(tmp_path)
    sitting.train(40)
    good = saved_steps(tmp_path)
    sitting.learner.loss.assign(float("nan"))
    with pytest.raises(errors.DivergenceError, match="loss became nan at step") as caught:
        sitting.train(80)
    assert caught.value.exit_code == 7
    assert saved_steps(tmp_path) == good
    again = Sitting(tmp_path)
    assert again.session.restore().step == good[-1]
    assert again.train(80).session.num_steps >= 80


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    sitting = Sitting(tmp_path)
    sitting.train(40)
    good = saved_steps(tmp_path)
    broken = tf.Variable([1.0, float("inf")], name="kernel")
    sitting.learner.trackables = lambda: {"broken": broken}
    with pytest.raises(
        errors.DivergenceError, match=r"kernel.* became infinite or NaN at step"
    ) as caught:
        sitting.train(80)
    assert caught.value.exit_code == 7
    assert saved_steps(tmp_path) == good


def test_newer_checkpoints_that_are_damaged_are_named_and_taken_again(tmp_path):
    Sitting(tmp_path).train(120)
    first, second, third = saved_steps(tmp_path)
    (tmp_path / "checkpoints" / f"step-{third:012d}" / "weights.index").unlink()
    (tmp_path / "checkpoints" / ".tmp-000000000999").mkdir()
    again = Sitting(tmp_path)
    restored = again.session.restore()
    assert restored.step == second
    assert "weights.index is missing" in restored.lost[0]
    assert saved_steps(tmp_path) == [first, second]
    assert not list(tmp_path.rglob(".tmp-*"))
    again.train(120)
    assert saved_steps(tmp_path) == [first, second, third]
    steps = [line["step"] for line in metric_lines(tmp_path)]
    assert steps == sorted(steps)


def test_episodes_end_at_every_checkpoint_also_in_the_replay_buffer(tmp_path):
    sitting = Sitting(tmp_path, fakes.Corridor(2, length=500), validation=0, interval=20)
    sitting.train(100)
    replay = sitting.session._driver.replay
    rows = replay.rows(np.zeros(2, np.int64), replay.num_added)
    # Ten batch steps, then a LAST row where the episode was cut; and so the other slot.
    ends = np.flatnonzero(rows["step_type_0"] == LAST)
    np.testing.assert_array_equal(ends, [10, 21, 32, 43, 54, 65, 76, 87, 98, 109])
    assert (rows["next_step_type_0"][ends - 1] == LAST).all()


def arrays_of(folder, step):
    """All that a checkpoint holds, optimizer's slots and counters included."""
    reader = tf.train.load_checkpoint(str(folder / "checkpoints" / f"step-{step:012d}" / "weights"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
    }


@pytest.mark.parametrize("overlap", [False, True])
def test_resuming_equals_never_having_stopped(tmp_path, overlap):
    def sitting(name):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return Sitting(folder, fakes.Corridor(3, length=5), interval=60, overlap=overlap)

    sitting("unbroken").train(240)
    sitting("stopped").train(120)
    again = sitting("stopped")
    again.session.restore()
    again.train(240)
    steps = saved_steps(tmp_path / "unbroken")
    assert steps == saved_steps(tmp_path / "stopped")
    left, right = (arrays_of(tmp_path / name, steps[-1]) for name in ("unbroken", "stopped"))
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)

    def reports(name):
        return [
            {key: value for key, value in line.items() if key not in ("time_s", "steps_per_s")}
            for line in metric_lines(tmp_path / name)
            if line["step"] in steps
        ]

    assert reports("unbroken") == reports("stopped")
    assert any("return_mean" in line for line in reports("stopped"))


@pytest.mark.parametrize(
    ("overlap", "is_seeded", "in_workers", "expected"),
    [
        (None, True, True, False),
        (None, False, True, True),
        (None, False, False, False),
        (False, False, True, False),
        (True, True, False, True),
    ],
)
def test_training_overlaps_by_itself_only_with_workers_and_where_no_seed_was_asked_for(
    tmp_path, monkeypatch, overlap, is_seeded, in_workers, expected
):
    monkeypatch.setattr(choice, "is_in_workers", lambda game: in_workers)
    sitting = Sitting(tmp_path, overlap=overlap, is_seeded=is_seeded)
    assert sitting.session.overlaps is expected


def test_an_on_policy_agent_is_never_overlapped():
    class Learner(learners.OnPolicyLearner):
        def __init__(self):
            pass

        def act(self, time_step, seed):
            raise NotImplementedError

        def train(self, rollout, seed):
            raise NotImplementedError

        def trackables(self):
            return {}

    env = environment.GameTFEnvironment(fakes.Corridor())
    with pytest.raises(errors.ConfigError, match=r"the agent is on-policy: .*Leave training"):
        session.make_driver(env, Learner(), 0, overlaps=True)


KILLED = """
import os, random, signal, sys, time
from gamebridge.tf import start
start.load()
import gamebridge, gamebridge.training.session, gamebridge_agents.dqn

store = sys.argv[3]
SETTINGS = {
    "agent": {"units": [8], "warm_up_steps": 20, "batch_size": 8, "train_interval": 8,
              "replay_capacity": 400},
    "training": {"checkpoint_interval_steps": 60, "validation_episodes": 1,
                 "replay_store": store},
}
run, num_kills = sys.argv[1], int(sys.argv[2])
moments = random.Random(5)
last_saved = 0
for number in range(num_kills + 1):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        def tell(text):
            os.write(write, (text + "\\n").encode())

        def watch(progress):
            if progress.note:
                tell(f"saved {progress.step}")

        try:
            if number == 0:
                gamebridge.train(
                    "toys/corridor", "dqn", 10**6, run, settings=SETTINGS, watch=watch
                )
            else:
                gamebridge.resume(run, watch=watch, announce=tell)
        except BaseException as error:
            tell(f"error {error!r}")
        os._exit(1)
    os.close(write)
    # The first one is killed after its first checkpoint, the others at any moment.
    num_saves = moments.randint(0, 2) if number else 1
    restored = 0
    with os.fdopen(read) as lines:
        for line in lines:
            if line.startswith("saved"):
                last_saved, num_saves = int(line.split()[1]), num_saves - 1
            elif line.startswith("Going on from"):
                restored = int(line.split()[-1].rstrip(".").replace(",", ""))
                print("restored", restored, "of", last_saved, flush=True)
            else:
                print("said", line, flush=True)
            if num_saves <= 0 and (restored or number == 0):
                time.sleep(moments.random() * 0.3)
                break
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for line in lines:
            last_saved = int(line.split()[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("store", ["memory", "reverb"])
def test_ten_kills_at_random_moments_never_lose_a_saved_checkpoint(tmp_path, toy_plugins, store):
    if store == "reverb":
        pytest.importorskip("reverb")
    run = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(run), "10", store],
        env={**os.environ, "GAMEBRIDGE_PLUGINS": str(toy_plugins)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    found = re.findall(r"restored (\d+) of (\d+)", done.stdout)
    assert len(found) == 10, done.stdout + done.stderr
    assert len({restored for restored, _ in found}) > 5
    for restored, last_saved in found:
        assert int(restored) >= int(last_saved) > 0
    assert "error" not in done.stdout
    assert "lost" not in done.stdout
    assert len(saved_steps(run)) <= 4
    restored = checkpoints.Checkpoints(run, {"num_steps": tf.Variable(0, dtype=tf.int64)}).restore()
    assert restored.step > 0


def test_the_last_line_has_all_restarts_those_of_the_validation_too(tmp_path):
    game = Telling(fakes.Corridor(2, length=4))
    Sitting(tmp_path, game, interval=40).train(40)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert "validation_return" in lines[-1]
    assert lines[-1]["restarts"] == game.num_restarts > lines[-2]["restarts"]


def test_a_game_is_told_of_the_progress_and_tells_what_it_measured(tmp_path):
    game = Telling(fakes.Corridor(2, length=4))
    Sitting(tmp_path, game, interval=40).train(80)
    assert len(game.told) == 3 and game.told[0] == 0
    assert 40 <= game.told[1] < 80 <= game.told[2]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert any(line.get("stats/wind") == 1.5 for line in lines)
