"""`Trainer`: a trainer of the fewest lines, so that tests of players do not test a client."""

from __future__ import annotations

import queue
import subprocess
import sys
import time
from concurrent import futures

import grpc

from gamebridge_unity import wire

LIMIT_S = 20.0


class Trainer:
    """Serves one player; every call of it waits for an order."""

    def __init__(self, *, package_version="0.28.0", version="1.5.0", can_map=True):
        self._messages = wire.messages()
        self._package, self._version, self._can_map = package_version, version, can_map
        self._calls, self._orders = queue.Queue(), queue.Queue()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(1),
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)],
        )
        form = self._messages.UnityMessageProto
        handler = grpc.unary_unary_rpc_method_handler(
            self._exchange, form.FromString, form.SerializeToString
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(wire.SERVICE, {wire.METHOD: handler}),)
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.players = []
        self.specs = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        for player in self.players:
            player.kill()
            player.wait()
            if player.stderr is not None:
                player.stderr.close()

    def launch(self, *words, module="gamebridge_unity.reference", **keywords):
        """Starts a player."""
        command = [sys.executable, "-m", module, "--mlagents-port", str(self.port), *words]
        player = subprocess.Popen(command, stdin=subprocess.DEVNULL, **keywords)
        self.players.append(player)
        return player

    def meet(self, seed=3, num_areas=1):
        """Answers the first message, and returns it; the second must say nothing."""
        first = self.take()
        answer = self._messages.UnityMessageProto()
        answer.header.status = wire.NORMAL
        start = answer.unity_input.rl_initialization_input
        start.seed, start.num_areas = seed, num_areas
        start.communication_version, start.package_version = self._version, self._package
        for name in wire.CAPABILITY_NAMES:
            setattr(start.capabilities, name, True)
        start.capabilities.compressedChannelMapping = self._can_map
        self._orders.put(answer)
        second = self.take()
        assert not second.HasField("unity_output")
        assert second.header.status == wire.NORMAL
        return first.unity_output.rl_initialization_output

    def reset(self, side_channels=b""):
        """Orders a reset; returns what the agents say then."""
        return self._order(wire.RESET, {}, side_channels)

    def step(self, actions=None, side_channels=b""):
        """Orders a step with actions by behaviour, each agent's (continuous, discrete)."""
        return self._order(wire.STEP, actions or {}, side_channels)

    def say(self, status):
        """Answers with a status and nothing else."""
        answer = self._messages.UnityMessageProto()
        answer.header.status = status
        self._orders.put(answer)

    def stop(self):
        """Ends the server at once, without a goodbye."""
        self._orders.put(None)
        self._server.stop(0).wait(5)

    def take(self):
        """Returns the player's next call; fails where it has ended."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            try:
                return self._calls.get(timeout=0.1)
            except queue.Empty:
                # The newest: those before it may have had their day.
                code = self.players[-1].poll() if self.players else None
                assert code is None, f"the player left with {code}"
        raise AssertionError(f"the player said nothing for {LIMIT_S} s")

    def _order(self, command, actions, side_channels):
        answer = self._messages.UnityMessageProto()
        answer.header.status = wire.NORMAL
        order = answer.unity_input.rl_input
        order.command, order.side_channel = command, side_channels
        for name, rows in actions.items():
            listed = order.agent_actions[name]
            for continuous, discrete in rows:
                row = listed.value.add()
                row.continuous_actions.extend(continuous)
                row.discrete_actions.extend(discrete)
        self._orders.put(answer)
        output = self.take().unity_output
        for introduced in output.rl_initialization_output.brain_parameters:
            assert introduced.brain_name not in self.specs
            self.specs[introduced.brain_name] = introduced
        return output.rl_output

    def _exchange(self, request, context):
        self._calls.put(request)
        answer = self._orders.get()
        if answer is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "stopped")
        return answer


def infos(output, name):
    """The infos of a behaviour: those of ends, and those of decisions."""
    listed = output.agentInfos[name].value if name in output.agentInfos else []
    return [each for each in listed if each.done], [each for each in listed if not each.done]


def record(channel, payload):
    """One side channel record."""
    return channel.bytes_le + len(payload).to_bytes(4, "little") + payload
