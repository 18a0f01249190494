"""Where a run's replay buffer is kept: in this process's memory, or in a Reverb server."""

from __future__ import annotations

import functools
from collections.abc import Callable

from gamebridge import errors
from gamebridge.contract import specs
from gamebridge.tf import environment as environments
from gamebridge.tf import prioritized, reverb_replay, reverb_server
from gamebridge.tf import replay as replays
from gamebridge.training import learners
from gamebridge.training.settings import TrainingSettings

AnyReplay = replays.Replay | reverb_replay.ReverbReplay
MakeReplay = Callable[[environments.GameTFEnvironment, learners.ReplayUse], AnyReplay]


def check(settings: TrainingSettings) -> None:
    """Refuses a store that there cannot be on this machine.

    Raises:
      ConfigError: says what to install.
    """
    if settings.replay_store == "reverb":
        reverb_server.check()


def chosen(settings: TrainingSettings) -> MakeReplay:
    """Returns what makes a replay buffer, as the settings say."""
    if settings.replay_store == "reverb":
        return functools.partial(_in_reverb, is_saved=settings.save_replay)
    return in_memory


def in_memory(
    environment: environments.GameTFEnvironment, use: learners.ReplayUse
) -> replays.Replay:
    """Makes a ring in TensorFlow's memory.

    Raises:
      ConfigError: it would not fit the machine's memory, or is so small that training would
        never begin.
    """
    stacked = _num_stacked(environment)
    spec, action_spec = environment.observation_spec(), environment.action_spec()
    num_slots = environment.batch_size
    replay = (
        replays.Replay(spec, action_spec, num_slots, use.capacity, stacked)
        if use.priorities is None
        else prioritized.PrioritizedReplay(
            spec, action_spec, num_slots, use.capacity, stacked,
            num_steps=use.num_steps, priorities=use.priorities,
        )
    )  # fmt: skip
    too_few = max(use.warm_up_steps, use.num_rows * num_slots)
    if isinstance(use.capacity, str) and replay.capacity <= too_few:
        raise errors.ConfigError(
            f"agent.replay_capacity is {use.capacity}, which is room for {replay.capacity:,} "
            f"steps: training begins with more than {too_few:,}. Raise agent.replay_capacity."
        )
    return replay


def _in_reverb(
    environment: environments.GameTFEnvironment, use: learners.ReplayUse, *, is_saved: bool
) -> reverb_replay.ReverbReplay:
    return reverb_replay.ReverbReplay(
        environment.observation_spec(),
        environment.action_spec(),
        environment.batch_size,
        use.capacity,
        _num_stacked(environment),
        num_steps=use.num_steps,
        sequence_length=use.sequence_length,
        priorities=use.priorities,
        is_saved=is_saved,
    )


def _num_stacked(environment: environments.GameTFEnvironment) -> list[int]:
    leaves = specs.leaves(environment.game.observation_spec())
    return [leaf.num_stacked for leaf in leaves]
