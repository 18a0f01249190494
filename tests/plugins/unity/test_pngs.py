"""PNG pictures: what is decoded, and what never reaches the decoder."""

from __future__ import annotations

import resource
import struct
import time
import zlib

import numpy as np
import pytest
import talkers

from gamebridge import errors
from gamebridge_unity import pngs

HEIGHT, WIDTH = 20, 30
RANDOM = np.random.default_rng(0)
ONE, TWO = RANDOM.integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
FILE = talkers.png(ONE)


def chunk(kind, content=b""):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def header(width=WIDTH, height=HEIGHT, depth=8, colour=2):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def made(head, *chunks):
    return pngs.SIGNATURE + head + b"".join(chunks) + chunk(b"IEND")


def decode(data, channels=3, mapping=()):
    out = np.full((HEIGHT, WIDTH, channels), 77, np.uint8)
    pngs.decode(data, (HEIGHT, WIDTH, channels), mapping, out, "camera")
    return out


def test_a_picture_is_red_green_blue_and_its_first_row_is_the_top():
    assert (decode(FILE) == ONE).all()


def test_several_files_give_the_channels_of_all_and_what_is_too_many_is_dropped():
    data = FILE + talkers.png(TWO)
    assert (decode(data, 6) == np.concatenate([ONE, TWO], 2)).all()
    assert (decode(data, 4) == np.concatenate([ONE, TWO[..., :1]], 2)).all()


def test_one_announced_channel_is_the_mean_of_the_first_file():
    expected = np.rint(ONE.astype(np.float64).mean(2) + 1e-9)
    assert (decode(FILE + talkers.png(TWO), 1)[..., 0] == expected).all()


def test_a_mapping_says_where_channels_go_averages_those_of_one_and_drops_minus_1():
    data = FILE + talkers.png(TWO)
    assert (decode(data, 4, [0, 1, 2, 3, -1, -1])[..., 3] == TWO[..., 0]).all()
    stacked = decode(data, 2, [0, 0, 0, 1, 1, 1])
    assert (stacked[..., 1] == np.rint(TWO.astype(np.float64).mean(2) + 1e-9)).all()
    assert (decode(FILE, 3, [2, 1, 0]) == ONE[..., ::-1]).all()


def test_grey_files_are_read_as_well():
    grey = talkers.encoded(ONE[..., 0])
    assert (decode(grey, 1)[..., 0] == ONE[..., 0]).all()


def test_chunks_that_nobody_needs_do_not_reach_the_decoder():
    bomb = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(10**7)))
    frames = chunk(b"acTL", struct.pack(">II", 10**6, 0))
    data = FILE[:33] + bomb + frames + FILE[33:]
    assert pngs.split(data, (HEIGHT, WIDTH), "camera") == [FILE]
    assert (decode(data) == ONE).all()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "begins with nothing"),
        (talkers.encoded(ONE, ".jpg"), "camera should be a PNG and begins with ff d8"),
        (FILE[:20], "PNG without a header"),
        (FILE[:200], "cut short"),
        (FILE[:-12], "cut short"),
        (FILE + b"more", "begins with 6d 6f 72 65"),
        (FILE[:60] + bytes([FILE[60] ^ 1]) + FILE[61:], "checksum of its chunk b'IDAT' is wrong"),
        (talkers.encoded(np.zeros((5, 7, 3), np.uint8)), "7 x 5 pixels"),
        (made(header(30_000, 30_000)), "30000 x 30000 pixels: announced were 30 x 20"),
        (made(header(depth=16)), "PNG of 16-bit RGB"),
        (made(header(colour=6)), "PNG of 8-bit RGBA"),
        (made(header(colour=3)), "8-bit palette"),
        (made(header()), "cannot be decoded"),
        (made(header(), chunk(b"IDAT", b"nonsense")), "cannot be decoded"),
        (made(header(), chunk(b"IDAT", zlib.compress(bytes(500)))), "cannot be decoded"),
        (made(header(), *[chunk(b"IDAT", bytes(2000))] * 4), "has 8,000 bytes for 1,820"),
    ],
)
def test_what_is_no_picture_as_announced_is_refused(data, match, capfd):
    with pytest.raises(errors.GameError, match=match):
        decode(data)
    # libpng's own words.
    capfd.readouterr()


@pytest.mark.parametrize(
    ("channels", "mapping", "match"),
    [
        (4, (), "has 3 channels in its PNG files: announced were 4"),
        (2, (0, 1), "maps 2 channels as .*expected 3 entries"),
        (3, (0, 1, 1), "name each of its 3 channels"),
        (3, (0, 1, 7), "name each of its 3 channels"),
        (2, (0, 1, -2), "or are -1"),
    ],
)
def test_channels_that_do_not_fit_are_refused(channels, mapping, match):
    with pytest.raises(errors.GameError, match=match):
        decode(FILE, channels, mapping)


def test_a_bomb_costs_neither_memory_nor_time(capfd):
    press = zlib.compressobj(9)
    bomb = b"".join(press.compress(bytes(1 << 20)) for _ in range(64)) + press.flush()
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began_s = time.monotonic()
    with pytest.raises(errors.GameError, match="16000 x 16000 pixels"):
        decode(made(header(16_000, 16_000), chunk(b"IDAT", bomb)))
    # Of the announced size, with 64 MiB behind it.
    with pytest.raises(errors.GameError, match=r"has \d\d,\d+ bytes for 1,820 bytes of pixels"):
        decode(made(header(), chunk(b"IDAT", bomb)))
    assert time.monotonic() - began_s < 2.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 100 * 1024
    capfd.readouterr()
