"""The same training by gamebridge and by Stable-Baselines3, side by side: wall and CPU time.

DQN and PPO on CartPole-v1, SAC on Pendulum-v1: the same network, the same environment steps,
the same number of gradients of the same size, as many games at once. Every training is a
process of its own, ours and theirs in turn; its clocks run from the start of the process to
the end of training, so that imports and tracing count. What it learned is judged by 20 greedy
episodes after that. PyTorch gets one thread: with one for each core its small operations
wait for each other, and on a busy machine DQN took more than ten times as long.

    python benchmarks/learning_peers.py [--rounds 3] [--pairs dqn ppo sac] [--json]

What was measured is kept in build/learning/peers.json; started again it goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import clocks
import environments

_PATH = pathlib.Path(__file__).resolve().parents[1] / "build" / "learning" / "peers.json"
_OURS, _THEIRS = "gamebridge", "sb3"
_EPISODES = 20


@dataclasses.dataclass(frozen=True)
class Pair:
    """One training, as both are told it.

    Attributes:
      agent: dqn, ppo or sac.
      game: gymnasium's id.
      steps: of the environment, all games together.
      num_slots: games at once.
      ours: settings of our agent.
      theirs: arguments of theirs.
      units: sizes of the layers.
    """

    agent: str
    game: str
    steps: int
    num_slots: int
    ours: Mapping[str, Any]
    theirs: Mapping[str, Any]
    units: tuple[int, ...]


PAIRS: dict[str, Pair] = {
    "dqn": Pair(
        agent="dqn",
        game="CartPole-v1",
        steps=50_000,
        num_slots=4,
        units=(256, 256),
        ours={"num_steps": 1},
        theirs={
            "learning_rate": 5e-4,
            "buffer_size": 50_000,
            "learning_starts": 1_000,
            "batch_size": 64,
            "tau": 0.005,
            "gamma": 0.99,
            # A gradient for each transition, as ours.
            "train_freq": 1,
            "gradient_steps": -1,
            "target_update_interval": 1,
            "exploration_fraction": 0.1,
            "exploration_final_eps": 0.05,
        },
    ),
    "ppo": Pair(
        agent="ppo",
        game="CartPole-v1",
        steps=60_000,
        num_slots=8,
        units=(64, 64),
        # Stable-Baselines3 leaves the running mean and variance to a wrapper.
        ours={"normalize_observations": False},
        theirs={
            "learning_rate": 1e-3,
            "n_steps": 128,
            "batch_size": 128,
            "n_epochs": 10,
            "gamma": 0.99,
            "gae_lambda": 0.95,
            "clip_range": 0.2,
            "vf_coef": 0.5,
            "max_grad_norm": 0.5,
        },
    ),
    "sac": Pair(
        agent="sac",
        game="Pendulum-v1",
        steps=10_000,
        num_slots=4,
        units=(256, 256),
        ours={},
        theirs={
            "learning_rate": 1e-3,
            "buffer_size": 200_000,
            "learning_starts": 1_000,
            "batch_size": 256,
            "tau": 0.005,
            "gamma": 0.99,
            "train_freq": 1,
            "gradient_steps": -1,
        },
    ),
}


def main() -> None:
    """Measures what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        side, name, seed = asked.serve
        measured = (_train_ours if side == _OURS else _train_theirs)(PAIRS[name], int(seed))
        print(json.dumps(measured))
        return
    peer = environments.interpreter("sb3")
    if peer is None:
        raise SystemExit(environments.MISSING)
    kept = json.loads(_PATH.read_text(encoding="utf-8")) if _PATH.exists() else {}
    for seed in range(asked.rounds):
        for name in asked.pairs:
            sides = {_OURS: sys.executable, _THEIRS: str(peer)}
            for side in list(sides)[:: -1 if seed % 2 else 1]:
                if f"{name}-{side}-{seed}" not in kept:
                    load = os.getloadavg()[0]
                    kept[f"{name}-{side}-{seed}"] = {
                        **_run(sides[side], side, name, seed),
                        "load": load,
                    }
                    _PATH.parent.mkdir(parents=True, exist_ok=True)
                    _PATH.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(kept, indent=1) if asked.json else "\n".join(table(kept)))


def table(kept: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yields the lines of a Markdown table: medians, and the median of the rounds' ratios."""
    yield (
        "| agent, game, steps | wall: gamebridge, Stable-Baselines3 | ratio | "
        "CPU: gamebridge, Stable-Baselines3 | ratio | returns |"
    )
    yield "|---|---|---|---|---|---|"
    for name, pair in PAIRS.items():
        seeds = [seed for seed in range(100) if f"{name}-{_OURS}-{seed}" in kept]
        rounds = [
            (kept[f"{name}-{_OURS}-{seed}"], kept[f"{name}-{_THEIRS}-{seed}"])
            for seed in seeds
            if f"{name}-{_THEIRS}-{seed}" in kept
        ]
        if not rounds:
            continue
        cells = [f"{name}, {pair.game}, {pair.steps:,}"]
        for clock in ("wall_s", "cpu_s"):
            ours, theirs = ([side[clock] for side in sides] for sides in zip(*rounds, strict=True))
            ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
            cells += [f"{statistics.median(ours):.0f} s, {statistics.median(theirs):.0f} s"]
            cells += [f"{ratio:.2f}"]
        cells.append(
            "; ".join(
                ", ".join(f"{side['return']:.0f}" for side in sides)
                for sides in zip(*rounds, strict=True)
            )
        )
        yield f"| {' | '.join(cells)} |"


def _run(python: str, side: str, name: str, seed: int) -> dict[str, float]:
    command = [python, __file__, "--serve", side, name, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} with {name} ended with {done.returncode}: {done.stderr[-600:]}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}, {side}, seed {seed}: {measured}", file=sys.stderr, flush=True)
    return measured


def _train_ours(pair: Pair, seed: int) -> dict[str, float]:
    from gamebridge import api

    with tempfile.TemporaryDirectory() as folder:
        run = api.train(
            f"gym/{pair.game}",
            pair.agent,
            pair.steps,
            pathlib.Path(folder) / "run",
            num_slots=pair.num_slots,
            seed=seed,
            settings={
                "agent": {**pair.ours, "units": list(pair.units)},
                "training": {
                    "checkpoint_interval_steps": 2 * pair.steps,
                    "validation_episodes": 0,
                },
                "workers": {"count": 0},
            },
        )
        taken = clocks.since_start()
        return {**taken, "return": api.evaluate(run, _EPISODES).return_mean}


def _train_theirs(pair: Pair, seed: int) -> dict[str, float]:
    import stable_baselines3
    import torch
    from stable_baselines3.common import env_util, evaluation

    torch.set_num_threads(1)
    policy: dict[str, Any] = {"net_arch": list(pair.units)}
    if pair.agent == "ppo":
        policy["activation_fn"] = torch.nn.Tanh
    model = getattr(stable_baselines3, pair.agent.upper())(
        "MlpPolicy",
        env_util.make_vec_env(pair.game, pair.num_slots),
        policy_kwargs=policy,
        seed=seed,
        device="cpu",
        **pair.theirs,
    )
    model.learn(pair.steps)
    taken = clocks.since_start()
    mean, _ = evaluation.evaluate_policy(model, env_util.make_vec_env(pair.game, 1), _EPISODES)
    return {**taken, "return": float(mean)}


if __name__ == "__main__":
    main()
