"""What is Reverb's own: its server comes and goes, and where there can be none it is refused."""

from __future__ import annotations

import collections
import importlib.util
import logging
import platform
import socket
import sys

import leftovers
import numpy as np
import pytest
import test_replay
import test_stacked_replay

from gamebridge import errors
from gamebridge.contract import LAST
from gamebridge.tf import start

start.load()
pytest.importorskip("reverb")

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.tf import prioritized, reverb_replay, reverb_server  # noqa: E402

SPEC, ACTION = test_replay.SPEC, test_replay.ACTION
SEED = tf.constant([1, 2])


@pytest.fixture
def make():
    """Makes buffers that are closed at the end."""
    made = []

    def make(num_slots=2, capacity=40, spec=SPEC, action=ACTION, **arguments):
        made.append(reverb_replay.ReverbReplay(spec, action, num_slots, capacity, **arguments))
        return made[-1]

    yield make
    for ring in made:
        ring.close()


def filled(ring, num_steps=30):
    stream = test_replay.Stream(ring, ring.num_slots, seed=3)
    for _ in range(num_steps):
        stream.advance()
    return stream


def port_of(ring):
    return ring._server._server.port


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0


def test_a_closed_buffer_leaves_no_port_and_no_thread_and_may_be_closed_twice(make):
    ring = make()
    ring.close()  # nothing was begun
    before = leftovers.there_is()
    test_replay.check(filled(ring), 1, 0.9)
    port = port_of(ring)
    assert is_open(port)
    ring.close()
    ring.close()
    assert not is_open(port)
    left = leftovers.there_is() - before
    assert left["file"] <= 0
    assert set(left) <= {"file"}


def test_two_buffers_have_a_server_each(make):
    first, second = make(), make()
    filled(first, 4)
    filled(second, 9)
    assert port_of(first) != port_of(second)
    first.close()
    assert int(second.num_rows()) == 18
    test_replay.drawn(second, 1, 0.9)


def test_a_cleared_buffer_draws_nothing_of_before_in_the_graph_that_drew_it(make):
    ring = make(1, 40)
    sample = tf.function(lambda: ring.sample(16, 1, 0.9, SEED), autograph=False)
    filled(ring)
    before = set(sample().observation["id"].numpy())
    ring.clear()
    assert int(ring.num_rows()) == int(ring.num_transitions(1)) == 0
    assert not ring.num_added.any()
    stream = test_replay.Stream(ring, 1, seed=4)
    stream.count = stream.now[0].number = 1_000
    for _ in range(5):
        stream.advance()
    drawn = set(sample().observation["id"].numpy())
    assert min(drawn) >= 1_000 > max(before)


def test_a_writer_that_begins_anew_joins_its_rows(make, monkeypatch):
    monkeypatch.setattr(reverb_server, "_MAX_STEPS", 7)
    ring = make(2, 200, num_steps=3)
    seen = test_replay.check(filled(ring, 60), 3, 0.97)
    assert len(seen) > 60


def test_what_had_begun_before_a_save_is_there_after_it(make):
    ring, other = make(num_steps=4), make(num_steps=4)
    stream = filled(ring, 12)
    zeros = np.zeros(2, np.int64)
    other.restore_rows(zeros, ring.num_added, ring.rows(zeros, ring.num_added))
    other.set_num_added(ring.num_added)
    before = int(other.num_transitions(4))
    for _ in range(4):
        stream.advance()
        newest = [steps[-2:] for steps in stream.history]
        other.add(
            test_replay.rows([now for now, _ in newest]),
            test_replay.actions([now for now, _ in newest]),
            test_replay.rows([later for _, later in newest]),
        )
    assert before < int(other.num_transitions(4)) == int(ring.num_transitions(4))
    stream.ring = other
    test_replay.check(stream, 4, 0.9)


def test_only_rows_that_were_not_saved_are_held(make):
    ring, careless = make(2, 400), make(2, 400, is_saved=False)
    for buffer in (ring, careless):
        filled(buffer, 30)
    start = ring.num_added
    ring.rows(start, start)
    assert not any(ring._unsaved)
    assert not any(careless._unsaved)
    held = make(1, 8)
    filled(held, 50)
    assert len(held._unsaved[0]) == held.length == 8


def test_sequences_go_on_from_one_episode_to_the_next(make):
    ring = make(2, 60, sequence_length=5)
    stream = filled(ring, 50)
    assert int(ring.num_transitions(5)) == 60
    batch = ring.sample_sequences(200, 5, SEED)
    kinds = collections.Counter()
    for row, number in enumerate(batch.observation["id"].numpy()[:, 0]):
        steps, at = stream.find(number)
        part = steps[at : at + 6]
        assert batch.observation["id"].numpy()[row].tolist() == [step.number for step in part]
        assert batch.step_type.numpy()[row].tolist() == [step.step_type for step in part]
        assert batch.action.numpy()[row].tolist() == [step.action for step in part[:-1]]
        np.testing.assert_allclose(batch.reward[row], [step.reward for step in part[1:]], 1e-5)
        np.testing.assert_allclose(batch.discount[row], [step.discount for step in part[1:]], 1e-5)
        kinds[part[0].step_type] += 1
    assert kinds[LAST] > 0


