"""Messages that no sound player sends, made of those that one would have sent."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from gamebridge_unity import wire

KINDS = {
    "nan": "puts NaN into the first observation that is no frame",
    "inf": "puts infinity there",
    "nan-reward": "makes the first reward NaN",
    "nan-image": "puts NaN into the first frame, uncompressed",
    "spec-change": "sends another spec, and observations that fit it",
    "shape-change": "sends a longer observation, and no spec",
    "bad-png": "cuts the first PNG off half-way",
    "png-bomb": "sends a PNG of 60,000 by 60,000 in its place",
    "jpeg": "sends a JPEG in its place",
    "oversize": "makes the first observation so many MiB large",
    "duplicate-ids": "gives the second agent the id of the first, from then on",
    "empty": "names behaviours and no agents, from then on",
}
LASTING = {"spec-change", "shape-change", "duplicate-ids", "empty"}

_BOMB = 60_000


def spoil(kind: str, value: float, message: bytes) -> bytes:
    """Returns the message with a fault; as it was where it has nothing to spoil.

    Args:
      kind: one of `KINDS`.
      value: what the fault is given.
      message: a sound one.
    """
    whole = wire.messages().UnityMessageProto.FromString(message)
    output = whole.unity_output.rl_output
    infos = [info for listed in output.agentInfos.values() for info in listed.value]
    if kind == "empty":
        for listed in output.agentInfos.values():
            del listed.value[:]
    elif infos:
        _SPOILERS[kind](whole, infos, value)
    spoiled: bytes = whole.SerializeToString()
    return spoiled


def _set_number(number: float) -> Any:
    def spoil_it(whole: Any, infos: Any, value: float) -> None:
        for seen in infos[0].observations:
            if len(seen.shape) != 3:
                seen.float_data.data[0] = number
                return

    return spoil_it


def _nan_reward(whole: Any, infos: Any, value: float) -> None:
    infos[0].reward = float("nan")


def _nan_image(whole: Any, infos: Any, value: float) -> None:
    for seen in infos[0].observations:
        if len(seen.shape) == 3:
            if seen.compression_type == wire.PNG:
                seen.compression_type = wire.UNCOMPRESSED
                del seen.compressed_channel_mapping[:]
                size = seen.shape[0] * seen.shape[1] * seen.shape[2]
                seen.float_data.data.extend([0.0] * size)
            seen.float_data.data[0] = float("nan")
            return


def _longer(whole: Any, infos: Any, value: float) -> None:
    for info in infos:
        for seen in info.observations:
            if len(seen.shape) == 1:
                seen.shape[0] += 1
                seen.float_data.data.append(0.0)
                break


def _another_spec(whole: Any, infos: Any, value: float) -> None:
    _longer(whole, infos, value)
    for name in whole.unity_output.rl_output.agentInfos:
        sent = whole.unity_output.rl_initialization_output.brain_parameters.add()
        sent.brain_name, sent.is_training = name, True
        sent.action_spec.num_continuous_actions = 7


def _replace_png(make: Any) -> Any:
    def spoil_it(whole: Any, infos: Any, value: float) -> None:
        for seen in infos[0].observations:
            if seen.compression_type == wire.PNG:
                seen.compressed_data = make(seen.compressed_data)
                return

    return spoil_it


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _bomb(data: bytes) -> bytes:
    def part(kind: bytes, content: bytes) -> bytes:
        code = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", code)

    header = struct.pack(">IIBBBBB", _BOMB, _BOMB, 8, 2, 0, 0, 0)
    # Ten thousandth of what it promises is enough: who decodes it allocates first.
    rows = zlib.compress(bytes(1_000_000), 9)
    end = part(b"IDAT", rows) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + end


def _jpeg(data: bytes) -> bytes:
    import cv2
    import numpy as np

    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    coded: bytes = cv2.imencode(".jpg", picture)[1].tobytes()
    return coded


def _oversize(whole: Any, infos: Any, value: float) -> None:
    seen = infos[0].observations[0]
    count = int(value * 2**20) // 4
    del seen.shape[:]
    seen.shape.append(count)
    seen.float_data.data.extend([0.0] * count)


def _duplicate(whole: Any, infos: Any, value: float) -> None:
    alive = [info for info in infos if not info.done]
    if len(alive) > 1:
        alive[1].id = alive[0].id


_SPOILERS = {
    "nan": _set_number(float("nan")),
    "inf": _set_number(float("inf")),
    "nan-reward": _nan_reward,
    "nan-image": _nan_image,
    "spec-change": _another_spec,
    "shape-change": _longer,
    "bad-png": _replace_png(_half),
    "png-bomb": _replace_png(_bomb),
    "jpeg": _replace_png(_jpeg),
    "oversize": _oversize,
    "duplicate-ids": _duplicate,
}
