"""Executables of builds: whether this machine can run one, and which file of a folder it is."""

from __future__ import annotations

import os
import pathlib
import platform
import shlex
import stat
import struct

from gamebridge import errors

_HEAD_BYTES = 256
_ELF = b"\x7fELF"
# ELF's e_machine, by what uname calls the machine.
_MACHINES = {"x86_64": 62, "aarch64": 183, "i686": 3, "armv7l": 40, "riscv64": 243}
_MACHINE_NAMES = {
    3: "32-bit x86", 8: "MIPS", 20: "PowerPC", 21: "64-bit PowerPC", 22: "S390", 40: "32-bit ARM",
    62: "x86_64", 183: "64-bit ARM (aarch64)", 243: "RISC-V",
}  # fmt: skip
# ELF's e_type: what is run, and what is run or loaded.
_RUN, _SHARED = 2, 3
_OTHER_SYSTEMS = {
    b"MZ": "a Windows program",
    b"\xcf\xfa\xed\xfe": "a macOS program",
    b"\xce\xfa\xed\xfe": "a macOS program",
    b"\xca\xfe\xba\xbe": "a macOS program",
    b"PK": "an archive",
    b"\x1f\x8b": "an archive",
}
_ARCHIVES = (b"PK", b"\x1f\x8b")
_BUILD_ANEW = "Build it for Linux, architecture {machine}."


def check(path: pathlib.Path) -> None:
    """Refuses what this machine cannot run; most of it before anything is started.

    Raises:
      PlayerError: names the path, what is wrong with it and the cure.
    """
    try:
        status = path.stat()
    except OSError as error:
        near = _near(path)
        raise errors.PlayerError(
            f"The build {path} cannot be found: {error.strerror}. Expected the executable of a "
            f"Linux build.{near}"
        ) from error
    if stat.S_ISDIR(status.st_mode):
        found = candidates(path)
        cure = f"Name the file in it: {found[0]}" if len(found) == 1 else "Name the file in it"
        raise errors.PlayerError(f"The build {path} is a folder; expected its executable. {cure}.")
    if not stat.S_ISREG(status.st_mode):
        raise errors.PlayerError(f"The build {path} is no file; expected its executable.")
    trouble = head_trouble(path)
    if trouble:
        raise errors.PlayerError(f"The build {path} {trouble}")
    if not os.access(path, os.X_OK):
        if status.st_mode & 0o111:
            raise errors.PlayerError(
                f"The build {path} may not be executed by this user, or lies where nothing may be "
                f"(mode {stat.S_IMODE(status.st_mode):o}, a file system mounted noexec?). Copy it "
                "to a folder of yours."
            )
        raise errors.PlayerError(
            f"The build {path} is not executable (mode {stat.S_IMODE(status.st_mode):o}). Run: "
            f"chmod +x {shlex.quote(str(path))}"
        )


def head_trouble(path: pathlib.Path) -> str:
    """Says what in the file itself keeps this machine from running it; "" for nothing."""
    machine = platform.machine()
    anew = _BUILD_ANEW.format(machine=machine)
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return ""  # what may be executed need not be readable
    if not head:
        return f"is an empty file. {anew}"
    if head.startswith(b"#!"):
        words = shebang(path)
        if not words or not os.path.exists(words[0]):
            named = words[0] if words else "nothing"
            return f"wants to be run by {named} (its first line), which is not here. Install that."
        return ""
    if head.startswith(_ELF):
        return _elf_trouble(head, machine, anew)
    for magic, what in _OTHER_SYSTEMS.items():
        if head.startswith(magic):
            return f"is {what}. {anew}"
    return f'is neither a Linux program nor a script whose first line begins with "#!". {anew}'


def shebang(path: pathlib.Path) -> list[str]:
    """Returns the interpreter of a script and its argument; [] for what is no script."""
    try:
        with open(path, "rb") as file:
            line = file.readline(_HEAD_BYTES)
    except OSError:
        return []
    if not line.startswith(b"#!"):
        return []
    # The kernel takes all that follows the interpreter as one argument.
    return line[2:].decode("utf-8", "replace").strip().split(None, 1)


def candidates(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns what may be the executable of a build's folder, the likeliest ones alone.

    A Unity player `name` or `name.x86_64` beside its `name_Data`, else programs for this
    machine, else scripts; files of the folder itself before those of folders in it.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    files.sort(key=lambda path: len(path.parts))
    programs = [path for path in files if is_program(path)]
    players = [path for path in programs if _data_folder(path).is_dir()]
    rest = [path for path in programs if path.name not in _HELPERS]
    for found in (players, rest, [path for path in files if shebang(path)]):
        if found:
            depth = len(found[0].parts)
            return [path for path in found if len(path.parts) == depth]
    return []


def is_program(path: pathlib.Path) -> bool:
    """Whether it is a program for this machine, and no library."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    if not head.startswith(_ELF) or ".so" in path.suffixes:
        return False
    return not _elf_trouble(head, platform.machine(), "") and _elf(head)[0] in (_RUN, _SHARED)


def is_foreign(path: pathlib.Path) -> bool:
    """Whether it is a program, but for another machine or system."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    is_other = any(head.startswith(magic) for magic in _OTHER_SYSTEMS if magic not in _ARCHIVES)
    return is_other or (head.startswith(_ELF) and ".so" not in path.suffixes)


# What Unity puts beside a player.
_HELPERS = ("UnityCrashHandler", "UnityCrashHandler64")


def _data_folder(path: pathlib.Path) -> pathlib.Path:
    stem = path.name
    for suffix in (".x86_64", ".x86", ".aarch64"):
        stem = stem.removesuffix(suffix)
    return path.with_name(f"{stem}_Data")


def _elf(head: bytes) -> tuple[int, int]:
    order = "<" if head[5:6] == b"\x01" else ">"
    if len(head) < 20:
        return 0, 0
    kind, machine = struct.unpack(f"{order}HH", head[16:20])
    return kind, machine


def _elf_trouble(head: bytes, machine: str, anew: str) -> str:
    kind, built_for = _elf(head)
    if kind not in (_RUN, _SHARED):
        return f"is no program that could be run (a part of one). {anew}"
    wanted = _MACHINES.get(machine)
    is_32_bit = head[4:5] == b"\x01"
    if wanted is not None and (built_for != wanted or is_32_bit != (wanted in (3, 40))):
        name = _MACHINE_NAMES.get(built_for, f"machine number {built_for}")
        return f"is built for {name}, and this machine is {machine}. {anew}"
    return ""


def _near(path: pathlib.Path) -> str:
    for suffix in (".x86_64", ".x86", ".sh"):
        if path.with_name(path.name + suffix).is_file():
            return f" Did you mean '{path.name}{suffix}'?"
    try:
        return errors.nearest(path.name, os.listdir(path.parent))
    except OSError:
        return ""
