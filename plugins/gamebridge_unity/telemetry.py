"""`Telemetry`: what a player's agents report beside their observations.

The format is `player.telemetry`'s. A player that does not know it reports nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from gamebridge.contract import specs
from gamebridge_unity import batches, descriptors, slots
from gamebridge_unity.player import telemetry as formats

_LOG = logging.getLogger(__name__)


class Telemetry:
    """Takes the numbers out of a player's messages.

    Attributes:
      channel: to be added to the player's side channels.
    """

    def __init__(self, label: str) -> None:
        """Starts before the first message."""
        self.channel = _channel(self._take)
        self._label = label
        self._fields: dict[str, tuple[formats.Field, ...]] = {}
        self._values: dict[str, formats.Values] = {}
        self._is_bad = False

    def subscribe(self) -> None:
        """Asks the next player for its numbers."""
        self._values.clear()
        self.channel.message_queue = [formats.SUBSCRIBE]

    def specs(self, behavior: str) -> dict[str, specs.TelemetrySpec]:
        """Returns what a behaviour's agents report, as far as it was said."""
        return {
            field.name: specs.TelemetrySpec(field.unit, field.reduce, np.float32, field.summary)
            for field in self._fields.get(behavior, ())
        }

    def told(self, behavior: str, batch: batches.Batch) -> slots.Told | None:
        """Returns the values of a message's rows; None where it has none that fit."""
        values = self._values.pop(behavior, None)
        if values is None:
            return None
        num_fields = len(self._fields.get(behavior, ()))
        told = slots.Told(values.values[~values.done], values.values[values.done])
        if (
            told.decisions.shape == (len(batch.ids), num_fields)
            and told.ends.shape == (len(batch.ended.ids), num_fields)
            and np.isfinite(values.values).all()
        ):
            return told
        self._report(
            f"values of {len(told.decisions)} decisions and {len(told.ends)} ends for "
            f"{len(batch.ids)} and {len(batch.ended.ids)} agents, or none that are finite"
        )
        return None

    def _take(self, message: bytes) -> None:
        try:
            said = formats.read(message)
        except ValueError as error:
            self._report(str(error))
            return
        if isinstance(said, formats.Fields):
            self._fields.setdefault(said.behavior, said.fields)
        else:
            self._values[said.behavior] = said

    def _report(self, what: str) -> None:
        if not self._is_bad:
            self._is_bad = True
            _LOG.warning("%s: its telemetry cannot be used: %s.", self._label, what)


def _channel(take: Callable[[bytes], None]) -> Any:
    """Returns the side channel of telemetry, which hands its messages to `take`."""
    descriptors.install()
    from mlagents_envs.side_channel import side_channel

    class Channel(side_channel.SideChannel):
        """Numbers of agents; see `player.telemetry`."""

        def __init__(self) -> None:
            super().__init__(formats.CHANNEL)

        def on_message_received(self, msg: Any) -> None:
            take(msg.get_raw_bytes())

    return Channel()
