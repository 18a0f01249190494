"""`Run`: a run folder and what stands in it.

run.toml        everything needed to repeat the run
checkpoints/    the newest ones       best/      the one that validated best
replay/         the replay buffer     metrics.jsonl, tensorboard/, train.log
evaluation/     what `evaluate` wrote, and curve.jsonl, a line for each validation
lock            held while a trainer works here
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import os
import pathlib
import re
import shlex
import socket
from collections.abc import Iterator
from typing import Any

from gamebridge import config, errors, files

_SETTINGS = "run.toml"


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """The table [run] of run.toml or a settings file.

    Attributes:
      game: a game's id.
      agent: an agent's id.
      steps: how many steps to train, all slots together.
      seed: fixes games, networks, exploration and replay.
      num_slots: how many slots step together; None leaves it to the agent.
    """

    game: str = ""
    agent: str = "ppo"
    steps: int = 100_000
    seed: int = 0
    num_slots: int | None = None

    def __post_init__(self) -> None:
        """Refuses what no run could have."""
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; expected 1 or more.")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; expected 0 or more.")
        if self.num_slots is not None and self.num_slots < 1:
            raise ValueError(f"num_slots is {self.num_slots}; expected 1 or more.")


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run as it stands in run.toml, with every preset resolved.

    Attributes:
      run: the table [run].
      game, wrappers, agent, training, workers, supervision: the other tables, as plain values.
    """

    run: RunSettings
    game: dict[str, Any]
    wrappers: dict[str, Any]
    agent: dict[str, Any]
    training: dict[str, Any]
    workers: dict[str, Any] = dataclasses.field(default_factory=dict)
    supervision: dict[str, Any] = dataclasses.field(default_factory=dict)


class Run:
    """One run folder."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Names a folder; nothing is read or written yet."""
        self.folder = pathlib.Path(folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.folder / _SETTINGS).exists()

    def begin(self, plan: Plan) -> None:
        """Makes the folder and writes run.toml.

        Raises:
          ConfigError: a run stands here already, or something else does.
          StorageError: the folder cannot be written.
        """
        if self.exists or (self.folder / "checkpoints").exists():
            raise errors.ConfigError(
                f"{self.folder} holds a run already. Resume it with "
                f"`gamebridge train --resume {shlex.quote(str(self.folder))}`, or choose "
                "another --run."
            )
        self._write(plan)

    def extend(self, plan: Plan, steps: int) -> None:
        """Writes a new number of steps into run.toml, for whoever resumes next.

        Raises:
          StorageError: the folder cannot be written.
        """
        self._write(dataclasses.replace(plan, run=dataclasses.replace(plan.run, steps=steps)))

    def _write(self, plan: Plan) -> None:
        values = {
            **{field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)},
            "run": dataclasses.asdict(plan.run),
            "versions": _versions(),
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write_text(self.folder / _SETTINGS, config.to_toml(values))
        except OSError as error:
            raise errors.StorageError(
                f"Cannot write the run folder {self.folder}: {error}. "
                "Choose another --run, or make it writable."
            ) from error

    def plan(self) -> Plan:
        """Reads run.toml.

        Raises:
          ConfigError: there is no run here, or its run.toml is not whole.
        """
        path = self.folder / _SETTINGS
        if not path.exists():
            raise errors.ConfigError(
                f"{self.folder} is not a run folder: it has no {_SETTINGS}. "
                "Name a folder that `gamebridge train` made, such as runs/demo."
            )
        values = config.load(path)
        source = config.Source(str(path), path.read_text(encoding="utf-8"))
        tables = {}
        for name in [field.name for field in dataclasses.fields(Plan)]:
            tables[name] = values.get(name, {})
            if not isinstance(tables[name], dict):
                raise errors.ConfigError(f"{path}: '{name}' is not a table.")
        run = config.convert(tables.pop("run"), RunSettings, path="run", source=source)
        return Plan(run, **tables)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the folder for one trainer; the kernel lets go when the process ends.

        Raises:
          ConfigError: another process trains here; names its pid and host.
          StorageError: the folder cannot be written.
        """
        path = self.folder / "lock"
        try:
            file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - closed below
        except OSError as error:
            raise errors.StorageError(
                f"Cannot write {path}: {error}. Make the run folder writable."
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise errors.ConfigError(
                    f"{self.folder} is in use by {file.read().strip() or 'another process'}. "
                    "Wait for it or stop it, or choose another --run."
                ) from error
            # For people only, the lock itself is the kernel's: it holds on a full disk too.
            with contextlib.suppress(OSError):
                os.truncate(path, 0)
                os.write(file.fileno(), _who().encode())
            try:
                yield
            finally:
                # Somebody may have removed the folder meanwhile.
                with contextlib.suppress(OSError):
                    os.truncate(path, 0)


def folder_of(parent: pathlib.Path, game_id: str, agent_id: str) -> pathlib.Path:
    """Returns the folder that is named after a game and an agent, such as runs/CartPole-v1-ppo."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{game_id.partition('/')[2]}-{agent_id}").strip("-.")
    return parent / name


def free_folder(parent: pathlib.Path, game_id: str, agent_id: str) -> pathlib.Path:
    """Returns a folder for a new run that does not exist yet, such as runs/CartPole-v1-ppo-2."""
    first = folder = folder_of(parent, game_id, agent_id)
    number = 2
    while folder.exists():
        folder = parent / f"{first.name}-{number}"
        number += 1
    return folder


def _who() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}\n"


def _versions() -> dict[str, str]:
    found = {}
    for name in ("gamebridge", "tensorflow", "tf-agents", "numpy", "gymnasium", "gym"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
