"""`SavedEpisodes`: reads what `saving.Saver` wrote, without TensorFlow and without the game."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from gamebridge import errors
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.evaluation import episode_format
from gamebridge.workers import values


@dataclasses.dataclass(frozen=True)
class SavedEpisode:
    """One episode of T steps; its arrays are mapped from the file and cannot be written to.

    Attributes:
      number: its name in the folder.
      seed: the slot seed it was played with.
      ended: "terminated" or "truncated".
      observation: nest of arrays [T + 1, ...]; the last one is where the episode ended.
      action: nest of arrays [T, ...], what the game was told at each observation but the last.
      reward: float32 [T], what came after the action.
      discount: float32 [T], likewise; 0 where the game terminated.
      telemetry: arrays [T + 1] by name, what the game measured with each observation.
    """

    number: int
    seed: int
    ended: str
    observation: specs.Nest
    action: specs.Nest
    reward: Array
    discount: Array
    telemetry: dict[str, Array]


class SavedEpisodes:
    """The whole episodes of a folder; what a killed process left half written is not among them.

    Attributes:
      folder: where they are.
      observation_spec: of the game as it was played, wrappers included; no batch axis.
      action_spec: the game's own.
      telemetry_spec: what the game measured.
      origin: the game's id and settings, the wrappers' settings, who acted.
      numbers: names of the episodes, in order.
      lengths: int64 [len], T of each.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Reads the descriptions; the episodes themselves are mapped when they are asked for.

        Raises:
          ConfigError: no episodes were saved here by gamebridge.
          StorageError: none is whole, or a file is damaged.
        """
        self.folder = pathlib.Path(folder)
        path = self.folder / episode_format.METADATA
        if not path.is_file():
            raise errors.ConfigError(
                f"{self.folder} is no folder of saved episodes: it has no {path.name}. Name one "
                "that `gamebridge evaluate RUN --save-episodes FOLDER` made."
            )
        ours = _read_json(path).get("gamebridge")
        if not isinstance(ours, dict) or ours.get("format") != episode_format.FORMAT:
            raise errors.ConfigError(
                f"{path} is not of the format {episode_format.FORMAT} that this gamebridge reads. "
                "Save the episodes with `gamebridge evaluate RUN --save-episodes FOLDER`."
            )
        try:
            self.observation_spec = values.unpack_spec(ours.pop("observation_spec"))
            self.action_spec = values.unpack_spec(ours.pop("action_spec"))
            self.telemetry_spec = values.unpack_telemetry(ours.pop("telemetry_spec"))
        except (KeyError, TypeError, ValueError) as error:
            raise self._damage(path, f"{type(error).__name__}: {error}") from error
        self.origin: dict[str, Any] = ours
        self._facts = {
            int(found.name): _read_json(found / episode_format.METADATA)
            for found in self.folder.iterdir()
            if found.is_dir() and found.name.isdecimal()
        }
        self.numbers = tuple(sorted(self._facts))
        if not self.numbers:
            raise errors.StorageError(
                f"There is no whole episode in {self.folder}: whoever saved them was stopped "
                "before the first one ended. Remove the folder and save them again."
            )
        for number in self.numbers:
            self._check_size(number)
        self.lengths = np.asarray(
            [self._facts[number]["total_steps"] for number in self.numbers], np.int64
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> SavedEpisode:
        """Maps an episode into memory, by its place in `numbers`.

        Raises:
          StorageError: its file is damaged.
        """
        number = self.numbers[index]
        path, facts, length = self._data(number), self._facts[number], int(self.lengths[index])
        try:
            # The arrays keep the map, and the map the file.
            batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
            if len(batch) != length + 1:
                raise ValueError(f"it has {len(batch)} rows; expected {length + 1}")
            return SavedEpisode(
                number=number,
                seed=int(facts["seed"]),
                ended=str(facts["ended"]),
                observation=episode_format.from_arrow(self.observation_spec, batch["observations"]),
                action=specs.map_leaves(
                    lambda rows: rows[:-1],
                    episode_format.from_arrow(self.action_spec, batch["actions"]),
                ),
                reward=batch["rewards"].to_numpy()[:-1],
                discount=batch["discounts"].to_numpy()[:-1],
                telemetry={
                    # A bool is a bit there.
                    name: batch["infos"].field(name).to_numpy(zero_copy_only=False)
                    for name in self.telemetry_spec
                },
            )
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise self._damage(path, str(error)) from error

    @property
    def fingerprint(self) -> int:
        """A number of 62 bits that changes with any of the episodes."""
        sums = [[number, self._facts[number].get("sha256")] for number in self.numbers]
        return int(hashlib.sha256(json.dumps(sums).encode()).hexdigest(), 16) % 2**62

    def check(self) -> None:
        """Reads all episodes and compares them with their checksums.

        Raises:
          StorageError: one has changed since it was saved.
        """
        for number in self.numbers:
            path = self._data(number)
            try:
                found = episode_format.digest(path)
            except (OSError, ValueError) as error:
                raise self._damage(path, str(error)) from error
            if found != self._facts[number].get("sha256"):
                raise self._damage(path, "it has changed since it was saved")

    def _check_size(self, number: int) -> None:
        path, facts = self._data(number), self._facts[number]
        missing = {"total_steps", "seed", "ended", "bytes"} - set(facts)
        if missing:
            raise self._damage(path.with_name(episode_format.METADATA), f"no {min(missing)}")
        try:
            size = path.stat().st_size
        except OSError as error:
            raise self._damage(path, str(error.strerror)) from error
        if size != facts["bytes"]:
            raise self._damage(path, f"it has {size:,} bytes instead of {facts['bytes']:,}")

    def _data(self, number: int) -> pathlib.Path:
        return self.folder / str(number) / episode_format.DATA

    def _damage(self, path: pathlib.Path, why: str) -> errors.StorageError:
        return errors.StorageError(
            f"{path} is damaged: {why.splitlines()[0] if why else 'it cannot be read'}. Restore it "
            f"from a copy, or remove the episode's folder to go without it."
        )


def _read_json(path: pathlib.Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise errors.StorageError(
            f"{path} is damaged: {str(error).splitlines()[0]}. Restore it from a copy, or remove "
            "the folder it is in."
        ) from error
    if not isinstance(found, dict):
        raise errors.StorageError(
            f"{path} is damaged: it holds no table. Restore it from a copy, or remove the folder "
            "it is in."
        )
    return found
