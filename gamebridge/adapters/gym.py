"""The legacy gym environment (up to 0.25) as one slot: four values a step.

Gym's TimeLimit says by `info["TimeLimit.truncated"]` that it ended an episode; such an
end keeps discount 1. Seeds go by `reset(seed=...)` where every wrapper takes it, else by
the older `seed(...)`.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from gamebridge.adapters import gymnasium


class GymSlot(gymnasium.GymnasiumSlot):
    """Plays one gym.Env: differs from gymnasium's in reset, step and render."""

    def __init__(self, environment: Any, name: str) -> None:
        """Takes over the closing of `environment`; see `GymnasiumSlot`."""
        super().__init__(environment, name)
        self._resets_by_seed = _resets_by_seed(environment)
        modes = environment.metadata or {}
        # "render.modes" was the key before gym 0.22.
        self._has_picture = "rgb_array" in modes.get("render_modes", modes.get("render.modes", ()))

    def reset(self, seed: int) -> Any:
        """Resets with the seed."""
        self._info = {}
        if self._resets_by_seed:
            observation = self._reset(seed=seed)
        else:
            with warnings.catch_warnings():
                # Gym deprecates `seed`, the only way with environments as old as these.
                warnings.filterwarnings("ignore", r".*env\.seed\(seed\)", DeprecationWarning)
                self._environment.seed(seed)
            observation = self._reset()
        return observation if self._read is None else self._read(observation)

    def step(self, action: Any) -> tuple[Any, Any, Any, Any]:
        """Steps; an end by TimeLimit is a truncation."""
        if self._write is not None:
            action = self._write(action)
        observation, reward, done, self._info = self._step(action)
        if self._read is not None:
            observation = self._read(observation)
        if not done:
            return observation, reward, 1.0, False
        truncated = self._info.get("TimeLimit.truncated", False)
        return observation, reward, 1.0 if truncated else 0.0, True

    def render(self) -> Any:
        """Renders where the environment lists the mode "rgb_array"."""
        return self._environment.render(mode="rgb_array") if self._has_picture else None


def _resets_by_seed(environment: Any) -> bool:
    while True:
        parameters = inspect.signature(environment.reset).parameters
        takes_any = any(kind.kind is kind.VAR_KEYWORD for kind in parameters.values())
        if "seed" not in parameters and not takes_any:
            return False
        if environment is environment.unwrapped:
            return "seed" in parameters
        environment = environment.env
