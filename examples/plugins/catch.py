"""A plugin in one file: catch a falling ball, seen as a picture of 84x84 or any other size.

gamebridge --plugins examples/plugins train catch/84 --agent dqn --steps 40000
"""

import re

from gamebridge.contract import GameFamily, GameRecord, hookimpl
from gamebridge.testing import fakes


def _make(request):  # noqa: ANN001, ANN202
    size = int(request.game_id.partition("/")[2])
    return fakes.Catch(num_slots=request.num_slots, size=size)


@hookimpl
def gamebridge_games():  # noqa: ANN201
    """Lists the family."""
    yield GameFamily(
        "catch/<size>",
        "Catch a falling ball with a paddle, from pixels.",
        examples=("catch/84",),
    )


@hookimpl
def gamebridge_find_game(game_id):  # noqa: ANN001, ANN201
    """Makes the record of any size."""
    if re.fullmatch(r"catch/[0-9]+", game_id):
        return GameRecord(game_id, "Catch a falling ball.", _make)
    return None
