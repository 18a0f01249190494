"""How the settings of an agent say that its replay buffer is used."""

from __future__ import annotations

from typing import Any

from gamebridge.training import learners


def replay_use(settings: Any, **more: Any) -> learners.ReplayUse:
    """Returns what settings with these names say, and `more` of `ReplayUse`."""
    return learners.ReplayUse(
        capacity=settings.replay_capacity,
        batch_size=settings.batch_size,
        num_steps=settings.num_steps,
        gamma=settings.gamma,
        warm_up_steps=settings.warm_up_steps,
        train_interval=settings.train_interval,
        **more,
    )
