"""`Build`: a game's files on disk and what its build.toml says of them; where builds are found.

A build is a program, and runs as the caller. So nothing is a build that another user could
have changed: a folder that everybody may write into is refused, and `unity_builds` of the
current folder is looked into only if it belongs to the caller (or root). What
$GAMEBRIDGE_UNITY_BUILDS names may belong to anybody: who names it trusts it.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import stat
import sys
from collections.abc import Sequence

from gamebridge import config, errors
from gamebridge_unity import descriptions, executables

FILE = "build.toml"
FOLDERS_VARIABLE = "GAMEBRIDGE_UNITY_BUILDS"
OWN_FOLDER = pathlib.Path(__file__).resolve().parent / "builds"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

# Games that have another meaning: unity/build and unity/editor.
RESERVED = ("build", "editor")

_PLATFORMS = {"linux": "linux", "darwin": "macos", "win32": "windows"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build(descriptions.Description):
    """A build: what its build.toml says, and where it is; see this module.

    Attributes:
      name: of its game, `unity/<name>`.
      folder: where it lies.
      executable: its file for this platform.
      is_own: whether it came with this plugin.
      source: its build.toml; None where it has none.
    """

    name: str
    folder: pathlib.Path
    executable: pathlib.Path
    is_own: bool = False
    source: config.Source | None = None

    def command(self) -> list[str]:
        """Returns what starts it, without arguments.

        Raises:
          PlayerError: this machine cannot run it; most of what may be wrong is found here.
        """
        if self.is_own and not os.access(self.executable, os.X_OK):
            # Not every installer keeps the mode of what a wheel holds.
            words = executables.shebang(self.executable)
            if words:
                return [*words, str(self.executable)]
        executables.check(self.executable)
        return [str(self.executable)]


@dataclasses.dataclass(frozen=True)
class Failed:
    """A folder that holds no build that could be played, and why.

    Attributes:
      name: the build's, or what the folder is called.
      folder: where it lies.
      cause: says why; raised when it is asked for.
    """

    name: str
    folder: pathlib.Path
    cause: errors.Error


def folders() -> list[pathlib.Path]:
    """Returns where builds are looked for: first what the user names, then what is here."""
    named = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)
    paths = [pathlib.Path(entry).expanduser().absolute() for entry in named if entry]
    return list(dict.fromkeys([*paths, pathlib.Path("unity_builds").absolute(), OWN_FOLDER]))


def find(places: Sequence[pathlib.Path] | None = None) -> tuple[list[Build], list[Failed]]:
    """Returns all builds, sorted by name, and what is none although it looks like one.

    Args:
      places: folders of builds; `folders()` unless given.
    """
    found: dict[str, Build] = {}
    failed: list[Failed] = []
    for place in folders() if places is None else places:
        try:
            _check_place(place)
            entries = sorted(entry for entry in place.iterdir() if (entry / FILE).is_file())
        except FileNotFoundError:
            continue  # most people have no such folder
        except errors.Error as error:
            failed.append(Failed(place.name, place, error))
            continue
        except OSError as error:
            cause = errors.ConfigError(f"{place} cannot be read: {error.strerror}.")
            failed.append(Failed(place.name, place, cause))
            continue
        for folder in entries:
            try:
                build = load(folder)
                if build.name in found:
                    raise errors.ConfigError(
                        f"{folder} is called as {found[build.name].folder}, which is taken. Rename "
                        "one of the two."
                    )
                found[build.name] = build
            except errors.Error as error:
                failed.append(Failed(folder.name, folder, error))
    return sorted(found.values(), key=lambda build: build.name), failed


def named(name: str, places: Sequence[pathlib.Path] | None = None) -> Build:
    """Returns the build of this name.

    Raises:
      UnknownId: there is none.
      Error: its build.toml is wrong, or it is not safe to run it.
    """
    found, failed = find(places)
    for build in found:
        if build.name == name:
            return build
    for failure in failed:
        if failure.name == name:
            raise failure.cause
    near = errors.nearest(name, [build.name for build in found])
    raise errors.UnknownId(
        f"There is no Unity build '{name}'.{near} `gamebridge builds list` shows all, "
        "`gamebridge builds add ARCHIVE_OR_FOLDER` adds one."
    )


def load(folder: pathlib.Path) -> Build:
    """Returns the build of a folder with a build.toml.

    Raises:
      ConfigError: the file is wrong, or names no executable for this platform.
      SecurityError: everybody may write into it.
    """
    folder = folder.absolute()
    check_name(folder.name, f"Rename {folder}.")
    values, source = config.read(folder / FILE)
    description = config.convert(values, descriptions.Description, source=source)
    executable = folder / _executable(folder, description)
    if not executable.exists():
        raise errors.ConfigError(
            f"{folder / FILE}: the executable {executable.relative_to(folder)} is not there. Name "
            "the file to start."
        )
    for path in (folder, folder / FILE, executable):
        _refuse_open(path)
    return Build(
        name=folder.name,
        folder=folder,
        executable=executable,
        is_own=folder.parent == OWN_FOLDER,
        source=source,
        **vars(description),
    )


def check_name(name: str, cure: str) -> None:
    """Refuses a name that no build can have.

    Raises:
      ConfigError: says so, and the cure.
    """
    if not NAME.fullmatch(name) or name in RESERVED:
        raise errors.ConfigError(
            f"A build cannot be called '{name}'; expected letters, digits, '.', '_' and '-', and "
            f"not {' or '.join(map(repr, RESERVED))}. {cure}"
        )


def for_path(path: str | os.PathLike[str]) -> Build:
    """Returns the build that a path names: an executable, or a folder with a build.toml.

    A folder without one is taken for what it most likely is; an executable beside a build.toml
    that names it has what that says.

    Raises:
      ConfigError: the build.toml is wrong, or nothing in the folder can be run.
      SecurityError: everybody may write into it.
    """
    given = pathlib.Path(path).expanduser().absolute()
    if given.is_dir():
        if (given / FILE).is_file():
            return load(given)
        given = _only(executables.candidates(given), given)
    elif (given.parent / FILE).is_file():
        build = load(given.parent)
        if build.executable == given:
            return build
    if given.exists():
        _refuse_open(given)
    name = given.name.removesuffix(".x86_64") or "build"
    return Build(name=name, folder=given.parent, executable=given)


def _executable(folder: pathlib.Path, description: descriptions.Description) -> pathlib.Path:
    platform = _PLATFORMS.get(sys.platform, sys.platform)
    named_file: str = getattr(description.executables, platform, "")
    if named_file:
        return folder / named_file
    others = [name for name, path in dataclasses.asdict(description.executables).items() if path]
    if others:
        raise errors.ConfigError(
            f"{folder / FILE}: executables has {' and '.join(others)}, and this is {platform}. "
            f"Build it for {platform} and add executables.{platform}."
        )
    return _only(executables.candidates(folder), folder)


def _only(found: Sequence[pathlib.Path], folder: pathlib.Path) -> pathlib.Path:
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(path.relative_to(folder)) for path in found)
    what = f"may be any of {names}" if found else "is not there: no program for this machine"
    raise errors.ConfigError(
        f"{folder}: the executable {what}. Name it in {FILE}, as executables.linux."
    )


def _check_place(place: pathlib.Path) -> None:
    """Refuses a folder of builds that is not to be trusted; see this module.

    Raises:
      SecurityError: says how it could be.
    """
    status = place.stat()
    is_here = place == pathlib.Path("unity_builds").absolute()
    if is_here and status.st_uid not in (os.getuid(), 0):
        raise errors.SecurityError(
            f"{place} belongs to user {status.st_uid}; builds of the current folder are looked for "
            f"only in what belongs to user {os.getuid()}. Read what is in it, then name it in "
            f"${FOLDERS_VARIABLE}."
        )
    _refuse_open(place)


def _refuse_open(path: pathlib.Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # whoever starts it says so
    if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        raise errors.SecurityError(
            f"{path} can be written by everybody (mode {stat.S_IMODE(mode):o}), and a build runs "
            f"as you. Read what is in it, then run: chmod o-w '{path}'"
        )
