"""`Game`, the one noun: B slots that step together, numpy in and numpy out.

The rules of a step, for every game, wrapper and pool:

* A slot's stream is FIRST, MID ..., LAST; the step after LAST ignores that slot's
  action and returns FIRST of its next episode. The reward of FIRST is 0, its discount 1.
* Termination has discount 0, truncation discount 1.
* `reset(seeds)` gives the named slots new slot seeds and starts their episode 0;
  without `seeds` they start their next episode. An episode's seed is
  `seeding.episode_seeds(slot seed, episode number)` and nothing else.
* A slot that is not `active` in a step, or not named in a reset, does not advance: its
  row stays as it was.
* `valid` is False where a slot has nothing to say in this step. Such rows are neither
  stored nor counted. A slot whose game was lost in mid-episode gives LAST (the last
  observation, reward 0, discount 1), then invalid rows until FIRST.
* Rows are written in place and stay as they are until the next call of `reset` or
  `step`; who keeps a row copies it. The same holds for telemetry and pictures.
"""

from __future__ import annotations

import abc
import types
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gamebridge.contract import specs
from gamebridge.contract.specs import Array

if TYPE_CHECKING:
    from typing_extensions import Self

FIRST, MID, LAST = 0, 1, 2


class TimeStep(NamedTuple):
    """What every slot says after a reset or a step.

    Attributes:
      step_type: int32 [B]; FIRST, MID or LAST.
      reward: float32 [B]; 0 at FIRST.
      discount: float32 [B]; 0 where an episode terminated, else 1 or the game's own.
      observation: nest of arrays [B, ...].
      valid: bool [B]; False where the row means nothing.
    """

    step_type: Array
    reward: Array
    discount: Array
    observation: specs.Nest
    valid: Array

    def is_first(self) -> Array:
        """Bool [B]: slots at the first step of an episode."""
        return np.equal(self.step_type, FIRST)

    def is_last(self) -> Array:
        """Bool [B]: slots at the last step of an episode."""
        return np.equal(self.step_type, LAST)


def new_time_step(observation_spec: specs.Spec, num_slots: int) -> TimeStep:
    """Returns zeroed buffers [num_slots, ...] that a game can write its rows into."""
    return TimeStep(
        step_type=np.zeros(num_slots, np.int32),
        reward=np.zeros(num_slots, np.float32),
        discount=np.ones(num_slots, np.float32),
        observation=specs.zeros(observation_spec, num_slots),
        valid=np.ones(num_slots, np.bool_),
    )


