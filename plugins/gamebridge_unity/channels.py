"""`Channels`: what is said beside the game, in both directions.

Towards the player go engine settings, environment parameters and samplers, and float
properties; from it come stats and float properties. All that is in force is said again to
the next player. A plugin's own channels are objects of mlagents_envs' class `SideChannel`;
what they get and send may hold any text (`texts`).
"""

from __future__ import annotations

import dataclasses
import logging
import math
import struct
import uuid
from typing import Any

from gamebridge import errors
from gamebridge_unity import stats, texts, wire

_log = logging.getLogger(__name__)

ENGINE = uuid.UUID("e951342c-4f7e-11ea-b238-784f4387d1f7")
PARAMETERS = uuid.UUID("534c891e-810f-11ea-a9d0-822485860400")
STATS = uuid.UUID("a1d8f7b7-cec8-50f9-b78b-d3e165a78520")
PROPERTIES = uuid.UUID("60ccf7d0-4f7e-11ea-b238-784f4387d1f7")
_OWN = frozenset({ENGINE, PARAMETERS, STATS, PROPERTIES})
# Kinds of engine settings, of parameters, of samplers.
_SIZE, _QUALITY, _TIME_SCALE, _TARGET_RATE, _CAPTURE_RATE = range(5)
_FLOAT, _SAMPLER = range(2)
_UNIFORM, _GAUSSIAN, _MULTI_RANGE = range(3)
# A build that makes up names without end must not fill the memory.
MAX_STATS = 4096


@dataclasses.dataclass(frozen=True)
class EngineSettings:
    """How the engine runs; None leaves a setting to the build.

    Attributes:
      width: of the window, in pixels; with `height`.
      height: of the window, in pixels; with `width`.
      quality: level, as the build has them.
      time_scale: how many times faster than real time.
      target_frame_rate: frames a second that it tries to render; -1 for no limit.
      capture_frame_rate: frames to a second of the game's time, whatever they take.
    """

    width: int | None = None
    height: int | None = None
    quality: int | None = None
    time_scale: float | None = None
    target_frame_rate: int | None = None
    capture_frame_rate: int | None = None

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          ValueError: only one of width and height; a size or scale that is not positive.
        """
        if (self.width is None) != (self.height is None):
            raise ValueError(
                f"width {self.width} with height {self.height}: set both, or neither of them."
            )
        for name in ("width", "height", "time_scale"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}: expected a number above 0.")


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Draws a parameter evenly between two values."""

    minimum: float
    maximum: float


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """Draws a parameter from a normal distribution."""

    mean: float
    standard_deviation: float


@dataclasses.dataclass(frozen=True)
class MultiRange:
    """Draws a parameter evenly from one of several ranges, each (minimum, maximum)."""

    ranges: tuple[tuple[float, float], ...]


Sampler = Uniform | Gaussian | MultiRange


