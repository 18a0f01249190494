"""The program of a worker process: makes some slots of a game and plays them on command.

It talks first over the channel (who it is, the game to make, the specs, the layout), then
by two semaphores and shared memory alone. It ends with its pool: the kernel kills it when
the thread that started it is gone, even if it is stopped or hangs in native code.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib.util
import io
import os
import signal
import socket
import sys
import traceback
from typing import Any

import numpy as np

from gamebridge import contract, errors
from gamebridge.contract import specs
from gamebridge.workers import channel as channels
from gamebridge.workers import layout as layouts
from gamebridge.workers import values

_PR_SET_PDEATHSIG = 1


def main(channel_fd: int, memory_fd: int, parent: int) -> None:
    """Serves one pool until it is told to end.

    Args:
      channel_fd: one end of the socket pair.
      memory_fd: the shared memory; it gets its size before it is needed.
      parent: the process id of the pool's process.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return  # it died before the line above
    # What a game wrote before it crashed is to be seen, and where it was then.
    faulthandler.enable()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    channel = channels.Channel(socket.socket(fileno=channel_fd))
    with contextlib.suppress(channels.Closed):  # the pool gave up on us
        _serve(channel, memory_fd)


def report(error: BaseException) -> dict[str, str]:
    """Returns what a pool needs to know of an exception."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    kind = type(error)
    try:
        message = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - what the game raises need not be printable
        message = "(its text cannot be had)"
    is_ours = isinstance(error, errors.Error) and getattr(errors, kind.__name__, None) is kind
    return {
        "ours": kind.__name__ if is_ours and kind is not errors.Stopped else "",
        "kind": kind.__name__,
        "message": message[:2_000],
        # Sent over a socket before the pool listens: it has to fit its buffer.
        "traceback": text[-20_000:],
    }


def _serve(channel: channels.Channel, memory_fd: int) -> None:
    channel.send(
        {
            "python": ".".join(map(str, sys.version_info[:3])),
            "numpy": np.__version__,
            "has_cv2": importlib.util.find_spec("cv2") is not None,
        }
    )
    wanted, _ = channel.receive()
    try:
        game = _make(wanted)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the game is foreign; it is reported
        channel.send({"failed": report(error)})
        return
    if "cv2" in sys.modules:
        # One thread a worker is what the workers are there for.
        sys.modules["cv2"].setNumThreads(1)
    channel.send(
        {
            "observation": values.pack_spec(game.observation_spec()),
            "action": values.pack_spec(game.action_spec()),
            "telemetry": values.pack_telemetry(game.telemetry_spec()),
            "steps_per_s": game.steps_per_s,
            "can_hold": game.can_hold,
        }
    )
    place, _ = channel.receive()
    layout = layouts.Layout(
        game.observation_spec(),
        game.action_spec(),
        game.telemetry_spec(),
        place["num_slots"],
        place["num_workers"],
    )
    layout.map(memory_fd)
    os.close(memory_fd)
    _count_from(game, place["start"])
    if place["core"] is not None:
        os.sched_setaffinity(0, {place["core"]})
    control = layout.controls[place["index"]]
    if place["is_asynchronous"]:
        control = control._replace(done=layout.any_done)
    desk = _Desk(game, layout, place["start"], is_asynchronous=place["is_asynchronous"])
    channel.send("ready")
    with game:
        _play(game, desk, control, channel)


def _make(wanted: dict[str, Any]) -> contract.Game:
    from gamebridge import assembly

    origin = values.unpack(wanted["origin"])
    return assembly.assemble(
        origin.record(),
        num_slots=wanted["num_slots"],
        settings=values.unpack(wanted["settings"]),
        wrappers=values.unpack(wanted["wrappers"]),
        picture=wanted["picture"],
        game_id=wanted["name"],
        supervision=values.unpack(wanted["supervision"]),
    )


def _count_from(game: contract.Game, first_slot: int) -> None:
    """Makes messages call the slots as the pool does."""
    game.first_slot = first_slot
    while isinstance(game, contract.Wrapper):
        game = game.game
        game.first_slot = first_slot


class _Desk:
    """This worker's part of the pool's arrays."""

    def __init__(
        self, game: contract.Game, layout: layouts.Layout, start: int, *, is_asynchronous: bool
    ) -> None:
        mine = slice(start, start + game.num_slots)

        def cut(nest: Any) -> Any:
            return specs.map_leaves(lambda array: array[mine], nest)

        self.action = cut(layout.action)
        self.active = layout.active[mine]
        self.resets = layout.resets[mine]
        self.seeds = layout.seeds[mine]
        self._game = game
        self._all_mid = np.full(game.num_slots, contract.MID, np.int32).tobytes()
        self._all_true = np.ones(game.num_slots, np.bool_).tobytes()
        self._is_running = np.zeros(game.num_slots, np.bool_)
        self._sets = []
        # Not in asynchronous pools, which write into rows that are not the newest.
        self._lends = not is_asynchronous
        self._nests = []
        for rows in layout.sets:
            nest = cut(rows.time_step.observation)
            self._nests.append(nest)
            observation = specs.leaves(nest)
            heads = [array[mine] for array in (*rows.time_step[:3], rows.time_step.valid)]
            telemetry = {name: array[mine] for name, array in rows.telemetry.items()}
            self._sets.append((heads, observation, telemetry, rows.is_running[mine]))
        self._is_nested = not isinstance(game.observation_spec(), specs.ArraySpec)

    def lend(self, index: int) -> None:
        """Lets the game write into one set of rows, if it can."""
        self._lends = self._lends and self._game.lend(self._nests[index])

    def write(self, index: int, time_step: contract.TimeStep) -> None:
        """Copies what the game says into one set of rows, but for what it wrote there itself."""
        heads, rows, telemetry, is_running = self._sets[index]
        step_type, reward, discount, observation, valid = time_step
        if self._is_nested:
            leaves = specs.leaves(observation)
            for target, source in zip(rows, leaves):  # noqa: B905 - Python 3.8 has no `strict`
                if source is not target:
                    target[...] = source
        elif observation is not rows[0]:
            rows[0][...] = observation
        types, rewards, discounts, valids = heads
        types[...] = step_type
        rewards[...] = reward
        discounts[...] = discount
        valids[...] = valid
        if step_type.tobytes() != self._all_mid or valid.tobytes() != self._all_true:
            np.copyto(self._is_running, step_type != contract.LAST, where=valid)
        else:
            self._is_running[...] = True
        is_running[...] = self._is_running
        if telemetry:
            values_now = self._game.telemetry()
            for name, target in telemetry.items():
                target[...] = values_now[name]


def _play(
    game: contract.Game, desk: _Desk, control: layouts.Control, channel: channels.Channel
) -> None:
    words, go, done = control
    step, lend, write, action = game.step, desk.lend, desk.write, desk.action
    wait, post, carried_out = go.wait, done.post, 0
    while True:
        wait()
        order = words[layouts.ORDER]
        if order == carried_out:
            continue  # a wake-up too many
        carried_out = order
        command = order & layouts.COMMANDS
        index = order >> layouts.SET_SHIFT & layouts.SETS
        if command == layouts.CLOSE:
            return
        try:
            if command == layouts.RENDER:
                _render(game, words[layouts.SLOT], order, channel)
            else:
                lend(index)
                write(
                    index, step(action) if command == layouts.STEP else _some(game, desk, command)
                )
            words[layouts.ANSWER] = order
        except (Exception, SystemExit) as error:  # noqa: BLE001 - reported to the pool
            channel.send({"failed": report(error)})
            words[layouts.ANSWER] = -order
        post()


def _some(game: contract.Game, desk: _Desk, command: int) -> contract.TimeStep:
    if command & layouts.RESET:
        seeds = desk.seeds if command & layouts.SEEDED else None
        time_step = game.reset(seeds, desk.resets)
    if command & layouts.STEP:
        time_step = game.step(desk.action, desk.active)
    return time_step


def _render(game: contract.Game, slot: int, order: int, channel: channels.Channel) -> None:
    picture = game.render(slot)
    if picture is None:
        channel.send([order, None])
    else:
        channel.send([order, list(picture.shape)], picture.tobytes())
