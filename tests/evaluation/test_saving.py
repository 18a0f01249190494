"""Saved episodes: every transition as it was, whole or not there at all, and for all to read."""

from __future__ import annotations

import contextlib
import json
import pathlib
import resource
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest

from gamebridge import errors
from gamebridge.contract import FIRST, LAST, MID, Wrapper, specs
from gamebridge.evaluation import episode_format, rollout, saved_episodes, saving
from gamebridge.testing import fakes, numbered
from gamebridge.wrappers import actions

ORIGIN = saving.Origin("testing/game", {"length": 3}, {"action_repeat": 2}, "somebody", 7)


def save(game, folder, seeds, act, max_steps=1000, origin=ORIGIN, watched=None):
    with saving.Saver(watched or game, folder, seeds, origin) as saver:
        played = saver.game if watched is None else game(saver.game)
        return rollout.play(
            played, rollout.FunctionPolicy(act), seeds, max_steps=max_steps, watch=saver
        )


def counting(start=0):
    """Another action in each call and slot."""
    calls = []

    def act(observation):
        calls.append(None)
        return (start + 7 * len(calls) + 100 * np.arange(len(observation))) % 1000

    return act


@pytest.fixture
def folder(tmp_path):
    """Nine episodes of a game that numbers its steps."""
    save(numbered.Numbered(4), tmp_path / "saved", list(range(100, 109)), counting(), 25)
    return tmp_path / "saved"


@pytest.mark.parametrize("num_slots", [1, 4, 16])
def test_every_transition_is_saved_once_and_in_its_order(tmp_path, num_slots):
    seeds = list(range(100, 109))
    played = save(numbered.Numbered(num_slots), tmp_path / "saved", seeds, counting(), 25)
    episodes = saved_episodes.SavedEpisodes(tmp_path / "saved")
    episodes.check()
    assert list(episodes.lengths) == [episode.length for episode in played]
    assert {episode.ended for episode in played} == {"terminated", "truncated"}
    for number, (found, wanted) in enumerate(zip(episodes, played, strict=True)):
        assert (found.number, found.seed, found.ended) == (number, wanted.seed, wanted.ended)
        seed, step, action = found.observation.T
        assert (seed == seed[0]).all()
        assert list(step) == list(range(wanted.length + 1))
        # The game says what it was told before: that is what was saved for the row before.
        assert list(action) == [-1, *found.action]
        assert len(set(found.action)) > 3
        assert list(found.reward) == list(step[1:])
        assert list(found.telemetry["step"]) == list(step)
        assert found.discount[-1] == (found.ended != "terminated")
        assert (found.discount[:-1] == 1).all()


def test_the_number_of_slots_changes_nothing(tmp_path):
    def right(observation):
        return np.ones(len(observation), np.int64)

    for num_slots in (1, 3):
        game = fakes.Corridor(num_slots)
        save(game, tmp_path / str(num_slots), [3, 1, 4, 1, 5], right)
    one, three = (saved_episodes.SavedEpisodes(tmp_path / name) for name in "13")
    assert one.fingerprint == three.fingerprint


class Straggler(Wrapper):
    """A game that cannot hold its slots back, each of which speaks in every second step only."""

    can_hold = False

    def __init__(self, game):
        super().__init__(game)
        self.can_hold = False
        self._number = 0
        self.told = [[] for _ in range(game.num_slots)]

    def reset(self, seeds=None, slots=None):
        time_step = self.game.reset(seeds, slots)
        return time_step._replace(valid=np.ones(self.num_slots, np.bool_))

    def step(self, action, active=None):
        self._number += 1
        speaks = np.arange(self.num_slots) % 2 == self._number % 2
        time_step = self.game.step(action, speaks)
        return time_step._replace(valid=speaks)


def test_an_action_is_that_which_followed_the_row_though_others_were_given_since(tmp_path):
    calls = []

    def act(observation):
        calls.append(observation.copy())
        return np.full(len(observation), len(calls))

    save(Straggler(numbered.Numbered(2)), tmp_path / "saved", [100, 101], act, 30)
    for slot, episode in enumerate(saved_episodes.SavedEpisodes(tmp_path / "saved")):
        # What was chosen when the row was news, not when the slot came to speak again.
        times = list(episode.action)
        assert len(times) > 3
        for row, time in enumerate(times):
            assert list(calls[time - 1][slot]) == list(episode.observation[row])
            if row:
                assert calls[time - 2][slot, 1] != episode.observation[row, 1]


