"""The dm_env environment as one slot: its discount is handed on as it is.

LAST with discount 0 is a termination, with any other a truncation. dm_env has no word
for seeds: an environment that has a method `seed(int)` is seeded before every episode;
any other draws its episodes as it likes, and the same seed does not repeat them.
"""

from __future__ import annotations

from typing import Any

from gamebridge.adapters import array_specs, conversion, rows, slots
from gamebridge.contract import specs


class DmEnvSlot(slots.Single):
    """Plays one dm_env.Environment."""

    def __init__(self, environment: Any, name: str) -> None:
        """Takes over the closing of `environment`.

        Args:
          environment: a dm_env.Environment.
          name: the game's, for messages.

        Raises:
          GameError: a spec that cannot be converted; see `conversion`.
        """
        dialect = array_specs.ArraySpecs()
        self._environment = environment
        self._observation = conversion.observation(dialect, environment.observation_spec(), name)
        self._action = conversion.action(dialect, environment.action_spec(), name)
        self.dropped = self._observation.dropped

    def observation_spec(self) -> specs.Spec:
        """The environment's."""
        return self._observation.spec

    def action_spec(self) -> specs.Spec:
        """The environment's."""
        return self._action.spec

    def reset(self, seed: int) -> Any:
        """Seeds the environment if it can be seeded, and resets it."""
        self._seed(seed)
        return self._read(self._environment.reset().observation)

    def step(self, action: Any) -> tuple[Any, Any, Any, Any]:
        """Steps and hands on the discount."""
        write = self._action.write
        time_step = self._environment.step(action if write is None else write(action))
        if self._is_first(time_step):
            raise rows.BadValue("the step type is FIRST in mid-episode, expected MID or LAST")
        last = self._is_last(time_step)
        return self._read(time_step.observation), time_step.reward, time_step.discount, last

    def close(self) -> None:
        """Closes the environment."""
        self._environment.close()

    def _seed(self, seed: int) -> None:
        if callable(getattr(self._environment, "seed", None)):
            self._environment.seed(seed)

    def _read(self, observation: Any) -> Any:
        read = self._observation.read
        return observation if read is None else read(observation)

    def _is_first(self, time_step: Any) -> bool:
        return bool(time_step.first())

    def _is_last(self, time_step: Any) -> bool:
        return bool(time_step.last())
