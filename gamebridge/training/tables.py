"""Tables of settings: from what user, game and agent say to the typed settings of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gamebridge import config, errors
from gamebridge.contract import game as games
from gamebridge.contract import records, specs
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge.training.settings import TrainingSettings
from gamebridge.workers.settings import WorkerSettings
from gamebridge.wrappers import actions
from gamebridge.wrappers.settings import WrapperSettings

if TYPE_CHECKING:
    from gamebridge.training.runs import Plan

_TABLES = ("game", "wrappers", "agent", "training", "workers", "supervision")


def wrapper_settings(
    record: records.GameRecord,
    wrappers: Mapping[str, Any],
    source: config.Source | None,
    agent: str = "",
) -> WrapperSettings:
    """Returns those that the game's record asks for, overruled by `wrappers`.

    Args:
      record: of the game.
      wrappers: what was asked for.
      source: where that came from, for messages.
      agent: who plays; "" for nobody that a record knows.

    Raises:
      ConfigError: a setting is unknown or has a wrong value.
    """
    values: Mapping[str, Any] = record.wrappers
    config.convert(values, WrapperSettings, path="wrappers", source=record.source)
    if agent in record.agent_wrappers:
        suited, path = record.agent_wrappers[agent], f"agent_wrappers.{agent}"
        config.convert(suited, WrapperSettings, path=path, source=record.source)
        values = config.merge(values, suited)
    values = config.merge(values, wrappers)
    return config.convert(values, WrapperSettings, path="wrappers", source=source)


def check_defaults(game_record: records.GameRecord, agent_record: records.AgentRecord) -> None:
    """Refuses what a game's record asks for and nothing takes, where that was written.

    Raises:
      ConfigError: names the place.
    """
    source = game_record.source
    wrapper_settings(game_record, {}, source, agent_record.id)
    training_settings(game_record.training, source)
    preset = game_record.presets.get(agent_record.id, {})
    check_agent(agent_record, preset, f"presets.{agent_record.id}", source)


def check_agent(
    agent_record: records.AgentRecord,
    values: Mapping[str, Any],
    path: str,
    source: config.Source | None,
) -> None:
    """Refuses settings that suit the agent with none of its own presets.

    Raises:
      ConfigError: says what is wrong with them without a preset.
    """
    # Which preset is taken is known when the game is made: one that suits is enough here.
    refusals = []
    for preset in (*agent_record.presets.values(), {}):
        chosen = config.merge(preset, values)
        try:
            config.convert(chosen, agent_record.settings, path=path, source=source)
            return
        except errors.ConfigError as error:
            refusals.append(error)
    raise refusals[-1]


def planned_wrappers(plan: Plan) -> WrapperSettings:
    """Returns those of a run: the game's own defaults are in them, or were overruled."""
    return config.convert(plan.wrappers, WrapperSettings, path="wrappers")


def training_settings(values: Mapping[str, Any], source: config.Source | None) -> TrainingSettings:
    """Returns the table [training] as settings."""
    return config.convert(values, TrainingSettings, path="training", source=source)


def worker_settings(values: Mapping[str, Any], source: config.Source | None) -> WorkerSettings:
    """Returns the table [workers] as settings."""
    return config.convert(values, WorkerSettings, path="workers", source=source)


def supervision_settings(
    values: Mapping[str, Any], source: config.Source | None
) -> SupervisionSettings:
    """Returns the table [supervision] as settings."""
    return config.convert(values, SupervisionSettings, path="supervision", source=source)


def presets(
    game_record: records.GameRecord,
    agent_record: records.AgentRecord,
    game: games.Game,
    given: Mapping[str, Mapping[str, Any]],
    announce: Callable[[str], None],
) -> dict[str, Any]:
    """Returns the agent's settings that suit this game, and tells which were taken.

    Those of the wrappers that suit the agent are in the game already, and told too.
    What is given is not told: it is not taken.

    Args:
      game_record: of the game.
      agent_record: of the agent.
      game: as the agent plays it.
      given: tables of settings that overrule them.
      announce: told in a line each which presets were taken.
    """
    leaves = specs.leaves(game.observation_spec())
    kind = "image" if any(leaf.kind == "frame" for leaf in leaves) else "vector"
    form = "preferences" if game.preferences else actions.form(game.action_spec())
    chosen: dict[str, Any] = {}
    for owner, preset in (
        (f"{agent_record.id} for actions of form '{form}'", agent_record.presets.get(form or "")),
        (f"{agent_record.id} for {kind} observations", agent_record.presets.get(kind)),
        (f"{agent_record.id} for {game_record.id}", game_record.presets.get(agent_record.id)),
    ):
        if preset:
            _tell(f"Preset {owner}", preset, given.get("agent", {}), announce)
            chosen = config.merge(chosen, preset)
    suited = game_record.agent_wrappers.get(agent_record.id, {})
    what = f"Wrappers for {agent_record.id} and {game_record.id}"
    _tell(what, suited, given.get("wrappers", {}), announce)
    return chosen


def _tell(
    what: str,
    taken: Mapping[str, Any],
    overruled: Mapping[str, Any],
    announce: Callable[[str], None],
) -> None:
    told = [f"{name}={value}" for name, value in taken.items() if name not in overruled]
    if told:
        announce(f"{what}: {', '.join(told)}")


def checked(
    settings: Mapping[str, Mapping[str, Any]], source: config.Source | None
) -> dict[str, dict[str, Any]]:
    """Returns all tables, empty where they were not given.

    Raises:
      ConfigError: a table is unknown, or is none.
    """
    for name, table in settings.items():
        place = source.place((name,)) if source else ""
        prefix = f"{place}: " if place else ""
        if name not in _TABLES:
            raise errors.ConfigError(
                f"{prefix}unknown table '{name}'.{errors.nearest(name, _TABLES)} "
                f"Settings have the tables {', '.join(_TABLES)}."
            )
        if not isinstance(table, Mapping):
            raise errors.ConfigError(f"{prefix}'{name}' is {table!r}; expected a table.")
    return {name: dict(settings.get(name, {})) for name in _TABLES}
