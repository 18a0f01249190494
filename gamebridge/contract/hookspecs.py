"""The hooks that a plugin may implement. Each docstring is a complete plugin.

A plugin is a module named by an entry point of group `gamebridge`, or a file in a
plugin folder. It may say `gamebridge_api_version = 1`; without it the version of the
running gamebridge is assumed.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from gamebridge.contract import records

PROJECT = "gamebridge"


hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def gamebridge_games() -> Iterable[records.GameRecord | records.GameFamily]:  # type: ignore[empty-body]
    """Yields the games that a plugin brings.

    A game of one's own, whole::

        import numpy as np
        from gamebridge.contract import Game, GameRecord, hookimpl, new_time_step, specs

        class Guess(Game):
            '''Guess the number that was shown; one guess an episode.'''

            def __init__(self, num_slots):
                self.num_slots = num_slots
                self._rows = new_time_step(self.observation_spec(), num_slots)

            def observation_spec(self):
                return specs.discrete(10, name="shown")

            def action_spec(self):
                return specs.discrete(10, name="guess")
            ...

        @hookimpl
        def gamebridge_games():
            yield GameRecord("guess/ten", "Say what you saw.", lambda r: Guess(r.num_slots))

    A gymnasium environment, whole::

        from gamebridge.contract import GameRecord, hookimpl

        def _make(request):
            import my_game
            return my_game.Env(render_mode="rgb_array" if request.picture else None)

        @hookimpl
        def gamebridge_games():
            yield GameRecord(id="mine/level-1", summary="The first level.", make=_make)
    """


@hookspec
def gamebridge_find_game(game_id: str) -> records.GameRecord | None:
    """Returns the record of one game of an open family, or None where it is not ours.

    Example::

        from gamebridge.contract import GameFamily, GameRecord, hookimpl

        @hookimpl
        def gamebridge_games():
            yield GameFamily("maze/<size>x<size>", "A maze of any size.")

        @hookimpl
        def gamebridge_find_game(game_id):
            plugin, _, size = game_id.partition("/")
            if plugin != "maze" or not re.fullmatch(r"[0-9]+x[0-9]+", size):
                return None
            return GameRecord(id=game_id, summary="A maze.", make=_make_maze)
    """


@hookspec
def gamebridge_agents() -> Iterable[records.AgentRecord]:  # type: ignore[empty-body]
    """Yields the agents that a plugin brings.

    Example::

        from gamebridge.contract import AgentNeeds, AgentRecord, hookimpl

        def _make(request):
            from my_agent import learner
            return learner.MyLearner(request)

        @hookimpl
        def gamebridge_agents():
            yield AgentRecord(
                id="mine", summary="My agent.", make=_make, needs=AgentNeeds(("discrete",))
            )
    """
