"""One client that plays rounds against the player of the Unity rows, in a process of its own.

`stock` is mlagents_envs as it is: in an environment with protobuf 3.20.3, or here, on the
protobuf that the project has, once its messages can be imported at all. `bare` is a gRPC
server that answers with as many bytes as the others do, and nothing else. Those that decode
do only that, the same message in the same bytes.

    python benchmarks/unity_sides.py SIDE CASE PLAYER
"""

from __future__ import annotations

import argparse
import atexit
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

import numpy as np
import rounds
import unity_cases

_WAIT_S = 60


def main() -> None:
    """Serves the rounds of the side named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=_SIDES)
    parser.add_argument("case", choices=unity_cases.CASES)
    parser.add_argument("player", help="the program that starts the player")
    arguments = parser.parse_args()
    case = unity_cases.CASES[arguments.case]
    rounds.serve(_SIDES[arguments.side](case, arguments.player))


def _repeat(step: Callable[[], object]) -> Callable[[int], int]:
    def run(count: int) -> int:
        for _ in range(count):
            step()
        return count

    return run


def _actions(case: unity_cases.Case) -> Any:
    shape = (case.num_agents, unity_cases.NUM_ACTIONS)
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


def _ours(case: unity_cases.Case, player: str) -> Callable[[int], int]:
    from gamebridge_unity import channels, client

    talking = client.Client("the player", channels=channels.Channels())
    process = _start(player, case, talking.port)

    def check() -> None:
        if process.poll() is not None:
            raise SystemExit(f"the player ended with {process.returncode}")

    atexit.register(talking.close)
    talking.handshake(1, 1, _WAIT_S, check)
    talking.send_reset()
    talking.receive(_WAIT_S, check)
    acted = {unity_cases.NAME: client.Actions(_actions(case))}

    def step() -> None:
        talking.send_step(acted)
        (batch,) = talking.receive(_WAIT_S, check).values()
        if len(batch.ids) != case.num_agents:
            raise SystemExit(f"{len(batch.ids)} agents")

    return _repeat(step)


def _stock(case: unity_cases.Case, player: str) -> Callable[[int], int]:
    from mlagents_envs import base_env, environment

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    played = environment.UnityEnvironment(
        player,
        base_port=port,
        timeout_wait=_WAIT_S,
        additional_args=["--messages", case.name],
    )
    atexit.register(played.close)
    played.reset()
    actions = _actions(case)

    def step() -> None:
        played.set_actions(unity_cases.NAME, base_env.ActionTuple(continuous=actions))
        played.step()
        decisions, _ = played.get_steps(unity_cases.NAME)
        if len(decisions) != case.num_agents:
            raise SystemExit(f"{len(decisions)} agents")

    return _repeat(step)


def _stock_here(case: unity_cases.Case, player: str) -> Callable[[int], int]:
    from gamebridge_unity import descriptors

    descriptors.install()
    return _stock(case, player)


def _bare(case: unity_cases.Case, player: str) -> Callable[[int], int]:
    import grpc

    # What ours answers with.
    per_agent = 4 + 4 * unity_cases.NUM_ACTIONS
    answer = b"\x0a\x03\x08\xc8\x01" + bytes(40 + case.num_agents * per_agent)
    allowed = threading.Semaphore(3)
    arrived = threading.Semaphore(0)

    def exchange(request: bytes, context: object) -> bytes:
        arrived.release()
        allowed.acquire()
        return answer

    options = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
    server = grpc.server(futures.ThreadPoolExecutor(2), options=options)
    handlers = {"Exchange": grpc.unary_unary_rpc_method_handler(exchange)}
    name = "communicator_objects.UnityToExternalProto"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    process = _start(player, case, port)
    atexit.register(process.kill)
    # Which keeps it, too.
    atexit.register(server.stop, None)
    for _ in range(4):
        arrived.acquire(timeout=_WAIT_S)

    def run(count: int) -> int:
        allowed.release(count)
        for _ in range(count):
            arrived.acquire()
        return count

    return run


def _decode_ours(case: unity_cases.Case, player: str) -> Callable[[int], int]:
    from gamebridge_unity import behaviors, decoding, incoming, plans

    raw = unity_cases.read(case, "0")
    infos = incoming.read(raw).infos[unity_cases.NAME]
    parsed = plans.parse(raw, infos)
    observations = behaviors.read_observations(unity_cases.NAME, parsed, channels_first=False)
    behavior = behaviors.Behavior(unity_cases.NAME, observations, unity_cases.NUM_ACTIONS, ())
    decoder = decoding.Decoder(behavior)

    def step() -> None:
        decoder.decode(raw, incoming.read(raw).infos[unity_cases.NAME])

    return _repeat(step)


def _decode_stock(case: unity_cases.Case, player: str) -> Callable[[int], int]:
    from mlagents_envs import rpc_utils
    from mlagents_envs.communicator_objects import unity_message_pb2

    message = unity_message_pb2.UnityMessageProto.FromString(
        unity_cases.read(case, unity_cases.FIRST)
    )
    output = message.unity_output
    infos = output.rl_output.agentInfos[unity_cases.NAME].value
    (announced,) = output.rl_initialization_output.brain_parameters
    spec = rpc_utils.behavior_spec_from_proto(announced, infos[0])
    return _repeat(lambda: rpc_utils.steps_from_proto(infos, spec))


def _decode_stock_here(case: unity_cases.Case, player: str) -> Callable[[int], int]:
    from gamebridge_unity import descriptors

    descriptors.install()
    return _decode_stock(case, player)


def _start(player: str, case: unity_cases.Case, port: int) -> subprocess.Popen[bytes]:
    command = [player, "--mlagents-port", str(port), "--messages", case.name]
    return subprocess.Popen(command, stdout=sys.stderr)


_SIDES: dict[str, Callable[[unity_cases.Case, str], Callable[[int], int]]] = {
    "ours": _ours,
    "stock": _stock,
    "stock-here": _stock_here,
    "bare": _bare,
    "decode-ours": _decode_ours,
    "decode-stock": _decode_stock,
    "decode-stock-here": _decode_stock_here,
}


if __name__ == "__main__":
    main()
