"""`choose`: from the settings of a racing game to the tracks that it is driven on."""

from __future__ import annotations

import pathlib

from gamebridge import errors
from gamebridge_racing import garage, procedural, settings, tracks


def choose(chosen: settings.Racing) -> garage.Choice:
    """Returns the tracks of a racing game.

    Args:
      chosen: its settings, whose class tells which kind of track.

    Raises:
      ConfigError: a circuit without a file, or a file that is none of a circuit.
      GameError: a track that folds or crosses itself.
    """
    if isinstance(chosen, settings.Oval):
        return garage.always(
            tracks.oval(chosen.straight_m, chosen.radius_m, chosen.track_width_m)
        )
    if isinstance(chosen, settings.Random):
        return garage.by_seed(chosen.num_circuits, procedural.circuit)
    if not isinstance(chosen, settings.Circuit):
        raise TypeError(f"no tracks belong to settings of class {type(chosen).__name__}.")
    if not chosen.path:
        raise errors.ConfigError(
            "racing/circuit needs the file of a circuit: --set game.path=my-circuit.csv, with "
            "the columns x_m, y_m, w_tr_right_m, w_tr_left_m."
        )
    from gamebridge_racing import circuits

    return garage.always(circuits.read(pathlib.Path(chosen.path)))
