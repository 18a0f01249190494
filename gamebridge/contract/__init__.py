"""All that a plugin author imports: the Game contract, records and hooks.

It needs numpy alone, and pluggy where plugins are looked for. Like all that a worker process
carries into another Python it runs on Python 3.8 and numpy 1.20, and on newer ones.
"""

from gamebridge.contract import seeding, specs
from gamebridge.contract.game import FIRST, LAST, MID, Game, TimeStep, Wrapper, new_time_step
from gamebridge.contract.hookspecs import hookimpl
from gamebridge.contract.policies import Policy
from gamebridge.contract.records import (
    API_VERSION,
    AgentNeeds,
    AgentRecord,
    AgentRequest,
    CommandRecord,
    GameFamily,
    GameRecord,
    GameRequest,
    NoSettings,
    Range,
)
from gamebridge.contract.specs import ArraySpec, TelemetrySpec

__all__ = [
    "API_VERSION",
    "FIRST",
    "LAST",
    "MID",
    "AgentNeeds",
    "AgentRecord",
    "AgentRequest",
    "ArraySpec",
    "CommandRecord",
    "Game",
    "GameFamily",
    "GameRecord",
    "GameRequest",
    "NoSettings",
    "Policy",
    "Range",
    "TelemetrySpec",
    "TimeStep",
    "Wrapper",
    "hookimpl",
    "new_time_step",
    "seeding",
    "specs",
]
