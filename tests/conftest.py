"""What the tests of several packages share."""

from __future__ import annotations

import signal
import textwrap

import pytest


def pytest_configure(config):
    """A shell's background jobs ignore Ctrl-C, and so would all processes that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def make_learner():
    """Makes a bundled agent's learner for a game, as the api does, with small settings."""
    from gamebridge.tf import start

    start.load()
    from tf_agents.specs import tensor_spec
    from tf_agents.trajectories import time_step as ts

    import gamebridge_agents
    from gamebridge.contract import AgentRequest
    from gamebridge.tf import environment

    found = {record.id: record for record in gamebridge_agents.gamebridge_agents()}

    def make(agent, game, seed=0, **settings):
        def to_tensors(spec):
            return tensor_spec.from_spec(environment.to_array_spec(spec))

        record = found[agent]
        return record.make(
            AgentRequest(
                time_step_spec=ts.time_step_spec(to_tensors(game.observation_spec())),
                action_spec=to_tensors(game.action_spec()),
                num_slots=game.num_slots,
                seed=seed,
                settings=record.settings(**settings),
            )
        )

    return make


@pytest.fixture(scope="session")
def toy_plugins(tmp_path_factory):
    """A plugin folder with the games of gamebridge.testing and a few faulty ones."""
    folder = tmp_path_factory.mktemp("plugins")
    folder.chmod(0o755)
    path = folder / "toys.py"
    path.write_text(
        textwrap.dedent(
            """
            import dataclasses
            import logging

            from gamebridge.contract import GameRecord, hookimpl
            from gamebridge.testing import fakes


            @dataclasses.dataclass(frozen=True)
            class CorridorSettings:
                length: int = 6
                break_at: int = 0


            class Breaking(fakes.Corridor):
                calls = 0

                def __init__(self, num_slots, length, break_at):
                    super().__init__(num_slots, length)
                    self.break_at = break_at

                def step(self, action, active=None):
                    self.calls += 1
                    if self.calls == self.break_at:
                        raise ZeroDivisionError(f"{self.name}, slot 0, step {self.calls}: oops")
                    return super().step(action, active)


            def _corridor(request):
                return Breaking(
                    request.num_slots, request.settings.length, request.settings.break_at
                )


            class Scene(fakes.Corridor):
                def reset(self, seeds=None, slots=None):
                    logging.getLogger("toys").warning("The scene begins.")
                    return super().reset(seeds, slots)


            def make_scene(request):
                # One that has so many agents and no other number.
                if request.num_slots != request.settings.length:
                    raise ValueError(f"{request.num_slots} slots")
                return Scene(request.num_slots)


            @hookimpl
            def gamebridge_games():
                yield GameRecord("toys/corridor", "Right.", _corridor, CorridorSettings)
                yield GameRecord("toys/longer", "Right.", lambda r: fakes.Corridor(r.num_slots, 9))
                yield GameRecord(
                    "toys/limited", "Right.", _corridor, CorridorSettings, {"episode_limit": 3}
                )
                yield GameRecord(
                    "toys/scene",
                    "Right, all at once.",
                    make_scene,
                    CorridorSettings,
                    num_slots=lambda settings: settings.length,
                    is_scene=True,
                )
                yield GameRecord("toys/target", "Guess.", lambda r: fakes.Target(r.num_slots))
                yield GameRecord("toys/catch", "Catch.", lambda r: fakes.Catch(r.num_slots, 24))
            """
        )
    )
    path.chmod(0o644)
    return folder
