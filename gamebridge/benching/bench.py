"""`run`: measures a game from the bare environment to an agent that learns."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

from gamebridge import errors
from gamebridge.benching import arrangements, memory, results, rounds
from gamebridge.training import fitting
from gamebridge.workers import choice

# One call into a graph lasts at most so long: a signal is heard between two calls.
_CALL_S = 0.4


def run(
    subject: arrangements.Subject, seconds: float, steps: int, announce: Callable[[str], None]
) -> results.Report:
    """Measures; TensorFlow is loaded when all else is done.

    Args:
      subject: the game, and perhaps an agent.
      seconds: of each measurement.
      steps: of the training that is asked about.
      announce: told in a line what is being measured.

    Raises:
      FitError: the agent cannot play the game.
      Stopped: SIGTERM came; KeyboardInterrupt for SIGINT.
      Error: others, as of making and playing the game and the agent.
    """
    load = os.getloadavg()[0]
    with contextlib.ExitStack() as opened:
        found = arrangements.measure(subject, seconds, announce, opened)
        trained = _under_tensorflow(subject, found, seconds, announce)
        used = results.Memory(
            memory.resident_bytes(),
            tuple(memory.resident_bytes(pid) for pid in sorted(found.pids)),
            trained.experience_bytes,
        )
    return results.Report(
        game=subject.order.origin.game_id,
        agent=subject.agent.id if subject.agent else None,
        num_slots=subject.order.num_slots,
        cores=choice.num_cores(),
        load=load,
        seconds=seconds,
        is_split=found.is_split,
        waits=found.waits,
        layers=found.layers,
        workers=found.workers,
        played_by=found.played_by,
        is_asked=subject.workers.count is not None,
        automatic=found.automatic,
        parts=trained.parts,
        memory=used,
        steps=steps,
        agent_settings=trained.agent_settings,
        overlaps=trained.overlaps,
    )


@dataclasses.dataclass(frozen=True)
class _Trained:
    """What was measured with TensorFlow; see `results.Report`."""

    parts: Mapping[str, float]
    experience_bytes: int = 0
    agent_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    overlaps: bool = False


def _under_tensorflow(
    subject: arrangements.Subject,
    found: arrangements.Arranged,
    seconds: float,
    announce: Callable[[str], None],
) -> _Trained:
    announce("loading TensorFlow")
    from gamebridge.tf import start

    start.load()
    start.quieten()
    from gamebridge.benching import driving, learning
    from gamebridge.training import signals

    call_s = min(_CALL_S, seconds / rounds.NUM_ROUNDS)
    with signals.StopRequest() as stop:

        def check() -> None:
            if stop.signal_number == signal.SIGINT:
                raise KeyboardInterrupt
            if stop.signal_number is not None:
                name = signal.Signals(stop.signal_number).name
                raise errors.Stopped(f"Stopped by {name}.", stop.signal_number)

        announce("measuring under a TF-Agents driver")
        driven = driving.Driving(found.game, found.batch_s, call_s)
        costs = rounds.medians(rounds.measure({"driven": driven}, seconds, check)["driven"])
        if subject.agent is None:
            return _Trained(_parts(found.bare_share, costs["game"], costs["door"]))
        announce(f"measuring in training, by {subject.agent.id}")
        fitted, notes = fitting.fit(subject.agent, found.game)
        for note in notes:
            announce(note)
        learner, agent_settings = subject.make_learner(fitted)
        collecting = learning.Collecting(fitted, learner, found.batch_s, call_s)
        check()
        learns = learning.Learning(collecting, learner, call_s)
        said = rounds.measure({"collecting": collecting, "learning": learns}, seconds, check)
    collected = rounds.medians(said["collecting"])
    # The door is no dearer than all that is not the game's.
    door_us = min(costs["door"], collected["acting"])
    played = _parts(found.bare_share, collected["game"], door_us)
    parts = {
        **played,
        "bridge": played["bridge"] + collected["log"],
        "acting": collected["acting"] - door_us,
        **rounds.medians(said["learning"]),
    }
    # As a session has it where no seed was asked for.
    overlaps = found.played_by > 0 if subject.overlap is None else subject.overlap
    return _Trained(
        parts, learns.experience_bytes, agent_settings, overlaps and learns.is_off_policy
    )


def _parts(bare_share: float, played_us: float, door_us: float) -> dict[str, float]:
    own_us = bare_share * played_us
    return {"game": own_us, "bridge": played_us - own_us, "door": door_us}
