"""`Client`: talks to one player after the other, in numpy.

    client = Client("player 1", channels=channels.Channels())
    ...                                     # a player is started with --mlagents-port client.port
    client.handshake(seed=1, num_areas=1, timeout_s=60.0, check=player.check)
    client.send_reset()
    batches = client.receive(60.0, player.check)
    client.send_step({"Car?team=0": Actions(continuous=...)})

The player speaks first, and gets an order in return; so the two take turns.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from gamebridge import errors
from gamebridge_unity import behaviors, decoding, encoding, incoming, plans, wire
from gamebridge_unity.channels import Channels
from gamebridge_unity.communicator import Broken, Communicator, Late
from gamebridge_unity.decoding import Batch, Ended
from gamebridge_unity.encoding import Actions

__all__ = ["Actions", "Batch", "Broken", "Client", "Ended", "Hello", "Late"]

_log = logging.getLogger(__name__)

# From this package on pictures are [channels, height, width] on the wire.
_CHANNELS_FIRST_MAJOR = 3


@dataclasses.dataclass(frozen=True)
class Hello:
    """What a player says of itself.

    Attributes:
      name: as it calls itself.
      communication_version: of the protocol.
      package_version: of com.unity.ml-agents, or of what stands for it.
      capabilities: what it can do.
    """

    name: str
    communication_version: str
    package_version: str
    capabilities: wire.Capabilities


class Client:
    """Talks to a player.

    Attributes:
      port: which it is to dial, on loopback.
      behaviors: all that were announced, by name; they never change.
      num_refused: how many calls of others were refused.
    """

    def __init__(
        self, label: str, *, channels: Channels, port: int = 0, max_message_bytes: int = -1
    ) -> None:
        """Binds a port of 127.0.0.1.

        Args:
          label: whose it is, for messages: "player 1".
          channels: what is said beside the game.
          port: 0 for any that is free.
          max_message_bytes: of one message of the player; -1 for no limit.

        Raises:
          errors.PlayerError: the port is taken.
        """
        self._label = label
        self._channels = channels
        self._communicator = Communicator(label, port, max_message_bytes)
        self.port = self._communicator.port
        self.behaviors: dict[str, behaviors.Behavior] = {}
        self._decoders: dict[str, decoding.Decoder] = {}
        self._hello: Hello | None = None
        # What this player has announced, of which not all agents need have been seen.
        self._announced: dict[str, behaviors.Announcement] = {}
        self._num_asking: dict[str, int] = {}

    @property
    def num_refused(self) -> int:
        """How many calls of others were refused."""
        return self._communicator.num_refused

    def expect(self, pid: int | None) -> None:
        """Hears only this process and its descendants from now on; None: whoever is first."""
        self._communicator.expect(pid)

    def handshake(
        self, seed: int, num_areas: int, timeout_s: float, check: Callable[[], None]
    ) -> Hello:
        """Waits for a player and comes to terms with it.

        Args:
          seed: int32, for the player's own random numbers.
          num_areas: how many copies of its training area it should make.
          timeout_s: for all of it.
          check: called at least every 0.2 s; raises if the player's process is gone.

        Raises:
          Late: the player did not connect, or did not go on, in time.
          Broken: what it said is not this protocol's.
          errors.PlayerError: it speaks another version.
        """
        until_s = time.monotonic() + timeout_s
        message = self._receive(timeout_s, check)
        if message.initialization is None:
            raise Broken(
                f"{self._label} began with a message that does not introduce it: expected "
                f"what ML-Agents {wire.COMMUNICATION_VERSION} begins with"
            )
        hello = _read_hello(self._parsed(message.initialization))
        self._check_version(hello)
        if not hello.capabilities.base:
            _log.warning("%s says nothing of what it can do.", self._label)
        self._hello = hello
        self._communicator.reply(encoding.initialization(seed, num_areas))
        # The second call says nothing; its reply is the first order.
        self._receive(max(0.0, until_s - time.monotonic()), check)
        return hello

    def send_reset(self) -> None:
        """Orders new episodes of all agents. Does not wait."""
        self._num_asking.clear()
        self._communicator.reply(encoding.order(wire.RESET, {}, self._channels.outgoing()))

    def send_step(self, actions: Mapping[str, Actions]) -> None:
        """Orders the next step. Does not wait.

        Args:
          actions: by behaviour, for the agents of its last batch, in their order. The agents
            of a behaviour that is not named do nothing.

        Raises:
          ValueError: there are more or fewer actions than agents that asked.
        """
        hybrid = self._hello is not None and self._hello.capabilities.hybrid_actions
        listed = {
            name: encoding.rows(
                self.behaviors[name], acted, self._num_asking.get(name, 0), hybrid=hybrid
            )
            for name, acted in actions.items()
        }
        self._communicator.reply(encoding.order(wire.STEP, listed, self._channels.outgoing()))

    def receive(self, timeout_s: float, check: Callable[[], None]) -> dict[str, Batch]:
        """Waits for the player's next message.

        Args:
          timeout_s: seconds.
          check: called at least every 0.2 s; raises if the player's process is gone.

        Returns:
          By behaviour, all that are known; arrays are good until the next call.

        Raises:
          Late: nothing came in time.
          Broken: the connection ended or what came is not this protocol's.
          errors.GameError: what came does not fit what was announced, or cannot be meant.
        """
        message = self._receive(timeout_s, check)
        try:
            self._channels.incoming(message.side_channel)
            if message.initialization is not None:
                self._announce(self._parsed(message.initialization))
            batches = {name: decoder.empty for name, decoder in self._decoders.items()}
            for name, infos in message.infos.items():
                if infos.starts:
                    decoder = self._decoder(name, message.raw, infos)
                    batches[name] = decoder.decode(message.raw, infos)
        except wire.Malformed as error:
            raise Broken(f"{self._label} sent what cannot be read: {error}") from error
        self._num_asking = {name: len(batch.ids) for name, batch in batches.items()}
        return batches

    def say_goodbye(self) -> None:
        """Orders the player to quit, now or with its next call. Does not wait."""
        self._communicator.say_goodbye()

    def renew(self) -> None:
        """Forgets the player: the next one dials the same port and plays the same game."""
        self._communicator.renew()
        self._channels.renew()
        self._hello = None
        self._announced.clear()
        self._num_asking.clear()

    def close(self) -> None:
        """Says goodbye and frees the port. May be called twice."""
        self._communicator.close()

    def _receive(self, timeout_s: float, check: Callable[[], None]) -> incoming.Incoming:
        raw = self._communicator.receive(timeout_s, check)
        try:
            message = incoming.read(raw)
        except wire.Malformed as error:
            raise Broken(
                f"{self._label} sent {len(raw):,} bytes that cannot be read: {error}"
            ) from error
        if message.status == wire.CLOSING:
            raise Broken(f"{self._label} quit by itself (status {wire.CLOSING})")
        if message.status != wire.NORMAL:
            raise Broken(f"{self._label} sent status {message.status}: expected {wire.NORMAL}")
        return message

    def _parsed(self, initialization: bytes) -> Any:
        from google.protobuf import message

        try:
            return wire.messages().UnityRLInitializationOutputProto.FromString(initialization)
        except message.DecodeError as error:
            raise Broken(f"{self._label} introduced itself unreadably: {error}") from error

    def _check_version(self, hello: Hello) -> None:
        ours, theirs = wire.COMMUNICATION_VERSION, hello.communication_version
        if wire.major(ours) == wire.major(theirs):
            return
        self._communicator.say_goodbye()
        raise errors.PlayerError(
            f"{self._label} speaks ML-Agents communication {behaviors.shown(theirs)} (package "
            f"{behaviors.shown(hello.package_version)}): expected {ours}, or another with the "
            f"same first number. Build it with a package that speaks {ours}: com.unity.ml-agents "
            "1.8 to 3.0."
        )

    def _announce(self, introduction: Any) -> None:
        """Notes the behaviours' actions; a frozen behaviour's must be what they were."""
        for parameters in introduction.brain_parameters:
            announced = behaviors.read_announcement(parameters)
            known = self.behaviors.get(announced.name)
            if known is not None:
                now = dataclasses.replace(
                    known, num_continuous=announced.num_continuous, branches=announced.branches
                )
                self._refuse_change(known, now)
            self._announced[announced.name] = announced

    def _decoder(self, name: str, raw: bytes, infos: incoming.Infos) -> decoding.Decoder:
        announced = self._announced.get(name)
        if announced is None:
            raise errors.GameError(
                f"{self._label} sent agents of {behaviors.shown(name)}, which it never "
                f"announced: expected one of {sorted(map(behaviors.shown, self._announced))}. "
                "A behaviour's parameters come with its first agents."
            )
        decoder = self._decoders.get(name)
        if decoder is None:
            package = wire.major(self._hello.package_version) if self._hello else None
            observations = behaviors.read_observations(
                name,
                plans.parse(raw, infos),
                channels_first=(package or 0) >= _CHANNELS_FIRST_MAJOR,
            )
            behavior = behaviors.Behavior(
                name, observations, announced.num_continuous, announced.branches
            )
            self.behaviors[name] = behavior
            decoder = self._decoders[name] = decoding.Decoder(behavior)
        return decoder

    def _refuse_change(self, known: behaviors.Behavior, now: behaviors.Behavior) -> None:
        if known.differs_from(now):
            raise errors.GameError(
                f"{self._label} changed a behaviour while it was played: it was {known}; now "
                f"it is {now}. A behaviour stays what it was at first; start a new run for "
                "another one."
            )


def _read_hello(said: Any) -> Hello:
    return Hello(
        said.name,
        said.communication_version,
        said.package_version,
        wire.capabilities_of(said.capabilities),
    )
