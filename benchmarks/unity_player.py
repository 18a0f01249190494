"""The player of the Unity rows: sends what was made before, and hears but "go on" or "quit".

It is the same program for every row and does next to nothing, so that what the rows differ
in is the client.

    python benchmarks/unity_player.py --messages CASE --mlagents-port PORT
"""

from __future__ import annotations

import itertools
import sys

import grpc
import unity_cases

_PATH = "/communicator_objects.UnityToExternalProto/Exchange"
# A header with status 400 as its first field.
_GOODBYE = b"\x0a\x03\x08\x90\x03"


def main() -> None:
    """Plays until it is told to quit."""
    arguments = sys.argv
    port = int(arguments[arguments.index("--mlagents-port") + 1])
    case = unity_cases.CASES[arguments[arguments.index("--messages") + 1]]
    numbers = range(unity_cases.NUM_MESSAGES)
    before = (unity_cases.HELLO, unity_cases.EMPTY, unity_cases.FIRST)
    opening = [unity_cases.read(case, name) for name in before]
    messages = [unity_cases.read(case, str(number)) for number in numbers]
    options = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
    with grpc.insecure_channel(f"localhost:{port}", options) as channel:
        exchange = channel.unary_unary(_PATH)
        try:
            for message in itertools.chain(opening, itertools.cycle(messages)):
                if exchange(message, wait_for_ready=True).startswith(_GOODBYE):
                    return
        except grpc.RpcError:
            return


if __name__ == "__main__":
    main()
