"""The offline driver: what counts as a step, resuming exactly, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.evaluation import rollout, saved_episodes, saving
from gamebridge.testing import numbered
from gamebridge.tf import start
from gamebridge.wrappers import episodes

start.load()

import tensorflow as tf  # noqa: E402, TID253
from test_session import Walker  # noqa: E402

from gamebridge.tf import environment  # noqa: E402
from gamebridge.training import checkpoints, datasets, offline, runs, session  # noqa: E402
from gamebridge.training import settings as training_settings  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Episodes of a game that numbers its steps."""
    folder = tmp_path_factory.mktemp("saved")
    save(folder, range(20))
    return folder


def save(folder, seeds):
    with saving.Saver(
        numbered.Numbered(4), folder, list(seeds), saving.Origin("testing/numbered", {}, {}, "x")
    ) as saver:
        policy = rollout.FunctionPolicy(lambda o: o[:, 1] % 10)
        rollout.play(saver.game, policy, list(seeds), max_steps=99, watch=saver)


class Noting(offline.OfflineLearner):
    """Keeps the rows that it was shown, and a sum that hangs on their order."""

    metric_names = ("loss", "last")

    def __init__(self, env, folder, batch_size=16, holdout=0.1):
        self.episode_use = offline.EpisodeUse(str(folder), batch_size, holdout, 1)
        self.policy = Walker(env, tf.Variable(1, dtype=tf.int64))
        self.sum = tf.Variable(0.0)
        self.loss = tf.Variable(1.0)
        self.seen = []

    def trackables(self):
        return {"sum": self.sum}

    def train(self, lesson, seed):
        def note(observation, action):
            assert (action == observation[:, 1] % 10).all()
            self.seen.append([tuple(row) for row in observation[:, :2].tolist()])
            return np.float32(len(self.seen))

        last = tf.numpy_function(note, [lesson.observation, lesson.action], tf.float32)
        shown = tf.reduce_sum(tf.cast(lesson.observation[:, 1], tf.float32))
        noise = tf.random.stateless_uniform([], seed)
        self.sum.assign(0.9 * self.sum + shown + noise)
        return {"loss": self.loss.read_value(), "last": tf.reshape(last, [])}

    def measure(self, lesson):
        count = tf.reduce_sum(lesson.weight)
        return 2.0 * tf.reduce_sum(tf.cast(lesson.observation[:, 1], tf.float32) * lesson.weight), (
            count
        )


def driver_of(folder, seed=0, **settings):
    env = environment.GameTFEnvironment(episodes.EpisodeLog(numbered.Numbered(2)))
    learner = Noting(env, folder, **settings)
    driver = offline.OfflineDriver(env, learner, seed)
    driver.restart()
    return driver, learner


def test_a_step_is_a_row_that_was_learned_from(folder):
    driver, learner = driver_of(folder)
    assert driver.num_slots == 16
    driver.advance(3)
    driver.advance(4)
    assert driver.num_steps == 7 * 16
    assert [len(rows) for rows in learner.seen] == [16] * 7


