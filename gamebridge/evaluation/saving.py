"""`Saver`: writes the episodes that are played into a folder, each whole or not there at all.

What a game says goes from step to step into plain files, one a column and slot, and when an
episode ends from there into its own folder, mapped into memory: an episode may be longer
than memory. That folder gets its name when it is on the disk.

The game is tapped below what joins agent and game, so that the actions are those that the
game itself was told, whoever acts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from gamebridge import errors, files
from gamebridge.contract import game as games
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.evaluation import episode_format
from gamebridge.workers import values

if TYPE_CHECKING:
    from typing_extensions import Self

    from gamebridge.evaluation.rollout import Moment

_SCALAR = specs.box(())
# What comes after an observation: the last one has none of it.
_DONE = ("actions", "rewards", "discounts")


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where saved episodes come from.

    Attributes:
      game: the game's id.
      settings: of the game.
      wrappers: settings of the wrappers that the game was played through.
      agent: the agent's id, or what else acted.
      checkpoint_step: steps that the agent had been trained for.
    """

    game: str
    settings: Mapping[str, Any]
    wrappers: Mapping[str, Any]
    agent: str
    checkpoint_step: int = 0


class Saver:
    """A watcher for `rollout.play`, and the game to be played. A context manager.

    Attributes:
      game: what is to be played in place of the game given.
      num_saved: how many episodes are whole in the folder.
    """

    def __init__(
        self, game: games.Game, folder: pathlib.Path, seeds: Sequence[int], origin: Origin
    ) -> None:
        """Names a folder; nothing is written yet.

        Args:
          game: as it is before an agent is joined to it.
          folder: made if need be.
          seeds: of the episodes, as `rollout.play` is given them.
          origin: kept beside the episodes.
        """
        self._folder = folder
        self._seeds = seeds
        self._origin = origin
        self._specs = {
            "observations": game.observation_spec(),
            "actions": game.action_spec(),
            "rewards": _SCALAR,
            "discounts": _SCALAR,
            "infos": {
                name: specs.ArraySpec((), np.dtype(spec.dtype), name=name)
                for name, spec in game.telemetry_spec().items()
            },
        }
        self._telemetry_spec = game.telemetry_spec()
        self._spools: list[_Spool] = []
        self._steps: dict[int, int] = {}
        self.game: games.Game = _Tap(game, self._spools)

    @property
    def num_saved(self) -> int:
        """See the class."""
        return len(self._steps)

    def __call__(self, moment: Moment) -> None:
        """Saves the episode that ended with this step, if one did.

        Raises:
          StorageError: the disk refused; what was saved before is intact.
        """
        if not moment.ended:
            return
        spool = self._spools[moment.slot]
        facts = {
            "id": moment.episode,
            "total_steps": moment.step,
            "seed": int(self._seeds[moment.episode]),
            "return": moment.episode_return,
            "ended": moment.ended,
        }
        with self._guarded():
            self._write(self._batch(spool.end(), spool.num_rows, moment.ended), facts)
        self._steps[moment.episode] = moment.step

    def __enter__(self) -> Self:
        """Makes the folder.

        Raises:
          ConfigError: something is there already.
          StorageError: it cannot be made.
        """
        refuse_taken(self._folder)
        try:
            with self._guarded():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._describe()
                for slot in range(self.game.num_slots):
                    self._spools.append(_Spool(self._folder / f".tmp-slot-{slot}", self._specs))
        except errors.StorageError:
            self._sweep()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        """Removes what was begun and is not whole, and says how many episodes there are."""
        self._sweep()
        if kind is None:
            with self._guarded():
                self._describe()
        else:
            # Only Minari looks at that number, and something worse is on its way.
            with contextlib.suppress(OSError):
                self._describe()

    def _sweep(self) -> None:
        for spool in self._spools:
            spool.close()
        for path in self._folder.glob(".tmp-*"):
            shutil.rmtree(path, ignore_errors=True)

    def _batch(self, columns: Mapping[str, Any], num_rows: int, ended: str) -> pa.RecordBatch:
        arrays = {
            name: episode_format.to_arrow(self._specs[name], columns[name])
            for name in ("observations", "actions")
        }
        for name in ("rewards", "discounts"):
            arrays[name] = pa.array(columns[name])
        for name, how in (("terminations", "terminated"), ("truncations", "truncated")):
            flags = np.zeros(num_rows, np.bool_)
            # Of the last step; the row after it is that of the last observation.
            flags[-2] = ended == how
            arrays[name] = pa.array(flags)
        telemetry = columns["infos"]
        if telemetry:
            arrays["infos"] = pa.StructArray.from_arrays(
                [pa.array(rows) for rows in telemetry.values()], list(telemetry)
            )
        return pa.RecordBatch.from_pydict(arrays)

    def _write(self, batch: pa.RecordBatch, facts: dict[str, Any]) -> None:
        number = facts["id"]
        temporary = self._folder / f".tmp-{number}"
        temporary.mkdir()
        data = temporary / episode_format.DATA
        with open(data, "wb") as file:
            with pa.ipc.new_file(file, batch.schema) as writer:
                writer.write_batch(batch)
            file.flush()
            os.fsync(file.fileno())
        facts |= {"bytes": data.stat().st_size, "sha256": episode_format.digest(data)}
        files.write_text(temporary / episode_format.METADATA, json.dumps(facts))
        os.rename(temporary, self._folder / str(number))
        files.sync(self._folder)

    def _describe(self) -> None:
        """Writes the folder's own metadata.json."""
        # Minari counts from 0 up: what lies beyond a gap is not there for it.
        whole = 0
        while whole in self._steps:
            whole += 1
        origin = self._origin
        name = re.sub(r"[^\w]+", "-", f"{origin.game.partition('/')[2]}-{origin.agent}").strip("-")
        facts = {
            "total_episodes": whole,
            "total_steps": sum(self._steps[number] for number in range(whole)),
            "data_format": "arrow",
            "jpeg_encoding": False,
            "observation_space": json.dumps(episode_format.to_space(self._specs["observations"])),
            "action_space": json.dumps(episode_format.to_space(self._specs["actions"])),
            "dataset_id": f"gamebridge/{name}-v0",
            "minari_version": episode_format.MINARI_VERSION,
            "gamebridge": {
                "format": episode_format.FORMAT,
                **dataclasses.asdict(origin),
                "observation_spec": values.pack_spec(self._specs["observations"]),
                "action_spec": values.pack_spec(self._specs["actions"]),
                "telemetry_spec": values.pack_telemetry(self._telemetry_spec),
            },
        }
        files.write_text(self._folder / episode_format.METADATA, json.dumps(facts))

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _storage_error(self._folder, error, self.num_saved) from error


