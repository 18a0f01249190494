"""The gymnasium environment as one slot: five values a step, seeds by `reset`.

An environment may report telemetry: it has an attribute `telemetry_spec`, a dict of
`TelemetrySpec`, and gives the values by the same names in `info`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gamebridge.adapters import conversion, slots, spaces
from gamebridge.contract import specs
from gamebridge.contract.specs import TelemetrySpec

# The modules of TimeLimit in gymnasium since 1.0 and before, and in gym.
_TIME_LIMITS = (
    "gymnasium.wrappers.common",
    "gymnasium.wrappers.time_limit",
    "gym.wrappers.time_limit",
)


class GymnasiumSlot(slots.Single):
    """Plays one gymnasium.Env."""

    def __init__(self, environment: Any, name: str) -> None:
        """Takes over the closing of `environment`.

        Args:
          environment: a gymnasium.Env, wrapped or not.
          name: the game's, for messages.

        Raises:
          GameError: a space that cannot be converted; see `conversion`.
        """
        dialect = spaces.Spaces()
        self._environment = environment
        self._observation = conversion.observation(dialect, environment.observation_space, name)
        self._action = conversion.action(dialect, environment.action_space, name)
        self.dropped = self._observation.dropped
        self.steps_per_s = _steps_per_s(getattr(environment, "metadata", None))
        self._telemetry_spec = dict(getattr(environment.unwrapped, "telemetry_spec", None) or {})
        played, self.max_steps = _without_limit(environment)
        self._reset = played.reset
        self._step = played.step
        self._read = self._observation.read
        self._write = self._action.write
        self._info: Mapping[str, Any] = {}

    def observation_spec(self) -> specs.Spec:
        """The observation space's."""
        return self._observation.spec

    def action_spec(self) -> specs.Spec:
        """The action space's."""
        return self._action.spec

    def telemetry_spec(self) -> dict[str, TelemetrySpec]:
        """The unwrapped environment's `telemetry_spec`, if it has one."""
        return self._telemetry_spec

    def reset(self, seed: int) -> Any:
        """Resets with the seed."""
        observation, self._info = self._reset(seed=seed)
        return observation if self._read is None else self._read(observation)

    def step(self, action: Any) -> tuple[Any, Any, Any, Any]:
        """Steps; terminated wins where the environment says truncated as well."""
        if self._write is not None:
            action = self._write(action)
        observation, reward, terminated, truncated, self._info = self._step(action)
        if self._read is not None:
            observation = self._read(observation)
        if terminated:
            return observation, reward, 0.0, True
        return observation, reward, 1.0, truncated

    def telemetry(self) -> Mapping[str, Any]:
        """The environment's `info`."""
        return self._info

    def render(self) -> Any:
        """Renders where the environment was made with render_mode="rgb_array"."""
        if self._environment.render_mode != "rgb_array":
            return None
        return self._environment.render()

    def close(self) -> None:
        """Closes the environment."""
        self._environment.close()


def _steps_per_s(metadata: Any) -> float | None:
    """Reads the rate at which an environment wants its steps to be shown."""
    if not isinstance(metadata, Mapping):
        return None
    # The second was the key before gym 0.22.
    rate = metadata.get("render_fps", metadata.get("video.frames_per_second"))
    is_rate = isinstance(rate, (int, float)) and math.isfinite(rate) and rate > 0
    return float(rate) if is_rate else None


def _without_limit(environment: Any) -> tuple[Any, float]:
    """Takes the library's own TimeLimit off: the game counts anyhow; a cheap one gains 5 %."""
    kind = type(environment)
    if kind.__name__ == "TimeLimit" and kind.__module__ in _TIME_LIMITS:
        return environment.env, environment._max_episode_steps
    return environment, math.inf
