"""`native_stderr`: what native code says on stderr goes to our log, for a moment."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def native_stderr() -> Iterator[None]:
    """Keeps stderr free of lines that no setting of a library silences; all threads' meanwhile."""
    # In memory: a full disk is no reason to fail.
    with open(os.memfd_create("stderr"), "w+b") as file:
        before = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            for line in file.read().decode(errors="replace").splitlines():
                _LOG.debug("%s", line)
