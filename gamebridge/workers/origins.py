"""`Origin`: where a game's record comes from, so that a worker can find it again.

A record holds functions, which do not travel. Its plugin does: the worker imports the
same module and asks its hooks for the same id.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import os
import sys
from typing import Any

from gamebridge import errors
from gamebridge.contract import records


@dataclasses.dataclass(frozen=True)
class Origin:
    """A game's id and the plugin that brings it.

    Attributes:
      game_id: such as "gym/CartPole-v1".
      module: the plugin's module.
      attribute: the dotted name of the plugin inside its module; "" for the module itself.
      file: the module's file where it is loaded by its path, as out of a drop-in folder;
        "" where it is imported by its name.
    """

    game_id: str
    module: str
    attribute: str = ""
    file: str = ""

    def record(self) -> records.GameRecord:
        """Imports the plugin and returns the record.

        Raises:
          PluginError: the plugin has no such game any more. What else it raises comes through.
        """
        plugin: Any = self._load()
        for part in filter(None, self.attribute.split(".")):
            plugin = getattr(plugin, part)
        for record in getattr(plugin, "gamebridge_games", tuple)():
            if isinstance(record, records.GameRecord) and record.id == self.game_id:
                return record
        find = getattr(plugin, "gamebridge_find_game", None)
        found = find(self.game_id) if find is not None else None
        if found is None:
            raise errors.PluginError(
                f"The plugin {self.module} has no game '{self.game_id}' in this process. Let its "
                "hooks yield the same games wherever they are asked."
            )
        return found

    def _load(self) -> Any:
        if not self.file or self.module in sys.modules:
            return importlib.import_module(self.module)
        folder = [os.path.dirname(self.file)] if self.file.endswith("__init__.py") else None
        spec = importlib.util.spec_from_file_location(
            self.module, self.file, submodule_search_locations=folder
        )
        if spec is None or spec.loader is None:
            raise errors.PluginError(f"{self.file} cannot be loaded: expected a Python file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[self.module] = module
        spec.loader.exec_module(module)
        return module
