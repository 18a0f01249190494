"""Checkpoints: whole or not there, walked back where damaged, and never silently another's."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import shutil
from typing import ClassVar

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.trajectories import time_step as ts  # noqa: E402, TID253

from gamebridge.tf import replay as replays  # noqa: E402
from gamebridge.tf import reverb_replay  # noqa: E402
from gamebridge.training import checkpoints, manifests  # noqa: E402


class State:
    """A variable and a replay buffer, and their checkpoints in a folder."""

    # Of the store that a test is for.
    kind = replays.Replay
    made: ClassVar[list] = []

    def __init__(self, folder, keep=3, with_replay=True, size=4, saves_replay=True):
        self.folder = folder
        self.weights = tf.Variable(tf.zeros([size]), name="weights")
        self.count = tf.Variable(0, dtype=tf.int64, name="count")
        self.replay = None
        if with_replay:
            self.replay = self.kind(
                tf.TensorSpec((3,), tf.float32), tf.TensorSpec((), tf.int64), 2, 20
            )
            self.made.append(self.replay)
        self.checkpoints = checkpoints.Checkpoints(
            folder,
            {"weights": self.weights, "count": self.count},
            self.replay,
            keep,
            saves_replay=saves_replay,
        )

    def play(self, num_rows=3, slots=(True, True)):
        for _ in range(num_rows):
            number = int(self.count.assign_add(1))
            step = ts.TimeStep(
                tf.fill([2], 1),
                tf.fill([2], float(number)),
                tf.ones([2]),
                tf.fill([2, 3], float(number)),
            )
            self.weights.assign_add(tf.ones_like(self.weights))
            if self.replay is not None:
                self.replay.add(step, tf.fill([2], tf.constant(number, tf.int64)), step, slots)

    def save(self, step, slots=(True, True)):
        self.play(slots=slots)
        self.checkpoints.save(step, {"best": float(step), "validation": None})

    def values(self):
        return [self.weights.numpy(), self.count.numpy(), np.array(self.drawn())]

    def drawn(self):
        """What tells all apart that there is to be drawn: there is little of it."""
        if self.replay is None:
            return []
        if self.kind is replays.Replay:
            return sorted(set(self.replay.sample(400, 1, 0.9, [1, 2]).reward.numpy()))
        # A server has drawn ahead; and which of the oldest it keeps is up to how they came.
        self.replay._server.flush()
        batches = [self.replay.sample(200, 1, 0.9, [1, 2]) for _ in range(3)]
        return sorted(set(batches[-1].reward.numpy()))[-5:]


in_both_stores = pytest.mark.parametrize("store", ["memory", "reverb"], indirect=True)


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.fixture
def store(request, monkeypatch):
    """Makes states have their replay buffer in memory or in the store asked for; closes them."""
    if getattr(request, "param", "memory") == "reverb":
        pytest.importorskip("reverb")
        monkeypatch.setattr(State, "kind", reverb_replay.ReverbReplay)
    yield
    while State.made:
        State.made.pop().close()


@pytest.fixture
def saved(store, tmp_path):
    """Three checkpoints, and the values at each."""
    state, values = State(tmp_path), {}
    for step in (100, 200, 300):
        state.save(step)
        values[step] = state.values()
    return tmp_path, values


def step_folder(folder, step, which="checkpoints"):
    return folder / which / f"step-{step:012d}"


@in_both_stores
def test_what_was_saved_is_restored(saved):
    folder, values = saved
    state = State(folder)
    restored = state.checkpoints.restore()
    assert restored == checkpoints.Restored(300, {"best": 300.0, "validation": None}, ())
    assert same(state.values(), values[300])


def test_nothing_is_restored_where_nothing_was_saved(tmp_path):
    assert State(tmp_path).checkpoints.restore() is None
    assert State(tmp_path / "not there").checkpoints.restore() is None


def test_three_are_kept_and_the_best_beside_them(tmp_path):
    state = State(tmp_path)
    for step in range(10, 60, 10):
        state.save(step)
        if step in (20, 30):
            state.checkpoints.save_best(step, {})
    assert state.checkpoints.steps() == [30, 40, 50]
    assert state.checkpoints.steps("best") == [30]
    best = State(tmp_path, with_replay=False)
    assert best.checkpoints.restore("best").step == 30
    assert int(best.count) == 9


@in_both_stores
@pytest.mark.parametrize("keep", [1, 2])
def test_segments_of_the_replay_are_saved_once_and_dropped_when_nobody_needs_them(
    store, tmp_path, keep
):
    state = State(tmp_path, keep=keep)
    written = {}
    for step in range(1, 13):
        state.save(step)
        for path in (tmp_path / "replay").iterdir():
            written.setdefault(path.name, path.stat().st_mtime_ns)
            assert path.stat().st_mtime_ns == written[path.name]
        other = State(tmp_path, keep=keep)
        assert other.checkpoints.restore().step == step
        assert same(other.values(), state.values())
    # 20 rows fit the rings, 6 were added at a time: four segments hold them.
    rows = [tuple(map(int, p.stem.split("-")[1:])) for p in (tmp_path / "replay").iterdir()]
    assert max(rows)[1] == 72
    assert len(rows) == 4 + keep - 1


@in_both_stores
def test_slots_of_unequal_length_are_saved_and_restored(store, tmp_path):
    state = State(tmp_path)
    for step in range(1, 15):
        # The second slot rests in every other checkpoint, and in the last ones.
        state.save(step, (True, step % 2 == 0 and step < 12))
        other = State(tmp_path)
        assert other.checkpoints.restore().step == step
        assert same(other.values(), state.values())
        np.testing.assert_array_equal(other.replay.num_added, state.replay.num_added)
    assert state.replay.num_added.tolist() == [42, 15]


def test_a_restored_state_goes_on_saving_as_if_nothing_had_been(saved):
    folder, _ = saved
    state = State(folder)
    state.checkpoints.restore()
    state.save(400)
    other = State(folder)
    assert other.checkpoints.restore().step == 400
    assert same(other.values(), state.values())
    assert other.replay.num_added.tolist() == [12, 12]


def damage_truncated(path):
    path.write_bytes(path.read_bytes()[:-7])


def damage_flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))


def damage_missing(path):
    path.unlink()


def damage_empty(path):
    path.write_bytes(b"")


def damage_garbage(path):
    path.write_bytes(bytes(range(256)))


DAMAGES = [damage_truncated, damage_flipped, damage_missing, damage_empty, damage_garbage]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__[7:])
@pytest.mark.parametrize("pattern", ["weights.data*", "weights.index", "manifest.json"])
def test_a_damaged_newest_checkpoint_is_walked_past_and_named(saved, pattern, damage, caplog):
    folder, values = saved
    (path,) = step_folder(folder, 300).glob(pattern)
    damage(path)
    state = State(folder)
    restored = state.checkpoints.restore()
    assert restored.step == 200
    assert same(state.values(), values[200])
    (line,) = restored.lost
    assert line.startswith("step-000000000300 is lost: ")
    assert f"{line}; going on from step-000000000200" in caplog.messages


@pytest.mark.parametrize(
    "text", ["[]", "[" * 100_000, "3", '{"format": 1}', '{"format": 2}', "null"]
)
def test_a_manifest_that_is_none_is_damage(saved, text):
    folder, _ = saved
    (step_folder(folder, 300) / "manifest.json").write_text(text)
    assert State(folder).checkpoints.restore().step == 200


def test_no_changed_byte_of_a_manifest_goes_unseen(saved):
    folder, _ = saved
    path = step_folder(folder, 300) / "manifest.json"
    good = path.read_bytes()
    generator = random.Random(0)
    state = State(folder)
    for _ in range(60):
        data = bytearray(good)
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(bytes(data))
        if json_or_none(data) == json.loads(good):
            continue  # white space
        assert state.checkpoints.restore(with_replay=False).step == 200


def json_or_none(data):
    try:
        return json.loads(data.decode())
    except ValueError:
        return None


def test_two_damaged_checkpoints_are_both_named(saved):
    folder, values = saved
    damage_missing(step_folder(folder, 300) / "weights.index")
    damage_empty(step_folder(folder, 200) / "manifest.json")
    state = State(folder)
    restored = state.checkpoints.restore()
    assert restored.step == 100
    assert [line.split()[0] for line in restored.lost] == [
        "step-000000000300",
        "step-000000000200",
    ]
    assert same(state.values(), values[100])


def test_where_all_are_damaged_training_never_starts_from_zero(saved):
    folder, _ = saved
    for step in (100, 200, 300):
        damage_flipped(step_folder(folder, step) / "weights.index")
    with pytest.raises(
        errors.StorageError,
        match=r"None of the 3 checkpoints in .*checkpoints can be restored: step-000000000300 is "
        r"lost: weights.index has changed since it was saved; step-000000000200 .*Restore the "
        "folder from a copy",
    ) as caught:
        State(folder).checkpoints.restore()
    assert caught.value.exit_code == 6


@in_both_stores
def test_a_damaged_segment_costs_its_own_checkpoint_first(saved):
    folder, values = saved
    damage_flipped(folder / "replay" / "rows-12-18.npy")
    state = State(folder)
    restored = state.checkpoints.restore()
    assert restored.step == 200
    assert restored.lost == (
        "step-000000000300 is lost: rows-12-18.npy has changed since it was saved",
    )
    assert same(state.values(), values[200])


@in_both_stores
def test_where_no_replay_is_whole_the_newest_weights_go_on_with_an_empty_one(saved):
    folder, values = saved
    damage_missing(folder / "replay" / "rows-0-6.npy")
    state = State(folder)
    restored = state.checkpoints.restore()
    assert restored.step == 300
    assert restored.lost == ("the replay buffer is lost and starts empty",)
    assert not state.replay.num_added.any()
    assert np.array_equal(state.weights.numpy(), values[300][0])
    state.save(400)
    other = State(folder)
    assert other.checkpoints.restore().step == 400
    assert same(other.values(), state.values())


def test_checkpoints_that_were_walked_past_can_be_dropped(saved):
    folder, _ = saved
    state = State(folder)
    state.checkpoints.drop_newer_than(100)
    assert state.checkpoints.steps() == [100]


@in_both_stores
def test_what_a_killed_process_left_is_swept(saved):
    folder, values = saved
    for which in ("checkpoints", "best"):
        left = folder / which / ".tmp-000000000400"
        left.mkdir(parents=True)
        (left / "weights.index").write_bytes(b"half")
    (folder / "replay" / ".tmp-rows-18-24.npy").write_bytes(b"half")
    orphan = folder / "replay" / "rows-18-24.npy"
    orphan.write_bytes(b"saved, but its checkpoint was not")
    state = State(folder)
    state.checkpoints.sweep()
    assert not list(folder.rglob(".tmp-*"))
    assert state.checkpoints.restore().step == 300
    assert same(state.values(), values[300])
    state.save(400)
    assert State(folder).checkpoints.restore().step == 400


@contextlib.contextmanager
def file_size_limit(num_bytes):
    """As a disk that is full: no file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@in_both_stores
