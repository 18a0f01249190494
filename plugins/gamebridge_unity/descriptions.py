"""`Description`: what a build.toml says of a build."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Any

from gamebridge_unity.settings import Engine, Parameter, check_parameter

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Executables:
    """The table [executables]: a file for each platform, as a path in the build's folder.

    Attributes:
      linux: such as "racing.x86_64".
      macos: such as "racing.app/Contents/MacOS/racing".
      windows: such as "racing.exe".
    """

    linux: str = ""
    macos: str = ""
    windows: str = ""

    def __post_init__(self) -> None:
        """Refuses paths that lead out of the folder.

        Raises:
          ValueError: names the platform.
        """
        for field in dataclasses.fields(self):
            path = pathlib.PurePosixPath(getattr(self, field.name))
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(
                    f"{field.name} is '{path}'; expected a path inside the build's folder."
                )


@dataclasses.dataclass(frozen=True)
class Description:
    """What a build.toml holds; every key may be left out.

    Attributes:
      summary: one line for `gamebridge games`.
      args: arguments for the build, before those of the settings.
      behavior: which behaviour learns, where the scene has several.
      agents: how many agents that learn the scene has, which is how many slots a player plays.
      num_slots: how many slots training takes unless told otherwise; `agents` for each player
        if this is left out.
      view: what `render` shows: "window", or the name of a frame observation.
      environment: names of environment variables that the player gets beside the few that
        every player gets.
      start_timeout_s: how long the build may take to start; the run's if left out.
      step_timeout_s: how long it may take for a step; the run's if left out.
      steps_per_s: how many steps make a second of the game's own time.
      executables: see that class; the only one that is found if left out.
      engine: how fast and how finely the player runs unless told otherwise.
      parameters: environment parameters unless told otherwise.
      wrappers, presets, agent_wrappers, training: defaults as in `gamebridge.contract.GameRecord`.
    """

    summary: str = ""
    args: tuple[str, ...] = ()
    behavior: str = ""
    agents: int | None = None
    num_slots: int | None = None
    view: str = ""
    environment: tuple[str, ...] = ()
    start_timeout_s: float | None = None
    step_timeout_s: float | None = None
    steps_per_s: float | None = None
    executables: Executables = dataclasses.field(default_factory=Executables)
    engine: Engine = dataclasses.field(default_factory=Engine)
    parameters: dict[str, Parameter] = dataclasses.field(default_factory=dict)
    wrappers: dict[str, Any] = dataclasses.field(default_factory=dict)
    presets: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    agent_wrappers: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    training: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses numbers that nothing has.

        Raises:
          ValueError: names the key.
        """
        for name in ("agents", "num_slots"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= 100_000:
                raise ValueError(f"{name} is {value}; expected 1 to 100000.")
        for name in ("start_timeout_s", "step_timeout_s", "steps_per_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; expected more than 0.")
        for name, parameter in self.parameters.items():
            check_parameter(name, parameter)
        for variable in self.environment:
            if not _VARIABLE.fullmatch(variable):
                raise ValueError(
                    f"environment names {variable!r}; expected names of environment variables, "
                    "such as 'LICENSE_SERVER'."
                )
