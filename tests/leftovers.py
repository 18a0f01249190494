"""What a test can leave in this process, counted: threads, open files and child processes."""

from __future__ import annotations

import collections
import contextlib
import gc
import os
import pathlib
import threading


def there_is():
    """Counts what there is. What came since an earlier count is `there_is() - earlier`.

    Not the other way round: something of an earlier test's, such as a thread of grpc's, may
    go meanwhile.
    """
    gc.collect()
    num_files = len(list(pathlib.Path("/proc/self/fd").iterdir()))
    threads = [f"thread {thread.name}" for thread in threading.enumerate()]
    children = [f"child {pid}" for pid in _children(os.getpid())]
    return collections.Counter([*threads, *children, *["file"] * num_files])


def _children(pid):
    """Process ids of all descendants, zombies too."""
    found = []
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):  # a thread that has just ended
                for child in (task / "children").read_text().split():
                    found += [child, *_children(child)]
    return found
