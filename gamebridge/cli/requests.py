"""`TrainRequest`: what flags, `--set` and a settings file ask of a training, in that order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gamebridge import errors

if TYPE_CHECKING:
    from gamebridge import config
    from gamebridge.host import Host
    from gamebridge.training.runs import RunSettings

_TABLES = ("run", "game", "wrappers", "agent", "training", "workers", "supervision")
# What a run's own run.toml holds beside these: a record, not a wish.
_PASSED_OVER = "versions"


@dataclasses.dataclass(frozen=True)
class TrainRequest:
    """A training that was asked for.

    Attributes:
      run: the table [run].
      settings: the other tables.
      is_seeded: whether a seed was asked for.
      source: where they came from.
    """

    run: RunSettings
    settings: dict[str, Any]
    source: config.Source
    is_seeded: bool


def read(
    flags: Mapping[str, Any],
    file: str | None = None,
    assignments: Sequence[str] = (),
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> TrainRequest:
    """Puts a request together: flags win over `assignments`, and these over the file.

    Args:
      flags: fields of the table [run]; None for a flag that was not given.
      file: a TOML file of the same form as run.toml.
      assignments: each as `path.to.key=value`.
      more: flags of other tables, by table.

    Raises:
      ConfigError: the file cannot be read, a table or a key of [run] is unknown, a value
        has the wrong type, or no game is named.
    """
    from gamebridge import config
    from gamebridge.training import runs

    values, source = config.read(file) if file is not None else ({}, config.Source())
    for assignment in assignments:
        config.assign(values, assignment)
    source = dataclasses.replace(source, assignments=tuple(assignments))
    values.pop(_PASSED_OVER, None)
    for name, table in values.items():
        place = source.place((name,))
        if name not in _TABLES:
            raise errors.ConfigError(
                f"{place}: unknown table '{name}'.{errors.nearest(name, _TABLES)} "
                f"Allowed here: {', '.join(_TABLES)}."
            )
        if not isinstance(table, Mapping):
            raise errors.ConfigError(f"{place}: '{name}' is {table!r}; expected a table.")
    wanted = {**values.pop("run", {}), **_given(flags)}
    for name, table in (more or {}).items():
        if _given(table):
            values[name] = {**values.get(name, {}), **_given(table)}
    run = config.convert(wanted, runs.RunSettings, path="run", source=source)
    if not run.game:
        raise errors.ConfigError(
            "No game is named. Give one, such as `gamebridge train gym/CartPole-v1`, or "
            "`run.game` in the settings; `gamebridge games` lists all."
        )
    return TrainRequest(run, values, source, is_seeded="seed" in wanted)


def _given(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}


def game_settings(assignments: Sequence[str]) -> dict[str, Any]:
    """Returns the table [game] that `game.key=value` assignments make.

    Raises:
      ConfigError: one is of another form, or not of the game.
    """
    from gamebridge import config

    values: dict[str, Any] = {}
    for assignment in assignments:
        config.assign(values, assignment)
        if set(values) != {"game"} or not isinstance(values["game"], dict):
            raise errors.ConfigError(
                f"--set {assignment}: only settings of the game can be changed here; expected "
                "game.KEY=VALUE. Anything else belongs to the run: train another one."
            )
    settings: dict[str, Any] = values.get("game", {})
    return settings


def check(request: TrainRequest, host: Host) -> None:
    """Refuses what `api.train` would refuse, before TensorFlow is loaded: in a second, not five.

    Raises:
      UnknownId: no such game or agent.
      ConfigError: a setting is unknown or has a wrong value, or an interpreter is not there.
    """
    from gamebridge import config, environments
    from gamebridge.supervision import settings as supervision_settings
    from gamebridge.training import settings as training_settings
    from gamebridge.training import tables
    from gamebridge.workers import settings as worker_settings

    game, agent = host.find_game(request.run.game), host.find_agent(request.run.agent)
    tables.check_defaults(game, agent)
    wrappers = request.settings.get("wrappers", {})
    tables.wrapper_settings(game, wrappers, request.source, agent.id)
    training = config.merge(game.training, request.settings.get("training", {}))
    given: tuple[tuple[str, Any, type[Any]], ...] = (
        ("game", request.settings.get("game", {}), game.settings),
        ("training", training, training_settings.TrainingSettings),
        ("workers", request.settings.get("workers", {}), worker_settings.WorkerSettings),
        (
            "supervision",
            request.settings.get("supervision", {}),
            supervision_settings.SupervisionSettings,
        ),
    )
    for name, table, schema in given:
        config.convert(table, schema, path=name, source=request.source)
    workers = request.settings.get("workers", {})
    if workers.get("count") != 0:
        environments.python_for(game, workers.get("python", ""))
    chosen = config.merge(game.presets.get(agent.id, {}), request.settings.get("agent", {}))
    tables.check_agent(agent, chosen, "agent", request.source)
