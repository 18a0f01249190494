"""Our own arrangements of the games that the peers play too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import games

_PONG = "gym/ALE/Pong-v5"
_GREY_84 = {"grey": True, "height": 84, "width": 84, "stack": 4}
_GAMES: dict[str, dict[str, Any]] = {
    "cartpole": {"game_id": "gym/CartPole-v1"},
    "cartpole+legacy": {"game_id": "gym/legacy:LegacyCartPole-v1"},
    "cartpole-1": {"game_id": "gym/CartPole-v1"},
    "cartpole-1+legacy": {"game_id": "gym/legacy:LegacyCartPole-v1"},
    "pong": {
        "game_id": _PONG,
        "kwargs": {"frameskip": 1},
        "prepared": False,
        "wrappers": {"images": None},
    },
    # Prepared as the peers prepare it: the maximum of the last two frames of four, in grey.
    "pong-84": {"game_id": _PONG, "noop_max": 0},
    # Any environment, brought to the same by our wrappers alone: it steps four times and
    # fetches the screen each time in colour, of which the last one is used.
    "pong-84+wrapped": {
        "game_id": _PONG,
        "kwargs": {"frameskip": 1},
        "prepared": False,
        "wrappers": {"action_repeat": 4, "images": _GREY_84},
    },
}


def arguments(game_id: str, *, workers: int, guard: str = "refuse") -> Mapping[str, Any]:
    """What `gamebridge.make` and `make_game` are to be called with.

    Args:
      game_id: of `games.GAMES`, or one of those and a variant: "+legacy" is the game of legacy
        gym, "+wrapped" is brought to the same by our wrappers alone.
      workers: processes that play it; 0 for this one.
      guard: the setting of the value guard.
    """
    chosen = dict(_GAMES[game_id])
    chosen["wrappers"] = {"guard": guard, **chosen.get("wrappers", {})}
    num_slots = games.GAMES[game_id.partition("+")[0]].num_slots
    return {"num_slots": num_slots, "seed": 0, "workers": workers, **chosen}
