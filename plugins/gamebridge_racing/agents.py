"""`records`: the scripted drivers, as agents; light to import."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from gamebridge.contract import AgentNeeds, AgentRecord, AgentRequest, specs
from gamebridge_racing import settings


@dataclasses.dataclass(frozen=True)
class Pursuit:
    """Settings of a driver that follows the line of the line view.

    Attributes:
      pace: factor of the speeds that the line view shows.
    """

    pace: float = 1.0

    def __post_init__(self) -> None:
        """Refuses a pace at which no lap ends.

        Raises:
          ValueError: it is not above 0.
        """
        if not self.pace > 0:
            raise ValueError(f"pace is {self.pace}; expected more than 0, such as 1.0.")


@dataclasses.dataclass(frozen=True)
class WallRide(Pursuit):
    """Settings of a driver far too fast for the line: in corners the outer wall turns the car.

    Attributes:
      pace: factor of the speeds that the line view shows.
    """

    pace: float = 3.0


def records() -> Iterator[AgentRecord]:
    """Yields `careful-driver` and `wall-rider`."""
    yield AgentRecord(
        id="careful-driver",
        summary="A script for racing/...-line that keeps off the walls; learns nothing.",
        make=_make,
        needs=AgentNeeds(("continuous",)),
        settings=Pursuit,
        objection=objection,
    )
    yield AgentRecord(
        id="wall-rider",
        summary="A script for racing/...-line that corners by the walls; learns nothing.",
        make=_make,
        needs=AgentNeeds(("continuous",)),
        settings=WallRide,
        objection=objection,
    )


def objection(observation: specs.Spec, action: specs.Spec, chosen: Any) -> str:
    """Returns why a driver that follows the line cannot drive what shows this, "" if it can."""
    leaves = [*specs.leaves(observation), *specs.leaves(action)]
    if [tuple(leaf.shape) for leaf in leaves] == [(settings.LINE_WIDTH,), (2,)]:
        return ""
    *shown, driven = (f"{leaf.dtype} {list(leaf.shape)}" for leaf in leaves)
    return (
        "this driver follows the line that racing/oval-line, racing/random-line and "
        f"racing/circuit-line show: float32 [{settings.LINE_WIDTH}], driven by float32 [2]. This "
        f"game shows {' and '.join(shown)}, driven by {driven}. Choose one of those games."
    )


def _make(request: AgentRequest) -> Any:
    from gamebridge_racing import drivers

    return drivers.PursuitLearner(request)
