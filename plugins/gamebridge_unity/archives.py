"""Archives and folders of a build, taken apart as if they came from a stranger.

What is unpacked are plain files and folders under names that stay inside, and no more of them
than there is reason for. An archive's own modes count for nothing: no file can be run. What is
refused is refused before it is written wherever the archive tells of it beforehand, and
otherwise as soon as it is seen.
"""

from __future__ import annotations

import dataclasses
import errno
import gzip
import hashlib
import io
import os
import pathlib
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

from gamebridge import errors

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")

_CHUNK = 1 << 20
_HEAD_BYTES = 512
_ODD = re.compile(r"[\x00-\x1f\x7f\\:]")
_MOST_NAME_BYTES = 1_000
_ENCRYPTED = 1
# What a name is to blame for, and no lack of room.
_NAMES = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG)


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much an archive may hold.

    Attributes:
      most_bytes: of all files together.
      most_files: files and folders.
      most_ratio: how many times its own size an archive may unpack to ...
      ratio_from_bytes: ... once that is so much.
    """

    most_bytes: int = 20 << 30
    most_files: int = 100_000
    most_ratio: int = 100
    ratio_from_bytes: int = 64 << 20


class _Budget:
    """Counts what was unpacked; refuses what is too much."""

    def __init__(self, source: pathlib.Path, limits: Limits, packed_bytes: int | None) -> None:
        self._source, self._limits, self._packed = source, limits, packed_bytes
        self._bytes = self._files = 0
        self._names: set[str] = set()

    def name(self, name: str) -> pathlib.PurePosixPath | None:
        """Takes the next name; returns it as a path, None for the folder itself."""
        self._files += 1
        if self._files > self._limits.most_files:
            self._refuse(f"holds more than {self._limits.most_files:,} files")
        path = pathlib.PurePosixPath(name)
        if _ODD.search(name) or len(os.fsencode(name)) > _MOST_NAME_BYTES:
            self._refuse(f"holds a name with odd characters or too many: {name[:60]!r}")
        if path.is_absolute() or ".." in path.parts:
            self._refuse(f"holds a name that leads out of its folder: {name[:200]!r}")
        if not path.parts:
            return None
        if str(path) in self._names:
            self._refuse(f"holds {str(path)!r} twice")
        self._names.add(str(path))
        return path

    def size(self, num_bytes: int) -> None:
        """Takes so many bytes more, which are unpacked or are about to be."""
        self._bytes += num_bytes
        self.total(self._bytes, self._packed)

    def total(self, num_bytes: int, packed_bytes: int | None) -> None:
        """Looks at so many bytes in all, out of so many packed ones; None for a folder."""
        limits = self._limits
        if num_bytes > limits.most_bytes:
            self._refuse(
                f"unpacks to more than {limits.most_bytes / 2**30:g} GiB; --max-size-gib allows "
                "more"
            )
        if packed_bytes is None or num_bytes <= limits.ratio_from_bytes:
            return
        if num_bytes > limits.most_ratio * packed_bytes:
            self._refuse(
                f"unpacks to {num_bytes / max(1, packed_bytes):,.0f} times its size or more, as no "
                f"build does (allowed are {limits.most_ratio} times)"
            )

    def kind(self, name: str, what: str) -> None:
        """Refuses what is neither file nor folder."""
        self._refuse(f"holds {what}: {name[:200]!r}; expected files and folders alone")

    def _refuse(self, why: str) -> None:
        raise errors.SecurityError(f"{self._source} {why}. It was not added.")


def sha256(file: IO[bytes]) -> str:
    """Returns the digest of a file from its beginning, in hexadecimal digits; goes back there."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def unpack(source: pathlib.Path, file: IO[bytes], target: pathlib.Path, limits: Limits) -> None:
    """Unpacks an archive into a new folder.

    Args:
      source: its path, for messages.
      file: the archive, opened.
      target: the folder, which is there and empty.
      limits: how much it may hold.

    Raises:
      ConfigError: it is no archive that this can read, or a damaged one.
      SecurityError: it holds what no build does.
      StorageError: it cannot be written.
    """
    packed = os.fstat(file.fileno()).st_size
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    try:
        if head.startswith(b"PK"):
            _unzip(source, file, target, _Budget(source, limits, packed))
        elif head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar":
            _untar(source, file, target, _Budget(source, limits, packed))
        else:
            raise errors.ConfigError(
                f"{source} is neither a zip nor a tar.gz archive. Expected one of those, or a "
                "folder."
            )
    except errors.Error:
        raise
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise errors.ConfigError(
            f"{source} is damaged: {error}. Get it again, and give its --sha256."
        ) from error
    except (NotImplementedError, RuntimeError) as error:  # zipfile, of what it cannot unpack
        raise errors.ConfigError(
            f"{source} cannot be unpacked: {error}. Pack it as tar.gz."
        ) from error
    except OSError as error:
        raise _unwritten(error, f"{source} cannot be unpacked into", target) from error