@pytest.mark.parametrize("num_bytes", [0, 100, 300, 700])
def test_a_full_disk_leaves_the_older_checkpoints_intact(saved, num_bytes):
    folder, values = saved
    state = State(folder)
    state.checkpoints.restore()
    state.play()
    with (
        file_size_limit(num_bytes),
        pytest.raises(
            errors.StorageError,
            match=r"Cannot save the checkpoint of step 400 in .*MiB free\)\. Older checkpoints are "
            "intact; free space",
        ),
    ):
        state.checkpoints.save(400, {})
    assert not list(folder.rglob(".tmp-*"))
    other = State(folder)
    assert other.checkpoints.restore().step == 300
    assert same(other.values(), values[300])
    # With space again the same state can be saved.
    state.checkpoints.save(400, {})
    again = State(folder)
    assert again.checkpoints.restore().step == 400
    assert same(again.values(), state.values())


def test_a_full_disk_leaves_the_best_one_intact(tmp_path):
    state = State(tmp_path)
    state.checkpoints.save_best(100, {})
    with (
        file_size_limit(100),
        # Of what TensorFlow says only what it was told itself.
        pytest.raises(
            errors.StorageError,
            match=r"^Cannot save the best checkpoint in \S*/best: File too large\. Free space",
        ),
    ):
        state.checkpoints.save_best(200, {})
    assert state.checkpoints.restore("best").step == 100