@pytest.mark.parametrize(("num_frames", "channels", "num_steps"), [(4, 1, 1), (2, 3, 3), (3, 1, 5)])
def test_stacks_are_those_that_were_seen(make, num_frames, channels, num_steps):
    play = test_stacked_replay.Play(3, 90, num_frames, channels)
    ring = make(
        3, 90, play.whole._layout.specs["observation"], test_stacked_replay.ACTION,
        num_stacked=[num_frames, 1], num_steps=num_steps,
    )  # fmt: skip
    play.rings, seen = [ring], {}

    def look():
        observation = tf.nest.map_structure(np.array, play.now.observation)
        seen.update(zip(observation["number"].tolist(), observation["eye"], strict=True))

    look()
    for step in range(1, 120):
        play.advance(play.rng.random(3) < np.array([0.3, 0.7, 1.0]))
        look()
        if step % 13 == 0:
            play.lose(step % 3)
            look()
        if step % 40 == 0:
            play.cut()
            look()
    batch = ring.sample(200, num_steps, 0.9, SEED)
    for leaf in (batch.observation, batch.next_observation):
        for number, eye in zip(leaf["number"].numpy().tolist(), leaf["eye"].numpy(), strict=True):
            np.testing.assert_array_equal(eye, seen[number])


def test_chances_follow_the_errors_and_weights_make_up_for_them(make):
    priorities = prioritized.Priorities(alpha=0.5, beta=0.4, beta_steps=100)
    ring = make(1, 40, priorities=priorities)
    stream = filled(ring, 12)
    steps = tf.constant(0, tf.int64)
    batch, keys = ring.draw(256, 0.9, steps, SEED)
    np.testing.assert_array_equal(batch.weight, 1.0)
    found = dict(zip(batch.observation["id"].numpy().tolist(), keys.numpy(), strict=True))
    assert len(found) == int(ring.num_transitions(1))
    errors = np.array([4.0, -1.0, *[0.25] * (len(found) - 2)])
    ring.judge(tf.constant(np.array(list(found.values()))), tf.constant(errors, tf.float32))
    for _ in range(4):  # those that were drawn before
        ring.draw(256, 0.9, steps, SEED)
    drawn = [ring.draw(256, 0.9, steps, SEED)[0] for _ in range(20)]
    ids = np.concatenate([batch.observation["id"] for batch in drawn])
    shares = np.array([(ids == number).mean() for number in found])
    expected = np.sqrt(np.abs(errors))
    np.testing.assert_allclose(shares, expected / expected.sum(), atol=0.02)
    weights = dict(
        zip(drawn[-1].observation["id"].numpy().tolist(), drawn[-1].weight.numpy(), strict=True)
    )
    np.testing.assert_allclose(
        [weights[number] for number in found], (0.5 / expected) ** 0.4, rtol=1e-3
    )
    # A new one is drawn as the greatest there was.
    stream.advance()
    newest = stream.history[0][-3].number
    for _ in range(4):
        ring.draw(256, 0.9, steps, SEED)
    ids = np.concatenate([ring.draw(256, 0.9, steps, SEED)[0].observation["id"] for _ in range(9)])
    np.testing.assert_allclose((ids == newest).mean(), 2.0 / (expected.sum() + 2.0), atol=0.03)


def test_an_error_that_is_not_finite_sets_no_priority(make):
    ring = make(1, 40, priorities=prioritized.Priorities(1.0, 1.0, 1))
    filled(ring, 12)
    _, keys = ring.draw(8, 0.9, tf.constant(0, tf.int64), SEED)
    ring.judge(keys, tf.fill([8], np.nan))
    batch, _ = ring.draw(64, 0.9, tf.constant(0, tf.int64), SEED)
    assert np.isfinite(batch.weight).all()


def test_nothing_is_said_on_stderr(make, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    ring = make()
    filled(ring)
    test_replay.drawn(ring, 1, 0.9)
    ring.close()
    assert capfd.readouterr().err == ""
    assert "Started replay server" in caplog.text


def test_where_it_is_not_installed_it_says_what_to_install(make, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "reverb" else find_spec(name)
    )
    with pytest.raises(
        errors.ConfigError,
        match=r"^training.replay_store is 'reverb', which is not installed\. Run `pip install "
        r"'gamebridge\[reverb\]'`, or leave it at 'memory'\.$",
    ):
        make()


@pytest.mark.parametrize(("system", "machine"), [("darwin", "x86_64"), ("linux", "aarch64")])
def test_where_it_is_not_made_for_the_machine_it_is_refused(make, monkeypatch, system, machine):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(
        errors.ConfigError, match=rf"on x86-64 only; this is {system} on {machine}\. Leave"
    ):
        make()


def test_a_size_in_bytes_is_refused_since_it_could_not_be_kept_to(make):
    with pytest.raises(
        errors.ConfigError,
        match=r"replay_capacity is 4GB, and training\.replay_store is 'reverb', which counts and "
        r"compresses what it keeps\. Give a number of steps\.",
    ):
        make(capacity="4GB")


def test_one_too_large_for_the_machine_is_refused_with_a_size_that_fits(make):
    with pytest.raises(errors.ConfigError, match=r"takes .* GiB; this machine has .* or less"):
        make(capacity=10**12)


def test_it_is_for_the_steps_that_it_was_made_for(make):
    ring = make(num_steps=3)
    with pytest.raises(ValueError, match="made for 3 steps, not for 2"):
        ring.sample(8, 2, 0.9, SEED)
    with pytest.raises(ValueError, match="made for 3 steps, not for 1"):
        ring.num_transitions(1)
    with pytest.raises(ValueError, match="equal chances"):
        ring.draw(8, 0.9, tf.constant(0, tf.int64), SEED)
