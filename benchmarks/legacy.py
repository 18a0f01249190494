"""The games of legacy gym, which TF-Agents plays; importing this registers them with it.

CartPole under a name of its own: in an id of ours gymnasium's comes first, and that one's
step takes more than twice as long. And Pong, which ale-py gives to gymnasium only: what
gymnasium's returns is passed on in the form of legacy gym and nothing else is done, so
that TF-Agents' own `suite_atari`, its preprocessing and its stacking play it as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gym  # noqa: TID253 - the point of this module

CARTPOLE = "LegacyCartPole-v1"
# Frames after which ALE truncates an episode.
_MAX_FRAMES = 108_000


class Pong(gym.Env):
    """ALE's Pong with one frame a step."""

    def __init__(self, obs_type: str) -> None:
        """Makes it; `obs_type` is "rgb" or "grayscale"."""
        from ale_py import env

        self._env = env.AtariEnv("pong", obs_type=obs_type, frameskip=1)
        self.ale = self._env.ale
        space = self._env.observation_space
        self.observation_space = gym.spaces.Box(0, 255, space.shape, space.dtype)
        self.action_space = gym.spaces.Discrete(int(self._env.action_space.n))

    def reset(self) -> Any:
        """Returns the first observation only."""
        return self._env.reset()[0]

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Returns termination and truncation as one."""
        observation, reward, terminated, truncated, info = self._env.step(action)
        return observation, reward, terminated or truncated, info


gym.register(CARTPOLE, entry_point="gym.envs.classic_control:CartPoleEnv", max_episode_steps=500)
gym.register(
    "ColourPong-v0",
    entry_point=Pong,
    max_episode_steps=_MAX_FRAMES,
    kwargs={"obs_type": "rgb"},
)
gym.register(
    "GreyPong-v0",
    entry_point=Pong,
    max_episode_steps=_MAX_FRAMES // 4,
    kwargs={"obs_type": "grayscale"},
)


def load(game_id: str) -> Any:
    """Returns TF-Agents' own PyEnvironment of a game of `games.GAMES`, by its suites."""
    from tf_agents.environments import suite_atari, suite_gym

    if game_id.startswith("cartpole"):
        return suite_gym.load(CARTPOLE)
    if game_id == "pong":
        return suite_gym.load("ColourPong-v0")
    stacked = suite_atari.DEFAULT_ATARI_GYM_WRAPPERS_WITH_STACKING
    return suite_atari.load("GreyPong-v0", gym_env_wrappers=stacked)


def loop(num_slots: int) -> Callable[[Any], object]:
    """Steps CartPoles one after the other; after an episode's end a step resets."""
    environments = [gym.make(CARTPOLE) for _ in range(num_slots)]
    for environment in environments:
        environment.reset()
    ended = [False] * num_slots

    def step(action: Any) -> None:
        for slot, (environment, one) in enumerate(zip(environments, action.tolist(), strict=True)):
            if ended[slot]:
                environment.reset()
                ended[slot] = False
            else:
                _, _, ended[slot], _ = environment.step(one)

    return step
