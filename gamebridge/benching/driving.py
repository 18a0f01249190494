"""`Driving`: a game behind the door to TensorFlow, under a TF-Agents driver."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253
from tf_agents.drivers import dynamic_step_driver  # noqa: TID253
from tf_agents.policies import tf_policy  # noqa: TID253
from tf_agents.trajectories import policy_step  # noqa: TID253
from tf_agents.utils import common  # noqa: TID253

from gamebridge import contract
from gamebridge.benching import clocks
from gamebridge.contract import specs
from gamebridge.testing import playing
from gamebridge.tf import environment as environments

_NUM_ACTIONS = 64
# What the door adds to a batch, about: for how many batches fill a call.
_DOOR_S = 150e-6


class Driving:
    """Steps a game by a `DynamicStepDriver` with a random policy."""

    def __init__(self, game: contract.Game, batch_s: float, call_s: float) -> None:
        """Traces the graph; the closing of `game` stays with the caller.

        Args:
          game: what to play.
          batch_s: seconds that a step of all its slots takes, about.
          call_s: seconds that one call of the driver shall take, about.
        """
        self._clock = clocks.Clock(game)
        self._environment = environments.GameTFEnvironment(self._clock)
        self._num_steps = max(1, int(call_s / (batch_s + _DOOR_S))) * game.num_slots
        driver = dynamic_step_driver.DynamicStepDriver(
            self._environment,
            _RandomPolicy(self._environment, game),
            observers=[],
            num_steps=self._num_steps,
        )
        self._run = common.function(driver.run)
        self._call()

    def play(self, seconds: float) -> dict[str, float]:
        """Plays for about so long; see `rounds.Player`. Errors are the game's own.

        Returns:
          Microseconds of a slot's step: of the game, and of the door around it.
        """
        self._clock.seconds = 0.0
        num_steps = 0
        began_s = now_s = time.perf_counter()
        while now_s - began_s < seconds or not num_steps:
            self._call()
            num_steps += self._num_steps
            now_s = time.perf_counter()
        game_us = 1e6 * self._clock.seconds / num_steps
        return {"game": game_us, "door": 1e6 * (now_s - began_s) / num_steps - game_us}

    def _call(self) -> None:
        try:
            self._run()
        except tf.errors.OpError:
            original = self._environment.error
            if original is None:
                raise
        else:
            return
        # Out here it keeps its own cause, which `raise ... from` would replace.
        raise original


class _RandomPolicy(tf_policy.TFPolicy):
    """Takes one of a few batches of actions, drawn beforehand.

    TF-Agents' own `RandomTFPolicy` draws no bools, and of what is unbounded draws the
    greatest floats there are.
    """

    def __init__(self, environment: environments.GameTFEnvironment, game: contract.Game) -> None:
        generator = np.random.default_rng(0)
        drawn = [
            playing.random_action(game.action_spec(), game.num_slots, generator)
            for _ in range(_NUM_ACTIONS)
        ]
        stacked = [np.stack(leaves) for leaves in zip(*map(specs.leaves, drawn), strict=True)]
        self._actions = [tf.constant(leaf) for leaf in stacked]
        super().__init__(environment.time_step_spec(), environment.action_spec(), clip=False)

    def _action(self, time_step: Any, policy_state: Any, seed: Any) -> policy_step.PolicyStep:
        index = tf.random.uniform([], 0, _NUM_ACTIONS, tf.int32)
        leaves = [tf.gather(leaf, index) for leaf in self._actions]
        action = tf.nest.pack_sequence_as(self.action_spec, leaves)
        return policy_step.PolicyStep(action, policy_state, ())

    def _distribution(self, time_step: Any, policy_state: Any) -> policy_step.PolicyStep:
        raise NotImplementedError("Its actions are drawn beforehand.")

    def _variables(self) -> list[Any]:
        return []
