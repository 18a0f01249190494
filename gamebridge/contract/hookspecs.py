"""The hooks that a plugin may implement. Each docstring is a complete plugin.

A plugin is a module named by an entry point of group `gamebridge`, or a file in a
plugin folder. It may say `gamebridge_api_version = 1`; without it the version of the
running gamebridge is assumed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gamebridge.contract import records

PROJECT = "gamebridge"


def _unmarked(function: Any = None, **options: Any) -> Any:
    """Stands for a marker of pluggy's: returns what it decorates as it is."""
    return _unmarked if function is None else function


try:
    import pluggy

    hookspec = pluggy.HookspecMarker(PROJECT)
    hookimpl = pluggy.HookimplMarker(PROJECT)
except ModuleNotFoundError:
    # In a worker on another Python, where the hooks of one plugin are called as functions.
    hookspec = hookimpl = _unmarked  # type: ignore[assignment]


@hookspec
def gamebridge_games() -> Iterable[records.GameRecord | records.GameFamily]:  # type: ignore[empty-body]
    """Yields the games that a plugin brings.

    A game of one's own, whole::

        import numpy as np
        from gamebridge import contract
        from gamebridge.contract import FIRST, LAST, Game, GameRecord, hookimpl, specs

        class Guess(Game):
            # Say the number that is shown; one guess an episode.

            def __init__(self, num_slots):
                self.num_slots = num_slots
                self.rows = contract.new_time_step(self.observation_spec(), num_slots)
                self.seeds = np.zeros(num_slots, np.int64)
                self.episodes = np.zeros(num_slots, np.int64)

            def observation_spec(self):
                return specs.discrete(10, name="shown")

            def action_spec(self):
                return specs.discrete(10, name="guess")

            def reset(self, seeds=None, slots=None):
                named = np.ones(self.num_slots, bool) if slots is None else slots
                self.episodes[named] += 1
                if seeds is not None:
                    self.seeds[named], self.episodes[named] = seeds[named], 0
                drawn = contract.seeding.episode_seeds(self.seeds, self.episodes) % 10
                self.rows.observation[named] = drawn[named]
                self.rows.step_type[named] = FIRST
                self.rows.reward[named], self.rows.discount[named] = 0.0, 1.0
                return self.rows

            def step(self, action, active=None):
                active = np.ones(self.num_slots, bool) if active is None else active
                over = active & self.rows.is_last()
                played = active & ~over
                self.rows.reward[played] = (action == self.rows.observation)[played]
                self.rows.step_type[played], self.rows.discount[played] = LAST, 0.0
                return self.reset(slots=over)

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

        import re
        from gamebridge.contract import GameFamily, GameRecord, hookimpl

        def _make_maze(request):
            import mazes
            return mazes.Maze(request.game_id.partition("/")[2])

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

    What `make` returns is a learner of `gamebridge.training.learners`, whose docstrings say
    what it has to do; gamebridge's own, `gamebridge_agents.dqn`, is one on a page.

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


@hookspec
def gamebridge_commands() -> Iterable[records.CommandRecord]:  # type: ignore[empty-body]
    """Yields the commands that a plugin adds to `gamebridge`.

    `make` is called when its command is; it returns a `typer.Typer` of one or more commands. What
    they write goes through `context.obj`: `result(text)` and `result_json(values)` to stdout,
    `say(text)` to stderr. An error of `gamebridge.errors` becomes a line and its exit code.

    Example::

        import typer
        from gamebridge import errors
        from gamebridge.contract import CommandRecord, hookimpl

        def _make():
            app = typer.Typer(help="Look after levels.", no_args_is_help=True)

            @app.command()
            def add(context: typer.Context, file: str):
                "Add a level."
                if not file.endswith(".lvl"):
                    raise errors.ConfigError(f"{file} is no level: expected a name in .lvl.")
                context.obj.result(f"{file} is added.")

            @app.command("list")
            def list_(context: typer.Context):
                "List the levels."
                context.obj.result("There are none.")

            return app

        @hookimpl
        def gamebridge_commands():
            yield CommandRecord("levels", "Add and list levels.", _make)
    """
