"""`Reader`: transitions and sequences, as they are read out of the rows of a replay buffer.

An n-step return stops at its episode's end, whatever the discount there: TF-Agents'
own goes on into the next episode where one was truncated (tensorflow/agents issue 939).

Where stacks are joined as words (`stacks`), all but the leaves that are stored whole is found in
one call of XLA: a call takes 40 us, and the forty small ops of which it is made another 100.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf  # noqa: TID253

from gamebridge.contract import game as games
from gamebridge.tf import rows, stacks


class Transition(NamedTuple):
    """A batch of n-step transitions, each [N, ...].

    Attributes:
      observation: where it began.
      action: what was done there.
      reward: float32, the discounted sum of up to n rewards.
      discount: float32, what to multiply the value of `next_observation` by, one
        factor gamma already taken out as in a one-step transition.
      next_observation: where it ended: n steps later, or at the episode's end.
      weight: float32, 0 where the row cannot be learned from.
    """

    observation: Any
    action: Any
    reward: tf.Tensor
    discount: tf.Tensor
    next_observation: Any
    weight: tf.Tensor


class Sequence(NamedTuple):
    """A batch of sequences: row t and row t + 1 of one are two steps that follow each other.

    They go on from an episode's LAST step to the next one's FIRST: what a network remembers
    ends there, and the action at LAST was ignored by the game.

    Attributes:
      observation: nest of [N, T + 1, ...].
      step_type: int32 [N, T + 1].
      action: nest of [N, T, ...]; of no meaning where step_type is LAST.
      reward: float32 [N, T], what came after the action.
      discount: float32 [N, T], likewise.
    """

    observation: Any
    step_type: tf.Tensor
    action: Any
    reward: tf.Tensor
    discount: tf.Tensor


class _Seen(NamedTuple):
    """Where what rows [M, N] saw lies.

    Attributes:
      place: int64 [M, N], of leaves that are stored whole.
      frames: for each depth of stacks int64 [depth, M * N].
      words: for each leaf its stacks' words, if they are joined as such, or None.
    """

    place: tf.Tensor
    frames: dict[int, tf.Tensor]
    words: list[tf.Tensor | None]


class Reader:
    """Reads rows wherever they lie; those of a slot that follow each other have numbers that do."""

    def __init__(
        self,
        layout: rows.RowLayout,
        kept: Any,
        place: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    ) -> None:
        """Looks at rows.

        Args:
          layout: of a row.
          kept: nest of variables or tensors [R, ...], with the names that the layout has.
          place: tells where row `number` of slot `slot` lies, all int64 of any one shape.
        """
        self._kept = kept
        self._place = place
        self._num_stacked = layout.num_stacked
        self._stacks = [
            stacks.Stacks(frames, count) if count > 1 else None
            for frames, count in zip(self._leaves(), self._num_stacked, strict=True)
        ]
        self._found = self.compiled(self.find)
        self._seen = self.compiled(self._see)

    def transitions(
        self, start: tf.Tensor, slot: tf.Tensor, num_steps: int, gamma: float
    ) -> Transition:
        """Returns the transitions that begin at rows `start` of slots `slot`, int64 [N] each."""
        return self.transition(*self._found(start, slot, num_steps, gamma))

    def sequences(self, start: tf.Tensor, slot: tf.Tensor, length: int) -> Sequence:
        """Returns the sequences of `length` that begin at rows `start` of slots `slot`."""
        return Sequence(
            observation=self._at("observation", start, slot, length + 1),
            step_type=self._at("step_type", start, slot, length + 1),
            action=self._at("action", start, slot, length),
            reward=self._at("reward", start, slot, length),
            discount=self._at("discount", start, slot, length),
        )

    def find(
        self, start: tf.Tensor, slot: tf.Tensor, num_steps: int, gamma: float
    ) -> tuple[dict[str, Any], _Seen]:
        """Returns what `transition` takes of those that begin at rows `start` of slots `slot`."""
        rewards = self._at("reward", start, slot, num_steps)
        discounts = self._at("discount", start, slot, num_steps)
        over = tf.equal(self._at("next_step_type", start, slot, num_steps), games.LAST)
        # alive[:, k]: the episode had not ended before step k of the n.
        alive = tf.cast(tf.math.cumsum(tf.cast(over, tf.int32), 1, exclusive=True) == 0, tf.float32)
        powers = tf.constant([gamma**k for k in range(num_steps)], tf.float32)
        steps_discount = tf.where(alive > 0, discounts, 1.0)
        reached = tf.math.cumprod(steps_discount, 1, exclusive=True) * powers * alive
        num_taken = tf.reduce_sum(alive, 1)
        is_last = tf.equal(self.one("step_type", start, slot), games.LAST)
        found = {
            "action": self.one("action", start, slot),
            "reward": tf.reduce_sum(rewards * reached, 1),
            "discount": tf.reduce_prod(steps_discount, 1) * tf.pow(gamma, num_taken - 1.0),
            "weight": tf.where(is_last, 0.0, 1.0),
        }
        ends = tf.stack([start, start + tf.cast(num_taken, tf.int64)])
        return found, self._see(ends, tf.stack([slot, slot]))

    def transition(self, found: dict[str, Any], seen: _Seen) -> Transition:
        """Returns transitions that were found, with their observations."""
        both = self._read(seen)
        now, later = (
            tf.nest.map_structure(lambda leaf, index=index: leaf[index], both) for index in (0, 1)
        )
        return Transition(observation=now, next_observation=later, **found)

    def one(self, name: str, number: tf.Tensor, slot: tf.Tensor) -> Any:
        """Returns one part of rows `number` of slots `slot`, int64 [N] each."""
        place = self._place(number, slot)
        return tf.nest.map_structure(lambda leaf: tf.gather(leaf, place), self._kept[name])

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function of the graph, by XLA where that is quicker; see `samples`."""
        is_worth = any(stack is not None and stack.is_word for stack in self._stacks)
        if not is_worth:
            return function
        compiled: Callable[..., Any] = tf.function(function, autograph=False, jit_compile=True)
        return compiled

    def _see(self, number: tf.Tensor, slot: tf.Tensor) -> _Seen:
        """Looks up what rows [M, N] saw."""
        frames = self._frame_places(tf.reshape(number, [-1]), tf.reshape(slot, [-1]))
        words = [
            stack.words(frames[stack.num_stacked]) if stack is not None and stack.is_word else None
            for stack in self._stacks
        ]
        return _Seen(self._place(number, slot), frames, words)

    def _read(self, seen: _Seen) -> Any:
        """Returns what was seen, a nest of [M, N, ...], stacks as they were."""
        leaves = []
        for kept, stack, words in zip(self._leaves(), self._stacks, seen.words, strict=True):
            if stack is None:
                leaves.append(tf.gather(kept, seen.place))
            elif words is None:
                leaves.append(stack.read(seen.frames[stack.num_stacked], seen.place.shape))
            else:
                leaves.append(stack.from_words(words, seen.place.shape))
        return tf.nest.pack_sequence_as(self._kept["observation"], leaves)

    def _frame_places(self, number: tf.Tensor, slot: tf.Tensor) -> dict[int, tf.Tensor]:
        """Returns for each depth of stacks where its frames lie, int64 [depth, N]."""
        depths = {count for count in self._num_stacked if count > 1}
        if not depths:
            return {}
        # A game that was lost says LAST with what it had said before: no frame came in.
        is_same = tf.logical_and(
            self.one("next_is_same", number - 1, slot),
            tf.equal(self.one("step_type", number, slot), games.LAST),
        )
        newest = number - tf.cast(is_same, tf.int64)
        back = tf.range(max(depths) - 1, dtype=tf.int64)
        types = tf.gather(
            self._kept["step_type"], self._place(newest[:, None] - back, slot[:, None])
        )
        found = {}
        for depth in depths:
            numbers = newest - stacks.ages(types[:, : depth - 1])
            found[depth] = self._place(tf.maximum(numbers, 0), slot)
        return found

    def _leaves(self) -> list[Any]:
        """Returns the observation's leaves."""
        return list(tf.nest.flatten(self._kept["observation"]))

    def _at(self, name: str, start: tf.Tensor, slot: tf.Tensor, num_steps: int) -> Any:
        numbers = start[:, None] + tf.range(num_steps, dtype=tf.int64)[None]
        if name == "observation":
            return self._read(self._seen(numbers, tf.repeat(slot[:, None], num_steps, 1)))
        place = self._place(numbers, slot[:, None])
        return tf.nest.map_structure(lambda leaf: tf.gather(leaf, place), self._kept[name])
