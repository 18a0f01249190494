"""`Part`: one observation of the agents of a behaviour, from the wire to rows of an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge_unity import behaviors, layouts, pngs, wire

# The bits of 1.0: floats from 0 to 1 have these or fewer, all others have more.
_UINT32 = np.dtype("<u4")
_BITS_OF_ONE = 0x3F800000
# Of more values than this every agent's are copied for themselves, without a copy between.
_MANY_VALUES = 4096
_CURE = "Correct the sensor in the build."


class BadValue(errors.GameError):
    """A number that cannot be: outside a picture's range, or not finite."""


class Part:
    """Reads one observation."""

    def __init__(self, behavior: str, observation: behaviors.Observation) -> None:
        """Takes the behaviour's name, for messages, and what is observed."""
        self._behavior = behavior
        self._spec = observation
        self._wire_shape = observation.wire_shape
        self._num_values = observation.num_values
        self.row_bytes = self._num_values * observation.dtype.itemsize

    def write(self, sent: Any, agent: int, out: Array) -> None:
        """Writes an ObservationProto to a row.

        Args:
          sent: the message.
          agent: whose it is.
          out: [...], the row.

        Raises:
          errors.GameError: it does not fit.
        """
        if tuple(sent.shape) != self._wire_shape:
            raise errors.GameError(
                f"{self._label(agent)} has shape {list(sent.shape)[:8]}: expected "
                f"{list(self._wire_shape)}, as at first. What agents of one behaviour observe "
                "must not change."
            )
        if sent.compression_type != wire.UNCOMPRESSED:
            if not self._spec.is_frame or sent.compression_type != wire.PNG:
                raise errors.GameError(
                    f"{self._label(agent)} comes with compression {sent.compression_type}: "
                    f"expected none, as at first. {_CURE}"
                )
            height, width, channels = self._spec.shape
            mapping = list(sent.compressed_channel_mapping)
            data = sent.compressed_data
            pngs.decode(data, (height, width, channels), mapping, out, self._label(agent))
            return
        # One field of packed floats. Taken out of its bytes it is read at once; protobuf's
        # own list would hand over one Python number after the other.
        data = sent.float_data.SerializeToString()
        num_bytes = 4 * self._num_values
        if len(sent.float_data.data) != self._num_values:
            raise errors.GameError(
                f"{self._label(agent)} has {len(sent.float_data.data):,} values: expected "
                f"{self._num_values:,}, its shape is {list(self._wire_shape)}. {_CURE}"
            )
        self._write(np.frombuffer(data, layouts.FLOAT32, offset=len(data) - num_bytes), agent, out)

    def copy(
        self,
        raw: bytes,
        starts: layouts.Starts,
        at: int,
        ids: Array,
        out: Array,
        rows: slice | Array,
    ) -> None:
        """Writes the floats that lie in a message to rows.

        Args:
          raw: the message.
          starts: where each of n agents begins.
          at: how far behind that its floats do.
          ids: int32, of all agents.
          out: the rows of all agents.
          rows: which of both are these agents'.

        Raises:
          BadValue: a picture has values that no picture has.
        """
        shape = self._wire_shape
        if not self._spec.is_frame and self._num_values <= _MANY_VALUES:
            found = layouts.gather(raw, starts, at, layouts.FLOAT32, self._num_values)
            out[rows] = self._channels_last(found.reshape(len(found), *shape))
            return
        places = starts.array() if isinstance(starts, layouts.Even) else starts
        each: Any = range(len(out))[rows] if isinstance(rows, slice) else rows
        for place, row in zip((places + at).tolist(), each, strict=True):
            floats = np.frombuffer(raw, layouts.FLOAT32, self._num_values, place)
            self._write(floats, ids[row], out[row])

    def _write(self, floats: Array, agent: int, out: Array) -> None:
        if not self._spec.is_frame:
            np.copyto(out, self._channels_last(floats.reshape(self._wire_shape)))
            return
        import cv2

        # One picture after the other, while it is in the processor's cache.
        if floats.view(_UINT32).max() > _BITS_OF_ONE:
            self._check_picture(floats, agent)
        if self._spec.layout == "hwc":
            # Rounds to the nearest, and in place.
            cv2.convertScaleAbs(floats, out.reshape(-1), 255.0)
            return
        planes = cv2.convertScaleAbs(floats, alpha=255.0).reshape(self._wire_shape)
        np.copyto(out, self._channels_last(planes))

    def _check_picture(self, floats: Array, agent: int) -> None:
        # Minus zero comes here as well, and is as good as zero.
        bad = np.flatnonzero(~((floats >= 0.0) & (floats <= 1.0)))
        if len(bad):
            place = [int(axis) for axis in np.unravel_index(bad[0], self._wire_shape)]
            raise BadValue(
                f"{self._label(agent)} is {floats[bad[0]]:g} at {place}, and {len(bad) - 1:,} "
                "values more are outside 0 to 1: at first it was a picture, whose values are "
                f"0 to 1. {_CURE}"
            )

    def _channels_last(self, values: Array) -> Array:
        return np.moveaxis(values, -3, -1) if self._spec.layout == "chw" else values

    def _label(self, agent: int) -> str:
        name = behaviors.shown(self._spec.name)
        return f"{behaviors.shown(self._behavior)}, agent {agent}, observation {name}"
