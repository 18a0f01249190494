"""Environments: virtual environments for games that cannot share this one's packages.

`create` makes one where it is to stay, since a virtual environment cannot be moved, and
writes its mark last: what has no mark is not there. A folder that is being made, or whose
making was broken off, has another mark, so that only what was made here is ever removed.

A game whose record has requirements that this Python does not meet is played in the
environment that was made for it (`python_for`); else it is for --game-python to say.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from packaging import requirements as packaging_requirements

from gamebridge import errors, interpreters
from gamebridge.contract import records

_MARK = "gamebridge-environment.json"
_MAKING = "gamebridge-environment.making"
_REPLACED = "gamebridge-environment.replaced"
_PROBE_S = 30.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_VENV_CURE = "Install what it names (on Debian python3-venv), or name another --python."


@dataclasses.dataclass(frozen=True)
class Environment:
    """One that was made, as its mark says.

    Attributes:
      game: the game's id.
      folder: where it is.
      version: of its Python, such as "3.12.1".
      requirements: what was installed.
    """

    game: str
    folder: pathlib.Path
    version: str
    requirements: tuple[str, ...]

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")


def default_folder(game_id: str) -> pathlib.Path:
    """Returns where the environment of a game is made unless another place is named."""
    return _home() / re.sub(r"[^A-Za-z0-9_.]+", "-", game_id).strip("-.")


def read(folder: pathlib.Path) -> Environment | None:
    """Returns the environment in a folder; None where none was finished there."""
    try:
        mark = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        found = Environment(
            str(mark["game"]), folder, str(mark["version"]), tuple(map(str, mark["requirements"]))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if os.access(found.python, os.X_OK) else None


def listed() -> list[Environment]:
    """Returns all that were finished in the default place, sorted by game."""
    try:
        folders = list(_home().iterdir())
    except OSError:
        return []
    found = [environment for folder in folders if (environment := read(folder)) is not None]
    return sorted(found, key=lambda environment: environment.game)


def python_for(
    record: records.GameRecord, asked: str, announce: Callable[[str], None] | None = None
) -> str:
    """Returns the interpreter that a game runs in; "" for this one.

    That is the one asked for, else the record's, else that of the environment made for the
    game, if its record has requirements that are not met here.

    Args:
      record: the game's.
      asked: what a flag or a setting says; "" for nothing.
      announce: told in a line if an environment was chosen.

    Raises:
      ConfigError: that interpreter is not there, or the environment has yet to be made.
    """
    if asked or record.python:
        return interpreters.find(asked or record.python)
    unmet = [text for text in record.requirements if not _is_met(text)]
    if not unmet:
        return ""
    found = read(default_folder(record.id))
    if found is None or found.game != record.id:
        raise errors.ConfigError(
            f"{record.id} needs {', '.join(unmet)}, which this Python does not have. Run "
            f"`gamebridge env create {record.id}`, or name an interpreter that has it "
            "(--game-python)."
        )
    if not set(record.requirements) <= set(found.requirements):
        raise errors.ConfigError(
            f"The environment {found.folder} was made for other requirements than {record.id} has "
            f"now. Run `gamebridge env create {record.id} --force`."
        )
    if announce is not None:
        announce(
            f"{record.id} needs {', '.join(unmet)}: it is played in its own environment, "
            f"{found.python} (workers.python)."
        )
    return found.python


def is_automatic(record: records.GameRecord) -> bool:
    """Whether a game is played in its environment where no interpreter is named."""
    return not record.python and not all(map(_is_met, record.requirements))


def create(
    record: records.GameRecord,
    folder: pathlib.Path | None = None,
    python: str = "",
    also: Sequence[str] = (),
    *,
    force: bool = False,
) -> Environment:
    """Makes an environment for a game; what venv and pip write goes to this process's stderr.

    Args:
      record: the game's, whose requirements are installed, with numpy.
      folder: where; by default `default_folder`.
      python: the interpreter it is made of; "" for this one.
      also: more to install.
      force: whether one that is there is made anew. It is back if that fails.

    Raises:
      ConfigError: the game has no requirements and none are given, something else is in the
        folder, another process works there, or the interpreter cannot be used.
      StorageError: venv or pip failed, or the folder cannot be written.
      Stopped: a signal asked this process to end; nothing is left behind.
    """
    wanted = tuple(dict.fromkeys([*record.requirements, *also, "numpy"]))
    if len(wanted) == 1:
        raise errors.ConfigError(
            f"{record.id} names no requirements. Name what it needs: `gamebridge env create "
            f"{record.id} --with PACKAGE`."
        )
    base = interpreters.find(python or sys.executable)
    version = _version(base)
    folder = (default_folder(record.id) if folder is None else folder.expanduser()).absolute()
    try:
        with _stoppable(), _claimed(folder, force=force) as claim:
            _run([base, "-I", "-m", "venv", str(folder)], claim, "venv", _VENV_CURE)
            made = Environment(record.id, folder, version, wanted)
            pip = [made.python, "-I", "-m", "pip", "--disable-pip-version-check", "install"]
            # After -- no requirement is taken for an option.
            _run([*pip, "--", *wanted], claim, "pip", "Mend what it names, and run this again.")
            _finish(made)
    except OSError as error:
        raise errors.StorageError(
            f"The environment {folder} cannot be made: {error.strerror or error}. Free space or "
            "mend its rights, or name another --path."
        ) from error
    return made


def _home() -> pathlib.Path:
    data = os.environ.get("XDG_DATA_HOME", "")
    # By its specification a relative one does not count.
    root = pathlib.Path(data) if os.path.isabs(data) else pathlib.Path.home() / ".local/share"
    return root / "gamebridge" / "environments"


def _is_met(text: str) -> bool:
    try:
        wanted = packaging_requirements.Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate():
            return True
        version = importlib.metadata.version(wanted.name)
        return wanted.specifier.contains(version, prereleases=True)
    except (packaging_requirements.InvalidRequirement, importlib.metadata.PackageNotFoundError):
        return False  # a path or an address: nobody knows


def _version(python: str) -> str:
    code = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
    try:
        done = subprocess.run(
            [python, "-E", "-c", code],
            capture_output=True,
            text=True,
            timeout=_PROBE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise errors.ConfigError(f"The Python {python} cannot be run: {error}.") from error
    match = re.fullmatch(r"(\d+)\.(\d+)\.\d+\s*", done.stdout)
    if match is None:
        raise errors.ConfigError(
            f"{python} is no Python: asked for its version it ended with {done.returncode}. "
            "Expected an interpreter, such as /usr/bin/python3.12."
        )
    if (int(match[1]), int(match[2])) < interpreters.OLDEST:
        oldest = ".".join(map(str, interpreters.OLDEST))
        raise errors.ConfigError(
            f"{python} is Python {done.stdout.strip()}; a game runs in {oldest} or newer. Name "
            "another --python."
        )
    return done.stdout.strip()


def _run(command: Sequence[str], claim: int, name: str, cure: str) -> None:
    # In a group of its own, so that all it started can be ended with it. It holds the claim
    # as long as it runs, also where this process is killed.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=2, pass_fds=(claim,), start_new_session=True
    ) as child:
        try:
            child.wait()
        except BaseException:  # Ctrl-C, or a signal that asks to end
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise
    if child.returncode:
        raise errors.StorageError(
            f"{name} failed with exit code {child.returncode}; what it wrote is above. {cure}"
        )


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Makes the signals that ask a process to end raise, so that what is half made is undone."""

    def stop(number: int, frame: object) -> None:
        raise errors.Stopped(
            f"Stopped by {signal.Signals(number).name}: no environment was made.", number
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _claimed(folder: pathlib.Path, *, force: bool) -> Iterator[int]:
    """Holds a folder for an environment; whatever fails, it is left as it was found."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as opened:
        claim = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, claim)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise errors.ConfigError(
                f"Another process makes an environment in {folder}. Wait until it has ended."
            ) from None
        _clear(folder, force=force)
        try:
            yield claim
        except BaseException:  # Ctrl-C too
            _restore(folder)
            if not any(folder.iterdir()):
                folder.rmdir()
            raise


def _clear(folder: pathlib.Path, *, force: bool) -> None:
    if (folder / _MAKING).exists():
        _restore(folder)  # after one that was killed
    is_ours = (folder / _MARK).exists()
    if is_ours and not force and read(folder) is not None:
        raise errors.ConfigError(
            f"{folder} is an environment already. Use it, or make it anew with --force."
        )
    if is_ours:
        shutil.rmtree(folder / _REPLACED, ignore_errors=True)
    there = list(folder.iterdir())
    if there and not is_ours:
        raise errors.ConfigError(
            f"{folder} holds something that gamebridge did not make. Name another --path, or "
            "remove it."
        )
    _enter(folder, "aside")
    if there:
        aside = folder / _REPLACED
        aside.mkdir()
        for path in there:
            path.rename(aside / path.name)
    _enter(folder, "making")


def _finish(made: Environment) -> None:
    values: dict[str, Any] = {
        "game": made.game,
        "version": made.version,
        "requirements": made.requirements,
    }
    _enter(made.folder, json.dumps(values, indent=1) + "\n")
    os.replace(made.folder / _MAKING, made.folder / _MARK)
    shutil.rmtree(made.folder / _REPLACED, ignore_errors=True)


def _enter(folder: pathlib.Path, stage: str) -> None:
    """Writes down how far the making is: what a kill leaves is known by it."""
    with open(folder / _MAKING, "w", encoding="utf-8") as file:
        file.write(stage)
        file.flush()
        os.fsync(file.fileno())


def _restore(folder: pathlib.Path) -> None:
    """Removes what was made; what was there before comes back."""
    aside, making = folder / _REPLACED, folder / _MAKING
    if making.read_text(encoding="utf-8") not in ("aside", "back"):
        for path in list(folder.iterdir()):
            if path in (aside, making):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        _enter(folder, "back")
    if aside.exists():
        for path in list(aside.iterdir()):
            path.rename(folder / path.name)
        aside.rmdir()
    making.unlink()
