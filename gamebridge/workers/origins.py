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
          PluginError: the plugin cannot be imported, or has no such game any more. What its
            hooks raise comes through.
        """
        try:
            plugin: Any = self._load()
        except errors.Error:
            raise
        except (Exception, SystemExit) as error:
            raise errors.PluginError(self._what_failed(error)) from error
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

    def _what_failed(self, error: BaseException) -> str:
        text = " ".join(str(error).split()).rstrip(".")
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        package = (missing or "").partition(".")[0]
        cure = f"Run: pip install {package}" if package else "Mend the plugin, or choose a Python"
        cure += "" if package else " that it is written for."
        version = ".".join(map(str, sys.version_info[:3]))
        return (
            f"The plugin {self.module} cannot be imported by Python {version}: "
            f"{type(error).__name__}: {text}. {cure}"
        )

    def _load(self) -> Any:
        # In another Python the finder knows it by its name, as long as it is of Python alone.
        is_known = self.module in sys.modules or not self.file
        if is_known or importlib.util.find_spec(self.module) is not None:
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
