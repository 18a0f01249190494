"""Train TF-Agents agents on real games: plugins in, one TFEnvironment out.

    import gamebridge

    env = gamebridge.make("gym/CartPole-v1", num_slots=8)   # a TF-Agents TFEnvironment
    run = gamebridge.train("gym/CartPole-v1", agent="dqn", steps=50_000)
    print(gamebridge.evaluate(run, record=True).return_mean)

The functions are those of `gamebridge.api`, imported when first asked for: a plugin that
needs `gamebridge.contract` alone, or `gamebridge doctor` in a broken environment, must
not pay for them or fail with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gamebridge.api import (
        demonstrate,
        evaluate,
        load_episodes,
        make,
        make_game,
        resume,
        train,
    )

__all__ = ["demonstrate", "evaluate", "load_episodes", "make", "make_game", "resume", "train"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Returns one of the public functions (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'gamebridge' has no attribute '{name}'")
    from gamebridge import api

    return getattr(api, name)


def __dir__() -> list[str]:
    """Lists the public functions too."""
    return sorted([*globals(), *__all__])