def copy(source: pathlib.Path, target: pathlib.Path, limits: Limits) -> None:
    """Copies a folder into a new one, as `unpack` would; raises the same."""
    budget = _Budget(source, limits, None)
    try:
        for path in sorted(source.rglob("*")):
            status = path.lstat()
            inside = budget.name(path.relative_to(source).as_posix())
            if inside is None:
                continue
            if stat.S_ISDIR(status.st_mode):
                (target / inside).mkdir(parents=True, exist_ok=True)
            elif stat.S_ISREG(status.st_mode):
                # Should it be replaced by a link by now, that is not followed.
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
                with open(descriptor, "rb") as file:
                    budget.size(status.st_size)
                    _write(file, target / inside)
            else:
                what = "a link" if stat.S_ISLNK(status.st_mode) else "a device or pipe"
                budget.kind(str(inside), what)
    except OSError as error:
        raise _unwritten(error, f"{source} cannot be copied into", target) from error


def _unwritten(error: OSError, what: str, target: pathlib.Path) -> errors.Error:
    why = error.strerror or error
    # Of a build's own folder, which is gone when this is read.
    into = target.parent.parent
    if error.errno in _NAMES:
        named = str(error.filename or "").removeprefix(f"{target}/")
        return errors.SecurityError(
            f"{what} {into}: {why}: {named[:60]!r} is too long, or the name of a file and of a "
            "folder. It was not added. Rename it in the project, and build anew."
        )
    return errors.StorageError(f"{what} {into}: {why}. Make room, or name another folder (--into).")


def _unzip(source: pathlib.Path, file: IO[bytes], target: pathlib.Path, budget: _Budget) -> None:
    with zipfile.ZipFile(file) as archive:
        members = []
        # All of it is told beforehand: nothing is written of an archive that will be refused.
        for member in archive.infolist():
            path = budget.name(member.filename)
            mode = member.external_attr >> 16
            if mode and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode) and stat.S_IFMT(mode):
                what = "a link" if stat.S_ISLNK(mode) else "a device or pipe"
                budget.kind(member.filename, what)
            if member.flag_bits & _ENCRYPTED:
                raise errors.ConfigError(f"{source} is encrypted. Unpack it, and add the folder.")
            budget.size(member.file_size)
            if path is not None:
                members.append((member, path))
            elif member.file_size:
                budget.kind(member.filename, "a file without a name")
        for member, path in members:
            if member.is_dir():
                (target / path).mkdir(parents=True, exist_ok=True)
                continue
            with archive.open(member) as opened:
                _write(opened, target / path)


def _untar(source: pathlib.Path, file: IO[bytes], target: pathlib.Path, budget: _Budget) -> None:
    for member, opened in _members(file, budget):
        path = budget.name(member.name)
        if member.isdir():
            if path is not None:
                (target / path).mkdir(parents=True, exist_ok=True)
        elif opened is None or path is None or member.issparse():
            is_link = member.issym() or member.islnk()
            budget.kind(member.name, "a link" if is_link else "a device, a pipe or a sparse file")
        else:
            budget.size(member.size)
            _write(opened, target / path)


def _members(
    file: IO[bytes], budget: _Budget
) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    is_packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream: Any = _Watched(file, budget) if is_packed else file
    with tarfile.open(fileobj=stream, mode="r|", errorlevel=2) as archive:
        for member in archive:
            is_plain = member.isreg() and not member.issparse()
            yield member, archive.extractfile(member) if is_plain else None
    while is_packed and stream.read(_CHUNK):
        pass  # the checksum is behind the end of the last file


class _Watched(io.RawIOBase):
    """A gzip stream that is unpacked no further than its budget allows."""

    def __init__(self, file: IO[bytes], budget: _Budget) -> None:
        self._file, self._budget = file, budget
        self._stream = gzip.GzipFile(fileobj=file)
        self._num_bytes = 0

    def read(self, size: int = -1, /) -> bytes:
        """Reads in pieces, so that no size that a header claims is believed."""
        parts = []
        left = size if size >= 0 else _CHUNK
        while left > 0:
            part = self._stream.read(min(left, _CHUNK))
            if not part:
                break
            parts.append(part)
            left -= len(part)
            self._num_bytes += len(part)
            self._budget.total(self._num_bytes, self._file.tell())
        return b"".join(parts)


def _write(opened: IO[bytes], path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Anew, and never through a link: no other file than this one is written.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o644), "wb") as file:
        shutil.copyfileobj(opened, file, _CHUNK)
