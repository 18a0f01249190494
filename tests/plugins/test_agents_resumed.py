"""A run that was stopped and resumed is the run that never was, whatever the agent."""

from __future__ import annotations

import numpy as np
import pytest

import gamebridge
from gamebridge import opening
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

REPLAY = {"batch_size": 8, "warm_up_steps": 20, "train_interval": 8, "replay_capacity": 300}
# Of a target that moves now and then, the checkpoint falls between two of its moves.
LATE = {"target_update_period": 5, "target_update_tau": 1.0}
SETTINGS = {
    "c51": {**REPLAY, "units": [8], "num_atoms": 11},
    "dqn-rnn": {**REPLAY, "units": [8], "sequence_length": 6, "burn_in_length": 2},
    "ddqn": {**REPLAY, "units": [8], **LATE},
    "ppo-rnn": {"rollout_length": 16, "sequence_length": 8, "num_epochs": 1, "units": [8]},
    "dqn by priority": {**REPLAY, "units": [8], "replay": "prioritized"},
    "q-learning": {**REPLAY, "bins": 4},
    "random": {},
    "reinforce": {"rollout_length": 8, "units": [8]},
    "sac": {**REPLAY, "units": [8]},
}


@pytest.fixture(scope="module", autouse=True)
def toy_games(toy_plugins):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(opening.PLUGIN_FOLDER_VARIABLE, str(toy_plugins))
        yield


def arrays_of(folder):
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    reader = tf.train.load_checkpoint(str(newest / "weights"))
    names = reader.get_variable_to_shape_map().keys() - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    return newest.name, {name: reader.get_tensor(name) for name in names}


@pytest.mark.parametrize("case", sorted(SETTINGS))
def test_resumed_equals_never_stopped(tmp_path, case):
    agent = case.split()[0]
    settings = {
        "agent": SETTINGS[case],
        "training": {"checkpoint_interval_steps": 130, "validation_episodes": 2},
    }

    def train(steps, folder):
        return gamebridge.train("toys/corridor", agent, steps, folder, 2, 7, settings)

    train(260, tmp_path / "unbroken")
    gamebridge.resume(train(130, tmp_path / "stopped"), 260)
    (left_name, left), (right_name, right) = (
        arrays_of(tmp_path / name) for name in ("unbroken", "stopped")
    )
    assert left_name == right_name
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
