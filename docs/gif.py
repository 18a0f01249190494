"""Makes the GIFs of the documentation out of recorded episodes.

python docs/gif.py runs/demo/evaluation/episode-000.mp4 docs/oval.gif --start 4 --seconds 8
"""

from __future__ import annotations

import argparse
import fractions
import itertools
from collections.abc import Iterator
from typing import Any

import av


def main() -> None:
    """Reads a part of a video and writes it as a GIF."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video")
    parser.add_argument("gif")
    parser.add_argument("--start", type=float, default=0.0, help="seconds to leave out")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--colours", type=int, default=64)
    given = parser.parse_args()
    with av.open(given.video) as source, av.open(given.gif, "w") as target:
        stream = source.streams.video[0]
        rate = float(stream.average_rate)
        start, stop = given.start * rate, (given.start + given.seconds) * rate
        graph = _graph(stream, given)
        for frame in itertools.islice(source.decode(stream), round(start), round(stop)):
            graph.push(frame)
        graph.push(None)
        written: Any = None
        for number, picture in enumerate(_pulled(graph)):
            if written is None:
                written = target.add_stream("gif", rate=given.fps)
                written.width, written.height = picture.width, picture.height
                written.pix_fmt = picture.format.name
            picture.pts, picture.time_base = number, fractions.Fraction(1, given.fps)
            target.mux(written.encode(picture))
        target.mux(written.encode())


def _graph(stream: Any, given: argparse.Namespace) -> av.filter.Graph:
    graph = av.filter.Graph()
    first = graph.add_buffer(template=stream)
    rate = graph.add("fps", str(given.fps))
    size = graph.add("scale", f"{given.width}:-2:flags=lanczos")
    split = graph.add("split")
    # One palette for all frames; without dithering what stands still stays still.
    palette = graph.add("palettegen", f"max_colors={given.colours}")
    use = graph.add("paletteuse", "dither=none")
    last = graph.add("buffersink")
    first.link_to(rate)
    rate.link_to(size)
    size.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(last)
    graph.configure()
    return graph


def _pulled(graph: av.filter.Graph) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.error.EOFError, av.error.BlockingIOError):
            return


if __name__ == "__main__":
    main()
