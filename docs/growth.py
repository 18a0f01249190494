"""Draws docs/growth.svg: what a slot's step costs as slots are added.

python benchmarks/growth.py --json > growth.json
python docs/growth.py growth.json > docs/growth.svg
"""

from __future__ import annotations

import json
import math
import pathlib
import sys

_PANEL, _HEIGHT, _LEFT, _TOP = 350, 260, 46, 44
_COLOURS = {"driver": "#c2410c", "game": "#1d4ed8", "bare": "#6b7280"}
_NAMES = {
    "driver": "gamebridge.make under a TF-Agents driver",
    "game": "gamebridge.make_game",
    "bare": "the bare game",
}
_TITLES = {"cartpole": "gym/CartPole-v1", "racing": "racing/oval"}
_MARKS_US = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def main() -> None:
    """Reads what growth.py measured and writes the picture."""
    costs = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))["us_a_slot"]
    every = [cost for curve in costs.values() for row in curve.values() for cost in row.values()]
    low, high = math.log(min(every) * 0.8), math.log(max(every) * 1.25)
    width, height = _PANEL * len(costs), _TOP + _HEIGHT + 66
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]

    def text(x: float, y: float, words: str, anchor: str = "middle", colour: str = "#111") -> None:
        parts.append(f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">')
        parts.append(f"{words}</text>")

    def line(points: list[tuple[float, float]], colour: str, thick: float) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" ')
        parts.append(f'stroke-width="{thick}"/>')

    def y_of(cost_us: float) -> float:
        return _TOP + _HEIGHT * (high - math.log(cost_us)) / (high - low)

    for panel, (game, curve) in enumerate(costs.items()):
        left, right = panel * _PANEL + _LEFT, (panel + 1) * _PANEL - 16
        places = [left + 12 + i * (right - left - 24) / (len(curve) - 1) for i in range(len(curve))]
        text((left + right) / 2, 20, f"{_TITLES[game]}, us a slot and step")
        for mark in _MARKS_US:
            if low < math.log(mark) < high:
                line([(left, y_of(mark)), (right, y_of(mark))], "#e5e7eb", 1)
                text(left - 6, y_of(mark) + 4, str(mark), "end")
        for x, num_slots in zip(places, curve, strict=True):
            text(x, _TOP + _HEIGHT + 18, num_slots)
        for kind, colour in _COLOURS.items():
            ys = [y_of(row[kind]) for row in curve.values()]
            line(list(zip(places, ys, strict=True)), colour, 2)
    text(width / 2, height - 34, "slots")
    for x, (kind, name) in zip((_LEFT, 360, 560), _NAMES.items(), strict=True):
        text(x, height - 10, f"&#9473; {name}", "start", _COLOURS[kind])
    sys.stdout.write("".join([*parts, "</svg>\n"]))


if __name__ == "__main__":
    main()
