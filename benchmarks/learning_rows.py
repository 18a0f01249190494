"""`ROWS`: which agent has to learn which game, in how many steps, and what others published."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

_ZOO = "RL Zoo"
_CLEANRL = "CleanRL"


@dataclasses.dataclass(frozen=True)
class Published:
    """What somebody else's agent of the same kind reached.

    Attributes:
      who: whose figure it is.
      mean: mean return of the evaluation.
      steps: environment steps of that training.
    """

    who: str
    mean: float
    steps: int


@dataclasses.dataclass(frozen=True)
class Row:
    """A training that is judged.

    Attributes:
      game: what is played.
      agent: who learns it, by its default settings and those of `settings`.
      steps: environment steps of the training, all slots together.
      every: steps between two checkpoints, each judged by 20 greedy episodes.
      threshold: mean return that is to be reached; None for a drive, which is judged by its
        laps and contacts.
      settings: other than the defaults, as `gamebridge.train` takes them.
      published: figures of others.
    """

    game: str
    agent: str
    steps: int
    every: int
    threshold: float | None
    settings: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    published: tuple[Published, ...] = ()


# https://github.com/DLR-RM/rl-baselines3-zoo/blob/master/benchmark.md, one run each, and
# https://github.com/vwxyzjn/cleanrl/tree/master/docs/rl-algorithms, three seeds each.
_DQN = (Published(_ZOO, 500.0, 50_000), Published(_CLEANRL, 488.7, 500_000))
_PPO = (Published(_ZOO, 500.0, 100_000), Published(_CLEANRL, 490.0, 500_000))


def _cart_pole(agent: str, steps: int, *published: Published) -> Row:
    return Row("gym/CartPole-v1", agent, steps, 2_500, 475.0, published=published)


def _pendulum(agent: str, steps: int, every: int, *published: Published) -> Row:
    return Row("gym/Pendulum-v1", agent, steps, every, -200.0, published=published)


def _lander(agent: str, steps: int, kind: str = "") -> Row:
    return Row(f"gym/LunarLander{kind}-v3", agent, steps, 10_000, 200.0)


def _oval(agent: str, steps: int, every: int = 100_000) -> Row:
    return Row("racing/oval", agent, steps, every, None)


ROWS: dict[str, Row] = {
    "cartpole-ddqn": _cart_pole("ddqn", 50_000),
    "cartpole-dqn": _cart_pole("dqn", 50_000, *_DQN),
    "cartpole-c51": _cart_pole("c51", 50_000, Published(_CLEANRL, 481.2, 500_000)),
    "cartpole-q-learning": _cart_pole("q-learning", 60_000),
    "cartpole-ppo": _cart_pole("ppo", 60_000, *_PPO),
    "pendulum-ddpg": _pendulum("ddpg", 10_000, 1_000, Published(_ZOO, -152.1, 20_000)),
    "pendulum-td3": _pendulum("td3", 10_000, 1_000, Published(_ZOO, -151.9, 20_000)),
    "pendulum-sac": _pendulum("sac", 10_000, 1_000, Published(_ZOO, -157.0, 20_000)),
    "pendulum-ppo": _pendulum("ppo", 100_000, 5_000, Published(_ZOO, -172.2, 100_000)),
    "lander-ddqn": _lander("ddqn", 200_000),
    "lander-ppo": _lander("ppo", 300_000),
    "cartpole-dqn-rnn": _cart_pole("dqn-rnn", 50_000),
    "cartpole-ppo-rnn": _cart_pole("ppo-rnn", 100_000),
    "cartpole-sac": _cart_pole("sac", 60_000),
    "cartpole-td3": _cart_pole("td3", 60_000),
    "pendulum-dqn": _pendulum("dqn", 20_000, 1_000),
    "lander-continuous-sac": _lander("sac", 200_000, "Continuous"),
    "lander-continuous-td3": _lander("td3", 200_000, "Continuous"),
    "oval-ppo": _oval("ppo", 1_500_000),
    "oval-sac": _oval("sac", 800_000),
    "oval-td3": _oval("td3", 1_000_000),
    "oval-dqn": _oval("dqn", 1_500_000, 50_000),
}
