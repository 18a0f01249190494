"""`TileNetwork`: the values of actions in a table over the tiles of an observation.

Each part of an observation is cut into tiles (Sutton and Barto, 2018, section 9.5.4):

    floats, integers of many values    `bins` tiles from the least to the greatest value
    bools, integers of few values      a tile a value

A tiling is the product of all parts. Several tilings are displaced against each other by
odd fractions of a tile (1, 3, 5 ... over the number of tilings), and a value is the sum over
them. The range of a part is what its spec says; where that has no bounds, it is measured.

Where the table would be too large, parts are cut into fewer tiles, two at least. Where that is
not enough, tiles are hashed into a table of the greatest size (the same book, section 9.5.4):
tiles that meet by chance share a value, and only a small part of all is ever visited.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253
from tf_agents.networks import utils as network_utils  # noqa: TID253
from tf_agents.specs import tensor_spec  # noqa: TID253
from tf_agents.utils import nest_utils  # noqa: TID253

from gamebridge import errors
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.tf import encoders, networks
from gamebridge_agents import objections

# A table of more numbers than this (64 MiB) would never be filled.
MAX_NUMBERS = 2**24
# Bounds wider than this are none, as in gym's classic control.
_WIDEST = 1e6
# Numbers of hashed tiles are taken modulo this prime; products with a part's place fit int64.
_PRIME = 2**31 - 1

_LOG = logging.getLogger(__name__)


class TileNetwork(networks.Observing):
    """Values of each action: observation [B, ...] to float32 [B, num_actions]."""

    def __init__(
        self,
        observation_spec: Any,
        action_spec: Any,
        bins: int = 8,
        num_tilings: int = 8,
        initial_value: float = 0.0,
        name: str = "TileNetwork",
    ) -> None:
        """Allocates the table.

        Raises:
          FitError: the observation has frames, or too many parts.
        """
        super().__init__(observation_spec, state_spec=(), name=name)
        if encoders.has_frames(observation_spec):
            raise errors.FitError(objections.NO_FRAMES)
        low, high, steps = _parts(observation_spec)
        objection = objections.many_parts(len(steps))
        if objection:
            raise errors.FitError(objection)
        self._is_cut = np.equal(steps, 0)
        #: bool [parts]: whether a part's range is measured.
        self._is_measured = self._is_cut & ~((low > -_WIDEST) & (high < _WIDEST))
        num_actions = int(action_spec.maximum) + 1
        most_rows = MAX_NUMBERS // (num_tilings * num_actions)
        bins = self._affordable(bins, num_tilings, steps, most_rows)
        self._num_tilings = num_tilings
        self._sides = self._cut(bins, num_tilings, steps)
        # Of tiles, for a part that is cut; else a value is its tile.
        self._bins = np.where(self._is_cut, float(bins), steps).astype(np.float32)
        self._offsets = np.where(self._is_cut, _offsets(num_tilings, len(steps)), 0.0)
        num_tiles = float(np.prod(self._sides.astype(np.float64)))
        self._is_hashed = num_tiles > most_rows
        self._num_tiles = most_rows if self._is_hashed else int(num_tiles)
        if self._is_hashed:
            # The same in every run: a checkpoint holds the table and not these.
            self._strides = np.random.default_rng(0).integers(1, _PRIME, len(steps))
        else:
            ends = np.concatenate([np.cumprod(self._sides[::-1])[-2::-1], [1]])
            self._strides = ends.astype(np.int64)
        self._starts = np.arange(num_tilings, dtype=np.int64) * self._num_tiles
        self.low = tf.Variable(np.where(self._is_measured, np.inf, low), False, dtype=tf.float32)
        self.high = tf.Variable(np.where(self._is_measured, -np.inf, high), False, dtype=tf.float32)
        self.table = tf.Variable(
            tf.fill([num_tilings * self._num_tiles, num_actions], initial_value / num_tilings)
        )

    def measure(self, observation: Any) -> None:
        """Widens the ranges that are measured by a batch of observations [N, ...]."""
        if self._is_measured.any():
            parts = self._flat(observation)
            low = tf.minimum(self.low, tf.reduce_min(parts, 0))
            high = tf.maximum(self.high, tf.reduce_max(parts, 0))
            self.low.assign(tf.where(self._is_measured, low, self.low))
            self.high.assign(tf.where(self._is_measured, high, self.high))

    def tiles(self, observation: Any) -> tf.Tensor:
        """Returns the rows of the table that make up a value, int64 [N, num_tilings]."""
        parts = self._flat(observation)
        low = tf.where(tf.math.is_finite(self.low), self.low, 0.0)
        width = tf.where(tf.math.is_finite(self.high), self.high, 0.0) - low
        share = (parts - low) / tf.maximum(width, 1e-6)
        place = tf.where(self._is_cut, share * self._bins, parts - low)
        # Clipped as floats: what lies far outside does not fit an integer.
        place = place[:, None] + tf.constant(self._offsets, tf.float32)
        place = tf.clip_by_value(tf.floor(place), 0.0, np.float32(self._sides - 1))
        row = tf.reduce_sum(tf.cast(place, tf.int64) * self._strides, -1)
        if self._is_hashed:
            row = row % _PRIME % self._num_tiles
        return row + self._starts

    def call(
        self,
        observation: Any,
        step_type: Any = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, Any]:
        """Returns the values and the (empty) state."""
        outer_rank = nest_utils.get_outer_rank(observation, self.input_tensor_spec)
        squash = network_utils.BatchSquash(outer_rank)
        tiles = self.tiles(tf.nest.map_structure(squash.flatten, observation))
        return squash.unflatten(self.values(tiles)), network_state

    def values(self, tiles: tf.Tensor) -> tf.Tensor:
        """Returns the values of all actions, float32 [N, num_actions]."""
        return tf.reduce_sum(tf.gather(self.table, tiles), 1)

    def _cut(self, bins: int, num_tilings: int, steps: Array) -> Array:
        """Returns how many tiles each part has, int64 [parts]."""
        return np.where(self._is_cut, bins + (num_tilings > 1), steps).astype(np.int64)

    def _affordable(self, bins: int, num_tilings: int, steps: Array, most_rows: int) -> int:
        """Returns how many tiles a side there may be, and says so where they are fewer."""

        def num_rows(count: int) -> float:
            return float(np.prod(self._cut(count, num_tilings, steps).astype(np.float64)))

        if num_rows(bins) <= most_rows:
            return bins
        fitting = [count for count in range(bins, 1, -1) if num_rows(count) <= most_rows]
        fewer = fitting[0] if fitting else min(bins, 2)
        _LOG.warning(
            "q-learning would need a table of %s numbers for %d parts of an observation; %s are "
            "sensible. Each part has %d tiles instead of %d%s.",
            f"{num_rows(bins) * MAX_NUMBERS / most_rows:,.0f}",
            len(steps),
            f"{MAX_NUMBERS:,}",
            fewer,
            bins,
            "" if fitting else ", and tiles are hashed into that many",
        )
        return fewer

    def _flat(self, observation: Any) -> tf.Tensor:
        """Returns all parts side by side, float32 [N, parts]."""
        leaves = [
            tf.reshape(tf.cast(leaf, tf.float32), [tf.shape(leaf)[0], int(np.prod(leaf.shape[1:]))])
            for leaf in tf.nest.flatten(observation)
        ]
        return leaves[0] if len(leaves) == 1 else tf.concat(leaves, -1)


def _parts(observation_spec: Any) -> tuple[Array, Array, Array]:
    leaves = []
    for spec in tf.nest.flatten(observation_spec):
        is_bounded = isinstance(spec, tensor_spec.BoundedTensorSpec)
        bounds = (spec.minimum, spec.maximum) if is_bounded else (None, None)
        leaves.append(specs.ArraySpec(tuple(spec.shape), spec.dtype.as_numpy_dtype, *bounds))
    return objections.parts(leaves)


def _offsets(num_tilings: int, num_parts: int) -> Array:
    """Returns what each tiling is displaced by in each part, in tiles: [tilings, parts]."""
    odd = 2 * np.arange(num_parts) + 1
    return np.arange(num_tilings)[:, None] * odd % num_tilings / num_tilings
