"""`Cell`: an agent beside a game, joined from their specs alone; no TensorFlow is loaded."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence

from gamebridge import api, config, errors, host, opening
from gamebridge.contract import game as contract_game
from gamebridge.contract import records
from gamebridge.training import fitting, tables


@dataclasses.dataclass(frozen=True)
class Cell:
    """What comes of an agent and a game.

    Attributes:
      agent: its id.
      game: its id.
      fits: whether the agent can play the game.
      adaptors: a line for each thing that joins them.
      reason: why they cannot be joined, or why the game cannot be made; "" where they can.
    """

    agent: str
    game: str
    fits: bool
    adaptors: tuple[str, ...] = ()
    reason: str = ""


def game_ids(found: host.Host) -> list[str]:
    """Returns the games of all plugins that need no help, and the examples of families."""
    ids: list[str] = []
    for record in (listed.record for listed in found.games()):
        if isinstance(record, records.GameFamily):
            ids += record.examples
        elif record.plays_alone:
            ids.append(record.id)
    return sorted(set(ids))


def chosen(
    found: host.Host, games: Sequence[str], agents: Sequence[str]
) -> tuple[list[str], list[records.AgentRecord]]:
    """Returns the ids of games and the records of agents that are meant; all where none is named.

    Raises:
      UnknownId: an agent or a game is unknown.
      Error: others, as a plugin tells of an id of its family.
    """
    for game in games:
        found.locate_game(game)
    if agents:
        return list(games) or game_ids(found), [found.find_agent(agent) for agent in agents]
    return list(games) or game_ids(found), [listed.record for listed in found.agents()]


def look(game: str, agents: Sequence[records.AgentRecord]) -> list[Cell]:
    """Makes a game once and joins each of the agents with it.

    A game that cannot be made fits nobody, for that reason.
    """
    try:
        # A game that needs another Python is played there.
        record = opening.discover().find_game(game)
        made = api.make_game(game, seed=0, workers=None if record.python else 0)
    except errors.Error as error:
        return [Cell(agent.id, game, fits=False, reason=str(error)) for agent in agents]
    with contextlib.closing(made):
        return [_join(record, agent, made) for agent in agents]


def _join(record: records.GameRecord, agent: records.AgentRecord, game: contract_game.Game) -> Cell:
    try:
        wrappers = tables.wrapper_settings(record, {}, None, agent.id)
        fitted, notes = fitting.fit(agent, game, wrappers)
        settings = tables.presets(record, agent, fitted, {}, lambda line: None)
        objection = agent.objection and agent.objection(
            fitted.observation_spec(),
            fitted.action_spec(),
            config.convert(settings, agent.settings, path="agent"),
        )
    except errors.Error as error:
        return Cell(agent.id, record.id, fits=False, reason=str(error))
    if objection:
        return Cell(agent.id, record.id, fits=False, reason=objection)
    return Cell(agent.id, record.id, fits=True, adaptors=tuple(notes))


def table(
    games: Sequence[str], agents: Sequence[records.AgentRecord], announce: Callable[[str], None]
) -> list[Cell]:
    """Returns the cells of all of them, game by game.

    Args:
      games: their ids.
      agents: their records.
      announce: told in a line which game is being made.
    """
    found = []
    for number, game in enumerate(games):
        announce(f"{number + 1} of {len(games)}: {game}")
        found += look(game, agents)
    return found
