"""`Report`: what a bench found, as numbers; what they mean is said by `advice`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

# Of a step in a training, in this order; a bench without TensorFlow's part has less of them.
PARTS = ("game", "bridge", "door", "acting", "learning")


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes.

    Attributes:
      process: this process at the end, TensorFlow and what is learned from included.
      workers: of each worker.
      experience: what the agent's settings keep to learn from; in `process` already.
    """

    process: int
    workers: tuple[int, ...] = ()
    experience: int = 0

    @property
    def total(self) -> int:
        """All processes together."""
        return self.process + sum(self.workers)


@dataclasses.dataclass(frozen=True)
class Report:
    """What was measured; all costs are microseconds of one slot's step.

    Attributes:
      game: its id.
      agent: its id; None where none was asked for.
      num_slots: B.
      cores: that this process may use.
      load: of the machine before, as `uptime` says.
      seconds: of each measurement.
      is_split: whether the game's slots can be played by several workers.
      waits: whether it spends most of its time waiting.
      layers: in this process, each layer's own part, from the bare game outwards; empty
        where the game cannot be played here.
      workers: number of workers -> cost of a step; 0 is this process.
      played_by: the number of workers that the rest was measured with: as asked, or the best.
      automatic: the number that is taken where nobody says.
      parts: of a step as it is in the end: see `PARTS`.
      memory: of all of it.
      steps: of the training that is asked about.
      agent_settings: of the agent, resolved.
      is_asked: whether `played_by` was asked for.
      overlaps: whether a training plays while it learns; the parts are measured in turn.
    """

    game: str
    agent: str | None
    num_slots: int
    cores: int
    load: float
    seconds: float
    is_split: bool
    waits: bool
    layers: Mapping[str, float]
    workers: Mapping[int, float]
    played_by: int
    automatic: int
    parts: Mapping[str, float]
    memory: Memory
    steps: int
    agent_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    is_asked: bool = False
    overlaps: bool = False

    @property
    def step_us(self) -> float:
        """The whole of a step."""
        return sum(self.parts.values())

    @property
    def steps_per_s(self) -> float:
        """Of all slots together."""
        return 1e6 / self.step_us

    def share(self, *names: str) -> float:
        """Returns what these parts make of a step, 0 to 1."""
        return sum(self.parts.get(name, 0.0) for name in names) / self.step_us


def table(costs: Mapping[str, float]) -> list[dict[str, Any]]:
    """Returns one row a part: its cost, its share, and the steps a second up to there."""
    total = sum(costs.values())
    rows, sum_us = [], 0.0
    for name, cost_us in costs.items():
        sum_us += cost_us
        rows.append(
            {
                "name": name,
                "us": round(cost_us, 3),
                "share": round(cost_us / total, 4),
                "steps_per_s": round(1e6 / sum_us, 1),
            }
        )
    return rows
