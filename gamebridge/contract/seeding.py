"""Seeds of slots and episodes: the same episodes whatever the number of slots or workers.

A slot's seed is a hash of (seed, slot), an episode's a hash of (slot seed, episode
number). All are 31-bit, which every game library takes. The two top bits tell what a
seed is for, and every hash keeps them, so that training can never meet an episode of
an evaluation:

    00  training      10  validation (which checkpoint is best)      11  evaluation
"""

from __future__ import annotations

import enum

import numpy as np

from gamebridge.contract.specs import Array

_DOMAIN_MASK = np.uint64(0x6000_0000)
_VALUE_MASK = np.uint64(0x1FFF_FFFF)


class Domain(enum.IntEnum):
    """What a seed is for: the two top bits of its 31."""

    TRAINING = 0x0000_0000
    VALIDATION = 0x4000_0000
    EVALUATION = 0x6000_0000


def slot_seeds(seed: int, num_slots: int, domain: Domain = Domain.TRAINING) -> Array:
    """Returns int64 [num_slots]: slot i's seed depends on `seed` and i alone."""
    mixed = _mix(np.uint64(seed % 2**63), np.arange(num_slots, dtype=np.uint64))
    return ((mixed & _VALUE_MASK) | np.uint64(domain)).astype(np.int64)


def episode_seeds(slots: Array, episodes: Array) -> Array:
    """Returns int64 [B]: the seeds of episode number `episodes` [B] of slots seeded `slots` [B]."""
    base = np.asarray(slots).astype(np.uint64)
    mixed = _mix(base, np.asarray(episodes).astype(np.uint64))
    return ((mixed & _VALUE_MASK) | (base & _DOMAIN_MASK)).astype(np.int64)


def derive(seed: int, number: int) -> int:
    """Returns a 63-bit seed made of two numbers, for networks, exploration and replay."""
    return int(_mix(np.uint64(seed % 2**63), np.asarray([number], np.uint64))[0] >> np.uint64(1))


def _mix(left: Array | np.uint64, right: Array) -> Array:
    # SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014) over a Weyl sequence.
    with np.errstate(over="ignore"):
        z = np.asarray(left, np.uint64) * np.uint64(0xD1342543DE82EF95) + right.astype(np.uint64)
        for _ in range(2):
            z = z + np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
    return z
