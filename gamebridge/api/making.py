"""Games, made by their ids."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gamebridge import opening
from gamebridge.contract import game as games
from gamebridge.contract import seeding
from gamebridge.tf import start
from gamebridge.training import tables

if TYPE_CHECKING:
    from gamebridge.tf.environment import GameTFEnvironment

_LOG = logging.getLogger(__name__)


def make_game(
    game_id: str,
    num_slots: int | None = None,
    seed: int | None = None,
    *,
    picture: bool = False,
    wrappers: Mapping[str, Any] | None = None,
    workers: int | Mapping[str, Any] | None = None,
    supervision: Mapping[str, Any] | None = None,
    **settings: Any,
) -> games.Game:
    """Makes a game; loads no TensorFlow.

    Args:
      game_id: such as "gym/CartPole-v1"; `gamebridge games` lists what there is.
      num_slots: how many slots step together; by default 1, or as many as a scene has.
      seed: fixes all episodes; None takes a new one.
      picture: whether `render` will be called.
      wrappers: settings of the wrappers, such as {"images": {"grey": True, "stack": 4}}.
      workers: how many processes play it, 0 for this one, None for what is quickest; or all
        settings of the workers, such as {"count": 2, "python": "/path/to/venv/bin/python"}.
      supervision: settings of how workers are watched and replaced.
      **settings: the game's own settings.

    Raises:
      UnknownId: there is no such game.
      ConfigError: a setting is unknown or has a wrong value.
      PluginError: its plugin cannot make it.
      PlayerError: a worker could not start.
    """
    from gamebridge.wrappers import seeds

    located = opening.discover().locate_game(game_id)
    if seed is None:
        seed = secrets.randbits(31)
    if num_slots is None:
        is_scene = located.record.is_scene
        num_slots = (opening.num_slots_of(located.record, settings) if is_scene else None) or 1
    workers = workers if isinstance(workers, Mapping) else {"count": workers}
    chosen = tables.worker_settings(workers, None)
    game = opening.open_game(
        located,
        num_slots,
        settings,
        tables.wrapper_settings(located.record, wrappers or {}, None),
        opening.with_python(located.record, chosen, _LOG.info),
        tables.supervision_settings(supervision or {}, None),
        picture=picture,
    )
    return seeds.Seeded(game, seeding.slot_seeds(seed, num_slots))


def make(
    game_id: str,
    num_slots: int | None = None,
    seed: int | None = None,
    *,
    picture: bool = False,
    wrappers: Mapping[str, Any] | None = None,
    workers: int | Mapping[str, Any] | None = None,
    supervision: Mapping[str, Any] | None = None,
    **settings: Any,
) -> GameTFEnvironment:
    """Makes a game as a TF-Agents TFEnvironment of batch size `num_slots`.

    Arguments and errors are those of `make_game`.
    """
    start.load()
    from gamebridge.tf import environment

    return environment.GameTFEnvironment(
        make_game(
            game_id,
            num_slots,
            seed,
            picture=picture,
            wrappers=wrappers,
            workers=workers,
            supervision=supervision,
            **settings,
        )
    )
