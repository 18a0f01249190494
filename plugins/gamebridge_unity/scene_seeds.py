"""The environment parameter `seed`: what a scene is told of the seeds of its slots.

A scene cannot be seeded agent by agent. With new slot seeds its player is sent, before the
reset that they come with, a hash of them: a whole number below 2^24, which a float32 holds.
Its two top bits are those of the slot seeds' domain, so that a game that uses it never trains
on what it is evaluated with. A player that takes the place of one that was lost gets another,
for its agents are to play what was not played before. A game whose episodes depend on it and
on the actions alone repeats itself.
"""

from __future__ import annotations

import numpy as np

from gamebridge.contract import seeding
from gamebridge.contract.specs import Array

PARAMETER = "seed"

_VALUE_BITS = 22
_DOMAIN_SHIFT = 29


def value(slot_seeds: Array, num_restarts: int) -> float:
    """Returns what a player is told, given the seeds of its slots, int64 [n]."""
    mixed = num_restarts
    for seed in slot_seeds.tolist():
        mixed = seeding.derive(mixed, seed)
    domain = int(_domains(slot_seeds)[0])
    return float(domain << _VALUE_BITS | mixed & ((1 << _VALUE_BITS) - 1))


def are_of_evaluation(slot_seeds: Array) -> bool:
    """Whether seeds are of another domain than that of training (`seeding.Domain`)."""
    return bool(np.any(_domains(slot_seeds)))


def _domains(slot_seeds: Array) -> Array:
    return slot_seeds >> _DOMAIN_SHIFT & 3