class Lost(Wrapper):
    """Loses a slot's game in its fourth step, as a pool does, and once only."""

    num_lost = 0
    count = 0

    @property
    def num_restarts(self):
        return self.num_lost

    def step(self, action, active=None):
        time_step = self.game.step(action, active)
        self.count += 1
        if self.count != 4:
            return time_step
        self.num_lost += 1
        step_type, discount = time_step.step_type.copy(), time_step.discount.copy()
        step_type[0], discount[0] = LAST, 1.0
        return time_step._replace(step_type=step_type, discount=discount)


def test_what_was_lost_with_its_process_is_saved_as_it_was_played_again(tmp_path):
    save(Lost(numbered.Numbered(1)), tmp_path / "saved", [105], counting())
    (episode,) = saved_episodes.SavedEpisodes(tmp_path / "saved")
    assert list(episode.observation[:, 1]) == list(range(len(episode.reward) + 1))
    assert episode.ended == "terminated"


NESTED = {
    "camera": specs.frame(8, 9),
    "mask": (specs.box((3,), 0, 1, dtype=np.bool_), specs.box((), dtype=np.bool_)),
    "lamp": specs.discrete(3, start=-1, dtype=np.int8),
    "numbers": specs.box((2, 2), dtype=np.float64),
    "nothing": specs.box((0,)),
}
ACTION = ({"turn": specs.box((2,), -1.0, 1.0)}, specs.discrete(5, start=2, dtype=np.int32))


class Nested(fakes.Scripted):
    """Keeps all that it says and is told."""

    def __init__(self):
        script = [
            fakes.Moment(0, step_type=FIRST),
            fakes.Moment(1, 0.5),
            fakes.Moment(1, 2.0, LAST),
        ]
        super().__init__(script, observation_spec=NESTED, action_spec=ACTION)
        self.said, self.told = [], []
        self._random = np.random.default_rng(0)

    def _speak(self, time_step):
        def draw(leaf):
            leaf[...] = self._random.integers(0, 2, leaf.shape)

        specs.map_leaves(draw, time_step.observation)
        self.said.append(specs.map_leaves(np.copy, time_step.observation))
        return time_step

    def reset(self, seeds=None, slots=None):
        return self._speak(super().reset(seeds, slots))

    def step(self, action, active=None):
        self.told.append(specs.map_leaves(np.copy, action))
        return self._speak(super().step(action, active))


def same(left, right):
    pairs = zip(specs.leaves(left), specs.leaves(right), strict=True)
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def test_nested_observations_and_actions_come_back_bit_for_bit(tmp_path):
    game = Nested()
    random = np.random.default_rng(1)

    def act(observation):
        turn = random.uniform(-1, 1, (1, 2)).astype(np.float32)
        return ({"turn": turn}, random.integers(2, 7, 1, np.int32))

    save(game, tmp_path / "saved", [0], act)
    episodes = saved_episodes.SavedEpisodes(tmp_path / "saved")
    assert specs.first_difference(episodes.observation_spec, NESTED) is None
    assert specs.first_difference(episodes.action_spec, ACTION) is None
    (episode,) = episodes
    for found, rows in ((episode.observation, game.said), (episode.action, game.told)):
        assert same(found, specs.map_leaves(lambda *leaves: np.concatenate(leaves), *rows))


def test_the_columns_are_those_that_minari_reads(tmp_path):
    save(Nested(), tmp_path / "saved", [0], lambda o: ({"turn": np.zeros((1, 2), np.float32)}, [2]))
    with pa.OSFile(str(tmp_path / "saved" / "0" / episode_format.DATA)) as file:
        batch = pa.ipc.open_file(file).read_all()
    # T + 1 rows, the last of which was nothing done at; a list of fixed length where it is no
    # plain number; structs for dicts and, with numbers as names, for tuples.
    assert batch.num_rows == 3
    assert batch["rewards"].to_pylist() == [0.5, 2.0, 0.0]
    assert batch["terminations"].to_pylist() == [False, True, False]
    assert batch["truncations"].to_pylist() == [False] * 3
    types = batch.schema.field("observations").type
    assert types.field("camera").type == pa.list_(pa.uint8(), 8 * 9 * 3)
    assert types.field("lamp").type == pa.int8()
    assert types.field("mask").type.field("0").type == pa.list_(pa.int8(), 3)
    description = json.loads((tmp_path / "saved" / "metadata.json").read_text())
    assert (description["total_episodes"], description["total_steps"]) == (1, 2)
    assert (description["data_format"], description["jpeg_encoding"]) == ("arrow", False)
    spaces = json.loads(description["observation_space"])["subspaces"]
    assert spaces["lamp"] == {"type": "Discrete", "dtype": "int64", "start": -1, "n": 3}
    assert spaces["mask"]["subspaces"][0] == {"type": "MultiBinary", "n": [3]}
    assert spaces["camera"]["type"] == "Box"
    assert json.loads(description["action_space"])["subspaces"][1]["start"] == 2


