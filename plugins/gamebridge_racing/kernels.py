"""`kernel`: compiles a loop over cars or places, and keeps it on disk where it may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba  # noqa: TID253 - compiling is the point of this module

F = TypeVar("F", bound=Callable[..., Any])


def kernel(*, fastmath: bool = False) -> Callable[[F], F]:
    """Returns a decorator that compiles a function when it is first called.

    Division is plain: what is divided by is above 0, and asking costs a third of the time.
    Python's other threads may run meanwhile.

    Args:
      fastmath: whether sums may be reordered, and NaN and infinity left out of account.
    """
    options = {"error_model": "numpy", "fastmath": fastmath, "nogil": True}

    def compiled(function: F) -> F:
        try:
            kept: F = numba.njit(cache=True, **options)(function)
        except RuntimeError:
            # Neither beside the source nor in the user's own folder may anything be written:
            # then it is compiled again in every process, for some seconds.
            kept = numba.njit(**options)(function)
        return kept

    return compiled
