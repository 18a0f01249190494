"""How an agent uses its replay buffer: as its settings say, and as TF-Agents' agents take it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.trajectories import policy_step, trajectory  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge.tf import replay as replays
from gamebridge.training import learners

_MID = int(ts.StepType.MID)


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


def experience(
    batch: replays.Transition, batch_size: int, step_type: tf.Tensor | None = None
) -> trajectory.Transition:
    """Returns a batch as TF-Agents' agents take transitions of one step.

    They multiply by gamma once; the rest of an n-step discount is in `discount`.

    Args:
      batch: [N, ...].
      batch_size: N.
      step_type: int32 [N], of where they begin; None for MID.
    """
    mid, zeros, ones = tf.fill([batch_size], _MID), tf.zeros([batch_size]), tf.ones([batch_size])
    return trajectory.Transition(
        ts.TimeStep(mid if step_type is None else step_type, zeros, ones, batch.observation),
        policy_step.PolicyStep(batch.action, (), ()),
        ts.TimeStep(mid, batch.reward, batch.discount, batch.next_observation),
    )
