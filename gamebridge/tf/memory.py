"""How much memory there is, and sizes such as "4GB" as people write them."""

from __future__ import annotations

import os
import pathlib
import re

_UNITS = {
    "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.I)
_CGROUPS = pathlib.Path("/sys/fs/cgroup")
_OWN_CGROUP = pathlib.Path("/proc/self/cgroup")


def parse(text: str) -> int:
    """Returns the bytes of a size such as "4GB" or "512 MiB".

    Raises:
      ValueError: it is none, or less than a byte.
    """
    found = _SIZE.fullmatch(text)
    unit = _UNITS.get(found[2].upper()) if found else None
    if found is None or unit is None or float(found[1]) * unit < 1:
        raise ValueError(
            f"'{text}' is no size: expected a number and a unit out of B, KB, MB, GB, TB, KiB, "
            "MiB, GiB and TiB, such as '4GB'."
        )
    return int(float(found[1]) * unit)


def limit(cgroups: pathlib.Path = _CGROUPS, own: pathlib.Path = _OWN_CGROUP) -> int:
    """Returns the bytes that this process could have at most: the machine's, or its container's.

    Args:
      cgroups: where the kernel tells of control groups.
      own: where it tells in which of them this process is.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _limit_files(cgroups, own):
        try:
            said = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        # "max" where there is none, and in version 1 a number beyond any machine's.
        if said.isdecimal():
            limits.append(int(said))
    return min(limits)


def _limit_files(cgroups: pathlib.Path, own: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files of the process's own group and of all above it."""
    files = [cgroups / "memory.max", cgroups / "memory/memory.limit_in_bytes"]
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return files
    for line in lines:
        _, controllers, name = line.split(":", 2)
        base, file = {
            "": (cgroups, "memory.max"),
            "memory": (cgroups / "memory", "memory.limit_in_bytes"),
        }.get(controllers, (None, ""))
        folder = pathlib.PurePosixPath(name.lstrip("/"))
        if base is not None:
            files += [base / part / file for part in (folder, *folder.parents)]
    return files
