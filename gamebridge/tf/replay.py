"""`Replay`: a ring of time steps, to be sampled.

They are sampled as n-step transitions, or as sequences of rows for an agent that remembers.
An n-step return stops at its episode's end, whatever the discount there: TF-Agents'
own goes on into the next episode where one was truncated (tensorflow/agents issue 939).

Where stacks are joined as words (`stacks`), all but the leaves that are stored whole is found in
one call of XLA: a call takes 40 us, and the forty small ops of which it is made another 100.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf  # noqa: TID253

from gamebridge.tf import ring, stacks


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


class Replay(ring.Ring):
    """A ring out of which is drawn; see `Ring`."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        """Allocates the rings, given what `Ring` is given."""
        super().__init__(*arguments, **settings)
        self._stacks = [
            stacks.Stacks(rows, count) if count > 1 else None
            for rows, count in zip(self._leaves(), self._num_stacked, strict=True)
        ]
        self._drawn = self._compiled(self._draw_transitions)
        self._found = self._compiled(self._find)
        self._seen = self._compiled(self._see)

    def num_transitions(self, num_steps: int) -> tf.Tensor:
        """int64 scalar: out of how many transitions `sample` draws; LAST steps count too."""
        return tf.reduce_sum(tf.maximum(self.size() - num_steps, 0))

    def sample(self, batch_size: int, num_steps: int, gamma: float, seed: tf.Tensor) -> Transition:
        """Draws transitions, all with equal chances; `num_transitions` must be above 0.

        Args:
          batch_size: N.
          num_steps: n of the n-step return.
          gamma: the agent's discount factor.
          seed: int32 [2], a stateless seed.
        """
        return self._transition(*self._drawn(batch_size, num_steps, gamma, seed))

    def sample_sequences(self, batch_size: int, length: int, seed: tf.Tensor) -> Sequence:
        """Draws sequences, all with equal chances; `num_transitions(length)` must be above 0.

        Args:
          batch_size: N.
          length: T, transitions in a sequence, the ways between two episodes counted.
          seed: int32 [2], a stateless seed.
        """
        start, slot = self._draw(batch_size, length, seed)
        return Sequence(
            observation=self._at("observation", start, slot, length + 1),
            step_type=self._at("step_type", start, slot, length + 1),
            action=self._at("action", start, slot, length),
            reward=self._at("reward", start, slot, length),
            discount=self._at("discount", start, slot, length),
        )

    def _transitions(
        self, start: tf.Tensor, slot: tf.Tensor, num_steps: int, gamma: float
    ) -> Transition:
        """Returns those that begin at rows `start` of slots `slot`, each int64 [N]."""
        return self._transition(*self._found(start, slot, num_steps, gamma))

    def _draw_transitions(
        self, batch_size: int, num_steps: int, gamma: float, seed: tf.Tensor
    ) -> tuple[dict[str, Any], _Seen]:
        return self._find(*self._draw(batch_size, num_steps, seed), num_steps, gamma)

    def _find(
        self, start: tf.Tensor, slot: tf.Tensor, num_steps: int, gamma: float
    ) -> tuple[dict[str, Any], _Seen]:
        """Returns transitions without their observations, and where those are: [2, N]."""
        rewards = self._at("reward", start, slot, num_steps)
        discounts = self._at("discount", start, slot, num_steps)
        over = tf.equal(self._at("next_step_type", start, slot, num_steps), ring.LAST)
        # alive[:, k]: the episode had not ended before step k of the n.
        alive = tf.cast(tf.math.cumsum(tf.cast(over, tf.int32), 1, exclusive=True) == 0, tf.float32)
        powers = tf.constant([gamma**k for k in range(num_steps)], tf.float32)
        steps_discount = tf.where(alive > 0, discounts, 1.0)
        reached = tf.math.cumprod(steps_discount, 1, exclusive=True) * powers * alive
        num_taken = tf.reduce_sum(alive, 1)
        is_last = tf.equal(self._one("step_type", start, slot), ring.LAST)
        found = {
            "action": self._one("action", start, slot),
            "reward": tf.reduce_sum(rewards * reached, 1),
            "discount": tf.reduce_prod(steps_discount, 1) * tf.pow(gamma, num_taken - 1.0),
            "weight": tf.where(is_last, 0.0, 1.0),
        }
        ends = tf.stack([start, start + tf.cast(num_taken, tf.int64)])
        return found, self._see(ends, tf.stack([slot, slot]))

    def _transition(self, found: dict[str, Any], seen: _Seen) -> Transition:
        both = self._read(seen)
        now, later = (
            tf.nest.map_structure(lambda leaf, index=index: leaf[index], both) for index in (0, 1)
        )
        return Transition(observation=now, next_observation=later, **found)

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
        for rows, stack, words in zip(self._leaves(), self._stacks, seen.words, strict=True):
            if stack is None:
                leaves.append(tf.gather(rows, seen.place))
            elif words is None:
                leaves.append(stack.read(seen.frames[stack.num_stacked], seen.place.shape))
            else:
                leaves.append(stack.from_words(words, seen.place.shape))
        return tf.nest.pack_sequence_as(self._rows["observation"], leaves)

    def _compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        is_worth = any(stack is not None and stack.is_word for stack in self._stacks)
        if not is_worth:
            return function
        compiled: Callable[..., Any] = tf.function(function, autograph=False, jit_compile=True)
        return compiled

    def _frame_places(self, number: tf.Tensor, slot: tf.Tensor) -> dict[int, tf.Tensor]:
        """Returns for each depth of stacks where its frames lie, int64 [depth, N]."""
        depths = {count for count in self._num_stacked if count > 1}
        if not depths:
            return {}
        # A game that was lost says LAST with what it had said before: no frame came in.
        is_same = tf.logical_and(
            self._one("next_is_same", number - 1, slot),
            tf.equal(self._one("step_type", number, slot), ring.LAST),
        )
        newest = number - tf.cast(is_same, tf.int64)
        back = tf.range(max(depths) - 1, dtype=tf.int64)
        types = tf.gather(
            self._rows["step_type"], self._place(newest[:, None] - back, slot[:, None])
        )
        found = {}
        for depth in depths:
            rows = newest - stacks.ages(types[:, : depth - 1])
            found[depth] = self._place(tf.maximum(rows, 0), slot)
        return found

    def _draw(
        self, batch_size: int, num_after: int, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws (row's number, slot), int64 [N] each, with so many rows of the slot after it."""
        size = self.size()
        counts = tf.maximum(size - num_after, 0)
        ends = tf.cumsum(counts)
        number = tf.random.stateless_uniform([batch_size], seed, 0, ends[-1], tf.int64)
        slot = tf.searchsorted(ends, number, side="right", out_type=tf.int64)
        # What is to be added to a number to find its row in its slot's ring.
        return number + tf.gather(self._num_added - size - ends + counts, slot), slot

    def _at(self, name: str, start: tf.Tensor, slot: tf.Tensor, num_steps: int) -> Any:
        numbers = start[:, None] + tf.range(num_steps, dtype=tf.int64)[None]
        if name == "observation":
            return self._read(self._seen(numbers, tf.repeat(slot[:, None], num_steps, 1)))
        place = self._place(numbers, slot[:, None])
        return tf.nest.map_structure(lambda rows: tf.gather(rows, place), self._rows[name])
