"""Assembly: a record and settings become a wrapped Game. It runs in worker processes too.

The wrappers, from the game outwards, and why in this order:

    ValueGuard           next to the game: it sees every single step, so that the first bad
                         one is named, and whoever comes after can trust the rows
    ActionRepeat         before pictures are touched: repeated steps show theirs to nobody
    EpisodeLimit         counts the agent's actions
    ImagePreprocessing   works on one picture an action
    FrameStack           stacks what is small by now, and refills where a limit restarts
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Callable, Iterator
from typing import Any

from gamebridge import adapters, contract, errors
from gamebridge.supervision.settings import SupervisionSettings
from gamebridge.wrappers import guards, limits, repeats
from gamebridge.wrappers.settings import ImageSettings, WrapperSettings

_logger = logging.getLogger(__name__)

# Modules whose package has another name.
_PACKAGES = {
    "Box2D": "Box2D==2.3.10",
    "ale_py": "ale-py",
    "cv2": "opencv-python-headless",
    "dm_env": "dm-env",
    "mlagents_envs": "mlagents-envs",
    "tf_agents": "tf-agents",
}


def assemble(
    record: contract.GameRecord,
    *,
    num_slots: int,
    settings: Any,
    wrappers: WrapperSettings,
    picture: bool = False,
    game_id: str | None = None,
    supervision: SupervisionSettings | None = None,
    open_policy: Callable[[str], contract.Policy] | None = None,
) -> contract.Game:
    """Makes a game of `num_slots` slots and wraps it.

    Args:
      record: what makes it. A `make` that returns an environment of one slot is called
        once a slot.
      num_slots: B.
      settings: an instance of the record's settings class.
      wrappers: which wrappers it gets.
      picture: whether `render` will be called.
      game_id: the id that was asked for; the record's unless given.
      supervision: of processes that the game itself starts; the defaults unless given.
      open_policy: opens the policy of a run folder; see `GameRequest`.

    Raises:
      ConfigError: fewer than one slot, or wrapper settings that do not suit the game.
      PluginError: `make` raised, or returned something that is not what was asked for.
      GameError: the game cannot do what a wrapper needs of it.
    """
    if num_slots < 1:
        raise errors.ConfigError(f"num_slots is {num_slots}: expected at least 1.")
    name = game_id or record.id
    request = contract.GameRequest(
        name, num_slots, picture, settings, supervision or SupervisionSettings(), open_policy
    )
    with contextlib.ExitStack() as opened:
        first = _make(record, request, opened)
        if isinstance(first, contract.Game):
            game = first
            if game.num_slots != num_slots:
                raise errors.PluginError(
                    f"'{name}' made a game of {game.num_slots} slots; expected {num_slots}. Its "
                    "make must use request.num_slots."
                )
        elif first is None:
            raise errors.PluginError(
                f"'{name}' was made of None: its plugin's make returned nothing. Let it return a "
                "Game or an environment."
            )
        else:
            environments = [first]
            for _ in range(num_slots - 1):
                environments.append(_make(record, request, opened))
            game = adapters.adapt(environments, name)
            # From here on the game closes them.
            opened.pop_all()
            opened.callback(_close, name, game)
        game.name = name
        game = _wrap(game, wrappers)
        opened.pop_all()
    return game


def _make(
    record: contract.GameRecord, request: contract.GameRequest, opened: contextlib.ExitStack
) -> Any:
    """Calls `make` once; what it returns is closed if the assembly fails later."""
    try:
        made = record.make(request)
    except errors.Error:
        raise
    except (Exception, SystemExit) as error:
        raise errors.PluginError(_what_failed(request.game_id, error)) from error
    opened.callback(_close, request.game_id, made)
    return made


def _close(name: str, made: Any) -> None:
    close = getattr(made, "close", None)
    if not callable(close):
        return
    try:
        close()
    except Exception:
        # The error that led here says more; this one must not take its place.
        _logger.warning("'%s' could not be closed after a failed start.", name, exc_info=True)


def _what_failed(name: str, error: BaseException) -> str:
    missing = _missing_module(error)
    if missing is None:
        return (
            f"'{name}' could not be made: {type(error).__name__}: {error}. "
            "Expected its plugin's make to return a game; the traceback says where it failed."
        )
    package = _PACKAGES.get(missing, missing)
    return (
        f"'{name}' needs the module '{missing}', which is not installed. Run: pip install {package}"
    )


def _missing_module(error: BaseException) -> str | None:
    """Returns the top-level module whose absence led to `error`, if that is what happened."""
    for cause in _causes(error):
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            module = cause.name.partition(".")[0]
            # A part that is missing of a package that is there is not cured by pip.
            return None if _is_installed(module) else module
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _wrap(game: contract.Game, wrappers: WrapperSettings) -> contract.Game:
    if wrappers.guard != "off":
        game = guards.ValueGuard(game, wrappers.guard)
    if wrappers.action_repeat > 1:
        game = repeats.ActionRepeat(game, wrappers.action_repeat)
    if wrappers.episode_limit is not None:
        game = limits.EpisodeLimit(game, wrappers.episode_limit)
    return game if wrappers.images is None else wrap_images(game, wrappers.images)


def wrap_images(game: contract.Game, settings: ImageSettings) -> contract.Game:
    """Wraps a game whose frames are to be prepared; errors are those of the wrappers."""
    # Imported where pictures are wanted: a game of vectors loads no cv2.
    if settings.changes_frames:
        from gamebridge.wrappers import images

        game = images.ImagePreprocessing(game, settings)
    if settings.stack > 1:
        from gamebridge.wrappers import stacking

        game = stacking.FrameStack(game, settings.stack)
    return game
