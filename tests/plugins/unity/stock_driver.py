"""Plays a build by the stock UnityEnvironment and writes down what it says.

    python stock_driver.py BUILD PORT STEPS OUTPUT.npz [ARGUMENTS OF THE PLAYER ...]

Runs in an environment that has mlagents-envs and nothing of gamebridge.
"""

import sys
import time

import numpy as np
from mlagents_envs.base_env import ActionTuple
from mlagents_envs.environment import UnityEnvironment

SEED = 11


def actions(random, spec, count):
    """Random actions for so many agents."""
    return ActionTuple(
        random.uniform(-1, 1, (count, spec.continuous_size)).astype(np.float32),
        np.stack(
            [random.randint(0, size, count) for size in spec.discrete_branches], 1
        ).astype(np.int32) if spec.discrete_size else np.zeros((count, 0), np.int32),
    )  # fmt: skip


def main(build, port, steps, output, *arguments):
    """Plays; all rows of all steps go into one file."""
    start = time.monotonic()
    environment = UnityEnvironment(
        build,
        base_port=int(port),
        seed=SEED,
        no_graphics=True,
        timeout_wait=30,
        additional_args=list(arguments),
    )
    try:
        environment.reset()
        ready_s = time.monotonic() - start
        rows = play(environment, int(steps))
    finally:
        # An interpreter that ends without this never ends.
        start = time.monotonic()
        environment.close()
    seconds = np.asarray([ready_s, time.monotonic() - start])
    np.savez(output, seconds=seconds, **{name: np.asarray(values) for name, values in rows.items()})


def play(environment, steps):
    """Steps the only behaviour of the scene by random actions."""
    (name,) = environment.behavior_specs
    spec = environment.behavior_specs[name]
    random = np.random.RandomState(SEED)
    rows = {what: [] for what in ("step", "id", "done", "interrupted", "reward", "seen", "taken")}
    for step in range(steps):
        decisions, ends = environment.get_steps(name)
        # As in the message: the ends of a step come before its decisions.
        for part, done in ((ends, True), (decisions, False)):
            count = len(part)
            rows["step"] += [step] * count
            rows["id"] += part.agent_id.tolist()
            rows["done"] += [done] * count
            rows["interrupted"] += part.interrupted.tolist() if done else [False] * count
            rows["reward"] += part.reward.tolist()
            for row in range(count):
                rows["seen"].append(np.concatenate([each[row].ravel() for each in part.obs]))
        action = actions(random, spec.action_spec, len(decisions))
        rows["taken"] += np.hstack([action.continuous, action.discrete]).tolist()
        if len(decisions):
            environment.set_actions(name, action)
        environment.step()
    rows["shapes"] = [str([tuple(each.shape) for each in spec.observation_specs])]
    return rows


if __name__ == "__main__":
    main(*sys.argv[1:])