class Channels:
    """What is said beside the game."""

    def __init__(self, engine: EngineSettings | None = None) -> None:
        """Queues the engine's settings, if there are any."""
        # What is in force, by what it sets; what is not said yet.
        self._in_force: dict[tuple[str, ...], bytes] = {}
        self._queue: dict[tuple[str, ...], bytes] = {}
        self._properties: dict[str, float] = {}
        self._stats: dict[str, stats.Stat] = {}
        self._added: dict[uuid.UUID, Any] = {}
        self._unknown: set[uuid.UUID] = set()
        self.engine = EngineSettings()
        if engine is not None:
            self.set_engine(engine)

    def set_engine(self, engine: EngineSettings) -> None:
        """Sets what is not None; the rest stays as it is."""
        changed = {
            field.name: value
            for field in dataclasses.fields(engine)
            if (value := getattr(engine, field.name)) is not None
        }
        self.engine = dataclasses.replace(self.engine, **changed)
        if engine.width is not None and engine.height is not None:
            content = struct.pack("<iii", _SIZE, engine.width, engine.height)
            self._put(("engine", "size"), ENGINE, content)
        for name, kind, form in (
            ("quality", _QUALITY, "<ii"),
            ("time_scale", _TIME_SCALE, "<if"),
            ("target_frame_rate", _TARGET_RATE, "<ii"),
            ("capture_frame_rate", _CAPTURE_RATE, "<ii"),
        ):
            if name in changed:
                self._put(("engine", name), ENGINE, struct.pack(form, kind, changed[name]))

    def set_parameter(self, name: str, value: float) -> None:
        """Sets an environment parameter."""
        content = texts.packed(name) + struct.pack("<if", _FLOAT, value)
        self._put(("parameter", name), PARAMETERS, content)

    def set_sampler(self, name: str, sampler: Sampler, seed: int) -> None:
        """Lets the player draw an environment parameter itself, from a seed (int32)."""
        if isinstance(sampler, Uniform):
            drawn = struct.pack("<iff", _UNIFORM, sampler.minimum, sampler.maximum)
        elif isinstance(sampler, Gaussian):
            drawn = struct.pack("<iff", _GAUSSIAN, sampler.mean, sampler.standard_deviation)
        else:
            flat = [value for pair in sampler.ranges for value in pair]
            drawn = struct.pack(f"<ii{len(flat)}f", _MULTI_RANGE, len(flat), *flat)
        content = texts.packed(name) + struct.pack("<ii", _SAMPLER, seed) + drawn
        self._put(("parameter", name), PARAMETERS, content)

    def set_property(self, name: str, value: float) -> None:
        """Sets a float property, which the player may set as well."""
        self._properties[name] = value
        content = texts.packed(name) + struct.pack("<f", value)
        self._put(("property", name), PROPERTIES, content)

    def property(self, name: str) -> float | None:
        """Returns a float property as either side set it last; None if neither did."""
        return self._properties.get(name)

    def properties(self) -> dict[str, float]:
        """Returns all float properties."""
        return dict(self._properties)

    def add(self, channel: Any) -> None:
        """Takes a plugin's own channel, an object of mlagents_envs' `SideChannel`.

        Raises:
          ValueError: its id is taken.
        """
        identity = channel.channel_id
        if identity in _OWN or identity in self._added:
            raise ValueError(f"There is a side channel {identity} already. Choose another id.")
        self._added[identity] = channel

    def take_stats(self) -> dict[str, float]:
        """Returns what the player reported since the last call: averages, sums, last values."""
        taken, self._stats = self._stats, {}
        return {name: stat.value() for name, stat in taken.items()}

    def renew(self) -> None:
        """Says all that is in force again, as the next player has not heard it."""
        self._queue = dict(self._in_force)

    def outgoing(self) -> bytes:
        """Returns what is queued, for the next message, and empties the queue."""
        queued = list(self._queue.values())
        self._queue.clear()
        for identity, channel in self._added.items():
            queued += [_record(identity, bytes(message)) for message in channel.message_queue]
            channel.message_queue = []
        return b"".join(queued)

    def incoming(self, blob: bytes) -> None:
        """Takes what a message brought.

        Raises:
          wire.Malformed: it is cut short.
          errors.PluginError: a plugin's channel raised.
        """
        at = 0
        while at < len(blob):
            if len(blob) - at < 20:
                raise wire.Malformed("a side channel's record is cut short")
            identity = uuid.UUID(bytes_le=blob[at : at + 16])
            length = int.from_bytes(blob[at + 16 : at + 20], "little", signed=True)
            content = blob[at + 20 : at + 20 + length]
            if length < 0 or len(content) != length:
                raise wire.Malformed(
                    f"side channel {identity} announces {length:,} bytes and brings "
                    f"{len(blob) - at - 20:,}"
                )
            at += 20 + length
            self._receive(identity, content)

    def _receive(self, identity: uuid.UUID, content: bytes) -> None:
        try:
            if identity == STATS:
                self._receive_stat(content)
            elif identity == PROPERTIES:
                name, at = texts.unpacked(content, 0)
                (self._properties[name],) = struct.unpack_from("<f", content, at)
            elif identity in self._added:
                _deliver(self._added[identity], content)
            elif identity not in self._unknown:
                self._unknown.add(identity)
                _log.warning("The player uses side channel %s, which nobody reads.", identity)
        except struct.error as error:
            raise wire.Malformed(f"side channel {identity}: {error}") from error

    def _receive_stat(self, content: bytes) -> None:
        name, at = texts.unpacked(content, 0)
        (value,) = struct.unpack_from("<f", content, at)
        kind = int.from_bytes(content[at + 4 : at + 8], "little")
        stat = self._stats.get(name)
        if stat is None:
            if len(self._stats) >= MAX_STATS:
                return
            stat = self._stats[name] = stats.Stat()
        stat.add(value, kind)

    def _put(self, what: tuple[str, ...], identity: uuid.UUID, content: bytes) -> None:
        record = _record(identity, content)
        # What is set again goes to the end, after what was set since.
        for queue in (self._in_force, self._queue):
            queue.pop(what, None)
            queue[what] = record


def _record(identity: uuid.UUID, content: bytes) -> bytes:
    return identity.bytes_le + struct.pack("<i", len(content)) + content


def _deliver(channel: Any, content: bytes) -> None:
    try:
        channel.on_message_received(texts.incoming(content))
    except Exception as error:
        raise errors.PluginError(
            f"Side channel {channel.channel_id} ({type(channel).__name__}) raised "
            f"{type(error).__name__} for a message of {len(content)} bytes: {error}. Correct "
            "its on_message_received."
        ) from error
