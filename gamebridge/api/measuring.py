"""Games and trainings, measured."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gamebridge import config, opening
from gamebridge.contract import game as games
from gamebridge.training import tables

if TYPE_CHECKING:
    from gamebridge.benching.results import Report

_LOG = logging.getLogger(__name__)

# Where neither game nor agent says.
_BENCH_SLOTS = 8


def bench(
    game_id: str,
    agent: str | None = None,
    num_slots: int | None = None,
    *,
    steps: int = 1_000_000,
    seconds: float = 1.0,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    source: config.Source | None = None,
    announce: Callable[[str], None] | None = None,
) -> Report:
    """Measures what a step of a game costs, and where the time goes.

    Args:
      game_id: such as "gym/CartPole-v1".
      agent: whose training is measured too; None for none.
      num_slots: how many slots step together; by default what suits game and agent.
      steps: of the training that is asked about.
      seconds: of each measurement.
      settings: tables as `train` takes them.
      source: where the settings came from, for messages.
      announce: told in a line each what is being measured.

    Raises:
      ConfigError: unknown ids or settings.
      FitError: the agent cannot play the game.
      Error: others, as their classes say.
    """
    from gamebridge.benching import arrangements, bench

    found = opening.discover()
    located = found.locate_game(game_id)
    agent_record = None if agent is None else found.find_agent(agent)
    record, given = located.record, tables.checked(settings or {}, source)
    if num_slots is None:
        own = opening.num_slots_of(record, given["game"], source)
        num_slots = own or (agent_record.num_slots if agent_record else _BENCH_SLOTS)
    # A game that raises is to be named, not to be played on by another worker.
    supervision = config.merge({"on_error": "stop"}, given["supervision"])
    announce = announce or _LOG.info

    def make_learner(fitted: games.Game) -> tuple[Any, Mapping[str, Any]]:
        if agent_record is None:
            raise ValueError("No agent was asked for.")
        # These load TensorFlow, which waits until the game alone was measured.
        from gamebridge.training import runs, sittings

        presets = tables.presets(record, agent_record, fitted, given, announce)
        chosen = config.merge(presets, given["agent"])
        plan = runs.Plan(
            run=runs.RunSettings(game_id, agent_record.id, steps, 0, num_slots),
            game={},
            wrappers={},
            agent=dataclasses.asdict(
                config.convert(chosen, agent_record.settings, path="agent", source=source)
            ),
            training={},
        )
        return sittings.make_learner(agent_record, plan, fitted), plan.agent

    subject = arrangements.Subject(
        record=record,
        order=opening.make_order(
            located,
            num_slots,
            given["game"],
            tables.wrapper_settings(record, given["wrappers"], source, agent or ""),
            tables.supervision_settings(supervision, source),
            source=source,
        ),
        workers=opening.with_python(
            record, tables.worker_settings(given["workers"], source), announce
        ),
        agent=agent_record,
        make_learner=make_learner,
        overlap=tables.training_settings(
            config.merge(record.training, given["training"]), source
        ).overlap,
    )
    return bench.run(subject, seconds, steps, announce)
