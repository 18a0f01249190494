"""`make`: a build, or an editor, and settings become a `UnityGame`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools

from gamebridge import errors
from gamebridge.contract import GameRequest, Policy
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge_unity import (
    builds,
    channels,
    client,
    dialogues,
    game,
    launcher,
    others,
    schedules,
    squad,
    trained,
    views,
)
from gamebridge_unity.settings import RUN, Engine, Sampler, UnitySettings

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
      FitError: the run that is to drive others was trained on something else.
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
        # First: it may take longer than a player is patient.
        policy = _open_policy(request, settings)
        if policy is not None:
            opened.callback(policy.close)
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
            members.append(_member(name, index, count, settings, limits, host, policy))
            opened.callback(members[-1].close, 0.0)
        # The game closes them, whatever comes.
        opened.pop_all()
    window = host.window if settings.graphics == "virtual" else None
    made = game.UnityGame(
        name,
        count,
        settings,
        limits,
        members,
        graphics=settings.graphics,
        picture=views.View(settings.view, window) if request.picture else None,
        free=functools.partial(_free, host, policy),
        steps_per_s=None if build is None else build.steps_per_s,
    )
    try:
        views.check(made, settings.view)
        for member in members:
            if isinstance(member.policy, trained.Trained):
                member.policy.check(member.dialogue.client.behaviors)
    except BaseException:
        made.close()
        raise
    return made


def _open_policy(request: GameRequest, settings: UnitySettings) -> Policy | None:
    """Returns what drives others, where that is a run."""
    said = settings.others
    if not isinstance(said, str) or not said.startswith(RUN):
        return None
    if request.open_policy is None:
        raise errors.ConfigError(
            f"{request.game_id}: others is '{said}', and a policy cannot be opened in a worker "
            "process. Play the game in this process: --workers 0, without --game-python."
        )
    return request.open_policy(said[len(RUN) :])


def _free(host: launcher.Launcher, policy: Policy | None, has_lost: bool) -> None:
    try:
        host.close(has_lost)
    finally:
        if policy is not None:
            policy.close()


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
    policy: Policy | None,
) -> squad.Member:
    """Starts player number `index` of a game; `policy` drives others where there is one."""
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
        dialogue = dialogues.Dialogue(
            label,
            slice(index * each, (index + 1) * each),
            connection,
            beside,
            settings,
            limits.step_timeout_s,
        )
        driver = _driver(settings, settings.seed + index, policy, dialogue)
        return squad.Member(index, dialogue, settings, limits, host.launch, driver)
    except BaseException:
        connection.close()
        raise


def _driver(
    settings: UnitySettings, seed: int, policy: Policy | None, dialogue: dialogues.Dialogue
) -> others.Policy:
    """Returns what drives the agents of a player that do not learn."""
    if policy is None:
        return others.make(settings.others, seed)
    path = str(settings.others)[len(RUN) :]
    return trained.Trained(policy, path, lambda: dialogue.behavior, others.Random(seed))


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
