"""Episodes that are saved, to be learned from."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gamebridge import config, errors, opening
from gamebridge.contract import seeding
from gamebridge.tf import start
from gamebridge.training import tables

if TYPE_CHECKING:
    from gamebridge.evaluation.rollout import PlayedEpisode
    from gamebridge.evaluation.saved_episodes import SavedEpisodes

_LOG = logging.getLogger(__name__)


def load_episodes(folder: str | os.PathLike[str]) -> SavedEpisodes:
    """Reads the episodes that `evaluate` or `demonstrate` saved; loads no TensorFlow.

    Raises:
      ConfigError: no episodes were saved there.
      StorageError: none is whole, or a file is damaged.
    """
    from gamebridge.evaluation import saved_episodes

    return saved_episodes.SavedEpisodes(folder)


def demonstrate(
    game_id: str,
    act: Callable[[Any], Any],
    folder: str | os.PathLike[str],
    episodes: int = 20,
    *,
    settings: Mapping[str, Any] | None = None,
    wrappers: Mapping[str, Any] | None = None,
    num_slots: int | None = None,
    seed: int = 0,
    max_steps: int = 20_000,
) -> list[PlayedEpisode]:
    """Saves episodes that a function plays, for `bc` to learn from without a trained agent.

    Args:
      game_id: such as "gym/CartPole-v1".
      act: from what the slots see to what they do: nests of arrays [B, ...] of the game's
        specs, wrappers included.
      folder: where the episodes go; docs/episodes.md has the format.
      episodes: how many; the same ones whatever the number of slots.
      settings: of the game.
      wrappers: settings of the wrappers.
      num_slots: how many are played at once; by default 8, or as many as a scene has.
      seed: chooses the set of episodes, out of those that no evaluation meets.
      max_steps: an episode is cut after so many steps and counts as truncated.

    Returns:
      What each episode brought.

    Raises:
      ConfigError: there is no such game or setting, or there is something in the folder.
      ActionError: an action is not of the game's spec.
      StorageError: the folder cannot be written.
      Error: others, as their classes say.
    """
    for name, value in (("episodes", episodes), ("max_steps", max_steps)):
        if value < 1:
            raise errors.ConfigError(f"{name} is {value}; expected 1 or more.")
    from gamebridge.evaluation import saving

    saving.refuse_taken(pathlib.Path(folder))
    start.load()
    from gamebridge.evaluation import rollout

    located = opening.discover().locate_game(game_id)
    given = dict(settings or {})
    if num_slots is None:
        is_scene = located.record.is_scene
        own = opening.num_slots_of(located.record, given) if is_scene else None
        num_slots = own or min(episodes, opening.MAX_JUDGED_SLOTS)
    chosen = tables.wrapper_settings(located.record, wrappers or {}, None)
    workers = opening.with_python(
        located.record, tables.worker_settings({"count": 0}, None), _LOG.info
    )
    game = opening.open_game(
        located,
        num_slots,
        given,
        chosen,
        dataclasses.replace(workers, count=None if workers.python else 0),
        tables.supervision_settings({}, None),
    )
    seeds = seeding.slot_seeds(seed, episodes).tolist()
    origin = saving.Origin(
        game_id,
        dataclasses.asdict(config.convert(given, located.record.settings)),
        dataclasses.asdict(chosen),
        getattr(act, "__name__", type(act).__name__),
    )
    with (
        contextlib.closing(game),
        saving.Saver(game, pathlib.Path(folder), seeds, origin) as saver,
    ):
        return rollout.play(
            saver.game, rollout.FunctionPolicy(act), seeds, max_steps=max_steps, watch=saver
        )
