"""The racing games: cars on closed tracks between walls that it is tempting to bounce off."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from gamebridge.contract import AgentRecord, GameRecord, GameRequest, hookimpl
from gamebridge_racing import agents, settings

_TRACKS: dict[str, tuple[type[settings.Racing], str]] = {
    "oval": (settings.Oval, "An oval"),
    "random": (settings.Random, "Circuits drawn by seed, others in evaluation than in training"),
    "circuit": (settings.Circuit, "A circuit from a CSV file"),
}
_FORMS: dict[str, tuple[settings.View, settings.Actions, str]] = {
    "": ("lidar", "continuous", "distances to the walls; steering and pedal"),
    "-discrete": ("lidar", "discrete", "distances to the walls; fifteen actions"),
    "-pixels": ("pixels", "continuous", "pixels from above; steering and pedal"),
    "-pixels-discrete": ("pixels", "discrete", "pixels from above; fifteen actions"),
    "-line": ("line", "continuous", "the fastest line ahead; steering and pedal"),
}
# Rewards are about a metre a step, so returns are in the hundreds.
_PPO: dict[str, Any] = {
    "learning_rate": 5e-4,
    "rollout_length": 128,
    "minibatch_size": 512,
    "num_epochs": 6,
    "reward_scale": 0.1,
}
# Many circuits: more to remember, and an average over more of them in each gradient.
_PPO_MANY = {
    **_PPO,
    "rollout_length": 256,
    "minibatch_size": 1024,
    "units": (128, 128),
    "learning_rate_decay_steps": 8_000_000,
}
# A step of the car takes a microsecond and a gradient two milliseconds: more steps for each.
_SPARING: dict[str, Any] = {"train_interval": 8, "units": (128, 128), "reward_scale": 0.1}
# Slow and long, with hardly any chance left in it, since one wrong turn at speed ends at a wall,
# and ever smaller steps: near the limit one action is worth hardly more than the next. An action
# lasts twice as long, which makes that difference greater.
_VALUES: dict[str, Any] = {
    "learning_rate": 2.5e-4,
    "learning_rate_decay_steps": 1_500_000,
    "gamma": 0.98,
    "train_interval": 4,
    "target_update_tau": 0.002,
    "replay_capacity": 400_000,
    "epsilon_steps": 50_000,
    "epsilon_end": 0.01,
    "reward_scale": 0.1,
}
_VALUES_WRAPPERS: dict[str, Any] = {"action_repeat": 2}
# A bend is driven with a fifth of the steering; of the pedal all, nothing or the brake will do.
_BINS: dict[str, Any] = {"action_bins": (11, 3)}
# A quarter of the pixels still shows walls and gauges, and costs a quarter of the time.
_PIXEL_WRAPPERS: dict[str, Any] = {
    "action_repeat": 2,
    "images": {"grey": True, "height": 48, "width": 48, "stack": 2},
    **_BINS,
}
_PIXEL_PPO = {**_PPO, "num_epochs": 4}


@hookimpl
def gamebridge_games() -> Iterator[GameRecord]:
    """Yields each track in each form."""
    for track, (schema, what) in _TRACKS.items():
        for form, (view, actions, how) in _FORMS.items():
            yield GameRecord(
                id=f"racing/{track}{form}",
                summary=f"{what}: {how}.",
                make=functools.partial(_make, view, actions),
                settings=schema,
                wrappers=_PIXEL_WRAPPERS if view == "pixels" else _BINS,
                presets=_presets(track, view),
                agent_wrappers=_agent_wrappers(view),
                training={"checkpoint_interval_steps": 100_000 if view == "pixels" else 400_000},
                num_slots=32,
            )


def _presets(track: str, view: settings.View) -> dict[str, dict[str, Any]]:
    if view == "pixels":
        return {"ppo": _PIXEL_PPO}
    return {
        "ppo": _PPO if track == "oval" else _PPO_MANY,
        **dict.fromkeys(("ddpg", "td3", "sac"), _SPARING),
        **dict.fromkeys(("dqn", "ddqn"), _VALUES),
    }


def _agent_wrappers(view: settings.View) -> dict[str, dict[str, Any]]:
    return {} if view == "pixels" else dict.fromkeys(("dqn", "ddqn"), _VALUES_WRAPPERS)


@hookimpl
def gamebridge_agents() -> Iterator[AgentRecord]:
    """Yields the scripted drivers."""
    yield from agents.records()


def _make(view: settings.View, actions: settings.Actions, request: GameRequest) -> Any:
    from gamebridge_racing import choices, game

    choice = choices.choose(request.settings)
    return game.RacingGame(
        request.num_slots, choice, request.settings, view, actions, picture=request.picture
    )
