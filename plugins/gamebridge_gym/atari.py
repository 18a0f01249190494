"""The games of the Arcade Learning Environment, prepared as agents are commonly given them.

The preparation is that of Mnih et al. (Nature, 2015) as Machado et al. (JAIR, 2018) wrote it
down: an action lasts some frames, a picture is the maximum of the last two, since sprites
flicker, and an episode begins with a random number of no-ops. What is left, shrinking and
stacking, is the business of the image wrappers.

gymnasium's `AtariPreprocessing` gives the same pictures and rewards, which the tests look
at; it fetches every frame in colour on the way, though, and this one only what it shows.
"""

from __future__ import annotations

from typing import Any

import gymnasium  # noqa: TID253 - the point of this module, which only these games load
import numpy as np

from gamebridge import errors

# Of the console, which draws one each time.
_FRAMES_PER_S = 60.0


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
    if max_episode_steps is None:
        return prepared
    return gymnasium.wrappers.TimeLimit(prepared, max_episode_steps)


class PreparedAtari(gymnasium.Wrapper[Any, Any, Any, Any]):
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
        super().__init__(environment)
        inner = environment.unwrapped
        if not hasattr(inner, "ale") or inner.continuous or inner._frameskip != 1:
            raise errors.ConfigError(
                f"{environment} cannot be prepared as an Atari game: expected an environment of "
                "ale_py with discrete actions, and frames skipped by frame_skip alone. Leave "
                "`frameskip` and `continuous` out of kwargs, or set game.prepared=false."
            )
        self.metadata = {**environment.metadata, "render_fps": _FRAMES_PER_S / frame_skip}
        self._ale = inner.ale
        self._actions = list(inner._action_set)
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
        _, info = self.env.reset(seed=seed, options=options)
        if self._noop_max > 0:
            for _ in range(self.env.unwrapped.np_random.integers(1, self._noop_max + 1)):
                self._ale.act(0)
                if self._ale.game_over():
                    self.env.reset(seed=seed, options=options)
        self._lives = self._ale.lives()
        self._ale.getScreenGrayscale(self._newest)
        self._before.fill(0)
        return self._shown, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Lets an action last `frame_skip` frames, or to the end of the episode."""
        ale, code = self._ale, self._actions[action]
        reward = 0.0
        for left in range(self._frame_skip - 1, -1, -1):
            reward += ale.act(code)
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
