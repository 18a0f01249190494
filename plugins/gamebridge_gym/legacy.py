"""Legacy gym, imported late and guarded against other packages' faults.

`import gym` runs every installed entry point of group `gym.envs`, and one that fails
breaks the import for all. Here gym is imported without them; then each is loaded on its
own, and one that fails is named in a warning and left out.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib import metadata

_logger = logging.getLogger(__name__)

_GROUP = "gym.envs"
# Where gym itself looks its entry points up.
_METADATA = "importlib.metadata" if sys.version_info >= (3, 10) else "importlib_metadata"


def load() -> Any:
    """Returns the module gym, with the environments of every package that works.

    Nothing is done again where something else has imported gym already.
    """
    if "gym" in sys.modules:
        return sys.modules["gym"]
    entry_points = list(importlib.import_module(_METADATA).entry_points(group=_GROUP))
    # All that gym_notices does is to have gym print that it is unmaintained.
    with contextlib.suppress(ImportError):
        importlib.import_module("gym_notices.notices").notices.clear()
    with _only(()):
        gym = importlib.import_module("gym")
    with _only([entry_point for entry_point in entry_points if _works(entry_point)]):
        importlib.import_module("gym.envs.registration").load_env_plugins(_GROUP)
    return gym


def _works(entry_point: metadata.EntryPoint) -> bool:
    try:
        if not callable(entry_point.load()):
            raise TypeError("it cannot be called")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - another package's import
        owner = entry_point.dist
        _logger.warning(
            "The legacy gym environments of '%s' are left out: loading %s raised %s: %s. "
            "Mend or uninstall %s.",
            entry_point.name,
            entry_point.value,
            type(error).__name__,
            error,
            f"{owner.name} {owner.version}" if owner else "its package",
        )
        return False
    return True


@contextlib.contextmanager
def _only(entry_points: Sequence[metadata.EntryPoint]) -> Iterator[None]:
    """Has gym see just these entry points of its group; other groups are as ever."""
    module: Any = importlib.import_module(_METADATA)
    real = module.entry_points

    def entry_points_of(**selection: Any) -> Any:
        return entry_points if selection == {"group": _GROUP} else real(**selection)

    module.entry_points = entry_points_of
    try:
        yield
    finally:
        module.entry_points = real