def test_no_row_comes_twice_before_all_but_a_rest_came_once(folder):
    driver, learner = driver_of(folder, holdout=0.0)
    count = int(saved_episodes.SavedEpisodes(folder).lengths.sum())
    driver.advance(2 * (count // 16))
    for epoch in (learner.seen[: count // 16], learner.seen[count // 16 :]):
        rows = [row for batch in epoch for row in batch]
        assert len(set(rows)) == len(rows) == count // 16 * 16


@pytest.mark.parametrize("run_length", [256, 4], ids=["one block", "many blocks"])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(folder, tmp_path, monkeypatch, run_length):
    monkeypatch.setattr(datasets, "_RUN_LENGTH", run_length)
    if run_length == 4:
        monkeypatch.setattr(offline, "_MIB", 1_000)
    straight, learner = driver_of(folder)
    straight.advance(10)
    saved = checkpoints.Checkpoints(tmp_path, straight.trackables())
    saved.save(straight.num_steps, {})
    straight.advance(37)
    other, others = driver_of(folder)
    assert checkpoints.Checkpoints(tmp_path, other.trackables()).restore().step == 160
    other.restart()
    other.advance(37)
    assert others.seen == learner.seen[10:]
    assert float(others.sum) == float(learner.sum)
    assert other.num_steps == straight.num_steps


def test_it_is_the_same_however_many_steps_are_taken_at_a_time(folder):
    one, learner = driver_of(folder)
    other, others = driver_of(folder)
    one.advance(40)
    for _ in range(40):
        other.advance(1)
    assert others.seen == learner.seen
    assert float(others.sum) == float(learner.sum)


def test_a_batch_may_be_larger_than_all_there_is(folder):
    count = int(saved_episodes.SavedEpisodes(folder).lengths.sum())
    driver, learner = driver_of(folder, holdout=0.0, batch_size=count + 5)
    driver.advance(2)
    assert [len(rows) for rows in learner.seen] == [count + 5] * 2
    assert [len(set(rows)) for rows in learner.seen] == [count] * 2


def test_metrics_are_means_and_the_loss_on_held_out_rows_is_among_them(folder):
    driver, _ = driver_of(folder, holdout=0.2)
    metrics = driver.advance(3)
    assert metrics["last"] == 2.0
    held_out = driver._data.held_out().observation[:, 1]
    assert metrics["validation_loss"] == pytest.approx(2 * held_out.mean())
    assert len(held_out) % 16
    driver, _ = driver_of(folder, holdout=0.0)
    assert set(driver.advance(3)) == {"loss", "last"}


def test_held_out_rows_are_measured_again_and_again(folder, monkeypatch):
    monkeypatch.setattr(offline, "_ROWS_A_HELD_OUT_ONE", 1)
    driver, _ = driver_of(folder)
    measured = []
    monkeypatch.setattr(driver, "_measure", lambda rows: measured.append(rows) or {})
    driver._validation = {"validation_loss": 1.0}
    count = driver._data.num_held_out
    for _ in range(3):
        driver.advance(-(-count // 16))
    assert len(measured) == 3


def test_what_diverged_is_an_error(folder):
    driver, learner = driver_of(folder)
    learner.loss.assign(np.nan)
    with pytest.raises(errors.DivergenceError, match="loss became nan at step 16"):
        driver.advance(1)


def test_other_episodes_than_those_of_the_checkpoint_are_refused(folder, tmp_path):
    driver, _ = driver_of(folder)
    driver.advance(1)
    checkpoints.Checkpoints(tmp_path / "run", driver.trackables()).save(16, {})
    save(tmp_path / "others", range(5))
    other, _ = driver_of(tmp_path / "others")
    checkpoints.Checkpoints(tmp_path / "run", other.trackables()).restore()
    with pytest.raises(errors.ConfigError, match="others than those that this run learned from"):
        other.restart()


def test_no_folder_is_refused_with_what_to_do():
    with pytest.raises(
        errors.ConfigError,
        match=r"agent\.episodes is not given: .*evaluate RUN --save-episodes FOLDER.*--set agent\.",
    ):
        driver_of("")


def test_a_damaged_file_is_refused_before_anything_is_learned(tmp_path):
    save(tmp_path / "saved", range(3))
    path = tmp_path / "saved" / "1" / "part-0.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(errors.StorageError, match=r"1/part-0\.arrow is damaged"):
        driver_of(tmp_path / "saved")


def test_there_is_nothing_to_overlap(folder):
    env = environment.GameTFEnvironment(episodes.EpisodeLog(numbered.Numbered(2)))
    with pytest.raises(errors.ConfigError, match=r"learns from saved episodes: .*overlap out"):
        session.make_driver(env, Noting(env, folder), 0, overlaps=True)


def test_a_session_saves_and_validates_by_playing_the_game(folder, tmp_path, caplog):
    log = episodes.EpisodeLog(numbered.Numbered(2))
    learner = Noting(environment.GameTFEnvironment(log), folder)
    told = []
    sitting = session.Session(
        runs.Run(tmp_path),
        log,
        learner,
        0,
        training_settings.TrainingSettings(
            checkpoint_interval_steps=160, validation_episodes=3, validation_max_steps=5
        ),
        told.append,
    )
    sitting.train(320)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["validation_return"] for line in lines if "validation_return" in line] == [15] * 2
    assert [line["validation_loss"] for line in lines if "loss" in line]
    assert checkpoints.Checkpoints(tmp_path, {}).steps() == [160, 320]
    assert told[-1].validation_return == 15
    # No episode ended, for none was played to learn from.
    assert "no episode ended" not in caplog.text
