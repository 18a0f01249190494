"""Agents that do not learn, driven by a trained run: what the player's ledger says they did."""

from __future__ import annotations

import json
import shutil
import types

import numpy as np
import pytest
import unity_games as games

import gamebridge
from gamebridge import api, contract, errors, opening
from gamebridge.contract import specs
from gamebridge_unity import behaviors, others, settings, trained

_SCENE = ("--scene", "two-behaviors", "--agents", "4")
_SMALL = {"rollout_length": 16, "num_epochs": 1, "units": [8], "learning_rate": 0.05}


def _game(behavior, **more):
    return {"behavior": behavior, "args": list(_SCENE), **more}


def _train(behavior, folder, steps=64, **game):
    tables = {"game": _game(behavior, **game), "agent": _SMALL}
    return gamebridge.train("unity/racing", "ppo", steps, folder, 4, 1, tables)


def _make(behavior, path, *args, workers=0, **more):
    game = _game(behavior, others=f"run:{path}", **more)
    game["args"] += map(str, args)
    return api.make_game("unity/racing", 4, 1, workers=workers, **game)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run in which the runners learnt: they see two numbers and do one."""
    folder = tmp_path_factory.mktemp("runs") / "runner"
    _train("Runner", folder)
    return folder


def test_others_do_what_the_run_would(run, tmp_path):
    with _make("Walker", run, "--ledger", tmp_path / "ledger") as game:
        game.reset()
        for _ in range(60):
            game.step(np.zeros(4, np.int64))
    policy = opening.open_policy(str(run))
    seen, done = {}, []
    for line in (tmp_path / "ledger").read_text().splitlines():
        entry = json.loads(line)
        if not entry.get("behavior", "").startswith("Runner"):
            continue
        for agent, is_done, *_, observations, _ in entry.get("infos", ()):
            if not is_done:
                seen[entry["message"], agent] = observations[0]
        for agent, continuous, _ in entry.get("actions", ()):
            done.append((seen[entry["message"], agent], continuous))
    assert len(done) > 60
    observed, did = (np.array(column, np.float32) for column in zip(*done, strict=True))
    assert np.allclose(policy.act(observed), did, atol=1e-6)
    assert did.std() > 0.02 and np.abs(did).max() <= 1


@pytest.mark.slow
def test_a_run_trained_against_a_run_is_resumed_from_another_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(run.parent)
    second = _train("Walker", tmp_path / "walker", others=f"run:{run.name}")
    assert second.plan().game["others"] == f"run:{run}"
    monkeypatch.chdir(tmp_path)
    said = []
    gamebridge.resume(second, 128, announce=said.append)
    assert any("Going on from the checkpoint of step" in line for line in said)


def test_a_run_that_is_not_there_is_told_before_any_player_is_started(tmp_path):
    with pytest.raises(errors.ConfigError, match=f"{tmp_path}/none is not a run folder"):
        _make("Walker", tmp_path / "none", "--fault", "never-connect")


def test_a_run_of_other_specs_is_told_with_the_first_difference(run):
    text = (
        rf"others is 'run:{run}', whose policy does not fit behaviour 'Walker\?team=0': its "
        r"observation is float32 \[3\], and was float32 \[2\] in the run"
    )
    before = games.children()
    with pytest.raises(errors.FitError, match=text):
        _make("Runner", run)
    assert games.gone_within(set(games.children()) - set(before), 2.0)


def test_a_worker_cannot_open_a_run(run):
    with pytest.raises(errors.ConfigError, match=r"cannot be opened in a worker .* --workers 0"):
        _make("Walker", run, workers=1)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("[wrappers.images]\ngrey = true\n", "trained with wrappers.images, so that its agent"),
        ("[wrappers]\naction_repeat = 2\n", "trained with wrappers.action_repeat = 2"),
    ],
)
def test_a_run_whose_agent_saw_or_did_something_else_is_refused(run, tmp_path, table, text):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "run.toml"
    head, _, rest = path.read_text().partition("[wrappers]\n")
    path.write_text(f"{head}{table}[{rest.partition('[')[2]}")
    with pytest.raises(errors.ConfigError, match=text):
        opening.open_policy(str(tmp_path / "run"))


def test_paths_of_runs_are_kept_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = settings.UnitySettings(others="run:runs/one")
    assert chosen.others == f"run:{tmp_path}/runs/one"
    for text in ("run:", "run:a\nb", "Run:a"):
        with pytest.raises(ValueError, match="expected 'random', 'zero', 'run:PATH' with"):
            settings.UnitySettings(others=text)


class _Third(contract.Policy):
    """Always takes the third choice, and remembers what it saw."""

    def __init__(self, observation_spec):
        self._observation_spec = observation_spec
        self.saw = None

    def observation_spec(self):
        return self._observation_spec

    def action_spec(self):
        return specs.discrete(3)

    def act(self, observation):
        self.saw = observation
        return np.full(len(specs.leaves(observation)[0]), 2, np.int64)

    def close(self):
        pass


_PLACE = specs.box((2,))
_WALKER = behaviors.Behavior("Walker?team=1", (behaviors.Observation("place", (2,)),), 0, (3,))


def _batch():
    return types.SimpleNamespace(
        ids=np.arange(2),
        observations=(np.array([[1, 2], [3, 4]], np.float32),),
        masks=np.array([[True, True, False], [False, True, True]]),
        behavior=_WALKER,
    )


def _trained(policy, learns="Walker?team=0"):
    return trained.Trained(policy, "/runs/a", lambda: learns, others.Zero())


def test_what_is_forbidden_to_others_is_not_done():
    actions = _trained(_Third(_PLACE))(_batch())
    assert actions.discrete.tolist() == [[0], [2]] and actions.continuous is None


def test_a_run_that_learnt_with_masks_is_shown_them():
    mask = specs.box((3,), dtype=np.bool_)
    policy = _Third({"observation": _PLACE, "action_mask": mask})
    _trained(policy)(_batch())
    assert np.array_equal(policy.saw["action_mask"], _batch().masks)
    assert np.array_equal(policy.saw["observation"], _batch().observations[0])


def test_agents_without_a_slot_of_the_behaviour_that_learns_are_not_the_runs():
    policy = _Third(_PLACE)
    actions = _trained(policy, learns=_WALKER.name)(_batch())
    assert policy.saw is None and actions.discrete.tolist() == [[0], [1]]
