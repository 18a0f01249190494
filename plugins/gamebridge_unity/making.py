"""`make`: a build, or an editor, and settings become a `UnityGame`."""

from __future__ import annotations

import contextlib
import dataclasses

from gamebridge import errors
from gamebridge.contract import GameRequest
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge_unity import (
    builds,
    channels,
    client,
    dialogues,
    game,
    launcher,
    schedules,
    squad,
    views,
)
from gamebridge_unity.settings import Engine, Sampler, UnitySettings

# What mlagents-learn asks of builds, too.
_ENGINE = Engine(time_scale=20.0, target_frame_rate=-1, capture_frame_rate=60)
_SCREEN = (1280, 720)


def make(request: GameRequest, build: builds.Build | None) -> game.UnityGame:
    """Starts the players of a game, and waits until they are there.

    Args:
      request: what is wanted; its settings are `UnitySettings`.
      build: None for an editor, which is waited for.

    Raises:
      ConfigError: the settings do not suit the number of slots, or the build.
      GameError, PlayerError: as `UnityGame`.
    """
    name, count = request.game_id, request.num_slots
    settings = completed(request.settings, build)
    limits = _limits(request.supervision, build)
    if count % settings.players:
        raise errors.ConfigError(
            f"{name}: num_slots is {count}, of which {settings.players} players cannot have equal "
            f"shares; expected a multiple of {settings.players}. Change num_slots or players."
        )
    is_seen = request.picture and settings.view in ("", views.WINDOW)
    if is_seen and settings.graphics == "none" and build is not None:
        # What draws nothing cannot be looked at.
        settings = dataclasses.replace(settings, graphics="virtual")
    with contextlib.ExitStack() as opened:
        host = launcher.Launcher(
            build,
            settings.args,
            settings.graphics,
            settings.log_folder,
            (settings.engine.width or _SCREEN[0], settings.engine.height or _SCREEN[1]),
            is_seen=is_seen,
        )
        opened.callback(host.close, False)
        members = []
        for index in range(settings.players):
            members.append(_member(name, index, count, settings, limits, host, build))
            opened.callback(members[-1].close, 0.0)
        # The game closes them, whatever comes.
        opened.pop_all()
    window = host.window if settings.graphics == "virtual" else None
    return game.UnityGame(
        name,
        count,
        settings,
        limits,
        members,
        graphics=settings.graphics,
        picture=views.View(settings.view, window) if request.picture else None,
        free=host.close,
        steps_per_s=None if build is None else build.steps_per_s,
    )


def completed(settings: UnitySettings, build: builds.Build | None) -> UnitySettings:
    """Returns the settings, with what they leave open as the build has it."""
    if build is None:
        return dataclasses.replace(settings, engine=_joined(settings.engine, _ENGINE))
    parameters = {
        name: value for name, value in build.parameters.items() if name not in settings.samplers
    }
    return dataclasses.replace(
        settings,
        behavior=settings.behavior or build.behavior,
        view=settings.view or build.view,
        engine=_joined(settings.engine, _joined(build.engine, _ENGINE)),
        parameters={**parameters, **settings.parameters},
    )


def _member(
    name: str,
    index: int,
    num_slots: int,
    settings: UnitySettings,
    limits: SupervisionSettings,
    host: launcher.Launcher,
    build: builds.Build | None,
) -> squad.Member:
    """Starts player number `index` of a game."""
    each = num_slots // settings.players
    label = f"{name}, player {index}" if settings.players > 1 else name
    beside = _channels(settings, index)
    connection = client.Client(
        label,
        channels=beside,
        port=settings.port + index if settings.port else 0,
        max_message_bytes=settings.max_message_mib * 2**20,
    )
    try:
        return squad.Member(
            index,
            dialogues.Dialogue(
                label,
                slice(index * each, (index + 1) * each),
                connection,
                beside,
                settings,
                limits.step_timeout_s,
            ),
            settings,
            limits,
            host.launch,
        )
    except BaseException:
        connection.close()
        raise


def _limits(limits: SupervisionSettings, build: builds.Build | None) -> SupervisionSettings:
    """Returns the run's limits, with as much time as the build says that it needs."""
    if build is None:
        return limits
    return dataclasses.replace(
        limits,
        start_timeout_s=max(limits.start_timeout_s, build.start_timeout_s or 0.0),
        step_timeout_s=max(limits.step_timeout_s, build.step_timeout_s or 0.0),
    )


def _joined(first: Engine, second: Engine) -> Engine:
    values = {
        field.name: getattr(second, field.name)
        for field in dataclasses.fields(Engine)
        if getattr(first, field.name) is None
    }
    return dataclasses.replace(first, **values)


def _channels(settings: UnitySettings, index: int) -> channels.Channels:
    """Returns the side channels of a player, with all that it is told at first."""
    engine = settings.engine
    has_size = engine.width is not None and engine.height is not None
    made = channels.Channels(
        channels.EngineSettings(
            width=engine.width if has_size else None,
            height=engine.height if has_size else None,
            quality=engine.quality_level,
            time_scale=engine.time_scale,
            target_frame_rate=engine.target_frame_rate,
            capture_frame_rate=engine.capture_frame_rate,
        )
    )
    for number, (name, sampler) in enumerate(sorted(settings.samplers.items())):
        seed = settings.seed + index * len(settings.samplers) + number
        made.set_sampler(name, _sampler(sampler), seed if sampler.seed is None else sampler.seed)
    for name, value in schedules.Schedule(settings.parameters).at(0).items():
        made.set_parameter(name, value)
    return made


def _sampler(sampler: Sampler) -> channels.Sampler:
    values = sampler.values
    if sampler.kind == "uniform":
        return channels.Uniform(values[0], values[1])
    if sampler.kind == "gaussian":
        return channels.Gaussian(values[0], values[1])
    return channels.MultiRange(tuple(zip(values[::2], values[1::2], strict=True)))
