"""`put`: places a car at the start of an episode, and draws what is random in it."""

from __future__ import annotations

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing import columns, garage, settings

# Of a random start: share of the free width to either side, and angle to either side.
_SIDEWARD = 0.5
_ASKEW_RAD = 0.15


def put(
    car: Array, counts: Array, entry: garage.Entry, seed: int, chosen: settings.Racing
) -> np.uint64:
    """Fills a car's rows for the first step of an episode.

    Args:
      car: float64 [NUM_CAR], overwritten.
      counts: int64 [NUM_COUNTS], overwritten.
      entry: the track.
      seed: the episode's; the same seed gives the same start.
      chosen: the game's settings.

    Returns:
      The state of the episode's own random numbers, those of the sensors' errors.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    track, vary = entry.track, chosen.randomisation
    car[:], counts[:] = 0.0, 0
    car[columns.GRIP] = random.uniform(*vary.grip)
    car[columns.POWER] = random.uniform(*vary.power)
    heavier = random.uniform(*vary.mass)
    car[columns.MASS] = chosen.car.mass_kg * heavier
    car[columns.INERTIA] = chosen.car.yaw_inertia_kg_m2 * heavier
    counts[columns.DELAY] = random.integers(vary.delay_steps[0], vary.delay_steps[1] + 1)
    car[columns.UNTOUCHED] = 1e9
    car[columns.LIMIT_LAP] = entry.limit.lap_s

    gate = 0
    if chosen.start == "random":
        gate = int(random.integers(track.num_gates))
        free = max((track.width_m[gate] - chosen.car.width_m) / 2, 0.0)
        sideward = random.uniform(-_SIDEWARD, _SIDEWARD) * free
        askew = random.uniform(-_ASKEW_RAD, _ASKEW_RAD)
        car[columns.SPEED_ALONG] = random.uniform(0.0, chosen.start_speed_m_s)
    else:
        sideward = askew = 0.0
    to_left = (track.left[gate] - track.right[gate]) / track.width_m[gate]
    following = track.centre[(gate + 1) % track.num_gates]
    # A little ahead of the cross line: exactly on it a car would be in either gate.
    where = 0.9 * track.centre[gate] + 0.1 * following + sideward * to_left
    along = following - track.centre[gate]
    car[columns.X], car[columns.Y] = where
    car[columns.HEADING] = np.arctan2(along[1], along[0]) + askew

    counts[columns.FIRST], counts[columns.GATES] = entry.first, track.num_gates
    counts[columns.LINE_FIRST] = entry.line_first
    counts[columns.LINE_POINTS] = len(entry.line)
    counts[columns.GATE] = gate
    counts[columns.LINE_AT] = np.argmin(((entry.line - where) ** 2).sum(1))
    return np.uint64(random.integers(2**63))