def test_the_actions_are_the_games_own_whatever_the_agent_is_offered(tmp_path):
    class Tripled(fakes.Target):
        def action_spec(self):
            return specs.box((1,), 0.0, 3.0)

    half = np.full((2, 1), 0.5, np.float32)
    save(actions.Canonical, tmp_path / "saved", [1], lambda o: half, 10, watched=Tripled(2))
    (episode,) = saved_episodes.SavedEpisodes(tmp_path / "saved")
    assert np.unique(episode.action) == [2.25]


def test_where_they_come_from_is_kept(folder):
    origin = saved_episodes.SavedEpisodes(folder).origin
    assert origin["game"] == "testing/game"
    assert origin["settings"] == {"length": 3}
    assert origin["wrappers"] == {"action_repeat": 2}
    assert (origin["agent"], origin["checkpoint_step"]) == ("somebody", 7)


def test_nothing_half_written_stays_where_playing_fails(tmp_path):
    calls = []

    def act(observation):
        calls.append(None)
        if len(calls) > 60:
            raise ZeroDivisionError("oops")
        return np.zeros(len(observation), np.int64)

    with pytest.raises(ZeroDivisionError, match="oops"):
        save(numbered.Numbered(2), tmp_path / "saved", list(range(100, 130)), act)
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert {"metadata.json", "0", "1"} <= names
    assert not [name for name in names if name.startswith(".tmp")]
    episodes = saved_episodes.SavedEpisodes(tmp_path / "saved")
    episodes.check()
    assert 2 <= len(episodes) < 30
    total = json.loads((tmp_path / "saved" / "metadata.json").read_text())["total_episodes"]
    assert episodes.numbers[:total] == tuple(range(total))


def test_what_a_killed_process_left_is_not_read(folder):
    (folder / ".tmp-9").mkdir()
    (folder / ".tmp-9" / episode_format.DATA).write_bytes(b"half")
    (folder / ".tmp-slot-0").mkdir()
    assert len(saved_episodes.SavedEpisodes(folder)) == 9


@contextlib.contextmanager
def file_size_limit(num_bytes):
    """As a disk that is full: no file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def nothing(observation):
    return np.zeros(len(observation), np.int64)


def test_a_full_disk_is_an_error_and_leaves_what_is_whole(tmp_path):
    seeds = list(range(100, 110))
    save(numbered.Numbered(1), tmp_path / "roomy", seeds, nothing)
    sizes = [(tmp_path / "roomy" / str(n) / "part-0.arrow").stat().st_size for n in range(10)]
    # Room for the first episodes, not for the longest one.
    num_whole = int(np.argmax(np.asarray(sizes) == max(sizes)))
    assert num_whole > 0
    with (
        pytest.raises(
            errors.StorageError,
            match=r"Cannot save an episode in .*saved: File too large; [\d,]+ MiB are free there"
            rf"\. {num_whole} whole episodes are there and can be learned from\. Free some space",
        ),
        file_size_limit(max(sizes) - 1),
    ):
        save(numbered.Numbered(1), tmp_path / "saved", seeds, nothing)
    episodes = saved_episodes.SavedEpisodes(tmp_path / "saved")
    episodes.check()
    assert len(episodes) == num_whole
    assert not list((tmp_path / "saved").glob(".tmp-*"))


@pytest.mark.parametrize("num_bytes", [100, 70_000], ids=["description", "column"])
def test_a_disk_that_is_full_from_the_start_is_an_error(tmp_path, num_bytes):
    with (
        pytest.raises(errors.StorageError, match=r"saved: File too large; .* 0 whole episodes"),
        file_size_limit(num_bytes),
    ):
        save(fakes.Catch(1), tmp_path / "saved", [1], nothing)
    assert not list((tmp_path / "saved").glob(".tmp-*"))


@pytest.mark.parametrize("taken", ["file", "folder"])
def test_what_is_there_is_not_written_over(tmp_path, taken):
    path = tmp_path / "saved"
    path.mkdir() if taken == "folder" else path.write_text("mine")
    if taken == "folder":
        (path / "mine").write_text("mine")
    with pytest.raises(errors.ConfigError, match="saved is there already and not an empty folder"):
        save(numbered.Numbered(1), path, [1], counting())


def test_an_empty_folder_is_taken(tmp_path):
    save(numbered.Numbered(1), tmp_path, [1], counting())
    assert len(saved_episodes.SavedEpisodes(tmp_path)) == 1


def test_episodes_are_read_without_tensorflow(folder):
    code = textwrap.dedent(
        f"""
        import sys
        import gamebridge
        episodes = gamebridge.load_episodes({str(folder)!r})
        print(len(episodes), sum(len(episode.reward) for episode in episodes))
        print("tensorflow" in sys.modules, "gymnasium" in sys.modules)
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    steps = int(saved_episodes.SavedEpisodes(folder).lengths.sum())
    assert done.stdout.split() == ["9", str(steps), "False", "False"]


