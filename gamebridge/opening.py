"""Opening a game: an id and settings become a game, in this process or in workers."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gamebridge import config, host
from gamebridge.contract import game as games
from gamebridge.contract import policies, records

if TYPE_CHECKING:
    from gamebridge.supervision.settings import SupervisionSettings
    from gamebridge.training.runs import Plan
    from gamebridge.workers.settings import WorkerSettings
    from gamebridge.workers.staffs import Order
    from gamebridge.wrappers.settings import WrapperSettings

_LOG = logging.getLogger(__name__)

MAX_JUDGED_SLOTS = 8

PLUGIN_FOLDER_VARIABLE = "GAMEBRIDGE_PLUGINS"


def discover() -> host.Host:
    """Returns the host with all installed plugins, and those of $GAMEBRIDGE_PLUGINS if set.

    Raises:
      ConfigError: that folder is not there.
      SecurityError: others may write into it.
    """
    folder = os.environ.get(PLUGIN_FOLDER_VARIABLE, "")
    return host.Host.discover(pathlib.Path(folder) if folder else None)


def with_python(
    record: records.GameRecord, workers: WorkerSettings, announce: Callable[[str], None]
) -> WorkerSettings:
    """Returns the settings with the interpreter that the game will run in."""
    from gamebridge import environments

    if workers.count == 0:  # this process was asked for
        return workers
    python = environments.python_for(record, workers.python, announce)
    return dataclasses.replace(workers, python=python)


def num_slots_of(
    record: records.GameRecord,
    settings: Mapping[str, Any],
    source: config.Source | None = None,
) -> int | None:
    """Returns how many slots the game has of itself, with the settings of the table [game].

    Raises:
      ConfigError: a setting of the game is unknown or has a wrong value.
      Error: others, as the game's plugin tells of a setting.
    """
    if not callable(record.num_slots):
        return record.num_slots
    return record.slots_with(config.convert(settings, record.settings, path="game", source=source))


def open_game(
    located: host.Listed[records.GameRecord],
    num_slots: int,
    settings: Mapping[str, Any],
    wrappers: WrapperSettings,
    workers: WorkerSettings,
    supervision: SupervisionSettings,
    *,
    picture: bool = False,
    source: config.Source | None = None,
    announce: Callable[[str], None] | None = None,
) -> games.Game:
    """Makes a game, here or in workers; see `choice.open_game`.

    Raises:
      ConfigError: a setting of the game is unknown or has a wrong value.
      Error: others, as `choice.open_game`.
    """
    # Adapters, wrappers and workers are not needed to list what there is.
    from gamebridge.workers import choice

    order = make_order(
        located, num_slots, settings, wrappers, supervision, picture=picture, source=source
    )
    return choice.open_game(located.record, order, workers, announce or _LOG.info)


def open_again(
    found: host.Host,
    plan: Plan,
    num_episodes: int,
    *,
    game_id: str | None = None,
    settings: Mapping[str, Any] | None = None,
    num_slots: int | None = None,
    python: str | None = None,
    picture: bool = False,
) -> games.Game:
    """Makes the game of a run once more, to judge its policy in.

    Args:
      found: all plugins.
      plan: of the run.
      num_episodes: how many will be played.
      game_id: another game in place of the run's.
      settings: of the game: over those of the run where it is the run's own, over its
        defaults where it is another.
      num_slots: how many episodes are played at once; by default 8, or as many as a scene has.
      python: the interpreter that the game runs in, in place of the run's; "" for this one.
      picture: whether `render` will be called.

    Raises:
      UnknownId: there is no such game.
      Error: others, as `open_game`.
    """
    from gamebridge.training import tables

    is_own = game_id in (None, plan.run.game)
    game_settings = config.merge(plan.game if is_own else {}, settings or {})
    located = found.locate_game(game_id or plan.run.game)
    count = min(num_episodes, MAX_JUDGED_SLOTS) if num_slots is None else num_slots
    if num_slots is None and located.record.is_scene:
        count = num_slots_of(located.record, game_settings) or count
        if is_own and count == num_slots_of(located.record, plan.game):
            count = plan.run.num_slots or count  # where the run was told better
    workers = tables.worker_settings(plan.workers, None)
    # A few episodes are not worth a process of their own, unless the game needs its Python.
    if python is not None:
        workers = dataclasses.replace(workers, count=None if python else 0, python=python)
    elif not is_own and located.record.python:
        workers = dataclasses.replace(workers, python="")
    workers = with_python(located.record, workers, _LOG.info)
    return open_game(
        located,
        count,
        game_settings,
        tables.planned_wrappers(plan),
        dataclasses.replace(workers, count=None if workers.python else 0, ready_slots=None),
        tables.supervision_settings(plan.supervision, None),
        picture=picture,
    )


def make_order(
    located: host.Listed[records.GameRecord],
    num_slots: int,
    settings: Mapping[str, Any],
    wrappers: WrapperSettings,
    supervision: SupervisionSettings,
    *,
    picture: bool = False,
    source: config.Source | None = None,
) -> Order:
    """Returns what is to be made, as workers can be told it.

    Raises:
      ConfigError: a setting of the game is unknown or has a wrong value.
    """
    from gamebridge.workers import origins, staffs

    record, plugin = located.record, located.plugin
    file = plugin.file if plugin.origin == "folder" else None
    return staffs.Order(
        origin=origins.Origin(record.id, plugin.module, plugin.attribute, file or ""),
        settings=config.convert(settings, record.settings, path="game", source=source),
        wrappers=wrappers,
        num_slots=num_slots,
        picture=picture,
        supervision=supervision,
        open_policy=open_policy,
    )


def open_policy(path: str) -> policies.Policy:
    """Opens the greedy policy of a run folder, and loads TensorFlow for it.

    Raises:
      ConfigError: there is no run, it has no checkpoint yet, or it was trained in a way that
        cannot be played elsewhere.
      Error: others, as the run's files and its agent's plugin tell.
    """
    from gamebridge.training import runs

    plan = runs.Run(path).plan()  # what is not there is not waited for
    agent = discover().find_agent(plan.run.agent)

    from gamebridge.tf import start

    start.load()
    from gamebridge.training import policies as trained

    return trained.TrainedPolicy(runs.Run(path), agent)
