"""Games of the reference player, as tests want them."""

from __future__ import annotations

import dataclasses

from gamebridge.contract import GameRequest
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge_unity import builds, making
from gamebridge_unity.settings import UnitySettings

# Nobody waits for long.
QUICK = SupervisionSettings(step_timeout_s=20.0, start_timeout_s=20.0, close_timeout_s=2.0)


def reference(scene, *args, **description):
    """Returns the reference player as a build, with a scene."""
    build = builds.named("racing", [builds.OWN_FOLDER])
    words = ("--scene", scene, *map(str, args))
    return dataclasses.replace(build, behavior="", args=words, **description)


def make(scene, num_slots, *args, limits=QUICK, picture=False, build=None, **settings):
    """Returns a game of so many slots; `args` are more words for the reference player."""
    build = build or reference(scene, *args)
    request = GameRequest(
        f"unity/{scene}", num_slots, picture, UnitySettings(**settings), limits
    )
    return making.make(request, build)
