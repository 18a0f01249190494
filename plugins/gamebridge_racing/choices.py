"""`choose`: from the settings of a racing game to the tracks that it is driven on."""

from __future__ import annotations

import pathlib

from gamebridge import errors
from gamebridge_racing import garage, settings
from gamebridge_racing.roads import procedural, tracks

_EXAMPLE = pathlib.Path(__file__).parent / "roads" / "example.csv"


def choose(chosen: settings.Racing) -> garage.Choice:
    """Returns the tracks of a racing game.

    Args:
      chosen: its settings, whose class tells which kind of track.

    Raises:
      ConfigError: a file that is none of a circuit.
      GameError: an oval that folds.
    """
    if isinstance(chosen, settings.Oval):
        return garage.always(tracks.oval(chosen.straight_m, chosen.radius_m, chosen.track_width_m))
    if isinstance(chosen, settings.Random):
        return garage.by_seed(chosen.num_circuits, procedural.circuit)
    if not isinstance(chosen, settings.Circuit):
        raise TypeError(f"no tracks belong to settings of class {type(chosen).__name__}.")
    from gamebridge_racing.roads import circuits

    path = pathlib.Path(chosen.path) if chosen.path else _EXAMPLE
    track = circuits.read(path)
    if track.width_m.min() <= chosen.car.width_m:
        raise errors.ConfigError(
            f"{path}: the walls are {track.width_m.min():.2f} m apart at the narrowest place; "
            f"expected more than the car's {chosen.car.width_m:g} m. Widen the track."
        )
    return garage.always(track)