def test_a_folder_that_cannot_be_made_is_an_error_of_storage(tmp_path):
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(errors.StorageError, match="Cannot save the checkpoint of step 1 in"):
        State(tmp_path, with_replay=False).checkpoints.save(1, {})


def test_weights_of_another_shape_are_refused_by_name(saved):
    folder, _ = saved
    with pytest.raises(
        errors.StorageError,
        match=r"step-000000000300 holds the weights of another network: .*shape \(4,\).*\(5,\).*"
        "weights.*Resume with the settings in the run's own run.toml",
    ):
        State(folder, size=5).checkpoints.restore()


def test_a_variable_that_was_not_saved_is_named(saved):
    folder, _ = saved
    wanted = {"weights": tf.Variable(tf.zeros([4])), "extra": tf.Variable(0.0, name="extra")}
    with pytest.raises(errors.StorageError, match=r"holds the weights of another network: .*extra"):
        checkpoints.Checkpoints(folder, wanted).restore()


def test_a_saved_variable_that_has_no_place_is_named(tmp_path):
    def layers(count):
        return tf.Module(), [tf.Variable(tf.zeros([2])) for _ in range(count)]

    def made(count):
        module, variables = layers(count)
        module.layers = variables
        return checkpoints.Checkpoints(tmp_path, {"network": module})

    made(3).save(1, {})
    with pytest.raises(
        errors.StorageError, match="another network: ValueError: network/layers/2 has no place"
    ):
        made(2).restore()


