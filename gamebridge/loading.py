"""`Loader`: imports one plugin under guard, checks its hooks and takes its records.

Whatever a plugin does while it is imported or asked (raise, `sys.exit`, hang, yield
nonsense) becomes a `Failure` of that plugin alone; only Ctrl-C comes through. A plugin
is taken whole or not at all. A crash in native code is beyond this guard, and a hang in
native code outlasts the time limit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import logging
import reprlib
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

import pluggy

from gamebridge import errors
from gamebridge.contract import hookspecs, records
from gamebridge.plugins import Found, PluginInfo

AnyRecord = records.GameRecord | records.GameFamily | records.AgentRecord | records.CommandRecord

_YIELDS: dict[str, tuple[type[AnyRecord], ...]] = {
    "gamebridge_games": (records.GameRecord, records.GameFamily),
    "gamebridge_agents": (records.AgentRecord,),
    "gamebridge_commands": (records.CommandRecord,),
}

# Modules that are installed under another name than they are imported by.
_PIP_NAMES = {"cv2": "opencv-python-headless", "PIL": "Pillow", "yaml": "PyYAML"}

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Failure:
    """A plugin that could not be loaded or asked, and why, in one line."""

    plugin: PluginInfo
    cause: str

    def __str__(self) -> str:
        """For example `plugin 'maze' of acme-maze 1.0: ImportError: no display.`."""
        return f"{self.plugin}: {self.cause}"


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A plugin that passed: its metadata, the object with its hooks, its records."""

    info: PluginInfo
    plugin: Any
    records: tuple[AnyRecord, ...]


class _Broken(Exception):
    """What we find wrong with a plugin; the message is the whole cause."""


class _TimeUp(BaseException):
    """Past the time limit; no Exception, so that a plugin's own guard does not eat it."""


class Loader:
    """Loads plugins one after the other into one pluggy manager."""

    def __init__(self, limit_s: float) -> None:
        """Sets how long a plugin may take to be imported, and to answer a question."""
        self._limit_s = limit_s
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._hooks = {
            name: f"{name}({', '.join(caller.spec.argnames)})"
            for name, caller in vars(self._manager.hook).items()
            if isinstance(caller, pluggy.HookCaller) and caller.spec is not None
        }

    def load(self, found: Found) -> Loaded | Failure:
        """Imports a plugin, registers its hooks and takes its records."""
        try:
            with _limit(self._limit_s):
                plugin = found.load()
                return Loaded(found.info, plugin, self._register(found.info, plugin))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # foreign code: sys.exit must not end us
            _logger.debug("Could not load %s", found.info, exc_info=error)
            return Failure(found.info, _cause(error, found.info))

    def find_game(self, loaded: Loaded, game_id: str) -> records.GameRecord | Failure | None:
        """Asks a plugin whether a game is of an open family of its own.

        Raises:
          Error: the plugin says in our own words why there is no such game.
        """
        try:
            with _limit(self._limit_s):
                answers = self._call(loaded.plugin, "gamebridge_find_game", game_id=game_id)
            for answer in answers:  # at most one, for pluggy leaves out None
                if not isinstance(answer, records.GameRecord):
                    raise _Broken(f"expected a GameRecord or None, got {reprlib.repr(answer)}.")
                return answer
            return None
        except (KeyboardInterrupt, errors.Error):
            raise
        except BaseException as error:  # noqa: BLE001 - foreign code: sys.exit must not end us
            cause = f"gamebridge_find_game({game_id!r}): {_cause(error, loaded.info)}"
            failure = Failure(loaded.info, cause)
            _logger.warning("%s", failure)
            return failure

    def _register(self, info: PluginInfo, plugin: Any) -> tuple[AnyRecord, ...]:
        _check_version(info, plugin)
        for name in (info.key, self._manager.get_name(plugin)):
            if name is not None and self._manager.has_plugin(name):
                raise _Broken(
                    f"'{info.module}' is already loaded as '{name}'. "
                    f"Remove one of the entry points of {info.distribution}."
                )
        try:
            self._register_hooks(info, plugin)
            return tuple(self._take_records(plugin))
        except BaseException:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            raise

    def _register_hooks(self, info: PluginInfo, plugin: Any) -> None:
        expected = f"The hooks are {', '.join(sorted(self._hooks.values()))}."
        for name in self._hooks:
            if (
                callable(getattr(plugin, name, None))
                and self._manager.parse_hookimpl_opts(plugin, name) is None
            ):
                raise _Broken(f"{name} is not marked as a hook. Put @hookimpl above it.")
        try:
            self._manager.register(plugin, info.key)
        except pluggy.PluginValidationError as error:
            raise _Broken(f"{_one_line(error)}. {expected}") from error
        callers = self._manager.get_hookcallers(plugin) or []
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            unknown = next(caller.name for caller in callers if not caller.has_spec())
            near = errors.nearest(unknown, self._hooks)
            raise _Broken(f"there is no hook '{unknown}'.{near} {expected}") from error
        if not callers:
            raise _Broken(f"it implements no hook. {expected}")

    def _take_records(self, plugin: Any) -> Iterator[AnyRecord]:
        seen = set()
        for hook, kinds in _YIELDS.items():
            expected = " or ".join(kind.__name__ for kind in kinds)
            for answer in self._call(plugin, hook):
                if not isinstance(answer, Iterable):
                    got = reprlib.repr(answer)
                    raise _Broken(f"{hook} returned {got}: expected it to yield {expected}.")
                for record in answer:
                    if not isinstance(record, kinds):
                        got = reprlib.repr(record)
                        raise _Broken(f"{hook} yielded {got}: expected {expected}.")
                    name = id_of(record)
                    if not isinstance(name, str) or not isinstance(record.summary, str):
                        raise _Broken(f"{hook} yielded {record!r}: expected text to list it by.")
                    if (hook, name) in seen:
                        raise _Broken(f"{hook} yielded '{name}' twice: expected it once.")
                    seen.add((hook, name))
                    yield record

    def _call(self, plugin: Any, hook: str, **arguments: str) -> list[Any]:
        others = self._manager.get_plugins() - {plugin}
        answers: list[Any] = self._manager.subset_hook_caller(hook, others)(**arguments)
        return answers


