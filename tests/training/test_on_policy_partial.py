"""The on-policy driver where slots speak at their own pace: nothing lost, doubled, misjoined."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import test_off_policy_partial
import test_on_policy

from gamebridge.contract import LAST, MID
from gamebridge.tf import environment
from gamebridge.training import on_policy


def driver_of(game):
    env = environment.GameTFEnvironment(game, waits=False)
    learner = test_on_policy.Fixed(env.action_spec())
    driver = on_policy.OnPolicyDriver(env, learner, 3)
    driver.restart()
    return driver, learner


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_transition_is_in_one_rollout_and_in_its_order(seed):
    game = test_off_policy_partial.Straggling(seed=seed)
    driver, learner = driver_of(game)
    while driver.num_steps < 300:
        driver.advance(2)
    assert len(learner.rollouts) > 20
    found = [[] for _ in range(game.num_slots)]
    for rollout in learner.rollouts:
        assert np.isfinite(rollout.observation).all()
        for row, valid in enumerate(rollout.valid):
            for slot in np.flatnonzero(valid):
                found[slot].append(
                    (
                        int(rollout.observation[row, slot, 1]),
                        int(rollout.step_type[row, slot]),
                        int(rollout.action[row, slot]),
                        float(rollout.reward[row, slot]),
                        float(rollout.discount[row, slot]),
                    )
                )
                # The row after it is where the slot stands now.
                assert rollout.observation[row + 1, slot, 1] == found[slot][-1][0] + 1
    num_steps = 0
    for slot, steps in enumerate(game.history):
        steps = steps[steps.index("reset") + 1 :]
        expected = [
            (number, step_type, None, reward, discount)
            for (number, step_type, *_), (_, _, reward, discount, _) in itertools.pairwise(steps)
        ][: len(found[slot])]
        assert found[slot]
        for (number, step_type, action, reward, discount), wanted in zip(
            found[slot], expected, strict=True
        ):
            assert (number, step_type, reward, discount) == (*wanted[:2], *wanted[3:])
            if step_type != LAST:
                assert action == reward
        num_steps += sum(step_type != LAST for _, step_type, *_ in found[slot])
    assert 0 <= driver.num_steps - num_steps <= game.num_slots * learner.rollout_length
    assert MID in {step_type for steps in found for _, step_type, *_ in steps}


def test_steps_in_which_nobody_speaks_make_no_rows():
    game = test_off_policy_partial.Straggling(chances=(0.02, 0.02, 0.02, 0.02))
    driver, learner = driver_of(game)
    while len(learner.rollouts) < 4:
        driver.advance(7)
    assert game.num_batches > 2 * 4 * learner.rollout_length
    assert all(rollout.valid.any(axis=1).all() for rollout in learner.rollouts)
