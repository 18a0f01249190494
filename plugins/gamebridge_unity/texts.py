"""Text in side channels: UTF-8 both ways, where mlagents_envs' own messages are ASCII.

Unity writes and reads text as ASCII, which UTF-8 holds; other engines need not. Bytes that
are no UTF-8 are replaced, so that a message never stops a run.
"""

from __future__ import annotations

import functools
import struct
from typing import Any

from gamebridge_unity import descriptors


def packed(text: str) -> bytes:
    """Returns a text as a side channel has it: int32 length in bytes, bytes."""
    content = text.encode("utf-8", "replace")
    return struct.pack("<i", len(content)) + content


def unpacked(content: bytes, at: int) -> tuple[str, int]:
    """Returns the text at `at`, and where what follows it begins.

    Raises:
      struct.error: it is cut short.
    """
    (length,) = struct.unpack_from("<i", content, at)
    end = at + 4 + length
    if length < 0 or end > len(content):
        raise struct.error(f"a text of {length:,} bytes, {len(content) - at - 4:,} are left")
    return content[at + 4 : end].decode("utf-8", "replace"), end


def incoming(content: bytes) -> Any:
    """Returns an `IncomingMessage` of mlagents_envs that reads any text."""
    return _classes()[0](content)


def outgoing() -> Any:
    """Returns an empty `OutgoingMessage` of mlagents_envs that writes any text."""
    return _classes()[1]()


@functools.cache
def _classes() -> tuple[type[Any], type[Any]]:
    descriptors.install()
    from mlagents_envs import side_channel

    class Incoming(side_channel.IncomingMessage):
        buffer: bytes
        offset: int

        def read_string(self, default_value: str = "") -> str:
            if self.offset >= len(self.buffer):
                return default_value
            text, at = unpacked(self.buffer, self.offset)
            self.offset = at
            return text

    class Outgoing(side_channel.OutgoingMessage):
        def write_string(self, s: str) -> None:
            self.buffer += packed(s)

    return Incoming, Outgoing
