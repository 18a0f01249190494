"""`Ledger`: the player's own log of every transition, one JSON object a line.

    {"reset": n}                                    the trainer's n-th reset, from 1
    {"message": m, "behavior": name, "infos": [[id, done, interrupted, reward, group,
        group_reward, seen, forbidden], ...]}       what agents said in the m-th message, from 1
    {"message": m, "behavior": name, "actions": [[id, continuous, discrete], ...]}
                                                    the answer to the m-th message

`seen` has an entry each observation, in the order of their names: the numbers themselves
where there are up to 32, else the CRC-32 of the array's bytes as the scene wrote it (uint8 or
float32, [height, width, channels]). `forbidden` is a text of 0 and 1, one each choice.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

from gamebridge_unity.player.agents import Agents, Array, Said

MOST_NUMBERS = 32


def summary(values: Array) -> Any:
    """Returns what the ledger keeps of one observation of one agent."""
    if values.size <= MOST_NUMBERS:
        return values.ravel().tolist()
    return zlib.crc32(np.ascontiguousarray(values).tobytes())


class Ledger:
    """Writes what passes as it passes; a player that is killed leaves all but its last lines."""

    def __init__(self, path: str) -> None:
        """Opens the file anew."""
        self._file = open(path, "w", encoding="utf-8")  # noqa: SIM115 - closed by `close`
        self._num_resets = self._num_messages = 0

    def reset(self) -> None:
        """The trainer reset the scene."""
        self._num_resets += 1
        self._write({"reset": self._num_resets})

    def sends(self) -> None:
        """What is said next goes in another message."""
        self._num_messages += 1

    def said(self, spoke: Agents, said: Said) -> None:
        """Agents' infos go to the trainer."""
        numbers, order = said.numbers, sorted(spoke.observations)
        rows = [
            [
                int(numbers.ids[row]),
                int(numbers.done[row]),
                int(numbers.interrupted[row]),
                float(numbers.rewards[row]),
                int(numbers.groups[row]),
                float(numbers.group_rewards[row]),
                [summary(said.observations[name][row]) for name in order],
                "".join("01"[not allowed] for allowed in numbers.allowed[row]),
            ]
            for row in range(len(said.rows))
        ]
        self._write({"message": self._num_messages, "behavior": spoke.behavior.name, "infos": rows})

    def acted(self, acting: Agents, rows: Array) -> None:
        """Actions came."""
        taken = [
            [int(acting.ids[row]), acting.continuous[row].tolist(), acting.discrete[row].tolist()]
            for row in rows
        ]
        self._write({
            "message": self._num_messages, "behavior": acting.behavior.name, "actions": taken
        })  # fmt: skip

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")
