"""`Bare`: an environment of another library in a plain loop, as one would write it by hand."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from gamebridge import contract, errors
from gamebridge.adapters import array_specs, columns, conversion, spaces
from gamebridge.testing import playing

_NUM_ACTIONS = 64


class Bare:
    """Steps one environment with random actions and resets it when an episode is over."""

    def __init__(self, environment: Any, name: str) -> None:
        """Draws the actions and takes over the closing of `environment`.

        Args:
          environment: of gymnasium, gym, dm_env or TF-Agents, as `adapters.adapt` takes it.
          name: the game's, for messages.

        Raises:
          GameError: its action cannot be given by an agent.
        """
        self._environment = environment
        self._name = name
        space = getattr(environment, "action_space", None)
        if space is None:
            action = conversion.action(array_specs.ArraySpecs(), environment.action_spec(), name)
        else:
            action = conversion.action(spaces.Spaces(), space, name)
        generator = np.random.default_rng(0)
        drawn = playing.random_action(action.spec, _NUM_ACTIONS, generator)
        actions = columns.split(action.spec, drawn, _NUM_ACTIONS, name)
        self._actions = [one if action.write is None else action.write(one) for one in actions]
        self._is_over = True

    def play(self, seconds: float) -> dict[str, float]:
        """Plays for so long and at least one step; see `rounds.Player`.

        Raises:
          GameError: the environment raised.
        """
        try:
            return {"game": self._play(seconds)}
        except errors.Error:
            raise
        except (Exception, SystemExit) as error:
            raise errors.GameError(
                f"{self._name} raised {type(error).__name__} in a plain loop over its own "
                f"environment: {error}. Mend the game; its own traceback is the cause."
            ) from error

    def close(self) -> None:
        """Closes the environment."""
        self._environment.close()

    def _play(self, seconds: float) -> float:
        step, actions = self._environment.step, self._actions
        num_steps = 0
        began_s = time.perf_counter()
        until_s = began_s + seconds
        while True:
            if self._is_over:
                self._environment.reset()
                self._is_over = False
            said = step(actions[num_steps % _NUM_ACTIONS])
            num_steps += 1
            if hasattr(said, "step_type"):
                self._is_over = int(said.step_type) == contract.LAST
            else:
                # gymnasium says terminated and truncated, gym done.
                self._is_over = bool(said[2] or (len(said) == 5 and said[3]))
            now_s = time.perf_counter()
            if now_s >= until_s:
                return 1e6 * (now_s - began_s) / num_steps


def open_environment(record: contract.GameRecord, request: contract.GameRequest) -> Bare:
    """Makes one environment more, of a game whose `make` returns one at every call.

    Raises:
      PluginError: `make` raised.
      GameError: see `Bare`.
    """
    try:
        environment = record.make(request)
    except errors.Error:
        raise
    except (Exception, SystemExit) as error:
        raise errors.PluginError(
            f"'{request.game_id}' could not be made once more: {type(error).__name__}: {error}. "
            "Let its plugin's make return a new environment at every call."
        ) from error
    return Bare(environment, request.game_id)