class _Tap(games.Wrapper):
    """Changes nothing and writes what each slot says and is told into its spool."""

    def __init__(self, game: games.Game, spools: list[_Spool]) -> None:
        super().__init__(game)
        self._spools = spools
        self._everyone = np.ones(game.num_slots, np.bool_)
        # Slots that said something and were not told an action since.
        self._is_due = np.zeros(game.num_slots, np.bool_)
        self._action = specs.zeros(game.action_spec(), game.num_slots)

    @property
    def can_keep_rows(self) -> bool:
        return self.game.can_keep_rows

    def reset(self, seeds: Array | None = None, slots: Array | None = None) -> games.TimeStep:
        time_step = self.game.reset(seeds, slots)
        named = self._everyone if slots is None else slots
        self._is_due[named] = False
        self._note(time_step, named)
        return time_step

    def step(self, action: specs.Nest, active: Array | None = None) -> games.TimeStep:
        advanced = self._everyone if active is None else active
        due = self._is_due & advanced

        def keep(ours: Array, theirs: Array) -> None:
            ours[due] = np.asarray(theirs)[due]

        specs.map_leaves(keep, self._action, action)
        self._is_due[due] = False
        time_step = self.game.step(action, active)
        self._note(time_step, advanced)
        return time_step

    def _note(self, time_step: games.TimeStep, advanced: Array) -> None:
        heard = time_step.valid & advanced
        telemetry = self.game.telemetry()
        for slot in np.flatnonzero(heard).tolist():
            spool = self._spools[slot]
            if time_step.step_type[slot] == games.FIRST:
                spool.begin()
            elif spool.is_running:
                spool.add("actions", _row(self._action, slot))
                spool.add("rewards", time_step.reward[slot])
                spool.add("discounts", time_step.discount[slot])
            if spool.is_running:
                spool.add("observations", _row(time_step.observation, slot))
                spool.add("infos", _row(telemetry, slot))
                spool.num_rows += 1
        self._is_due |= heard


