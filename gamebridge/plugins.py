"""Plugins as they lie on disk: entry points of group `gamebridge`, files of a drop-in folder.

Finding a plugin reads metadata only; nothing of it is imported before `Found.load`.

An installed distribution is trusted, as pip trusted it. A drop-in folder is read only
where one is named, never for being the working directory, and is refused where anyone
but its owner and root could have written into it: what lies there runs as the caller.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import logging
import os
import pathlib
import re
import shlex
import stat
import sys
from collections.abc import Callable
from typing import Any, Literal

from gamebridge import errors

GROUP = "gamebridge"

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PluginInfo:
    """What is known of a plugin without importing it.

    Attributes:
      name: the entry point's name, or the file's without its suffix.
      distribution: the distribution that brings it; for a drop-in, its file's name.
      version: the distribution's; "" for a drop-in.
      module: the module it is imported as.
      attribute: the dotted name of the plugin inside its module; "" for the module itself.
      origin: "entry point" or "folder".
      file: where the module lies; None where that cannot be told without importing it.
    """

    name: str
    distribution: str
    version: str
    module: str
    origin: Literal["entry point", "folder"]
    file: str | None
    attribute: str = ""

    def __str__(self) -> str:
        """For example `plugin 'maze' of acme-maze 1.0`."""
        source = self.file if self.origin == "folder" else f"{self.distribution} {self.version}"
        return f"plugin '{self.name}' of {source}"

    @property
    def key(self) -> str:
        """The name that is its own among all plugins: "distribution:name"."""
        return f"{self.distribution}:{self.name}"


@dataclasses.dataclass(frozen=True)
class Found:
    """A plugin on disk and how to import it.

    Attributes:
      info: its metadata.
      load: imports it and returns the object with the hooks, most often a module.
        Whatever the plugin raises comes through.
    """

    info: PluginInfo
    load: Callable[[], Any]


def installed() -> list[Found]:
    """Returns the plugins of all installed distributions, sorted by distribution and name."""
    found = [
        Found(_entry_point_info(point), point.load)
        for point in importlib.metadata.entry_points(group=GROUP)
    ]
    return sorted(found, key=lambda plugin: plugin.info.key)


def in_folder(folder: pathlib.Path) -> list[Found]:
    """Returns the plugins of a drop-in folder, sorted by name.

    A plugin is a `*.py` file or a package; names that start with "_" or "." are left alone.

    Raises:
      ConfigError: there is no such folder, or it cannot be read.
      SecurityError: another user could have written into the folder or a plugin of it.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise errors.ConfigError(
            f"Plugin folder {folder} does not exist or is no folder. "
            f"Create it with `mkdir -m 755 {shlex.quote(str(folder))}` or name another."
        )
    _refuse_unsafe(folder)
    found = []
    try:
        for path in sorted(folder.iterdir()):
            is_package = (path / "__init__.py").is_file()
            if path.name[0] in "._" or not (is_package or path.suffix == ".py"):
                continue
            for part in sorted(_tree(path)):
                _refuse_unsafe(part)
            found.append(_folder_plugin(path, is_package=is_package))
    except OSError as error:
        raise errors.ConfigError(
            f"Plugin folder {folder} cannot be read: {error}. Mend its rights or name another."
        ) from error
    return found


def _entry_point_info(point: importlib.metadata.EntryPoint) -> PluginInfo:
    try:
        module, attribute = point.module, point.attr
    except (AttributeError, ValueError):  # not of the form "module:object"; load will say so
        module, attribute = point.value, ""
    distribution = point.dist
    return PluginInfo(
        name=point.name,
        distribution=(distribution and distribution.name) or "unknown",
        version=(distribution and distribution.version) or "",
        module=module,
        origin="entry point",
        file=_module_file(module),
        attribute=attribute or "",
    )


def _module_file(module: str) -> str | None:
    # find_spec("a.b") would import a, so it is asked for the top package alone.
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or not rest:
        return spec.origin if spec else None
    for location in spec.submodule_search_locations or ():
        path = pathlib.Path(location, *rest)
        for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if candidate.is_file():
                return str(candidate)
    return None


def _folder_plugin(path: pathlib.Path, *, is_package: bool) -> Found:
    file = path / "__init__.py" if is_package else path
    # The prefix keeps a drop-in `random.py` from standing in for Python's own.
    info = PluginInfo(
        name=path.stem,
        distribution=path.name,
        version="",
        module=f"{GROUP}_folder_" + re.sub(r"\W", "_", path.stem),
        origin="folder",
        file=str(file),
    )
    return Found(info, lambda: _load_file(info.module, file, is_package=is_package))


def _load_file(name: str, file: pathlib.Path, *, is_package: bool) -> Any:
    source = file.read_bytes()
    _logger.info("Loading plugin file %s, sha256 %s", file, hashlib.sha256(source).hexdigest())
    loader = importlib.machinery.SourceFileLoader(name, str(file))
    spec = importlib.machinery.ModuleSpec(name, loader, origin=str(file), is_package=is_package)
    spec.has_location = True
    if spec.submodule_search_locations is not None:
        spec.submodule_search_locations.append(str(file.parent))
        for part in sorted(_tree(file.parent) - {file.resolve()}):
            if part.name.endswith(tuple(importlib.machinery.all_suffixes())):
                digest = hashlib.sha256(part.read_bytes()).hexdigest()
                _logger.info("Loading plugin file %s, sha256 %s", part, digest)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # The bytes that were hashed are the bytes that run: no second read, no cached bytecode.
        exec(compile(source, str(file), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _tree(path: pathlib.Path) -> set[pathlib.Path]:
    # Symbolic links are followed, since an import would follow them; a loop of links ends.
    seen: set[pathlib.Path] = set()
    waiting = [path]
    while waiting:
        part = waiting.pop().resolve()
        if part not in seen and part.exists():  # an editor's lock is a link to nothing
            seen.add(part)
            waiting.extend(part.iterdir() if part.is_dir() else ())
    return seen


def _refuse_unsafe(path: pathlib.Path) -> None:
    status, user = path.stat(), os.getuid()
    quoted = shlex.quote(str(path))
    if status.st_uid not in (user, 0):
        raise errors.SecurityError(
            f"{path} belongs to user {status.st_uid}; plugins are loaded only from files of "
            f"user {user} or root. Read what is in it, then run `chown {user} {quoted}`."
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise errors.SecurityError(
            f"{path} can be written by others (mode {stat.S_IMODE(status.st_mode):o}); plugins "
            "are loaded only from files that their owner alone can write. Read what is in it, "
            f"then run `chmod go-w {quoted}`."
        )
