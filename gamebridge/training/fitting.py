"""`fit`: joins an agent and a game, or says why they cannot be joined."""

from __future__ import annotations

from gamebridge import errors
from gamebridge.contract import game as games
from gamebridge.contract import records, specs
from gamebridge.wrappers import actions


def fit(record: records.AgentRecord, game: games.Game) -> tuple[games.Game, list[str]]:
    """Returns the game as the agent can play it, and a line for each thing that was done.

    Raises:
      FitError: the agent cannot give the game's actions.
    """
    fitted, notes = actions.canonical(game)
    spec = fitted.action_spec()
    if _kind(spec) not in record.needs.actions:
        wants = " or ".join(
            {"discrete": "one integer", "continuous": "one array of floats"}[kind]
            for kind in record.needs.actions
        )
        leaves = ", ".join(
            f"{path or 'the action'}: {leaf}" for path, leaf in specs.named_leaves(spec)
        )
        raise errors.FitError(
            f"{record.id} cannot play {game.name}: it gives {wants}, and the game takes "
            f"{leaves}. Choose another agent (`gamebridge agents`)."
        )
    return fitted, notes


def _kind(spec: specs.Spec) -> str:
    if not isinstance(spec, specs.ArraySpec):
        return "nested"
    if spec.num_values is not None and spec.minimum == 0:
        return "discrete"
    if spec.dtype.kind == "f" and len(spec.shape) == 1 and spec.shape[0] > 0:
        return "continuous"
    return "other"
