"""A plugin in one file: games of gymnasium's spaces, one for each kind that agents have to meet.

Each has one right action, which never changes; a step gives the share of it that was right.
What is seen is noise. `spaces/masked` says which of its actions are allowed, as gamebridge
wants it: {"observation": ..., "action_mask": ...}.

gamebridge --plugins examples/plugins matrix spaces/dict spaces/mixed --agents ppo,dqn
"""

import functools

from gamebridge.contract import GameRecord, hookimpl

_STEPS = 10


@functools.cache
def _games():  # noqa: ANN202
    """The (observation space, action space) of each game."""
    import numpy as np
    from gymnasium import spaces as s

    numbers, few = s.Box(-1.0, 1.0, (3,)), s.Discrete(4)
    pedals = s.Box(-1.0, 1.0, (2,))
    return {
        "dict": (s.Dict({"place": numbers, "phase": few}), few),
        "tuple": (s.Tuple((numbers, few)), pedals),
        "multi-discrete": (s.MultiDiscrete([3, 2, 5]), few),
        "multi-binary": (s.MultiBinary(4), few),
        "mixed": (
            s.Dict({"camera": s.Box(0, 255, (36, 36, 3), np.uint8), "speed": numbers}),
            pedals,
        ),
        "masked": (s.Dict({"observation": numbers, "action_mask": s.MultiBinary(4)}), few),
        "dict-action": (numbers, s.Dict({"steering": pedals, "gear": s.Discrete(3)})),
        "tuple-action": (numbers, s.Tuple((s.Discrete(2), s.Discrete(3)))),
        "multi-discrete-action": (numbers, s.MultiDiscrete([3, 2, 4])),
        "multi-binary-action": (numbers, s.MultiBinary(4)),
        "whole-numbers-action": (numbers, s.Discrete(3, start=-1)),
        "endless-action": (numbers, s.Box(-np.inf, np.inf, (2,))),
    }


def _make(request):  # noqa: ANN001, ANN202
    import gymnasium
    import numpy as np

    observation_space, action_space = _games()[request.game_id.partition("/")[2]]

    class Spaces(gymnasium.Env):
        def __init__(self):  # noqa: ANN204
            self.observation_space, self.action_space = observation_space, action_space
            action_space.seed(0)
            self.right = gymnasium.spaces.flatten(action_space, action_space.sample())

        def _see(self):  # noqa: ANN202
            self.observation_space.seed(int(self.np_random.integers(2**31)))
            seen = self.observation_space.sample()
            if isinstance(seen, dict) and "action_mask" in seen:
                seen["action_mask"][np.argmax(self.right)] = 1
            return seen

        def reset(self, *, seed=None, options=None):  # noqa: ANN001, ANN202
            super().reset(seed=seed)
            self.steps = 0
            return self._see(), {}

        def step(self, action):  # noqa: ANN001, ANN202
            self.steps += 1
            given = gymnasium.spaces.flatten(action_space, action)
            share = float(np.mean(np.abs(given - self.right) < 0.25))
            return self._see(), share, False, self.steps >= _STEPS, {}

    return Spaces()


@hookimpl
def gamebridge_games():  # noqa: ANN201
    """Lists one game a kind of space."""
    for name, kind in (
        ("dict", "A Dict to see."),
        ("tuple", "A Tuple to see; continuous."),
        ("multi-discrete", "A MultiDiscrete to see."),
        ("multi-binary", "A MultiBinary to see."),
        ("mixed", "A picture and numbers to see; continuous."),
        ("masked", "Four actions of which some are allowed."),
        ("dict-action", "A Dict of a Box and a Discrete to give."),
        ("tuple-action", "A Tuple of two Discretes to give."),
        ("multi-discrete-action", "A MultiDiscrete to give."),
        ("multi-binary-action", "A MultiBinary to give."),
        ("whole-numbers-action", "A Discrete that begins at -1 to give."),
        ("endless-action", "A Box without bounds to give."),
    ):
        yield GameRecord(f"spaces/{name}", kind, _make)
