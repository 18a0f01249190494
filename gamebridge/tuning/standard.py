"""What an agent's settings are in a training of which nothing is tuned: the first trial's."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from gamebridge import config, opening
from gamebridge.training import fitting, runs, tables


def settings(run: runs.RunSettings, asked: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the agent's settings with the presets that suit the game, and with what is asked.

    The game is made for it: what it shows and takes chooses among the presets.

    Args:
      run: the game and the agent.
      asked: tables of settings, as `gamebridge.train` takes them.

    Raises:
      ConfigError: a setting is unknown or has a wrong value.
      FitError: the agent cannot play the game.
      Error: others, as their classes say.
    """
    found = opening.discover()
    located, agent = found.locate_game(run.game), found.find_agent(run.agent)
    record, given = located.record, tables.checked(asked, None)
    wrappers = tables.wrapper_settings(record, given["wrappers"], None, agent.id)
    workers = opening.with_python(
        record, tables.worker_settings(given["workers"], None), lambda line: None
    )
    game = opening.open_game(
        located,
        (opening.num_slots_of(record, given["game"]) if record.is_scene else None) or 1,
        given["game"],
        wrappers,
        dataclasses.replace(workers, count=None if workers.python else 0),
        tables.supervision_settings(given["supervision"], None),
    )
    with contextlib.closing(game):
        fitted, _ = fitting.fit(agent, game, wrappers)
        presets = tables.presets(record, agent, fitted, given, lambda line: None)
    chosen = config.merge(presets, given["agent"])
    return dataclasses.asdict(config.convert(chosen, agent.settings, path="agent"))
