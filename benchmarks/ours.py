"""Our own arrangements of the games that the peers play too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import games

_PONG = "gym/ale_py:ALE/Pong-v5"
_GREY_84 = {"grey": True, "height": 84, "width": 84, "stack": 4}
_GAMES: dict[str, dict[str, Any]] = {
    "cartpole": {"game_id": "gym/CartPole-v1"},
    "cartpole+legacy": {"game_id": "gym/legacy:LegacyCartPole-v1"},
    "cartpole-1": {"game_id": "gym/CartPole-v1"},
    "cartpole-1+legacy": {"game_id": "gym/legacy:LegacyCartPole-v1"},
    "pong": {"game_id": _PONG, "kwargs": {"frameskip": 1}},
    # As the Python peers play it: the environment steps four times, and each time fetches
    # the screen in colour. They also take the maximum of two frames, which ours has no
    # wrapper for; but of the fetched screens they use two, as small and grey ones.
    "pong-84": {
        "game_id": _PONG,
        "kwargs": {"frameskip": 1},
        "wrappers": {"action_repeat": 4, "images": _GREY_84},
    },
    # As one would play it here: the emulator skips the frames, the last one is fetched.
    "pong-84+lean": {
        "game_id": _PONG,
        "kwargs": {"frameskip": 4},
        "wrappers": {"images": _GREY_84},
    },
}


def arguments(game_id: str, *, workers: int, guard: str = "refuse") -> Mapping[str, Any]:
    """What `gamebridge.make` and `make_game` are to be called with.

    Args:
      game_id: of `games.GAMES`, or one of those and a variant: "+legacy" is the game of legacy
        gym, "+lean" lets the emulator skip the frames.
      workers: processes that play it; 0 for this one.
      guard: the setting of the value guard.
    """
    chosen = dict(_GAMES[game_id])
    chosen["wrappers"] = {"guard": guard, **chosen.get("wrappers", {})}
    num_slots = games.GAMES[game_id.partition("+")[0]].num_slots
    return {"num_slots": num_slots, "seed": 0, "workers": workers, **chosen}
