"""Steps a second of 8 games without TensorFlow: ours beside the vector environments of others.

All play the same random actions, each in a process of its own and in an environment of its
own, those of `benchmarks/environments.py`. A step after the end of an episode starts the
next one, in ours, in gymnasium and in EnvPool; SB3 starts it within the last step.

The CartPole of legacy gym steps in less than half the time of gymnasium's. It stands below
as we play it, beside its own raw loop; the others play gymnasium's, EnvPool one in C++.

    python benchmarks/vector.py [--games pong] [--rounds 9] [--json]
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

import environments
import games
import ours
import peers
import rounds

# Rows of ours: variant of the game, workers, guard.
_HERE = "gamebridge, in this process"
_UNGUARDED = "gamebridge, in this process, guard off"
_WORKERS = "gamebridge, 2 workers"
_WRAPPED = "gamebridge, 2 workers, by wrappers alone"
_LEGACY = "gamebridge, legacy gym's game"
_LEGACY_UNGUARDED = "gamebridge, legacy gym's game, guard off"
_OURS = {
    _HERE: ("", 0, "refuse"),
    _UNGUARDED: ("", 0, "off"),
    _WORKERS: ("", 2, "refuse"),
    _WRAPPED: ("+wrapped", 2, "refuse"),
    _LEGACY: ("+legacy", 0, "refuse"),
    _LEGACY_UNGUARDED: ("+legacy", 0, "off"),
}
# Rows of others: peer, environment; None is the project's own.
_RAW = "gymnasium, raw loop"
_RAW_LEGACY = "legacy gym, raw loop"
_SYNC = "gymnasium SyncVectorEnv"
_ASYNC = "gymnasium AsyncVectorEnv, shared memory"
_DUMMY = "SB3 DummyVecEnv"
_SUBPROC = "SB3 SubprocVecEnv"
_ENVPOOL = "EnvPool, 2 threads (C++)"
_ALE = "ale-py AtariVectorEnv, 2 threads (C++)"
_PEERS = {
    _RAW: ("raw", None),
    _RAW_LEGACY: ("raw-legacy", None),
    _SYNC: ("gymnasium-sync", "gymnasium"),
    _ASYNC: ("gymnasium-async", "gymnasium"),
    _DUMMY: ("sb3-dummy", "sb3"),
    _SUBPROC: ("sb3-subproc", "sb3"),
    _ENVPOOL: ("envpool", "envpool"),
    _ALE: ("ale-vector", "gymnasium"),
}
_VECTORS = (_RAW, _SYNC, _ASYNC, _DUMMY, _SUBPROC, _ENVPOOL)
_ROWS = {
    "cartpole": (
        *(_HERE, _UNGUARDED, _WORKERS, *_VECTORS),
        *(_LEGACY, _LEGACY_UNGUARDED, _RAW_LEGACY),
    ),
    "pong": (_WORKERS, _HERE, *_VECTORS, _ALE),
    "pong-84": (_WORKERS, _WRAPPED, _HERE, *_VECTORS, _ALE),
}
_TARGETS = {
    "cartpole": (
        rounds.Target("a", _HERE, (_RAW,), 0.6),
        rounds.Target("a", _UNGUARDED, (_RAW,), 0.8),
        rounds.Target("a", _LEGACY, (_RAW_LEGACY,), 0.6),
        rounds.Target("a", _LEGACY_UNGUARDED, (_RAW_LEGACY,), 0.8),
        rounds.Target("a", _HERE, (_SYNC,), 1.7),
        rounds.Target("a", _HERE, (_ENVPOOL,), 2.0),
        rounds.Target("a", _HERE, (_ASYNC, _SUBPROC), 12.0),
    ),
    "pong": (
        rounds.Target("b", _WORKERS, (_ENVPOOL,), 1.1),
        rounds.Target("b", _WORKERS, (_ASYNC, _SUBPROC), 1.8),
    ),
    "pong-84": tuple(
        rounds.Target("c", _WORKERS, others, at_least)
        for others, at_least in (((_ENVPOOL,), 0.95), ((_ASYNC, _SUBPROC), 1.8))
    ),
}


def main() -> None:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", nargs="+", choices=_ROWS, default=list(_ROWS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=rounds.ROUND_S, help="of a round")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        _serve(*chosen.serve)
        return
    load = os.getloadavg()[0]
    tables = {
        games.GAMES[game_id].title: rounds.measure(
            [_arrangement(name, game_id) for name in _ROWS[game_id]],
            chosen.rounds,
            chosen.seconds,
        )
        for game_id in chosen.games
    }
    targets = {games.GAMES[game_id].title: _TARGETS[game_id] for game_id in chosen.games}
    rounds.report(tables, targets, load=load, as_json=chosen.json)


def _arrangement(name: str, game_id: str) -> rounds.Arrangement:
    if name in _PEERS:
        return peer_arrangement(name, *_PEERS[name], game_id)
    variant, workers, guard = _OURS[name]
    command = (sys.executable, __file__, "--serve", game_id + variant, str(workers), guard)
    return rounds.Arrangement(name, command)


def peer_arrangement(
    name: str, peer: str, environment: str | None, game_id: str
) -> rounds.Arrangement:
    """The row of a peer that needs no TensorFlow, in its environment; None is this one."""
    python = sys.executable if environment is None else environments.interpreter(environment)
    script = pathlib.Path(__file__).with_name("peers.py")
    why_not = "" if python else environments.MISSING
    return rounds.Arrangement(name, (str(python), str(script), peer, game_id), why_not)


def _serve(game_id: str, workers: str, guard: str) -> None:
    import gamebridge

    game = gamebridge.make_game(**ours.arguments(game_id, workers=int(workers), guard=guard))
    game.reset()
    try:
        played = games.GAMES[game_id.partition("+")[0]]
        actions = peers.draw(played.num_actions, played.num_slots)
        rounds.serve(peers.repeat(game.step, actions))
    finally:
        game.close()


if __name__ == "__main__":
    main()