class _Spool:
    """One slot's episode, as far as it went: a file of plain values a column.

    Attributes:
      is_running: whether an episode has begun and not been saved.
      num_rows: how many observations it has.
    """

    def __init__(self, folder: pathlib.Path, columns: Mapping[str, specs.Spec]) -> None:
        self.is_running = False
        self.num_rows = 0
        self._specs = columns
        folder.mkdir()
        self._files: dict[str, list[tuple[specs.ArraySpec, BinaryIO]]] = {}
        for name, spec in columns.items():
            self._files[name] = [
                (leaf, open(folder / f"{name}-{index}", "w+b"))  # noqa: SIM115 - see close
                for index, leaf in enumerate(specs.leaves(spec))
            ]

    def begin(self) -> None:
        """Starts an episode in place of the one before."""
        for parts in self._files.values():
            for _, file in parts:
                file.seek(0)
                file.truncate()
        self.is_running, self.num_rows = True, 0

    def add(self, name: str, nest: specs.Nest) -> None:
        """Appends one row to a column."""
        for (leaf, file), row in zip(self._files[name], specs.leaves(nest), strict=True):
            file.write(np.ascontiguousarray(row, leaf.dtype).tobytes())

    def end(self) -> dict[str, specs.Nest]:
        """Ends the episode; returns nests of arrays [T + 1, ...] until the next one begins."""
        self.is_running = False
        nests = {}
        for name, spec in self._specs.items():
            rows = []
            for leaf, file in self._files[name]:
                if name in _DONE:
                    # Nothing was done any more at the last observation.
                    file.write(np.zeros(leaf.shape, leaf.dtype).tobytes())
                file.flush()
                shape = (self.num_rows, *leaf.shape)
                # Nothing cannot be mapped.
                rows.append(
                    np.memmap(file, leaf.dtype, "r", shape=shape)
                    if np.prod(shape)
                    else np.zeros(shape, leaf.dtype)
                )
            columns = iter(rows)
            nests[name] = specs.map_leaves(lambda _, found=columns: next(found), spec)
        return nests

    def close(self) -> None:
        """Closes the files."""
        for parts in self._files.values():
            for _, file in parts:
                # What a full disk did not take is thrown away anyway.
                with contextlib.suppress(OSError):
                    file.close()


def refuse_taken(folder: pathlib.Path) -> None:
    """Refuses a folder for episodes in which something is.

    Raises:
      ConfigError: something is there.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise errors.ConfigError(
            f"{folder} is there already and not an empty folder. Name another one for the "
            "episodes, or remove it."
        )


def _row(nest: specs.Nest, slot: int) -> specs.Nest:
    return specs.map_leaves(lambda leaf: leaf[slot], nest)


def _storage_error(folder: pathlib.Path, error: OSError, num_saved: int) -> errors.StorageError:
    free = ""
    with contextlib.suppress(OSError):
        free = f"; {files.free_mib(folder):,.0f} MiB are free there"
    return errors.StorageError(
        f"Cannot save an episode in {folder}: {error.strerror or error}{free}. {num_saved} whole "
        "episodes are there and can be learned from. Free some space, or name another folder."
    )
