"""The racing scene: cars on a track, their lidar and, if wanted, a camera above each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from gamebridge_unity.reference import games

BEHAVIOR = "Car?team=0"
CAMERA_PIXELS = 84

Camera: TypeAlias = Literal["", "rgb", "grey"]


def make(
    count: int,
    track: str = "oval",
    camera: Camera = "",
    settings: Mapping[str, Any] | None = None,
    *,
    is_shown: bool = False,
) -> games.GameScene:
    """Puts cars on a track.

    Their cameras are of a second game, the same but for its view: the same seeds and actions
    give the same drive.

    Args:
      count: how many.
      track: such as "oval".
      camera: what colours it has; "" for none.
      settings: of the racing game.
      is_shown: whether the first cars are drawn in a window.

    Raises:
      Error: there is no such track, or no such setting.
    """
    chosen = settings or {}
    main = games.make_game(f"racing/{track}", count, chosen, picture=is_shown)
    views, sensors = [main], ["lidar"]
    if camera:
        size = {"height": CAMERA_PIXELS, "width": CAMERA_PIXELS}
        images = {**size, "grey": camera == "grey", "stack": 1}
        views.append(games.make_game(f"racing/{track}-pixels", count, chosen, images))
        sensors.append("camera")
    return games.GameScene(BEHAVIOR, views, sensors, is_shown=is_shown)
