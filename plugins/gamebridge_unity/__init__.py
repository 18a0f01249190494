"""Unity builds, and whatever else speaks the ML-Agents protocol, as games.

Every build that is found is a game `unity/<name>`; `unity/build` plays the one at a path,
`unity/editor` what is played in a Unity editor. Neither grpc nor mlagents_envs is imported
before a game is made.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from typing import Any

from gamebridge import errors
from gamebridge.contract import CommandRecord, GameFamily, GameRecord, GameRequest, hookimpl
from gamebridge_unity import builds, settings

gamebridge_api_version = 1

_LOG = logging.getLogger(__name__)
_PLUGIN = "unity"


@hookimpl
def gamebridge_games() -> Iterator[GameRecord | GameFamily]:
    """Yields the builds that are found, and the ways to any other."""
    found, failed = builds.find()
    for build in found:
        yield _record(build)
    for failure in failed:
        _LOG.info("unity/%s is no game: %s", failure.name, failure.cause)
    yield GameFamily("unity/<name>", "Any Unity build that `gamebridge builds add` added.")
    yield GameRecord(
        id="unity/build",
        summary="A Unity build by its path: --set game.path=FILE.",
        make=_make_build,
        settings=settings.BuildSettings,
        num_slots=_slots_of_path,
        is_scene=True,
        plays_alone=False,
    )
    yield GameRecord(
        id="unity/editor",
        summary="What a Unity editor plays: start this, then press Play.",
        make=_make_editor,
        settings=settings.EditorSettings,
        is_scene=True,
        plays_alone=False,
    )


@hookimpl
def gamebridge_find_game(game_id: str) -> GameRecord | None:
    """Returns the record of a build that was added since.

    Raises:
      Error: there is none of this name, or why it cannot be used.
    """
    plugin, _, name = game_id.partition("/")
    return _record(builds.named(name)) if plugin == _PLUGIN else None


@hookimpl
def gamebridge_commands() -> Iterator[CommandRecord]:
    """Yields `gamebridge builds`."""
    yield CommandRecord("builds", "Add, list and check Unity builds.", _make_commands)


def _record(build: builds.Build) -> GameRecord:
    return GameRecord(
        id=f"{_PLUGIN}/{build.name}",
        summary=build.summary or f"The Unity build in {build.folder}.",
        make=functools.partial(_make, build),
        settings=settings.UnitySettings,
        wrappers=build.wrappers,
        presets=build.presets,
        agent_wrappers=build.agent_wrappers,
        training=build.training,
        num_slots=functools.partial(_slots, build),
        is_scene=True,
        source=build.source,
    )


def _slots(build: builds.Build, chosen: settings.UnitySettings) -> int | None:
    """Returns how many slots training takes: what the build says, or an agent each."""
    if build.num_slots is not None:
        return build.num_slots
    return None if build.agents is None else build.agents * chosen.players


def _slots_of_path(chosen: settings.BuildSettings) -> int | None:
    if chosen.num_agents is not None:
        return chosen.num_agents * chosen.players
    return _slots(builds.for_path(chosen.path), chosen) if chosen.path else None


def _make_build(request: GameRequest) -> Any:
    path = request.settings.path
    if not path:
        raise errors.ConfigError(
            f"{request.game_id}: path is not set; expected the executable of a Unity build, or a "
            "folder with a build.toml. Set game.path."
        )
    return _make(builds.for_path(path), request)


def _make_editor(request: GameRequest) -> Any:
    return _make(None, request)


def _make(build: builds.Build | None, request: GameRequest) -> Any:
    from gamebridge_unity import making

    return making.make(request, build)


def _make_commands() -> Any:
    from gamebridge_unity import commands

    return commands.make()
