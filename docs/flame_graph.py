"""Draws docs/flame-graph.svg: where the time of 8 CartPoles under a driver goes.

    python docs/flame_graph.py --play                     # what is sampled: plays for 25 s
    py-spy record -f raw -r 100 -d 60 -o stacks.raw -- python docs/flame_graph.py --play
    python docs/flame_graph.py stacks.raw

py-spy sees the game's thread inside the one call a batch that TensorFlow makes to Python.
Whatever is missing of the time that was played is TensorFlow's: driver, policy and call.
"""

from __future__ import annotations

import html
import pathlib
import sys
import time
import warnings

_SECONDS, _RATE_HZ = 25, 100
_ENTRY = "GameTFEnvironment.step_rows"
_WIDTH, _ROW = 1200, 17
_LEAST_SHARE = 0.002
_COLOURS = {"gamebridge/": "#f4a259", "gamebridge_": "#f4a259", "gymnasium/": "#8cb369"}


def main() -> None:
    """Plays, or draws what was sampled meanwhile."""
    if sys.argv[1] == "--play":
        _play()
    else:
        stacks = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
        picture = pathlib.Path(__file__).with_name("flame-graph.svg")
        picture.write_text(_picture(_tree(stacks)) + "\n", encoding="utf-8")


def _play() -> None:
    warnings.simplefilter("ignore")
    from gamebridge.tf import start

    start.load()
    from tf_agents.drivers import dynamic_step_driver
    from tf_agents.policies import random_tf_policy
    from tf_agents.utils import common

    import gamebridge

    env = gamebridge.make("gym/CartPole-v1", num_slots=8)
    policy = random_tf_policy.RandomTFPolicy(env.time_step_spec(), env.action_spec())
    driver = dynamic_step_driver.DynamicStepDriver(env, policy, observers=[], num_steps=16_000)
    run = common.function(driver.run)
    run()  # traces the graph
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        run()


def _tree(stacks: str) -> dict:
    root = {"name": "8 CartPole-v1 under a DynamicStepDriver", "count": 0, "parts": {}}
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        if _ENTRY not in stack:
            continue
        node = root
        node["count"] += int(count)
        for frame in stack.split(";"):
            # By function: lines would part what belongs together.
            name = frame.rpartition(":")[0] + ")"
            node = node["parts"].setdefault(name, {"name": name, "count": 0, "parts": {}})
            node["count"] += int(count)
    rest = max(0, _SECONDS * _RATE_HZ - root["count"])
    root["parts"]["TensorFlow: driver, policy and call"] = {
        "name": "TensorFlow: driver, policy and call", "count": rest, "parts": {}
    }  # fmt: skip
    root["count"] += rest
    return root


def _picture(root: dict) -> str:
    total, boxes, deepest = root["count"], [], 0

    def draw(node: dict, left: float, depth: int) -> None:
        nonlocal deepest
        share = node["count"] / total
        if share < _LEAST_SHARE:
            return
        deepest = max(deepest, depth)
        width = share * _WIDTH
        colour = next((c for part, c in _COLOURS.items() if part in node["name"]), "#bcb8b1")
        label = f"{node['name']} {share:.1%}"
        shown = label if len(label) * 6.2 < width else label[: max(0, int(width / 6.2) - 1)]
        boxes.append(
            f'<g><title>{html.escape(label)}</title><rect x="{left:.1f}" y="{depth * _ROW}" '
            f'width="{width:.1f}" height="{_ROW - 1}" fill="{colour}"/><text x="{left + 2:.1f}" '
            f'y="{depth * _ROW + 12}">{html.escape(shown)}</text></g>'
        )
        for part in sorted(node["parts"].values(), key=lambda part: -part["count"]):
            draw(part, left, depth + 1)
            left += part["count"] / total * _WIDTH

    draw(root, 0.0, 0)
    height = (deepest + 1) * _ROW
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
    style = "<style>text{font:10px monospace}</style>"
    return "\n".join([head + f' width="{_WIDTH}" height="{height}">', style, *boxes, "</svg>"])


if __name__ == "__main__":
    main()
