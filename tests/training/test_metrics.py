"""metrics.jsonl: one line a report, never back in steps, whole after a kill."""

from __future__ import annotations

import json
import resource
import time

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.tf import start
from gamebridge.wrappers import episodes

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.training import metrics  # noqa: E402


def episode(episode_return, length=10, **telemetry):
    return episodes.Episode(0, episode_return, length, "terminated", telemetry)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_report_is_a_line_with_the_means_of_the_episodes(tmp_path):
    with metrics.Metrics(tmp_path, 0) as log:
        assert log.mean_return is None
        log.report(10, {"loss": 0.5})
        log.add_episodes([episode(1.0, 10, bumps=2.0), episode(3.0, 20, bumps=4.0)])
        assert (log.mean_return, log.num_episodes) == (2.0, 2)
        log.report(20, {"loss": 0.25})
        told = lines(tmp_path)
        assert all(abs(line.pop("time_s") - time.time()) < 60 for line in told)
        assert told == [
            {"step": 10, "loss": 0.5},
            {
                "step": 20,
                "loss": 0.25,
                "return_mean": 2.0,
                "length_mean": 15.0,
                "telemetry/bumps": 3.0,
            },
        ]
    assert list((tmp_path / "tensorboard").iterdir())


def test_the_mean_is_that_of_the_last_hundred(tmp_path):
    with metrics.Metrics(tmp_path, 0) as log:
        log.add_episodes([episode(1000.0)] * 50 + [episode(float(n)) for n in range(100)])
        assert log.mean_return == np.mean(range(100))
        assert log.num_episodes == 150


def test_lines_after_the_checkpoint_and_half_lines_are_dropped(tmp_path):
    with metrics.Metrics(tmp_path, 0) as log:
        for step in (10, 20, 30, 40):
            log.report(step, {"loss": 1.0})
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 5, "lo')
    with metrics.Metrics(tmp_path, 20) as log:
        log.report(30, {"loss": 2.0})
    assert [(line["step"], line["loss"]) for line in lines(tmp_path)] == [
        (10, 1.0),
        (20, 1.0),
        (30, 2.0),
    ]


@pytest.mark.parametrize("text", ["3\n", "[1]\n", '{"loss": 1}\n', "\xff\xfe\n", "\n\n"])
def test_lines_that_are_none_are_dropped(tmp_path, text):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + text.encode("latin-1") + b'{"step": 2}\n')
    metrics.Metrics(tmp_path, 2).close()
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]


def test_a_full_disk_is_an_error_of_storage_also_on_the_way_out(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (
        pytest.raises(
            errors.StorageError, match=r"Cannot write .*metrics.jsonl: [^\n]*Free space or make"
        ),
        metrics.Metrics(tmp_path, 0) as log,
    ):
        log.report(1, {"loss": 1.0})
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            for step in range(2, 100):
                log.report(step, {"loss": 1.0})
        except errors.StorageError:
            # The disk stays full while the files are closed.
            log.close()
            raise
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.close()


def test_after_a_full_disk_tensorflow_writes_there_no_more(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = metrics.Metrics(tmp_path, 0)
    log.report(1, {"loss": 1.0})
    # Room for the small text file, none for TensorBoard's.
    resource.setrlimit(resource.RLIMIT_FSIZE, (120, hard))
    try:
        with pytest.raises(errors.StorageError, match="Cannot write"):
            log.report(2, {"loss": 1.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        log.close()
    assert not tf.summary.should_record_summaries()


def test_a_folder_that_cannot_be_written_is_an_error_of_storage(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(errors.StorageError, match=r"Cannot write .*metrics.jsonl: .*Free space"):
        metrics.Metrics(tmp_path, 0)
