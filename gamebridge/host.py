"""`Host`: the plugins of this environment, and the games, agents and commands they bring.

One broken plugin never hides the others: each is loaded on its own and what is wrong
with it is kept as a failure, named again wherever it may be why something is missing.
No clash is settled silently: an id that two distributions bring is asked for as
"distribution:id". Plugins are imported when a record is first asked for, not before.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Generic, TypeVar

from gamebridge import errors, loading, plugins
from gamebridge.contract import records
from gamebridge.loading import Failure
from gamebridge.plugins import PluginInfo

Record = TypeVar("Record", covariant=True)


@dataclasses.dataclass(frozen=True)
class Listed(Generic[Record]):
    """A record and the plugin that brings it."""

    record: Record
    plugin: PluginInfo


class Host:
    """Lists plugins without importing them; lists and finds what they bring."""

    def __init__(self, found: Sequence[plugins.Found], import_limit_s: float = 30.0) -> None:
        """Takes the plugins as found on disk; most callers want `discover`."""
        self._infos = [plugin.info for plugin in found]
        self._pending = list(found)
        self._loader = loading.Loader(import_limit_s)
        self._loaded: list[loading.Loaded] = []
        self._failures: list[Failure] = []

    @classmethod
    def discover(cls, folder: pathlib.Path | None = None, *, import_limit_s: float = 30.0) -> Host:
        """Finds the installed plugins, and those of a drop-in folder; imports none.

        Args:
          folder: the drop-in folder; None for none.
          import_limit_s: how long a plugin may take to be imported and yield its records,
            and to look for a game. Kept in the main thread, unless a timer is already set.

        Raises:
          ConfigError: there is no such folder, or it cannot be read.
          SecurityError: another user could have written into the folder or a plugin of it.
        """
        found = plugins.installed() + (plugins.in_folder(folder) if folder is not None else [])
        return cls(found, import_limit_s)

    def plugins(self) -> list[PluginInfo]:
        """Returns the metadata of every plugin, broken ones too; imports none."""
        return list(self._infos)

    def games(self) -> list[Listed[records.GameRecord | records.GameFamily]]:
        """Returns the games and open families of all plugins that load, sorted by id."""
        return sorted([*self._of(records.GameRecord), *self._of(records.GameFamily)], key=_order)

    def agents(self) -> list[Listed[records.AgentRecord]]:
        """Returns the agents of all plugins that load, sorted by id."""
        return sorted(self._of(records.AgentRecord), key=_order)

    def commands(self) -> list[Listed[records.CommandRecord]]:
        """Returns the commands of all plugins that load, sorted by name."""
        return sorted(self._of(records.CommandRecord), key=_order)

    def failures(self) -> list[Failure]:
        """Returns the plugins that do not load, with the cause."""
        self._load()
        return list(self._failures)

    def clashes(self) -> dict[str, list[PluginInfo]]:
        """Returns each id that several plugins bring, and those plugins."""
        bringers: dict[str, list[PluginInfo]] = {}
        named = [(x.record.id, x.plugin) for x in self._of(records.GameRecord)]
        named += [(x.record.id, x.plugin) for x in self._of(records.AgentRecord)]
        for name, info in named:
            bringers.setdefault(name, []).append(info)
        return {name: infos for name, infos in sorted(bringers.items()) if len(infos) > 1}

    def find_game(self, game_id: str) -> records.GameRecord:
        """Returns the record of one game; see `locate_game`."""
        return self.locate_game(game_id).record

    def locate_game(self, game_id: str) -> Listed[records.GameRecord]:
        """Returns one game and its plugin: a listed one, else one of an open family.

        Args:
          game_id: such as "gym/CartPole-v1"; "distribution:racing/oval" where two
            distributions bring "racing/oval".

        Raises:
          UnknownId: no plugin that loads knows the game.
          PluginError: several plugins bring it, or its plugin is broken.
          Error: what a plugin itself says of an id of its family, if no other knows it.
        """
        qualifier, wanted = _split(game_id)
        games = self._of(records.GameRecord)
        found = [x for x in games if x.record.id == wanted and _is_from(x.plugin, qualifier)]
        failures = list(self._failures)
        if not found:
            found, failed_now = self._ask_families(qualifier, wanted)
            failures += failed_now
        if len(found) == 1:
            return found[0]
        raise self._refusal("game", game_id, found, [x.record.id for x in games], failures)

    def find_agent(self, agent_id: str) -> records.AgentRecord:
        """Returns the record of one agent.

        Args:
          agent_id: such as "ppo"; "distribution:ppo" where two distributions bring "ppo".

        Raises:
          UnknownId: no plugin that loads brings the agent.
          PluginError: several plugins bring it, or its plugin is broken.
        """
        qualifier, wanted = _split(agent_id)
        agents = self._of(records.AgentRecord)
        found = [x for x in agents if x.record.id == wanted and _is_from(x.plugin, qualifier)]
        if len(found) == 1:
            return found[0].record
        raise self._refusal("agent", agent_id, found, [x.record.id for x in agents], self._failures)

    def locate_command(self, name: str) -> Listed[records.CommandRecord]:
        """Returns one command and its plugin.

        Args:
          name: such as "builds"; "distribution:builds" where two distributions bring "builds".

        Raises:
          UnknownId: no plugin that loads brings the command.
          PluginError: several plugins bring it, or its plugin is broken.
        """
        qualifier, wanted = _split(name)
        commands = self._of(records.CommandRecord)
        found = [x for x in commands if x.record.name == wanted and _is_from(x.plugin, qualifier)]
        if len(found) == 1:
            return found[0]
        known = [x.record.name for x in commands]
        raise self._refusal("command", name, found, known, self._failures)

    def _load(self) -> list[loading.Loaded]:
        while self._pending:
            outcome = self._loader.load(self._pending.pop(0))
            if isinstance(outcome, Failure):
                self._failures.append(outcome)
            else:
                self._loaded.append(outcome)
        return self._loaded

    def _of(self, kind: type[Record]) -> list[Listed[Record]]:
        return [
            Listed(record, loaded.info)
            for loaded in self._load()
            for record in loaded.records
            if isinstance(record, kind)
        ]

    def _ask_families(
        self, qualifier: str, game_id: str
    ) -> tuple[list[Listed[records.GameRecord]], list[Failure]]:
        found: list[Listed[records.GameRecord]] = []
        failures: list[Failure] = []
        refusal: errors.Error | None = None
        for loaded in self._load():
            if not _is_from(loaded.info, qualifier):
                continue
            try:
                answer = self._loader.find_game(loaded, game_id)
            except errors.Error as error:
                refusal = refusal or error
                continue
            if isinstance(answer, Failure):
                failures.append(answer)
            elif answer is not None:
                found.append(Listed(answer, loaded.info))
        if refusal is not None and not found:
            raise refusal
        return found, failures

    def _refusal(
        self,
        kind: str,
        asked: str,
        found: Sequence[Listed[object]],
        known: Sequence[str],
        failures: Sequence[Failure],
    ) -> errors.Error:
        qualifier, wanted = _split(asked)
        if found:
            return _clash(kind, wanted, [listed.plugin for listed in found])
        if qualifier and not any(_is_from(info, qualifier) for info in self._infos):
            near = errors.nearest(qualifier, {info.distribution for info in self._infos})
            return errors.UnknownId(
                f"Unknown {kind} '{asked}': '{qualifier}' brings no plugin.{near} "
                "`gamebridge plugins` lists all."
            )
        prefix = wanted.partition("/")[0]
        for failure in failures:
            if _is_from(failure.plugin, qualifier) and (qualifier or failure.plugin.name == prefix):
                return errors.PluginError(
                    f"Cannot give the {kind} '{asked}': {failure} "
                    "Mend, upgrade or uninstall that plugin."
                )
        message = f"Unknown {kind} '{asked}'.{errors.nearest(wanted, known)}"
        listing = "--help" if kind == "command" else f"{kind}s"
        message += f" `gamebridge {listing}` lists all."
        if failures:
            message += " It may be of a plugin that failed: " + " ".join(map(str, failures))
        return errors.UnknownId(message)


def _order(listed: Listed[loading.AnyRecord]) -> tuple[str, str]:
    return loading.id_of(listed.record), listed.plugin.key


def _split(asked: str) -> tuple[str, str]:
    # "dist:game/id" is ("dist", "game/id"), but "gym/module:Id" has no qualifier.
    qualifier, colon, _ = asked.partition("/")[0].rpartition(":")
    return qualifier, asked[len(qualifier + colon) :]


def _is_from(info: PluginInfo, qualifier: str) -> bool:
    return qualifier in ("", info.distribution, info.key)


def _clash(kind: str, wanted: str, infos: Sequence[PluginInfo]) -> errors.PluginError:
    apart = len({info.distribution for info in infos}) == len(infos)
    choices = [f"'{info.distribution if apart else info.key}:{wanted}'" for info in infos]
    return errors.PluginError(
        f"The {kind} '{wanted}' is brought by {' and by '.join(map(str, infos))}. "
        f"Choose one: use {' or '.join(choices)}."
    )
