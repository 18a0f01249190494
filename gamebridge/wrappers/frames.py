"""What the wrappers of frames share: they find the frames of an observation and replace them.

A frame wrapper has rows of its own for every frame leaf and writes into a slot's row when
that slot has something new to say: it advanced, and its row is valid. Other leaves pass.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence

import numpy as np

from gamebridge import contract, errors
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.wrappers import nests


class FrameWriter(abc.ABC):
    """Makes new rows of one frame leaf.

    Attributes:
      spec: what comes out.
      rows: uint8 [B, height, width, channels], written in place.
    """

    spec: specs.ArraySpec
    rows: Array

    def views(self, frames: Array) -> list[Array]:
        """Returns what `write` takes of the game's rows, uint8 [B, ...]: one view a slot."""
        return list(frames)

    def use(self, rows: Array) -> bool:
        """Makes `write` write into other rows [B, ...]; False where it only can into its own."""
        return False

    @abc.abstractmethod
    def write(self, slot: int, frame: Array, *, is_first: bool) -> None:
        """Writes one slot's row.

        Args:
          slot: which row.
          frame: the slot's of `views`.
          is_first: whether an episode starts with this frame.
        """


class FrameWrapper(contract.Wrapper):
    """A wrapper that changes every frame leaf, however nested, by a `FrameWriter` each."""

    def __init__(
        self, game: contract.Game, make_writer: Callable[[specs.ArraySpec, str, int], FrameWriter]
    ) -> None:
        """Finds the frames and makes their writers.

        Args:
          game: what is wrapped.
          make_writer: takes a frame's spec, its name for messages and the number of slots.

        Raises:
          ConfigError: the observation has no frame.
        """
        super().__init__(game)
        spec = game.observation_spec()
        named = list(specs.named_leaves(spec))
        writers = [
            make_writer(leaf, f"frame '{path or leaf.name}' of {game.name}", game.num_slots)
            if leaf.kind == "frame"
            else None
            for path, leaf in named
        ]
        if not any(writers):
            found = ", ".join(f"'{path or leaf.name}' {leaf}" for path, leaf in named)
            raise errors.ConfigError(
                f"{game.name} has no frame that images settings could apply to, only {found}. "
                "Leave wrappers.images unset; a frame is a leaf of kind 'frame', uint8 "
                "[height, width, channels]."
            )
        self._spec = nests.overlay(spec, nests.build(spec, [w and w.spec for w in writers]))
        self._rows = nests.build(spec, [w and w.rows for w in writers])
        self._writers = [
            (place, writer)
            for place, writer in zip(nests.places(spec), writers)
            if writer is not None
        ]
        # Games write into the same rows again: they are split into views once.
        self._seen: list[Array | None] = [None] * len(self._writers)
        self._views: list[list[Array]] = [[] for _ in self._writers]
        # Rows that were used before others were lent, until those hold all slots.
        self._earlier: Array | None = None

    def observation_spec(self) -> specs.Spec:
        """The game's, with the frames as they come out of here."""
        return self._spec

    def lend(self, observation: specs.Nest) -> bool:
        """Uses them, where the observation is one frame."""
        if not isinstance(self._spec, specs.ArraySpec):
            return False
        if observation is not self._rows:
            if not self._writers[0][1].use(observation):
                return False
            self._earlier = self._rows if self._earlier is None else self._earlier
            self._rows = observation
        return True

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> contract.TimeStep:
        """Resets the game and writes the frames of the slots named."""
        return self._write(self.game.reset(seeds, slots), slots)

    def step(self, action: specs.Nest, active: Array | None = None) -> contract.TimeStep:
        """Steps the game and writes the frames of the slots that advanced."""
        return self._write(self.game.step(action, active), active)

    def _write(self, time_step: contract.TimeStep, named: Array | None) -> contract.TimeStep:
        step_type, reward, discount, observation, valid = time_step
        heard = _heard(valid, named)
        types = step_type.tolist()
        if self._earlier is not None:
            if len(heard) < self.num_slots:
                others = np.ones(self.num_slots, np.bool_)
                others[heard] = False
                self._rows[others] = self._earlier[others]
            self._earlier = None
        for index, (place, writer) in enumerate(self._writers):
            rows = nests.pick(observation, place)
            if rows is not self._seen[index]:
                self._seen[index], self._views[index] = rows, writer.views(rows)
            views = self._views[index]
            for slot in heard:
                writer.write(slot, views[slot], is_first=types[slot] == contract.FIRST)
        observation = nests.overlay(observation, self._rows)
        return contract.TimeStep(step_type, reward, discount, observation, valid)


def _heard(valid: Array, named: Array | None) -> Sequence[int]:
    if named is not None:
        return np.flatnonzero(valid & named).tolist()
    if np.count_nonzero(valid) == len(valid):
        return range(len(valid))
    return np.flatnonzero(valid).tolist()
