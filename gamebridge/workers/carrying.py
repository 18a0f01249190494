"""What a worker process begins with, and what it carries into another Python.

Nothing is installed there. A finder gives the worker this gamebridge and the package of
the game's plugin, by their files, and nothing of what lies beside them. Only what is used
is imported: the part of gamebridge that needs no more than numpy.

Another Python reads our bytecode where it is its own, but writes none: the folders are
not its own, and compiling costs a worker less than a tenth of its start (docs/interpreters.md).
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import sys
from typing import Any

import gamebridge

# Any Python can read it, down to 2.7, so as to be refused in a line; and no shell begins to
# carry it out, should one be taken for a Python: to it all is one condition without its end.
PROGRAM = """
if True:
    import sys
    # A folder is no place to import from for being the working directory.
    sys.path[:] = [entry for entry in sys.path if entry]
    import json, os
    python, pip, oldest, path, carried, channel, memory, parent = json.loads(sys.argv[1])
    def refuse(text):
        failed = dict(ours="ConfigError", kind="ConfigError", message=text, traceback="")
        line = json.dumps([dict(failed=failed), 0]).encode("ascii") + "\\n".encode("ascii")
        os.write(channel, line)
        sys.exit(1)
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < tuple(oldest):
        refuse("%s is Python %s, and a game needs %d.%d or newer. Name another interpreter "
            "(--game-python, workers.python)." % (python, version, oldest[0], oldest[1]))
    if path: sys.path[:] = path
    if carried:
        from importlib import machinery
        class Loader(machinery.SourceFileLoader):
            def set_data(self, *args, **options): pass
        class Finder:
            @staticmethod
            def find_spec(name, path=None, target=None):
                top = name.partition(".")[0]
                if top not in carried: return None
                if name != top:
                    spec = machinery.PathFinder.find_spec(name, path, target)
                    if spec is not None and type(spec.loader) is machinery.SourceFileLoader:
                        spec.loader = Loader(name, spec.loader.path)
                    return spec
                file, folders = carried[name]
                loader = Loader(name, file) if file else None
                spec = machinery.ModuleSpec(
                    name, loader, origin=file, is_package=folders is not None)
                if folders: spec.submodule_search_locations[:] = folders
                spec.has_location = bool(file)
                return spec
        sys.meta_path.insert(0, Finder)
        try:
            import numpy
        except ImportError as error:
            if getattr(error, "name", None) == "numpy":
                refuse("%s (Python %s) has no numpy, which every game needs. Run: %s numpy"
                    % (python, version, pip))
            said = (str(error).strip().splitlines() or [""])[0]
            refuse("numpy cannot be imported in %s (Python %s): %s. Run: %s --force-reinstall "
                "numpy" % (python, version, said.rstrip("."), pip))
    from gamebridge.workers import worker
    worker.main(channel, memory, parent)
"""

# What plays a game in a worker; whatever else of gamebridge changes does not concern it.
_MODULES = ("__init__.py", "assembly.py", "errors.py")
_PARTS = (*_MODULES, "adapters", "contract", "supervision", "workers", "wrappers")
_ROOT = pathlib.Path(gamebridge.__file__).resolve().parent


def carried(module: str) -> dict[str, Any]:
    """Returns top-level packages by name: the file of each, or None, and its folders, or None.

    Args:
      module: of the game's plugin: a module by itself, a package, or part of one, of the
        drop-in folder too; it has been imported.
    """
    found: dict[str, Any] = {"gamebridge": [str(_ROOT / "__init__.py"), [str(_ROOT)]]}
    top = module.partition(".")[0]
    package = sys.modules.get(top)
    if package is not None and top not in found:
        file, folders = getattr(package, "__file__", None), getattr(package, "__path__", None)
        paths = None if folders is None else [os.path.abspath(folder) for folder in folders]
        # One that is compiled is of this Python alone; that one may have its own.
        if paths or (file and file.endswith(".py")):
            found[top] = [os.path.abspath(file) if file else None, paths]
    return found


def has_changed() -> bool:
    """Whether what a new worker would import is not what this process has imported.

    As after an upgrade in the days that a training takes.
    """
    return _stamps() != _STAMPS and _digest() != _DIGEST


def _files() -> list[pathlib.Path]:
    parts = [_ROOT / name for name in _PARTS]
    return [
        path for part in parts for path in ([part] if part.suffix else sorted(part.glob("*.py")))
    ]


def _stamps() -> dict[str, tuple[int, int]]:
    stamps = {}
    for path in _files():
        try:
            status = path.stat()
        except OSError:  # an upgrade is under way
            continue
        stamps[str(path)] = (status.st_mtime_ns, status.st_size)
    return stamps


def _digest() -> str:
    digest = hashlib.sha256()
    for path in _files():
        try:
            text = path.read_bytes()
        except OSError:
            continue
        digest.update(f"{path.relative_to(_ROOT)} {len(text)}\n".encode())
        digest.update(text)
    return digest.hexdigest()


_STAMPS, _DIGEST = _stamps(), _digest()
