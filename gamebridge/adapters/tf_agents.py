"""The TF-Agents PyEnvironment as one slot; batched ones are refused.

Seeds go by `seed(int)` where the environment supports it; see `dm_env` for those that do
not. `reset` is called after every LAST, so an environment's own auto-reset never acts.
"""

from __future__ import annotations

import contextlib
from typing import Any

from gamebridge import errors
from gamebridge.adapters import dm_env


class PyEnvironmentSlot(dm_env.DmEnvSlot):
    """Plays one unbatched tf_agents PyEnvironment: a dm_env with other method names."""

    def __init__(self, environment: Any, name: str) -> None:
        """Takes over the closing of `environment`; see `DmEnvSlot`.

        Raises:
          PluginError: the environment is batched.
          GameError: a spec that cannot be converted; see `conversion`.
        """
        if environment.batched:
            raise errors.PluginError(
                f"{name}: {type(environment).__name__} is batched, with batch size "
                f"{environment.batch_size}: expected one environment a slot. Return it unbatched."
            )
        super().__init__(environment, name)

    def render(self) -> Any:
        """Renders where the environment can."""
        try:
            return self._environment.render("rgb_array")
        except NotImplementedError:
            return None

    def _seed(self, seed: int) -> None:
        # The base class's `seed` says by this error that there is nothing to seed.
        with contextlib.suppress(NotImplementedError):
            self._environment.seed(seed)

    def _is_first(self, time_step: Any) -> bool:
        return bool(time_step.is_first())

    def _is_last(self, time_step: Any) -> bool:
        return bool(time_step.is_last())
