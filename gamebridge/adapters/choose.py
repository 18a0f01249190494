"""The choice of an adapter by looking at the object: no library is imported for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gamebridge import errors
from gamebridge.adapters import dm_env, gym, gymnasium, slots, tf_agents
from gamebridge.contract import Game

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Adapter: TypeAlias = "Callable[[Any, str], slots.Single]"

# (top package of the class, name of the class) -> adapter
_BY_CLASS: dict[tuple[str, str], Adapter] = {
    ("dm_env", "Environment"): dm_env.DmEnvSlot,
    ("gym", "Env"): gym.GymSlot,
    ("gymnasium", "Env"): gymnasium.GymnasiumSlot,
    ("tf_agents", "PyEnvironment"): tf_agents.PyEnvironmentSlot,
}
_BY_SPACE: dict[str, Adapter] = {"gym": gym.GymSlot, "gymnasium": gymnasium.GymnasiumSlot}
_ACCEPTED = (
    "a gamebridge Game, a gymnasium.Env, a gym.Env, a dm_env.Environment "
    "or an unbatched tf_agents PyEnvironment"
)


def adapt(environments: Sequence[Any], name: str) -> Game:
    """Returns a game with one slot for each of `environments`, and takes over their closing.

    Args:
      environments: one gymnasium, gym, dm_env or TF-Agents environment a slot, all alike.
      name: the game's, for messages.

    Raises:
      ValueError: no environments.
      PluginError: an object that is none of these, a vectorised environment, or one
        object for two slots.
      GameError: a spec that cannot be converted, or two slots whose specs differ.
    """
    if len({id(environment) for environment in environments}) != len(environments):
        raise errors.PluginError(
            f"{name}: two slots were given the same {type(environments[0]).__name__} object. "
            "Make a new environment at every call of `make`."
        )
    singles = []
    for environment in environments:
        adapter = _adapter(environment, name)
        try:
            singles.append(adapter(environment, name))
        except errors.Error:
            raise
        except Exception as error:
            raise errors.GameError(
                f"{name}: the specs of {type(environment).__name__} cannot be read: "
                f"{type(error).__name__}: {error}. Mend its observation and action specs."
            ) from error
    return slots.SlotGame(singles, name)


def _adapter(environment: Any, name: str) -> Adapter:
    kind = type(environment)
    names = [(base.__module__.partition(".")[0], base.__name__) for base in kind.__mro__]
    if any(base == "VectorEnv" for _, base in names):
        raise errors.PluginError(
            f"{name}: {kind.__module__}.{kind.__name__} is a vectorised environment: expected "
            "one environment a slot. Return a single one from `make`."
        )
    for base in names:
        if base in _BY_CLASS:
            return _BY_CLASS[base]
    if not isinstance(environment, Game):
        adapter = _by_attributes(environment)
        if adapter is not None:
            return adapter
    raise errors.PluginError(
        f"{name}: `make` returned {kind.__module__}.{kind.__name__}, which no adapter knows: "
        f"expected {_ACCEPTED}."
    )


def _by_attributes(environment: Any) -> Adapter | None:
    if not all(callable(getattr(environment, method, None)) for method in ("reset", "step")):
        return None
    for base in type(getattr(environment, "observation_space", None)).__mro__:
        adapter = _BY_SPACE.get(base.__module__.partition(".")[0])
        if adapter is not None and hasattr(environment, "unwrapped"):
            return adapter
    if all(
        callable(getattr(environment, f"{what}_spec", None)) for what in ("observation", "action")
    ):
        if hasattr(environment, "batched"):
            return tf_agents.PyEnvironmentSlot
        if callable(getattr(environment, "discount_spec", None)):
            return dm_env.DmEnvSlot
    return None
