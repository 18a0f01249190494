"""The games that the benchmarks against the peers play; knows the standard library only."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Game:
    """One game, as all arrangements play it.

    Attributes:
      title: names it in the tables.
      num_slots: how many of it step together.
      num_actions: actions are drawn from 0 to this, which is not among them.
      batches_a_call: steps of the whole batch that a driver takes in one call.
    """

    title: str
    num_slots: int
    num_actions: int
    batches_a_call: int


GAMES = {
    "cartpole": Game("8 CartPole-v1", 8, 2, 500),
    "cartpole-1": Game("one CartPole-v1", 1, 2, 1000),
    "pong": Game("8 Pong, every frame, 210x160x3", 8, 6, 100),
    # Four frames of the emulator a step, brought to grey 84x84, the newest four stacked.
    "pong-84": Game("8 Pong, skip 4, grey 84x84x4", 8, 6, 100),
}
