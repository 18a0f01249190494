"""The scenes of the reference player, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from gamebridge_unity import player
from gamebridge_unity.reference import games, numbered, pairs, racing, screens, sides, views, walks


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a scene is made of, from the command line.

    Attributes:
      agents: how many; None for the scene's own number.
      period: a decision in every period-th step.
      track: of the racing scene.
      camera: of the racing scene: "", "rgb" or "grey".
      game: id of a game that is offered in place of a scene.
      settings: of that game, or of the racing game.
      no_graphics: whether the player may not draw.
    """

    agents: int | None = None
    period: int = 1
    track: str = "oval"
    camera: racing.Camera = ""
    game: str = ""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    no_graphics: bool = False


@dataclasses.dataclass(frozen=True)
class Kind:
    """A scene that there is.

    Attributes:
      summary: one line.
      agents: how many there are unless told otherwise.
      make: makes it with so many agents.
    """

    summary: str
    agents: int
    make: Callable[[int, Choice], player.Scene]


SCENES = {
    "racing": Kind(
        "Cars on the oval: lidar, continuous actions, a camera if wanted.",
        16,
        lambda count, choice: racing.make(
            count,
            choice.track,
            choice.camera,
            choice.settings,
            is_shown=screens.is_there(no_graphics=choice.no_graphics),
        ),
    ),
    "basic": Kind(
        "Walkers to a mark: a vector, three actions.",
        8,
        lambda count, choice: walks.basic(count, choice.period),
    ),
    "two-behaviors": Kind(
        "Two behaviours, of which one decides in every third step.",
        4,
        lambda count, choice: pairs.Pair(count),
    ),
    "groups": Kind(
        "Groups of four with a group reward.", 8, lambda count, choice: walks.Groups(count)
    ),
    "hybrid": Kind(
        "One continuous and two discrete actions; two vectors.",
        8,
        lambda count, choice: walks.Hybrid(count),
    ),
    "masks": Kind("Two branches with action masks.", 8, lambda count, choice: walks.Masks(count)),
    "buffer": Kind(
        "A buffer sensor and a goal signal.", 8, lambda count, choice: walks.Buffers(count)
    ),
    "grey": Kind("Grey cameras, as PNG and as floats.", 4, lambda count, choice: views.grey(count)),
    "stacked": Kind(
        "Stacked cameras of one, three and four channels.",
        4,
        lambda count, choice: views.stacked(count),
    ),
    "numbered": Kind(
        "Every decision tells its agent, episode and step; episodes end at random.",
        8,
        lambda count, choice: numbered.Numbered(count),
    ),
    "comers": Kind(
        "The same, and agents come, go and decide late.",
        8,
        lambda count, choice: numbered.Numbered(count, comers=True),
    ),
    "period5": Kind(
        "Walkers who decide in every fifth step and end in any.",
        8,
        lambda count, choice: walks.basic(count, 5),
    ),
    "window": Kind(
        "Dots in a window of an X display, seen as its pixels.",
        8,
        lambda count, choice: sides.Sides(count, no_graphics=choice.no_graphics),
    ),
}


def make(name: str, choice: Choice) -> player.Scene:
    """Makes a scene, or the game that was chosen in its place.

    Raises:
      Error: the scene cannot be made here; says why.
    """
    if choice.game:
        is_shown = screens.is_there(no_graphics=choice.no_graphics)
        game = games.make_game(choice.game, choice.agents or 8, choice.settings, picture=is_shown)
        return games.GameScene("Agent?team=0", [game], is_shown=is_shown)
    kind = SCENES[name]
    return kind.make(choice.agents or kind.agents, choice)
