"""The player's ends of the side channels: what the trainer sets, and what the game tells it.

A blob of side channels is records, each an id of 16 bytes (`uuid.UUID.bytes_le`), an int32
length and as many bytes; numbers are little-endian (mlagents_envs/side_channel).
"""

from __future__ import annotations

import dataclasses
import enum
import logging
import struct
import uuid
from collections.abc import Callable

import numpy as np

from gamebridge_unity.player import reading

ENGINE = uuid.UUID("e951342c-4f7e-11ea-b238-784f4387d1f7")
PARAMETERS = uuid.UUID("534c891e-810f-11ea-a9d0-822485860400")
STATS = uuid.UUID("a1d8f7b7-cec8-50f9-b78b-d3e165a78520")
PROPERTIES = uuid.UUID("60ccf7d0-4f7e-11ea-b238-784f4387d1f7")
ANALYTICS = uuid.UUID("b664a4a9-d86f-5a5f-95cb-e8353a7e8356")

_HEAD = struct.Struct("<16si")
_LOG = logging.getLogger(__name__)


class Aggregation(enum.IntEnum):
    """How a trainer joins the values of a statistic."""

    AVERAGE = 0
    MOST_RECENT = 1
    SUM = 2


@dataclasses.dataclass
class Engine:
    """What the trainer asks of the engine; None where it asked for nothing.

    Attributes:
      width: of the window, in pixels.
      height: of the window, in pixels.
      quality: a level of the engine's own.
      time_scale: how many times faster than real time; a player that never sleeps has no use
        for it.
      target_frame_rate: frames a second of the window; -1 for as many as there can be.
      capture_frame_rate: frames a second of the game's own time.
    """

    width: int | None = None
    height: int | None = None
    quality: int | None = None
    time_scale: float | None = None
    target_frame_rate: int | None = None
    capture_frame_rate: int | None = None


class Channels:
    """All side channels of one player.

    Attributes:
      engine: what the trainer asks of the engine.
      properties: by name; floats that either side may set, read here.
    """

    def __init__(self) -> None:
        """Knows the channels that every Unity build has."""
        self.engine = Engine()
        self.properties: dict[str, float] = {}
        self._parameters: dict[str, Callable[[], float]] = {}
        self._renewed: set[str] = set()
        self._receivers: dict[uuid.UUID, Callable[[bytes], None]] = {
            ENGINE: self._set_engine,
            PARAMETERS: self._set_parameter,
            PROPERTIES: self._set_property,
            ANALYTICS: lambda _: None,
        }
        self._queue: list[bytes] = []
        self._unknown: set[uuid.UUID] = set()

    def parameter(self, name: str, default: float) -> float:
        """Returns an environment parameter; a sampler's is drawn anew each time."""
        draw = self._parameters.get(name)
        return default if draw is None else draw()

    def was_set(self, name: str) -> bool:
        """Whether the trainer set a parameter since this was last asked of it."""
        was_set = name in self._renewed
        self._renewed.discard(name)
        return was_set

    def add_stat(
        self, name: str, value: float, aggregation: Aggregation = Aggregation.AVERAGE
    ) -> None:
        """Tells the trainer a value of a statistic."""
        self.send(STATS, _text(name) + struct.pack("<fi", value, aggregation))

    def set_property(self, name: str, value: float) -> None:
        """Sets a float property on both sides."""
        self.properties[name] = value
        self.send(PROPERTIES, _text(name) + struct.pack("<f", value))

    def receive(self, channel: uuid.UUID, receiver: Callable[[bytes], None]) -> None:
        """Has the messages of a channel of the game's own given to `receiver`."""
        self._receivers[channel] = receiver

    def send(self, channel: uuid.UUID, message: bytes) -> None:
        """Sends a message with what the agents say next."""
        self._queue.append(_HEAD.pack(channel.bytes_le, len(message)) + message)

    # What follows is for the session that serves the scene.

    def take(self) -> bytes:
        """Returns what waits to be sent, and forgets it."""
        blob = b"".join(self._queue)
        self._queue.clear()
        return blob

    def deliver(self, blob: bytes) -> None:
        """Hands what the trainer sent to whom it concerns.

        A record that breaks off ends the blob, and one that a receiver cannot read is
        passed over; the log tells of both.
        """
        at = 0
        while at < len(blob):
            if at + _HEAD.size > len(blob):
                _LOG.warning("The trainer's side channels break off after %d bytes.", at)
                return
            name, length = _HEAD.unpack_from(blob, at)
            at += _HEAD.size
            if not 0 <= length <= len(blob) - at:
                _LOG.warning(
                    "A side channel record claims %d bytes; %d are left.", length, len(blob) - at
                )
                return
            self._hand_on(uuid.UUID(bytes_le=name), blob[at : at + length])
            at += length

    def _hand_on(self, channel: uuid.UUID, message: bytes) -> None:
        receiver = self._receivers.get(channel)
        if receiver is None:
            if channel not in self._unknown:
                self._unknown.add(channel)
                _LOG.info("Nothing here listens to the side channel %s.", channel)
            return
        try:
            receiver(message)
        except (ValueError, struct.error) as error:
            _LOG.warning("A message on the side channel %s cannot be read: %s", channel, error)

    def _set_engine(self, message: bytes) -> None:
        reader = reading.Reader(message)
        kind = reader.int32()
        if kind == 0:
            self.engine.width, self.engine.height = reader.int32(), reader.int32()
        elif kind == 1:
            self.engine.quality = reader.int32()
        elif kind == 2:
            # A Unity build goes no slower either.
            self.engine.time_scale = max(1.0, reader.float32())
        elif kind == 3:
            self.engine.target_frame_rate = reader.int32()
        elif kind == 4:
            self.engine.capture_frame_rate = reader.int32()
        else:
            _LOG.warning("Engine setting %d is unknown; expected 0 to 4.", kind)

    def _set_parameter(self, message: bytes) -> None:
        reader = reading.Reader(message)
        name, kind = reader.text(), reader.int32()
        if kind == 0:
            value = reader.float32()
            self._parameters[name] = lambda: value
        elif kind == 1:
            self._parameters[name] = _sampler(name, reader)
        else:
            raise ValueError(f"parameter '{name}' is of kind {kind}; expected 0 or 1.")
        self._renewed.add(name)

    def _set_property(self, message: bytes) -> None:
        reader = reading.Reader(message)
        name = reader.text()
        self.properties[name] = reader.float32()


def _sampler(name: str, reader: reading.Reader) -> Callable[[], float]:
    seed, kind = reader.int32(), reader.int32()
    # The trainer's seed may be any int32, numpy's may not be negative.
    random = np.random.default_rng(seed & 0xFFFF_FFFF)
    if kind == 0:
        low, high = reader.float32(), reader.float32()
        return lambda: low + (high - low) * random.random()
    if kind == 1:
        mean, deviation = reader.float32(), reader.float32()
        return lambda: mean + deviation * random.standard_normal()
    if kind == 2:
        bounds = reader.floats()
        if not bounds or len(bounds) % 2:
            raise ValueError(f"parameter '{name}' has {len(bounds)} bounds; expected pairs.")
        ranges = list(zip(bounds[::2], bounds[1::2], strict=True))
        widths = np.abs([high - low for low, high in ranges])
        shares = widths / widths.sum() if widths.sum() > 0 else None

        def draw() -> float:
            low, high = ranges[random.choice(len(ranges), p=shares)]
            return float(low + (high - low) * random.random())

        return draw
    raise ValueError(f"parameter '{name}' has a sampler of kind {kind}; expected 0, 1 or 2.")


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<i", len(data)) + data
