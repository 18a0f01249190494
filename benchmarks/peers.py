"""One peer that plays rounds, without TensorFlow and without gamebridge.

It runs in the peer's own environment, so it knows numpy and the peer only. All play the
same actions, drawn before the clock runs. Each peer's own way of bringing Pong to grey
84x84x4 is taken, with max-pooling of two frames, which all of them do; nothing that costs
time without being asked for: no monitor, no environment checker, no random start.

    python benchmarks/peers.py PEER GAME
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from typing import Any

import games
import numpy as np
import rounds

NUM_THREADS = 2


def main() -> None:
    """Serves the rounds of the peer named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=_PEERS)
    parser.add_argument("game", choices=games.GAMES)
    arguments = parser.parse_args()
    game = games.GAMES[arguments.game]
    step = _PEERS[arguments.peer](arguments.game)
    rounds.serve(repeat(step, draw(game.num_actions, game.num_slots)))


def draw(num_actions: int, num_slots: int) -> Any:
    """The actions of some batches: int64 [batches, num_slots]."""
    return np.random.default_rng(0).integers(num_actions, size=(1024, num_slots))


def repeat(step: Callable[[Any], object], actions: Any) -> Callable[[int], int]:
    """What plays a round: calls `step` with one batch of actions after the other."""
    batches = list(actions)
    num_slots = len(batches[0])

    def run(count: int) -> int:
        for number in range(count):
            step(batches[number % len(batches)])
        return count * num_slots

    return run


def make_envpool(game_id: str) -> Any:
    """EnvPool's games, with its own preprocessing in C++."""
    import envpool

    num_slots = games.GAMES[game_id].num_slots
    kwargs: dict[str, Any] = {}
    name = "CartPole-v1"
    if game_id.startswith("pong"):
        name = "Pong-v5"
        # As the environments of ALE have it.
        kwargs["repeat_action_probability"] = 0.25
    if game_id == "pong":
        kwargs |= {"img_height": 210, "img_width": 160, "gray_scale": False}
        kwargs |= {"stack_num": 1, "frame_skip": 1}
    elif game_id == "pong-84":
        kwargs |= {"img_height": 84, "img_width": 84, "gray_scale": True}
        kwargs |= {"stack_num": 4, "frame_skip": 4}
    threads = min(NUM_THREADS, num_slots)
    return envpool.make(
        name, env_type="gymnasium", num_envs=num_slots, num_threads=threads, **kwargs
    )


def make_single(game_id: str) -> Any:
    """One environment of gymnasium, at its leanest."""
    import gymnasium

    if game_id.startswith("cartpole"):
        return gymnasium.make("CartPole-v1", disable_env_checker=True)
    import ale_py

    gymnasium.register_envs(ale_py)
    if game_id == "pong":
        return gymnasium.make("ALE/Pong-v5", frameskip=1, disable_env_checker=True)
    # Its wrapper fetches the grey screen itself and ignores what the steps return, which
    # costs least if it is grey too.
    kwargs = {"frameskip": 1, "obs_type": "grayscale", "disable_env_checker": True}
    environment = gymnasium.make("ALE/Pong-v5", **kwargs)
    preprocessed = gymnasium.wrappers.AtariPreprocessing(environment, noop_max=0, frame_skip=4)
    return gymnasium.wrappers.FrameStackObservation(preprocessed, 4)


def loop(environments: Sequence[Any]) -> Callable[[Any], object]:
    """Steps one after the other; after the end of an episode a step resets, as ours does."""
    for environment in environments:
        environment.reset()
    ended = [False] * len(environments)

    def step(action: Any) -> None:
        for slot, (environment, one) in enumerate(zip(environments, action.tolist(), strict=True)):
            if ended[slot]:
                environment.reset()
                ended[slot] = False
            else:
                _, _, terminated, truncated, _ = environment.step(one)
                ended[slot] = terminated or truncated

    return step


def _raw(game_id: str) -> Callable[[Any], object]:
    return loop([make_single(game_id) for _ in range(games.GAMES[game_id].num_slots)])


def _raw_legacy(game_id: str) -> Callable[[Any], object]:
    import legacy

    return legacy.loop(games.GAMES[game_id].num_slots)


def _gymnasium_sync(game_id: str) -> Callable[[Any], object]:
    import gymnasium

    makers = [functools.partial(make_single, game_id)] * games.GAMES[game_id].num_slots
    environment = gymnasium.vector.SyncVectorEnv(makers)
    environment.reset()
    return environment.step


def _gymnasium_async(game_id: str) -> Callable[[Any], object]:
    import gymnasium

    makers = [functools.partial(make_single, game_id)] * games.GAMES[game_id].num_slots
    environment = gymnasium.vector.AsyncVectorEnv(makers, shared_memory=True)
    environment.reset()
    return environment.step


def _ale_vector(game_id: str) -> Callable[[Any], object]:
    import ale_py
    import gymnasium

    gymnasium.register_envs(ale_py)
    kwargs: dict[str, Any] = {"repeat_action_probability": 0.25}
    if game_id == "pong":
        kwargs |= {"img_height": 210, "img_width": 160, "grayscale": False}
        kwargs |= {"stack_num": 1, "frameskip": 1, "maxpool": False}
    num_slots = games.GAMES[game_id].num_slots
    environment = gymnasium.make_vec(
        "ALE/Pong-v5", num_slots, num_threads=NUM_THREADS, noop_max=0, **kwargs
    )
    environment.reset()
    return environment.step


def _make_sb3_single(game_id: str) -> Any:
    if game_id != "pong-84":
        return make_single(game_id)
    from stable_baselines3.common import atari_wrappers

    return atari_wrappers.AtariWrapper(
        make_single("pong"), noop_max=0, terminal_on_life_loss=False, clip_reward=False
    )


def _sb3(class_name: str, game_id: str) -> Callable[[Any], object]:
    from stable_baselines3.common import vec_env

    makers = [functools.partial(_make_sb3_single, game_id)] * games.GAMES[game_id].num_slots
    environment = getattr(vec_env, class_name)(makers)
    if game_id == "pong-84":
        environment = vec_env.VecFrameStack(environment, 4)
    environment.reset()
    return environment.step


def _envpool(game_id: str) -> Callable[[Any], object]:
    environment = make_envpool(game_id)
    environment.reset()
    return lambda action: environment.step(action.astype(np.int32))


_PEERS: dict[str, Callable[[str], Callable[[Any], object]]] = {
    "raw": _raw,
    "raw-legacy": _raw_legacy,
    "gymnasium-sync": _gymnasium_sync,
    "gymnasium-async": _gymnasium_async,
    "ale-vector": _ale_vector,
    "sb3-dummy": functools.partial(_sb3, "DummyVecEnv"),
    "sb3-subproc": functools.partial(_sb3, "SubprocVecEnv"),
    "envpool": _envpool,
}


if __name__ == "__main__":
    main()
