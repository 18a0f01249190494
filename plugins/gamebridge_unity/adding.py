"""`add`: an archive or a folder becomes a build, whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Iterator

from gamebridge import errors
from gamebridge_unity import archives, builds, executables

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class Added:
    """A build that was added.

    Attributes:
      build: what it is now.
      sha256: of the archive; "" where a folder was added.
      had_description: whether it brought a build.toml of its own.
    """

    build: builds.Build
    sha256: str
    had_description: bool


def default_folder() -> pathlib.Path:
    """Returns where builds are added: the first folder that the user names, or here."""
    return builds.folders()[0]


def add(
    source: pathlib.Path,
    *,
    name: str = "",
    sha256: str = "",
    into: pathlib.Path | None = None,
    executable: str = "",
    limits: archives.Limits = archives.Limits(),  # noqa: B008 - it is frozen
) -> Added:
    """Adds a build.

    Args:
      source: a zip or tar.gz archive, or a folder.
      name: of the build; made of the source's unless given.
      sha256: what the archive's digest has to be; "" for any.
      into: the folder of builds; `default_folder()` unless given.
      executable: its path inside; found unless given.
      limits: how much it may hold.

    Raises:
      ConfigError: there is no such source, no program in it, or a build of that name already.
      SecurityError: the digest is another, or it holds what no build does.
      StorageError: it cannot be written.
    """
    into = into or default_folder()
    name = name or _name_of(source)
    builds.check_name(name, "Give another --name.")
    if (builds.OWN_FOLDER / name).exists():
        raise errors.ConfigError(
            f"unity/{name} comes with gamebridge, and would be hidden. Give another --name."
        )
    if os.path.lexists(into / name):
        raise errors.ConfigError(
            f"{into / name} is there already. Remove it first, or give another --name."
        )
    with _workplace(into) as place:
        content = place / name
        content.mkdir()
        found = _take(source, content, sha256, limits)
        root = _root(content)
        had_description = (root / builds.FILE).is_file()
        if not had_description:
            chosen = _executable(root, source, executable)
            _describe(root, chosen, source, found)
        elif executable:
            raise errors.ConfigError(
                f"{source} has a {builds.FILE}, which names its executable. Leave out --executable."
            )
        renamed = place / "build" / name
        renamed.parent.mkdir()
        root.rename(renamed)
        program = _load(renamed, source).executable
        trouble = executables.head_trouble(program) if program.is_file() else "is not in it."
        if trouble:
            raise errors.ConfigError(f"{source}: the executable {program.name} {trouble}")
        program.chmod(0o755)
        renamed.chmod(0o755)
        try:
            renamed.rename(into / name)
        except OSError as error:
            raise errors.StorageError(
                f"{into / name} cannot be made: {error.strerror}. Name another folder (--into)."
            ) from error
    return Added(builds.load(into / name), found, had_description)


def _load(folder: pathlib.Path, source: pathlib.Path) -> builds.Build:
    try:
        return builds.load(folder)
    except errors.Error as error:
        # Nobody will find that folder any more.
        raise type(error)(str(error).replace(str(folder), str(source))) from error


def _name_of(source: pathlib.Path) -> str:
    stem = source.resolve().name
    for suffix in archives.SUFFIXES:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")


@contextlib.contextmanager
def _workplace(into: pathlib.Path) -> Iterator[pathlib.Path]:
    """Makes a folder beside the builds, for this user alone; nothing of it is left."""
    place = into / f".adding-{secrets.token_hex(8)}"
    made = [parent for parent in (into, *into.parents) if not parent.exists()]
    try:
        into.mkdir(parents=True, exist_ok=True)
        place.mkdir(mode=0o700)
    except OSError as error:
        raise errors.StorageError(
            f"Nothing can be written into {into}: {error.strerror}. Name another folder (--into)."
        ) from error
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # unless there is a build in it now


def _take(source: pathlib.Path, content: pathlib.Path, sha256: str, limits: archives.Limits) -> str:
    if source.is_dir():
        if sha256:
            raise errors.ConfigError(
                f"{source} is a folder, which has no digest. Leave out --sha256, or add an archive."
            )
        archives.copy(source, content, limits)
        return ""
    wanted = sha256.strip().lower()
    if wanted and not _DIGEST.fullmatch(wanted):
        raise errors.ConfigError(
            f"--sha256 {sha256}: expected 64 hexadecimal digits, as `sha256sum FILE` shows."
        )
    try:
        # What is no file, such as a pipe, would not end.
        opened = open(os.open(source, os.O_RDONLY | os.O_NONBLOCK), "rb")  # noqa: SIM115
    except OSError as error:
        raise errors.ConfigError(
            f"{source} cannot be read: {error.strerror}. Give the path of an archive or a folder."
        ) from error
    with opened as file:
        if not source.is_file():
            raise errors.ConfigError(f"{source} is no file. Give the path of an archive.")
        # The bytes that are looked at are those that are unpacked.
        found = archives.sha256(file)
        if wanted and found != wanted:
            raise errors.SecurityError(
                f"{source} has the sha256 {found}; expected {wanted}. It is not what was meant: "
                "it was not added."
            )
        archives.unpack(source, file, content, limits)
    return found


def _root(content: pathlib.Path) -> pathlib.Path:
    """Returns the folder that the build is in: most archives hold one folder that holds it all."""
    entries = list(content.iterdir())
    while len(entries) == 1 and entries[0].is_dir():
        content = entries[0]
        entries = list(content.iterdir())
    return content


def _executable(root: pathlib.Path, source: pathlib.Path, named: str) -> pathlib.Path:
    if named:
        path = root / named
        if pathlib.PurePosixPath(named).is_absolute() or ".." in pathlib.PurePath(named).parts:
            raise errors.ConfigError(f"--executable {named}: expected a path inside the build.")
        if not path.is_file():
            known = [str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()]
            near = errors.nearest(named, known[:1_000])
            raise errors.ConfigError(f"--executable {named}: there is no such file in it.{near}")
        return path
    found = executables.candidates(root)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(path.relative_to(root)) for path in found[:8])
        raise errors.ConfigError(
            f"{source}: the executable may be any of {names}. Name it: --executable."
        )
    for path in sorted(root.rglob("*")):
        if path.is_file() and executables.is_foreign(path):
            trouble = executables.head_trouble(path)
            raise errors.ConfigError(f"{source}: {path.relative_to(root)} {trouble}")
    raise errors.ConfigError(
        f"{source}: no program is in it. Expected a Linux build: its executable beside its "
        "*_Data folder."
    )


def _describe(
    root: pathlib.Path, executable: pathlib.Path, source: pathlib.Path, digest: str
) -> None:
    origin = f"{source.name}, sha256 {digest}" if digest else source.name
    path = executable.relative_to(root).as_posix()
    (root / builds.FILE).write_text(
        "# Written by `gamebridge builds add`; docs/unity-builds.md tells what else can be said.\n"
        f"# From {''.join(filter(str.isprintable, origin))}\n\n"
        f"[executables]\nlinux = {json.dumps(path, ensure_ascii=False)}\n",
        encoding="utf-8",
    )