def test_parts_that_nobody_asks_for_may_be_in_a_checkpoint(saved):
    folder, _ = saved
    count = tf.Variable(0, dtype=tf.int64)
    assert checkpoints.Checkpoints(folder, {"count": count}).restore().step == 300
    assert int(count) == 9


def test_a_checkpoint_folder_may_be_moved(saved, tmp_path_factory):
    folder, values = saved
    moved = tmp_path_factory.mktemp("elsewhere") / "run of today ü"
    shutil.move(folder, moved)
    state = State(moved)
    assert state.checkpoints.restore().step == 300
    assert same(state.values(), values[300])


def test_no_segment_can_run_code(saved):
    folder, _ = saved
    path = folder / "replay" / "rows-12-18.npy"
    with open(path, "wb") as file:
        np.save(file, np.array([{"an": "object"}], dtype=object), allow_pickle=True)
    manifest_path = step_folder(folder, 300) / "manifest.json"
    manifest = json.loads(manifest_path.read_text())
    manifest["segments"][-1].update(manifests.describe(path))
    del manifest["sha256"]
    manifest["sha256"] = manifests.seal(manifest)
    manifest_path.write_text(json.dumps(manifest))
    restored = State(folder).checkpoints.restore()
    assert restored.step == 200
    assert "allow_pickle=False" in restored.lost[0]


@in_both_stores
def test_without_the_replay_a_checkpoint_is_whole_and_the_replay_begins_empty(
    store, tmp_path, caplog
):
    state = State(tmp_path, saves_replay=False)
    state.save(100)
    assert not (tmp_path / "replay").exists()
    again = State(tmp_path, saves_replay=False)
    again.play()
    assert again.checkpoints.restore().lost == ()
    np.testing.assert_array_equal(again.weights, state.weights)
    assert not again.replay.num_added.any()
    assert not caplog.records


def test_a_replay_that_was_saved_is_restored_by_a_run_that_saves_it_no_more(saved):
    folder, values = saved
    again = State(folder, saves_replay=False)
    again.checkpoints.restore()
    assert same(again.values(), values[300])
    again.save(400)
    assert not State(folder).checkpoints.restore().lost


def test_stacks_of_an_older_gamebridge_are_told_and_given_up(tmp_path):
    spec, action = tf.TensorSpec((3, 3, 4), tf.uint8), tf.TensorSpec((), tf.int64)
    step = ts.TimeStep(tf.ones([1], tf.int32), tf.ones([1]), tf.ones([1]), tf.ones([1, 3, 3, 4]))
    step = step._replace(observation=tf.cast(step.observation, tf.uint8))

    def replay_of(counts):
        replay = replays.Replay(spec, action, 1, 20, counts)
        count = tf.Variable(0, name="count")
        return replay, checkpoints.Checkpoints(tmp_path, {"count": count}, replay)

    old, saving = replay_of(None)
    old.add(step, tf.zeros([1], tf.int64), step)
    saving.save(10, {})
    new, restoring = replay_of([4])
    lost = restoring.restore().lost
    assert "replay" in lost[-1]
    assert not new.num_added.any()


def test_rows_of_another_number_of_slots_are_refused_with_both(saved):
    folder, _ = saved
    manifest_path = step_folder(folder, 300) / "manifest.json"
    manifest = json.loads(manifest_path.read_text())
    for segment in manifest["segments"]:
        segment["start"], segment["stop"] = segment["start"][:1], segment["stop"][:1]
    del manifest["sha256"]
    manifest["sha256"] = manifests.seal(manifest)
    manifest_path.write_text(json.dumps(manifest))
    with pytest.raises(errors.StorageError, match=r"1 slots, and this one has \d\. Give run\.num"):
        State(folder).checkpoints.restore()


def test_links_are_swept_and_pruned_and_what_they_lead_to_stays(saved, tmp_path_factory):
    folder, _ = saved
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "step"
    oldest = step_folder(folder, 100)
    shutil.move(oldest, elsewhere)
    oldest.symlink_to(elsewhere)
    (folder / "checkpoints" / ".tmp-link").symlink_to(elsewhere)
    state = State(folder)
    state.checkpoints.sweep()
    assert not list(folder.rglob(".tmp-*"))
    assert state.checkpoints.restore().step == 300
    state.save(400)
    assert not oldest.is_symlink() and (elsewhere / "manifest.json").exists()
