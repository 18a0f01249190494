"""The games of the Arcade Learning Environment: their episodes, and their preparation for agents.

An episode has a seed, and is what follows from that and nothing else. ale_py takes a seed
only together with the game's ROM, which takes it a tenth of a second: as long as a hundred
steps or more. So the state of the game's start is kept, every episode begins with it, and
what is left to chance is drawn here by the episode's seed: how many no-ops it begins with,
and which actions stick (Machado et al., JAIR, 2018, section 5: with this probability a
frame is played with the action of the frame before).

The preparation is that of Mnih et al. (Nature, 2015), as Machado et al. wrote it down: an
action lasts some frames, a picture is the maximum of the last two, since sprites flicker,
and an episode begins with a random number of no-ops. What is left, shrinking and stacking,
is the business of the image wrappers. gymnasium's `AtariPreprocessing` gives the same
pictures and rewards, which the tests look at; it fetches every frame in colour on the way.
"""

from __future__ import annotations

from typing import Any

import gymnasium  # noqa: TID253 - the point of this module, which only these games load
import numpy as np

from gamebridge import errors

# Of the console, which draws one each time.
_FRAMES_PER_S = 60.0
# Numbers are drawn so many at once.
_DRAWN = 256


def plain(environment: Any, max_episode_steps: int | None) -> Any:
    """Returns an environment of ale_py as it is, but for how its episodes begin."""
    inner = environment.unwrapped
    if inner.continuous or inner.sound_obs:
        return _limited(environment, max_episode_steps)
    return _limited(PlainAtari(environment), max_episode_steps)


def prepare(
    environment: Any,
    frame_skip: int,
    noop_max: int,
    max_episode_steps: int | None,
    *,
    life_loss_ends: bool,
) -> Any:
    """Returns the environment as `PreparedAtari`, truncated after `max_episode_steps` if any."""
    try:
        prepared = PreparedAtari(environment, frame_skip, noop_max, life_loss_ends=life_loss_ends)
    except errors.Error:
        environment.close()
        raise
    return _limited(prepared, max_episode_steps)


def _limited(environment: Any, max_episode_steps: int | None) -> Any:
    if max_episode_steps is None:
        return environment
    return gymnasium.wrappers.TimeLimit(environment, max_episode_steps)


class _Atari(gymnasium.Wrapper[Any, Any, Any, Any]):
    """What both have in common: how an episode begins, and which actions stick."""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        inner = environment.unwrapped
        self._ale = inner.ale
        self._actions = list(inner._action_set)
        self._stickiness = self._ale.getFloat("repeat_action_probability")
        # What ale_py leaves to chance is drawn here; it asks only when it loads the game.
        self._ale.setFloat("repeat_action_probability", 0.0)
        environment.reset(seed=0)
        self._start = self._ale.cloneState()
        self._first_screen = self._ale.getScreenGrayscale()
        self._generator = np.random.default_rng(0)
        self._draws: list[float] = []
        self._last_action = self._actions[0]

    def _begin(self, seed: int | None) -> None:
        if seed is not None:
            self._generator = np.random.default_rng(seed)
            self._draws = []
        self._ale.restoreState(self._start)
        self._last_action = self._actions[0]

    def _act(self, action: Any) -> float:
        """Plays one frame; returns its reward."""
        if self._stickiness:
            if not self._draws:
                self._draws = self._generator.random(_DRAWN).tolist()
            if self._draws.pop() < self._stickiness:
                action = self._last_action
            self._last_action = action
        reward: float = self._ale.act(action)
        return reward


class PlainAtari(_Atari):
    """An `ale_py` environment with episodes that begin quickly; all else is its own."""

    def __init__(self, environment: Any) -> None:
        """Takes over the closing of `environment`."""
        super().__init__(environment)
        inner = environment.unwrapped
        self._observe = inner._get_obs
        self._frame_skip = inner._frameskip
        self._first = self._observe()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode."""
        self._begin(seed)
        return self._first, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Plays as many frames as the environment was made to."""
        frames = self._frame_skip
        if not isinstance(frames, int):
            frames = self._generator.integers(*frames)
        code, reward = self._actions[action], 0.0
        for _ in range(frames):
            reward += self._act(code)
        ale = self._ale
        return (
            self._observe(),
            reward,
            ale.game_over(with_truncation=False),
            ale.game_truncated(),
            {},
        )


class PreparedAtari(_Atari):
    """An `ale_py` environment, prepared; its observation is uint8 [210, 160, 1], grey."""

    def __init__(
        self, environment: Any, frame_skip: int, noop_max: int, *, life_loss_ends: bool
    ) -> None:
        """Takes over the closing of `environment`.

        Args:
          environment: a gymnasium environment of ale_py, made with `frameskip=1`.
          frame_skip: frames an action lasts.
          noop_max: the most no-ops that an episode begins with; 0 for none.
          life_loss_ends: whether an episode terminates when a life is lost.

        Raises:
          ConfigError: it is not one of ale_py's, skips frames itself or takes other actions.
        """
        inner = environment.unwrapped
        if not hasattr(inner, "ale") or inner.continuous or inner._frameskip != 1:
            raise errors.ConfigError(
                f"{environment} cannot be prepared as an Atari game: expected an environment of "
                "ale_py with discrete actions, and frames skipped by frame_skip alone. Leave "
                "`frameskip` and `continuous` out of kwargs, or set game.prepared=false."
            )
        super().__init__(environment)
        self.metadata = {**environment.metadata, "render_fps": _FRAMES_PER_S / frame_skip}
        self._frame_skip = frame_skip
        self._noop_max = noop_max
        self._life_loss_ends = life_loss_ends
        self._lives = 0
        shape = self._ale.getScreenDims()
        self._newest = np.zeros(shape, np.uint8)
        self._before = np.zeros(shape, np.uint8)
        self._shown = self._newest[:, :, np.newaxis]
        self.observation_space = gymnasium.spaces.Box(0, 255, (*shape, 1), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode, with its no-ops."""
        ale = self._ale
        self._begin(seed)
        count = int(self._generator.integers(1, self._noop_max + 1)) if self._noop_max else 0
        for _ in range(count):
            ale.act(self._actions[0])
            if ale.game_over():
                ale.restoreState(self._start)
                count = 0
                break
        self._lives = ale.lives()
        # A state that was restored has no screen before its first frame.
        if count:
            ale.getScreenGrayscale(self._newest)
        else:
            np.copyto(self._newest, self._first_screen)
        self._before.fill(0)
        return self._shown, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Lets an action last `frame_skip` frames, or to the end of the episode."""
        ale, code = self._ale, self._actions[action]
        reward = 0.0
        for left in range(self._frame_skip - 1, -1, -1):
            reward += self._act(code)
            if ale.game_over() or (self._life_loss_ends and ale.lives() < self._lives):
                break
            if left == 1:
                ale.getScreenGrayscale(self._before)
            elif left == 0:
                ale.getScreenGrayscale(self._newest)
        if self._frame_skip > 1:
            np.maximum(self._newest, self._before, out=self._newest)
        is_terminated = ale.game_over(with_truncation=False)
        if self._life_loss_ends:
            lives = ale.lives()
            is_terminated = is_terminated or lives < self._lives
            self._lives = lives
        return self._shown, reward, is_terminated, ale.game_truncated(), {}