def cut(folder):
    path = folder / "3" / episode_format.DATA
    path.write_bytes(path.read_bytes()[:-100])
    return r"3/part-0\.arrow is damaged: it has [\d,]+ bytes instead of [\d,]+\. Restore it"


def flipped(folder):
    path = folder / "3" / episode_format.DATA
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return r"3/part-0\.arrow is damaged: it has changed since it was saved\. Restore it"


def missing(folder):
    (folder / "3" / episode_format.DATA).unlink()
    return r"3/part-0\.arrow is damaged: No such file or directory\. Restore it"


def untold(folder):
    (folder / "3" / "metadata.json").write_text("{}")
    return r"3/metadata\.json is damaged: no bytes\. Restore it"


def scribbled(folder):
    (folder / "3" / "metadata.json").write_text('{"seed": 1')
    return r"3/metadata\.json is damaged: Expecting .*remove the folder it is in"


def listed(folder):
    (folder / "metadata.json").write_text("[]")
    return r"saved/metadata\.json is damaged: it holds no table\. Restore it"


def without_specs(folder):
    path = folder / "metadata.json"
    content = json.loads(path.read_text())
    del content["gamebridge"]["action_spec"]
    path.write_text(json.dumps(content))
    return r"saved/metadata\.json is damaged: KeyError: 'action_spec'\. Restore it"


def emptied(folder):
    for number in range(9):
        shutil.rmtree(folder / str(number))
    return "There is no whole episode in .*saved: whoever saved them was stopped before"


@pytest.mark.parametrize(
    "damage",
    [cut, flipped, missing, untold, scribbled, listed, without_specs, emptied],
    ids=lambda function: function.__name__,
)
def test_a_damaged_file_is_named(folder, damage):
    message = damage(folder)
    with pytest.raises(errors.StorageError, match=message):
        saved_episodes.SavedEpisodes(folder).check()


def test_an_episode_that_is_no_arrow_file_is_named(folder):
    path = folder / "3" / episode_format.DATA
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(errors.StorageError, match=r"3/part-0\.arrow is damaged: "):
        saved_episodes.SavedEpisodes(folder)[3]


def test_a_column_of_another_kind_is_named(folder):
    episodes = saved_episodes.SavedEpisodes(folder)
    episodes.action_spec = specs.discrete(3, dtype=np.int8)
    with pytest.raises(errors.StorageError, match="a column is int64; expected int8"):
        episodes[0]
    episodes.action_spec = {"turn": specs.discrete(3)}
    with pytest.raises(errors.StorageError, match="there is no part 'turn'"):
        episodes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no folder of saved episodes: it has no metadata\.json\. Name one that "),
        ("{}", r"not of the format 1 that this gamebridge reads"),
        ('{"gamebridge": {"format": 2}}', r"not of the format 1 that this gamebridge reads"),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path, content, message):
    if content is not None:
        pathlib.Path(tmp_path, "metadata.json").write_text(content)
    with pytest.raises(errors.ConfigError, match=message):
        saved_episodes.SavedEpisodes(tmp_path)


def test_a_slot_that_nobody_listens_to_leaves_nothing(tmp_path):
    class Scene(numbered.Numbered):
        can_hold = False

    save(Scene(5), tmp_path / "saved", [100, 101], counting(), 30)
    episodes = saved_episodes.SavedEpisodes(tmp_path / "saved")
    assert [episode.seed for episode in episodes] == [100, 101]
    assert MID not in episodes[0].discount[-1:]
