"""What settings of several agents are refused for."""

from __future__ import annotations

from typing import Any

from gamebridge.tf import memory


def positive(settings: Any, *names: str) -> None:
    """Refuses fields that are not above 0."""
    for name in names:
        if not getattr(settings, name) > 0:
            raise ValueError(f"{name} is {getattr(settings, name)}; expected more than 0.")


def not_negative(settings: Any, *names: str) -> None:
    """Refuses fields below 0."""
    for name in names:
        if not getattr(settings, name) >= 0:
            raise ValueError(f"{name} is {getattr(settings, name)}; expected 0 or more.")


def fraction(settings: Any, *names: str) -> None:
    """Refuses fields outside [0, 1]."""
    for name in names:
        if not 0 <= getattr(settings, name) <= 1:
            raise ValueError(f"{name} is {getattr(settings, name)}; expected 0 to 1.")


def sizes(settings: Any, *names: str) -> None:
    """Refuses tuples in which a number is not above 0."""
    for name in names:
        if not all(size > 0 for size in getattr(settings, name)):
            raise ValueError(f"{name} is {getattr(settings, name)}; expected sizes above 0.")


def can_begin(settings: Any) -> None:
    """Refuses a replay buffer that is none, or is never full enough to train from."""
    if isinstance(settings.replay_capacity, str):
        # How many steps that is hangs on the game: the driver refuses too few.
        try:
            memory.parse(settings.replay_capacity)
        except ValueError as error:
            raise ValueError(f"replay_capacity: {error}") from error
        return
    positive(settings, "replay_capacity")
    if settings.replay_capacity <= settings.warm_up_steps:
        raise ValueError(
            f"replay_capacity is {settings.replay_capacity}, not above warm_up_steps "
            f"{settings.warm_up_steps}: training would never begin. Raise replay_capacity."
        )
