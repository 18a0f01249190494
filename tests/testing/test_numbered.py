"""The ledger that proves pools right is itself held to what it must refuse."""

import numpy as np
import pytest

from gamebridge.contract import FIRST, LAST
from gamebridge.testing import numbered, playing


def begun(seed=5):
    game = numbered.Numbered(1)
    ledger = numbered.Ledger(1)
    ledger.note(None, game.reset(np.array([seed])))
    return game, ledger


def test_a_whole_game_passes():
    game, ledger = begun()
    for number in range(200):
        action = np.array([number])
        ledger.note(action, game.step(action))
    assert ledger.num_episodes > 5 and ledger.num_lost == 0
    assert ledger.num_transitions == 200 - (ledger.num_episodes - 1)


def test_a_lost_game_says_last_with_what_it_said_before():
    game, ledger = begun()
    said = playing.copy(game.step(np.array([3])))
    ledger.note(np.array([3]), said)
    ended = said._replace(step_type=np.array([LAST], np.int32), reward=np.zeros(1, np.float32))
    ledger.note(np.array([4]), ended)
    assert ledger.num_lost == 1


@pytest.mark.parametrize("fault", ["skipped", "doubled", "other action", "not first", "again"])
def test_what_is_wrong_is_refused(fault):
    game, ledger = begun()
    said = playing.copy(game.step(np.array([3])))
    if fault == "skipped":
        said = game.step(np.array([3]))
    elif fault == "doubled":
        ledger.note(np.array([3]), said)
    elif fault == "other action":
        said.observation[0, 2] = 4
    elif fault == "not first":
        said.step_type[0] = FIRST
    else:
        said = game.reset(np.array([5]))
    with pytest.raises(AssertionError, match="slot 0: after"):
        ledger.note(None if fault == "again" else np.array([3]), said)


def test_among_very_many_episodes_two_of_one_seed_are_due_but_not_twice_in_a_row():
    ledger = numbered.Ledger(1)
    game = numbered.Numbered(1)
    for seed in range(numbered._MANY_EPISODES + 1):
        ledger.note(None, game.reset(np.array([seed])))
    ledger.note(None, game.reset(np.array([7])))
    with pytest.raises(AssertionError):
        ledger.note(None, game.reset(np.array([8])))