def id_of(record: AnyRecord) -> str:
    """Returns what a record is listed by: its id, a family's pattern, a command's name."""
    if isinstance(record, records.GameFamily):
        return record.pattern
    return record.name if isinstance(record, records.CommandRecord) else record.id


def _check_version(info: PluginInfo, plugin: Any) -> None:
    version = getattr(plugin, "gamebridge_api_version", records.API_VERSION)
    if not isinstance(version, int):
        raise _Broken(f"gamebridge_api_version is {reprlib.repr(version)}: expected an int.")
    if version != records.API_VERSION:
        older = "gamebridge" if version > records.API_VERSION else info.distribution
        raise _Broken(
            f"it is made for plugin API {version}, this gamebridge has {records.API_VERSION}. "
            f"Upgrade {older}."
        )


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    # Only the main thread may set signal handlers, and another's timer is left alone.
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getitimer(signal.ITIMER_REAL)[0]
        or signal.getsignal(signal.SIGALRM) is None
    ):
        yield
        return

    def expire(*_: object) -> None:
        raise _TimeUp(f"it was not ready within the limit of {seconds:g} s.")

    before = signal.signal(signal.SIGALRM, expire)
    try:
        try:
            # The alarm comes again, in case the plugin catches the first one and goes on.
            signal.setitimer(signal.ITIMER_REAL, seconds, max(seconds, 1.0))
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        # Once more, for the alarm that comes just before the line above and skips it.
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _cause(error: BaseException, info: PluginInfo) -> str:
    if isinstance(error, (_Broken, _TimeUp)):
        return str(error)
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == info.file
    ]
    where = f" (line {lines[-1]} of {info.file})" if lines else ""
    return f"{type(error).__name__}: {_one_line(error)}{where}.{_hint(error, info)}"


def _one_line(error: BaseException) -> str:
    try:
        return " ".join(str(error).split()).rstrip(".")
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return "its message cannot be read"


def _hint(error: BaseException, info: PluginInfo) -> str:
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    missing = error.name.partition(".")[0]
    if missing == info.module.partition(".")[0]:
        return f" Reinstall {info.distribution}." if info.origin == "entry point" else ""
    if missing in sys.modules or importlib.util.find_spec(missing):
        return ""  # a part of an installed package: which version has it, we cannot tell
    return f" Run `pip install {_PIP_NAMES.get(missing, missing)}`."
