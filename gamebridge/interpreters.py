"""Interpreters: other Pythons, in which a game runs that cannot share this one's packages."""

from __future__ import annotations

import os
import shlex
import shutil

from gamebridge import errors

# What a worker process carries along runs in no older one.
OLDEST = (3, 8)

_EXPECTED = "Expected an interpreter, such as /path/to/venv/bin/python"
_WHERE = "(--game-python, workers.python or the game's record)"


def find(python: str) -> str:
    """Returns the absolute path of an interpreter; nothing is run.

    A link is not followed: a virtual environment is known by the path of its own python,
    which is a link to another.

    Args:
      python: a path, from the home folder if it begins with "~", or a command such as
        "python3.12", which is looked up as a shell does.

    Raises:
      ConfigError: there is no such file, or it cannot be run.
    """
    if os.sep not in python and not python.startswith("~"):
        found = shutil.which(python)
        if found is None:
            raise errors.ConfigError(
                f"There is no command {python!r} {_WHERE}. {_EXPECTED}, or a command on the PATH."
            )
        return os.path.join(os.getcwd(), found)
    path = os.path.join(os.getcwd(), os.path.expanduser(python))
    if os.path.isfile(path):
        if not os.access(path, os.X_OK):
            raise errors.ConfigError(
                f"The Python {path} may not be executed by this user {_WHERE}. {_EXPECTED}."
            )
        return path
    if os.path.isdir(path):
        inner = os.path.join(path, "bin", "python")
        expected = f"Its interpreter is {inner}" if os.path.isfile(inner) else _EXPECTED
        raise errors.ConfigError(f"The Python {path} is a folder {_WHERE}. {expected}.")
    if os.path.islink(path):
        raise errors.ConfigError(
            f"The Python {path} is a link to {os.readlink(path)}, which is not there any more "
            f"{_WHERE}. Make that environment anew, or name another."
        )
    raise errors.ConfigError(f"There is no Python at {path} {_WHERE}. {_EXPECTED}.")


def pip(python: str) -> str:
    """Returns the command that installs something in an interpreter, for messages."""
    return f"{shlex.quote(python)} -m pip install"
