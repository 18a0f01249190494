"""PNG pictures of a player: checked from their headers, then decoded by OpenCV.

OpenCV would guess the format from the bytes and would allocate whatever a header asks for.
So the bytes reach it only after the signature, the header and the row of chunks were read
here, and only the chunks that make the picture do: no other decoder can be chosen, and no
picture of another size than announced is ever allocated. A checksum that is wrong is found
here too, since OpenCV would show as much of a picture as it can.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_NEEDED = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_PACKED_EXTRA_BYTES = 4096
_GREY, _RGB = 0, 2
_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}
_CURE = "Send 8-bit RGB PNG files of the announced size, or uncompressed pictures."


def size(data: bytes, label: str) -> tuple[int, int]:
    """Returns height and width of the first picture, from its header.

    Args:
      data: one or more PNG files, one after the other.
      label: what it is, for messages.

    Raises:
      errors.GameError: it is not an 8-bit PNG of RGB or grey.
    """
    return _header(data, 0, label)


def decode(
    data: bytes, shape: tuple[int, int, int], mapping: Sequence[int], out: Array, label: str
) -> None:
    """Writes a picture that came as one PNG or as several, one after the other.

    Args:
      data: the files.
      shape: height, width and channels that were announced.
      mapping: of each decoded channel which channel it goes to: -1 for none, and those that
        go to the same one are averaged. Where it is empty and one channel was announced,
        the first file's mean over its channels; else the channels in their order, and what
        is left over is dropped.
      out: uint8, of `shape`, written.
      label: what it is, for messages.

    Raises:
      errors.GameError: it is no such picture.
    """
    import cv2

    height, width, channels = shape
    pieces = split(data, (height, width), label)
    num_decoded = 3 * len(pieces)
    if not mapping and channels == 1:
        pieces, mapping = pieces[:1], (0, 0, 0)
    else:
        _check_channels(mapping, num_decoded, channels, label)
        if not mapping:
            pieces = pieces[: (channels + 2) // 3]
    decoded = []
    for piece in pieces:
        image = cv2.imdecode(np.frombuffer(piece, np.uint8), cv2.IMREAD_COLOR_RGB)
        if image is None or image.shape != (height, width, 3):
            raise errors.GameError(f"{label}: the PNG's pixels cannot be decoded. {_CURE}")
        decoded.append(image)
    if not mapping:
        for place, image in enumerate(decoded):
            taken = out[..., 3 * place : 3 * place + 3]
            np.copyto(taken, image[..., : taken.shape[-1]])
        return
    _map(decoded, mapping, out)


def split(data: bytes, shape: tuple[int, int], label: str) -> list[bytes]:
    """Returns the files that lie in `data`, each without the chunks that nobody needs.

    Args:
      data: one or more PNG files, one after the other.
      shape: height and width that each of them must have.
      label: what it is, for messages.

    Raises:
      errors.GameError: they are no such files, or are cut short or damaged.
    """
    found: list[bytes] = []
    at = 0
    while at < len(data) or not found:
        height, width = _header(data, at, label)
        if (height, width) != shape:
            raise errors.GameError(
                f"{label} is a PNG of {width} x {height} pixels: announced were {shape[1]} x "
                f"{shape[0]}. {_CURE}"
            )
        begin, at = at, at + len(SIGNATURE)
        kept = [SIGNATURE]
        num_chunks = num_packed = 0
        kind = b""
        while kind != b"IEND":
            body = at + 8
            length = int.from_bytes(data[at : at + 4], "big")
            kind, after = data[at + 4 : body], body + length + 4
            if after > len(data):
                raise errors.GameError(
                    f"{label}: the PNG of {len(data) - begin:,} bytes is cut short. {_CURE}"
                )
            stated = int.from_bytes(data[after - 4 : after], "big")
            if zlib.crc32(data[at + 4 : after - 4]) != stated:
                raise errors.GameError(
                    f"{label}: the PNG is damaged, the checksum of its chunk {kind!r} is wrong. "
                    f"{_CURE}"
                )
            num_chunks += 1
            num_packed += length if kind == b"IDAT" else 0
            if kind in _NEEDED:
                kept.append(data[at:after])
            at = after
        # Whatever the pixels, packing hardly lengthens them; more would be unpacked in vain.
        num_bytes = height * (3 * width + 1)
        if num_packed > num_bytes + num_bytes // 4 + _PACKED_EXTRA_BYTES:
            raise errors.GameError(
                f"{label}: the PNG has {num_packed:,} bytes for {num_bytes:,} bytes of pixels. "
                f"{_CURE}"
            )
        is_whole = len(kept) == num_chunks + 1
        found.append(data[begin:at] if is_whole else b"".join(kept))
    return found


def _header(data: bytes, at: int, label: str) -> tuple[int, int]:
    if not data.startswith(SIGNATURE, at):
        start = data[at : at + 8].hex(" ") or "nothing"
        raise errors.GameError(
            f"{label} should be a PNG and begins with {start}: expected "
            f"{SIGNATURE.hex(' ')}. {_CURE}"
        )
    head = data[at + 8 : at + 16]
    if head != b"\x00\x00\x00\x0dIHDR" or len(data) < at + 33:
        raise errors.GameError(f"{label} is a PNG without a header. {_CURE}")
    width, height, depth, colour, _, _, _ = _HEADER.unpack_from(data, at + 16)
    if depth != 8 or colour not in (_GREY, _RGB):
        name = _COLOURS.get(colour, f"colour type {colour}")
        raise errors.GameError(f"{label} is a PNG of {depth}-bit {name}. {_CURE}")
    return height, width


def _check_channels(mapping: Sequence[int], num_decoded: int, channels: int, label: str) -> None:
    if not mapping:
        if num_decoded < channels:
            raise errors.GameError(
                f"{label} has {num_decoded} channels in its PNG files: announced were "
                f"{channels}. {_CURE}"
            )
        return
    targets = {target for target in mapping if target >= 0}
    if len(mapping) != num_decoded or targets != set(range(channels)) or min(mapping) < -1:
        raise errors.GameError(
            f"{label} maps {len(mapping)} channels as {list(mapping[:12])}: expected "
            f"{num_decoded} entries, as many as its PNG files have channels, which name each "
            f"of its {channels} channels, or are -1. Correct the sensor in the build."
        )


def _map(decoded: Sequence[Array], mapping: Sequence[int], out: Array) -> None:
    sources: dict[int, list[Array]] = {}
    for place, target in enumerate(mapping):
        if target >= 0:
            sources.setdefault(target, []).append(decoded[place // 3][..., place % 3])
    for target, planes in sources.items():
        if len(planes) == 1:
            np.copyto(out[..., target], planes[0])
            continue
        total = np.zeros(planes[0].shape, np.uint16)
        for plane in planes:
            total += plane
        # Rounded, as a picture that comes uncompressed is.
        total += len(planes) // 2
        total //= len(planes)
        np.copyto(out[..., target], total, casting="unsafe")
