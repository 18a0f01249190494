"""`Player`: a build that runs, with the few environment variables and the arguments it needs.

It is started as the stock client starts it. It gets neither our secrets nor our terminal: of
the environment only what is named here, in build.toml or by the settings; its output and
its log are kept in a folder that nobody else can read.
"""

from __future__ import annotations

import os
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Literal

from gamebridge import errors
from gamebridge.supervision import children, logs
from gamebridge_unity import builds, diagnosis, displays

Graphics = Literal["none", "virtual", "display"]

# Beside PATH; what a program needs to find its files and its words.
PASSED_ON = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "USER")
# What a program needs to find a display that is not ours.
OF_DISPLAYS = ("DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR")
_PYTHON_VARIABLE = "GAMEBRIDGE_PLAYER_PYTHON"
_TAIL_BYTES = 64 * 1024
_LONGEST_LINE = 300


class Gone(Exception):
    """The player's process has ended; the message says how, such as "exited with code 3"."""


class Player:
    """A running build.

    Attributes:
      build: what runs.
      label: names it in messages.
      log_path: the log that the player itself writes.
      output_path: what it writes to stdout and stderr.
    """

    def __init__(
        self,
        build: builds.Build,
        *,
        label: str,
        port: int,
        graphics: Graphics = "none",
        display: displays.Display | str | None = None,
        extra_args: Sequence[str] = (),
        log_folder: pathlib.Path,
        extra_environment: Sequence[str] = (),
    ) -> None:
        """Starts it.

        Args:
          build: what is run.
          label: names it in messages, such as "unity/racing, player 1".
          port: where we listen for it.
          graphics: "none" asks it to draw nothing.
          display: where it draws: one of ours, or the name of another, such as ":0".
          extra_args: arguments, after those of the build.
          log_folder: gets its log and its output; made, for this user alone, if need be.
          extra_environment: names of environment variables that it gets too.

        Raises:
          PlayerError: it cannot be started: names what is wrong and the cure.
        """
        self.build = build
        self.label = label
        self._graphics = graphics
        command = build.command()
        arguments = [*build.args, *extra_args]
        self.output_path = _claimed(log_folder, label)
        self.log_path = _log_named(arguments) or self.output_path.with_suffix(".log")
        if graphics == "none":
            command += ["-nographics", "-batchmode"]
        command += ["--mlagents-port", str(port)]
        if _log_named(arguments) is None:
            command += ["-logFile", str(self.log_path)]
        names = [*PASSED_ON, *build.environment, *extra_environment]
        # How it was when it was told to end, so that it is not blamed for how we end it.
        self._ending = ""
        self._log = logs.Log()
        try:
            self._child = children.Child(
                label,
                [*command, *arguments],
                self._log,
                _environment(names, graphics, display),
                kept=self.output_path,
            )
        except OSError as error:
            self._log.close()
            raise errors.PlayerError(
                f"{label} cannot be started: {build.executable}: {error.strerror}. Start it by "
                "hand to see why."
            ) from error
        except BaseException:
            self._log.close()
            raise

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self._child.pid

    @property
    def told_in(self) -> pathlib.Path:
        """The file that tells of it: its log, or its output where it made none."""
        return self.log_path if self.log_path.exists() else self.output_path

    def check(self) -> None:
        """Looks whether it still runs.

        Raises:
          Gone: it does not.
        """
        if self._ending == children.RUNNING:
            raise Gone("was ended")
        if not self._child.is_alive():
            raise Gone(self._child.ending())

    def tail(self, count: int = 10) -> list[str]:
        """Returns so many of the newest lines of its log, or of its output where that has none."""
        return (_last_lines(self.log_path) or self._child.tail())[-count:]

    def end(self, grace_s: float) -> None:
        """Waits so long for its end, then kills it and whatever it started. May be called twice."""
        self._child.wait(grace_s)
        self._ending = self._ending or self._child.ending()
        self._child.end(0)
        self._log.close()

    def likely_cause(self, stage: diagnosis.Stage) -> str:
        """Returns in a sentence why it failed, most likely; "" where nothing tells.

        Args:
          stage: what it was to do: "start" and "connect", show its "agents", or "step".
        """
        return diagnosis.likely_cause(
            stage,
            self._ending or self._child.ending(),
            [*self._child.tail(), *_last_lines(self.log_path)],
            self.build.executable,
            graphics=self._graphics,
        )


def _environment(
    names: Sequence[str], graphics: Graphics, display: displays.Display | str | None
) -> Mapping[str, str]:
    python = os.path.dirname(sys.executable)
    found = {name: os.environ[name] for name in names if name in os.environ}
    path = os.environ.get("PATH") or os.defpath
    # A player in Python is run by ours, with our packages.
    found["PATH"] = os.pathsep.join([python, path]) if python else path
    found.setdefault(_PYTHON_VARIABLE, sys.executable)
    found.setdefault("LANG", "C.UTF-8")
    if isinstance(display, displays.Display):
        found.update(display.environment)
    elif graphics != "none":
        found.update({name: os.environ[name] for name in OF_DISPLAYS if name in os.environ})
        if display:
            found["DISPLAY"] = display
    return found


def _claimed(folder: pathlib.Path, label: str) -> pathlib.Path:
    """Returns a new file for the output, whose name no other player's log has.

    Raises:
      PlayerError: the folder cannot be written.
    """
    stem = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-") or "player"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = 0
        while True:
            path = folder / (f"{stem}-{number}.out" if number else f"{stem}.out")
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                return path.absolute()
            except FileExistsError:
                number += 1
    except OSError as error:
        raise errors.PlayerError(
            f"{label} cannot be started: its log cannot be written into {folder}: "
            f"{error.strerror}. Name another folder (game.log_folder)."
        ) from error


def _log_named(arguments: Sequence[str]) -> pathlib.Path | None:
    """Returns the log that arguments name; the last one counts. "-" is the output."""
    found = None
    for index, argument in enumerate(arguments):
        if argument.lower() == "-logfile":
            found = pathlib.Path(arguments[index + 1] if index + 1 < len(arguments) else "-")
    return found


def _last_lines(path: pathlib.Path) -> list[str]:
    try:
        # It may be anything by now, even a pipe that would hold us up.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return []
    with open(descriptor, "rb") as file:
        try:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
        except OSError:
            return []
    lines = [line.strip()[:_LONGEST_LINE] for line in text.splitlines()]
    return [line for line in lines if line]
