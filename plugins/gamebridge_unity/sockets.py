"""Who holds a port or a connection of this machine: from /proc, without any help."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

_LISTENING = "0A"


def listener(port: int) -> int | None:
    """Returns the pid of a process that listens on a port; None if it cannot be seen."""
    for inode in _inodes(local_port=port, state=_LISTENING):
        for pid in _pids():
            if inode in _sockets(pid):
                return pid
    return None


def owner(port: int, remote_port: int) -> int | None:
    """Returns the pid at the other end of a connection over loopback.

    Args:
      port: the other end's.
      remote_port: this end's.

    Returns:
      None if it is a process that we may not look into, which is another user's.

    Raises:
      LookupError: there is no such connection, or nowhere to look for it.
    """
    inode = next(_inodes(local_port=port, remote_port=remote_port), None)
    if inode is None:
        raise LookupError(f"no connection from port {port} to port {remote_port}")
    return next((pid for pid in _pids() if inode in _sockets(pid)), None)


def belongs_to(pid: int, ancestor: int) -> bool:
    """Whether a process is another one, in its session, or a descendant of it."""
    try:
        if os.getsid(pid) == ancestor:
            return True
        while pid > 1 and pid != ancestor:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            # After the name, which may hold anything: state, parent.
            pid = int(stat.rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return False
    return pid == ancestor


def _inodes(*, local_port: int, remote_port: int | None = None, state: str = "") -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            text = pathlib.Path(f"/proc/net/{table}").read_text(encoding="ascii")
        except OSError:
            continue
        for line in text.splitlines()[1:]:
            fields = line.split()
            local, remote = fields[1].rpartition(":")[2], fields[2].rpartition(":")[2]
            if int(local, 16) != local_port or (state and fields[3] != state):
                continue
            # Of a connection that is being closed nobody is the owner.
            if (remote_port is None or int(remote, 16) == remote_port) and fields[9] != "0":
                yield fields[9]


def _pids() -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


def _sockets(pid: int) -> set[str]:
    """The inodes of a process's sockets; none where it is not ours to see."""
    folder = f"/proc/{pid}/fd"
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            # Each may be closed in the meantime.
            with contextlib.suppress(OSError):
                link = os.readlink(f"{folder}/{name}")
                if link.startswith("socket:["):
                    found.add(link[8:-1])
    return found
