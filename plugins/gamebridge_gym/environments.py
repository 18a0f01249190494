"""Environments by id: gymnasium's, and where it has none, legacy gym's."""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gamebridge import errors

_logger = logging.getLogger(__name__)

_VERSION = re.compile(r"(?P<name>.*)-v(?P<version>[0-9]+)")

# What to install for the libraries' own environments: what they advise themselves
# replaces packages that TF-Agents needs in an older version.
_CURES = {
    "box2d": "pip install 'gamebridge[box2d]'",
    "mujoco": "pip install 'mujoco<4'",
    "mujoco_py": "pip install 'mujoco<4', and take the -v4 or -v5 of the id",
}


def make(
    game_id: str, kwargs: Mapping[str, Any], max_episode_steps: int | None, *, picture: bool
) -> Any:
    """Returns one environment of the id "gym/<id>" or "gym/<module>:<id>".

    An id without "-v<number>" means the highest version.

    Args:
      game_id: the id; `<module>` is imported first, to register its environments.
      kwargs: arguments of the environment itself.
      max_episode_steps: truncates episodes there; None for the environment's own limit.
      picture: whether `render` will be called. On a machine without a display SDL, which
        most of these games draw with, is told for the rest of the process to draw into
        memory: it asks whenever a game opens its window, at any time after this.

    Raises:
      UnknownId: neither library knows the id, or there is no such module.
      PluginError: a package that the environment needs is not installed, or the module
        cannot be imported.
      ConfigError: the environment does not take `kwargs`.
      GameError: the environment raised while it was made.
    """
    module, colon, name = game_id.partition("/")[2].rpartition(":")
    if colon:
        _import(game_id, module)
    if picture:
        _draw_without_display()
    library, full_name = _find(game_id, name)
    try:
        with _quiet():
            if library.__name__ == "gym":
                return _make_legacy(library, full_name, kwargs, max_episode_steps)
            spec = copy.deepcopy(library.spec(full_name))  # by its id, make would advise another
            spec.order_enforce = False  # a Game's slots are reset before they are stepped
            return library.make(
                spec,
                max_episode_steps=max_episode_steps,
                disable_env_checker=True,  # the adapter checks more, at a tenth of the cost
                **({"render_mode": "rgb_array"} if picture else {}),
                **kwargs,
            )
    except (ImportError, library.error.DependencyNotInstalled) as error:
        raise errors.PluginError(_missing(game_id, library, full_name, error)) from error
    except errors.Error:
        raise
    except Exception as error:
        if isinstance(error, TypeError) and kwargs:
            raise errors.ConfigError(
                f"{game_id} cannot be made with kwargs {dict(kwargs)}: {error}. Change `kwargs`."
            ) from error
        raise errors.GameError(
            f"{game_id} raised {type(error).__name__} while it was made: {error}. Mend the game, "
            "or its `kwargs`; its own traceback is the cause of this error."
        ) from error


def _find(game_id: str, name: str) -> tuple[Any, str]:
    gymnasium = importlib.import_module("gymnasium")
    # Before 0.28 gymnasium itself did not name it.
    registry = gymnasium.envs.registration.registry
    full_name = _newest(name, registry)
    if full_name is not None:
        return gymnasium, full_name
    known = list(registry)
    try:
        gym = importlib.import_module("gamebridge_gym.legacy").load()
    except ImportError as error:
        _logger.warning("Legacy gym cannot be imported, its ids are not looked at: %s", error)
    else:
        full_name = _newest(name, gym.envs.registry.env_specs)
        if full_name is not None:
            return gym, full_name
        known += gym.envs.registry.env_specs
    hint = errors.nearest(f"gym/{name}", [f"gym/{one}" for one in known])
    raise errors.UnknownId(
        f"Neither gymnasium nor legacy gym has an environment '{name}' (asked for as "
        f"'{game_id}').{hint} If a package registers it, name the package: gym/<module>:<id>."
    )


def _newest(name: str, known: Iterable[str]) -> str | None:
    """Returns the id that is called `name`, or its highest version; None for none."""
    known = list(known)
    if name in known:
        return name
    matches = [match for one in known if (match := _VERSION.fullmatch(one))]
    versions = [int(match["version"]) for match in matches if match["name"] == name]
    return f"{name}-v{max(versions)}" if versions else None


def _make_legacy(
    gym: Any, full_name: str, kwargs: Mapping[str, Any], max_episode_steps: int | None
) -> Any:
    # gym.make hands every argument to the environment; the limit is part of the spec.
    spec = copy.deepcopy(gym.spec(full_name))
    if max_episode_steps is not None:
        spec.max_episode_steps = max_episode_steps
    spec.order_enforce = False
    return spec.make(**kwargs)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides what Box2D and pygame say when they are imported, and nothing else."""
    with warnings.catch_warnings():
        # Where warnings are errors this one ends the process: it is raised in C code
        # that does not look for it.
        warnings.filterwarnings("ignore", r"builtin type [Ss]wig\w+ has no", DeprecationWarning)
        warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)
        yield


def _import(game_id: str, module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
            raise errors.UnknownId(
                f"{game_id}: there is no module '{module}'. Install the package that has it."
            ) from error
        raise errors.PluginError(
            f"{game_id}: importing '{module}' raised {type(error).__name__}: {error}. Mend or "
            "reinstall the package that has it."
        ) from error


def _missing(game_id: str, library: Any, full_name: str, error: Exception) -> str:
    entry_point = str(library.spec(full_name).entry_point).partition(":")[0]
    known = [cure for part, cure in _CURES.items() if part in entry_point.split(".")]
    said = str(error).rstrip(".")
    if importlib.util.find_spec("tf_agents") is None:
        # Another Python, where the library's own advice does no harm.
        return f"{game_id} needs a package that is not installed: {said}."
    cure = (
        f"Install it: {known[0]}."
        if known
        else "Install it with `-c constraints.txt`, so that nothing else changes."
    )
    return f"{game_id} needs a package that is not installed: {said}. {cure}"


def _draw_without_display() -> None:
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return
    # Sound too: without a sound card SDL fills the log with complaints.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
