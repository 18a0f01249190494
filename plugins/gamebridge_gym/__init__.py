"""The gym plugin: `gym/<id>` is any id that gymnasium knows, or else legacy gym.

Neither library is imported before a game is made.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from collections.abc import Iterator, Mapping
from typing import Any

from gamebridge import errors
from gamebridge.contract import GameFamily, GameRecord, GameRequest, hookimpl

gamebridge_api_version = 1

_ID = re.compile(r"gym/(?:[A-Za-z0-9_.]+:)?(?:[A-Za-z0-9_-]+/)?[A-Za-z0-9_.-]+")


@dataclasses.dataclass(frozen=True)
class GymSettings:
    """The settings of every game of this plugin.

    Attributes:
      kwargs: arguments of the environment itself, such as {"continuous": True}.
      max_episode_steps: truncates episodes there; None for the environment's own limit.
    """

    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    max_episode_steps: int | None = None

    def __post_init__(self) -> None:
        """Checks the limit.

        Raises:
          ValueError: `max_episode_steps` is less than 1.
        """
        if self.max_episode_steps is not None and self.max_episode_steps < 1:
            raise ValueError(
                f"max_episode_steps is {self.max_episode_steps}: expected 1 or more, or nothing "
                "for the environment's own limit."
            )


@dataclasses.dataclass(frozen=True)
class AtariSettings(GymSettings):
    """The settings of `gym/ALE/<id>`; where a default comes from is told in `atari`.

    Attributes:
      prepared: whether the game is prepared as agents are commonly given it: grey, with
        repeated actions, the maximum of the last two frames, and no-ops at the start. Else
        it is ale_py's environment as it is.
      frame_skip: frames an action lasts.
      noop_max: the most no-ops that an episode begins with; 0 for none.
      life_loss_ends: whether an episode terminates when a life is lost.
    """

    prepared: bool = True
    frame_skip: int = 4
    noop_max: int = 30
    life_loss_ends: bool = False

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
          ValueError: one is out of range.
        """
        super().__post_init__()
        if self.frame_skip < 1:
            raise ValueError(f"frame_skip is {self.frame_skip}: expected 1 or more.")
        if self.noop_max < 0:
            raise ValueError(f"noop_max is {self.noop_max}: expected 0 or more.")


def _make_atari(request: GameRequest) -> Any:
    from gamebridge_gym import environments

    settings: AtariSettings = request.settings
    if importlib.util.find_spec("ale_py") is None:
        raise errors.PluginError(f"{request.game_id} {_ATARI}.")
    game_id = request.game_id.replace("gym/ALE/", "gym/ale_py:ALE/")
    kwargs = {"frameskip": 1, **settings.kwargs} if settings.prepared else settings.kwargs
    made = environments.make(game_id, kwargs, None, picture=request.picture)
    from gamebridge_gym import atari

    limit = settings.max_episode_steps
    if not settings.prepared:
        return atari.plain(made, limit)
    return atari.prepare(
        made, settings.frame_skip, settings.noop_max, limit, life_loss_ends=settings.life_loss_ends
    )


def _make(request: GameRequest) -> Any:
    from gamebridge_gym import environments

    settings: GymSettings = request.settings
    return environments.make(
        request.game_id, settings.kwargs, settings.max_episode_steps, picture=request.picture
    )


def _record(
    name: str,
    summary: str,
    guard: str = "refuse",
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> GameRecord:
    return GameRecord(
        id=f"gym/{name}",
        summary=summary,
        make=_make,
        settings=GymSettings,
        wrappers={} if guard == "refuse" else {"guard": guard},
        presets=presets or {},
        requirements=(f"gymnasium[{'box2d' if _BOX2D in summary else 'classic-control'}]",),
    )


# These two leave the bounds that they state themselves. Of 300 random episodes one of
# BipedalWalker did (hull angle, by 0.14 rad); of LunarLander's none did, but 49 of 60 with
# the main engine always on (height 30, bound 2.5) and 20 of 60 with a side engine always
# on (angle 9.1 rad, bound 6.28), as a half-trained agent may play.
_GUARD = "clip"

# Long episodes with a large reward at their end: a far horizon (gamma and lambda of RL Zoo's
# tuned settings), rewards brought to the size of 1, and some entropy against hovering.
_LANDER = {
    "ppo": {
        "learning_rate": 5e-4,
        "rollout_length": 256,
        "num_epochs": 6,
        "gamma": 0.999,
        "gae_lambda": 0.98,
        "entropy_weight": 0.01,
        "reward_scale": 0.05,
    }
}

# Rewards a step, all negative: ppo with a near horizon (RL Zoo's rate, gamma and steps between two
# trainings); bins of the torque with returns of one step, which no later choice of bin spoils.
_VALUES = {"learning_rate": 1e-3, "num_steps": 1, "target_update_tau": 0.01}
_PENDULUM = {
    "ppo": {"rollout_length": 256, "minibatch_size": 64, "gamma": 0.9},
    "dqn": _VALUES,
    "ddqn": _VALUES,
}

_BOX2D = "needs the extra: pip install 'gamebridge[box2d]'"
_ATARI = "needs the extra: pip install 'gamebridge[atari]'"
_KNOWN = {
    record.id: record
    for record in (
        _record("CartPole-v1", "Balance a pole on a cart; discrete."),
        _record("MountainCar-v0", "Swing a weak car up a hill; discrete, sparse reward."),
        _record("MountainCarContinuous-v0", "Swing a weak car up a hill; continuous."),
        _record("Acrobot-v1", "Swing a two-link arm above a line; discrete."),
        _record("Pendulum-v1", "Swing a pendulum up and hold it; continuous.", presets=_PENDULUM),
        _record("LunarLander-v3", f"Land between two flags; discrete; {_BOX2D}.", _GUARD, _LANDER),
        _record(
            "LunarLanderContinuous-v3",
            f"Land between two flags; continuous; {_BOX2D}.",
            _GUARD,
            _LANDER,
        ),
        _record("BipedalWalker-v3", f"Walk on two legs; continuous; {_BOX2D}.", _GUARD),
        _record("CarRacing-v3", f"Drive a track seen from above; picture, continuous; {_BOX2D}."),
    )
}


def _atari_record(name: str, summary: str) -> GameRecord:
    return GameRecord(
        id=f"gym/{name}",
        summary=summary,
        make=_make_atari,
        settings=AtariSettings,
        wrappers={"images": {"height": 84, "width": 84, "stack": 4}},
        requirements=("ale-py", "gymnasium"),
    )


@hookimpl
def gamebridge_games() -> Iterator[GameRecord | GameFamily]:
    """Yields the games that come with gymnasium, and the family of all others."""
    yield from _KNOWN.values()
    yield GameFamily(
        "gym/ALE/<id>",
        f"Atari 2600, prepared for agents; picture; {_ATARI}.",
        examples=("gym/ALE/Pong-v5",),
    )
    yield GameFamily(
        "gym/<id>",
        "Any id that gymnasium knows, or else legacy gym; also gym/<module>:<id>.",
    )


@hookimpl
def gamebridge_find_game(game_id: str) -> GameRecord | None:
    """Returns a record for every id that begins with "gym/"; `make` finds out if it exists."""
    if game_id in _KNOWN:
        return _KNOWN[game_id]
    if not _ID.fullmatch(game_id):
        return None
    if game_id.startswith("gym/ALE/"):
        return _atari_record(game_id.partition("/")[2], "Atari 2600, prepared for agents.")
    return _record(game_id.partition("/")[2], "An environment of gymnasium or legacy gym.")