class Game(abc.ABC):
    """B slots of one game, stepped together; see this module for the rules of a step.

    Attributes:
      num_slots: B, fixed for the game's life.
      can_hold: whether `step(active=...)` can hold slots back. A scene that moves all
        its agents at once says False, and a wrapper that needs it refuses.
      name: shown in messages; the game's id, once the host made it.
      first_slot: what its slot 0 is called in messages, where it plays some of the slots
        of a larger batch.
      num_restarts: how often a process that played some of its slots was lost and replaced.
      steps_per_s: how many steps make a second of the game's own time, so that a video
        plays as fast as the game; None where it has no time of its own.
      preferences: (start, size) of the blocks of its action, one array of floats, of which only
        the greatest number counts. A block's numbers are preferences for as many choices:
        whoever explores draws one of them by these.
    """

    num_slots: int
    first_slot: int = 0
    can_hold: bool = True
    steps_per_s: float | None = None
    preferences: tuple[tuple[int, int], ...] = ()
    name: str = "game"

    @property
    def num_restarts(self) -> int:
        """See the class; 0 for a game that is played in this process."""
        return 0

    @abc.abstractmethod
    def observation_spec(self) -> specs.Spec:
        """The spec of one slot's observation, no batch axis; the same for life."""

    @abc.abstractmethod
    def action_spec(self) -> specs.Spec:
        """The spec of one slot's action, no batch axis; the same for life."""

    def telemetry_spec(self) -> dict[str, specs.TelemetrySpec]:
        """What `telemetry` reports; the same for life."""
        return {}

    @abc.abstractmethod
    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> TimeStep:
        """Starts an episode in all slots, or in those that `slots` names.

        Args:
          seeds: int64 [B], new slot seeds: named slots start their episode 0. Without
            it they start their next episode.
          slots: bool [B]; None means all.
        """

    @abc.abstractmethod
    def step(self, action: specs.Nest, active: Array | None = None) -> TimeStep:
        """Advances all slots, or those that `active` names, by one step.

        Args:
          action: nest of arrays [B, ...] that fit `action_spec`.
          active: bool [B]; None means all.
        """

    def telemetry(self) -> dict[str, Array]:
        """The values of this step, each [B], by the names of `telemetry_spec`."""
        return {}

    def take_stats(self) -> dict[str, float]:
        """Returns what else the game measured since the last call, by name; of no slot."""
        return {}

    def note_progress(self, num_steps: int) -> None:  # noqa: B027 - most games stay as they are
        """Is told before a reset how many steps training has taken so far, all slots together.

        For a game that becomes harder on the way: one that goes on counting from here is as
        hard after a resumed training's reset as in one that never stopped.
        """

    def render(self, slot: int = 0) -> Array | None:
        """Returns a picture, uint8 [height, width, 3] RGB of constant size.

        None where the game has no picture or was not made with `picture=True`.
        """
        return None

    @property
    def can_keep_rows(self) -> bool:
        """Whether the observation of the newest time step may be kept without a copy.

        Then its arrays are not written to as long as anybody holds a reference to them, to the
        arrays themselves; a view does not count. Else rows stay as they are until the next call.
        """
        return False

    def lend(self, observation: specs.Nest) -> bool:
        """Lends arrays [B, ...] of the caller's to write observations into.

        Returns:
          False where the game writes into its own. Else it writes all slots' observations
          into these from the next call on, until others are lent, and hands out just these;
          rows of slots that do not advance are copied from the arrays before.
        """
        return False

    def close(self) -> None:  # noqa: B027 - most games hold nothing
        """Frees what the game holds. May be called twice."""

    def __enter__(self) -> Self:
        """Returns the game itself: `with` closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        """Closes the game."""
        self.close()


class Wrapper(Game):
    """A game around a game: changes what passes and hands on the rest.

    A subclass overrides what it changes. Nothing is forwarded by magic: what is not
    written here is not part of the contract.
    """

    def __init__(self, game: Game) -> None:
        """Wraps `game` and takes over its closing."""
        self.game = game
        self.num_slots = game.num_slots
        self.can_hold = game.can_hold
        self.steps_per_s = game.steps_per_s
        self.preferences = game.preferences
        self.name = game.name

    @property
    def num_restarts(self) -> int:
        """The wrapped game's."""
        return self.game.num_restarts

    def observation_spec(self) -> specs.Spec:
        """The wrapped game's."""
        return self.game.observation_spec()

    def action_spec(self) -> specs.Spec:
        """The wrapped game's."""
        return self.game.action_spec()

    def telemetry_spec(self) -> dict[str, specs.TelemetrySpec]:
        """The wrapped game's."""
        return self.game.telemetry_spec()

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> TimeStep:
        """Resets the wrapped game."""
        return self.game.reset(seeds, slots)

    def step(self, action: Any, active: Array | None = None) -> TimeStep:
        """Steps the wrapped game."""
        return self.game.step(action, active)

    def telemetry(self) -> dict[str, Array]:
        """The wrapped game's."""
        return self.game.telemetry()

    def take_stats(self) -> dict[str, float]:
        """The wrapped game's."""
        return self.game.take_stats()

    def note_progress(self, num_steps: int) -> None:
        """Tells the wrapped game."""
        self.game.note_progress(num_steps)

    def render(self, slot: int = 0) -> Array | None:
        """The wrapped game's."""
        return self.game.render(slot)

    def close(self) -> None:
        """Closes the wrapped game."""
        self.game.close()
