"""Typed settings of Unity games."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from typing import Any, Literal, Union

Graphics = Literal["none", "virtual", "display"]
# One number, or points of a line: (steps of all slots, value).
Parameter = Union[float, tuple[tuple[float, float], ...]]  # noqa: UP007 - read at run time
Others = Union[str, tuple[float, ...]]  # noqa: UP007

# Others are driven by the policy of the run at the path that follows.
RUN = "run:"

_MOST_PLAYERS = 256
_INT32 = 2**31


# Before the classes: their own defaults are checked as they are made.
def _within(settings: Any, name: str, least: float, greatest: float) -> None:
    value = getattr(settings, name)
    if value is not None and not least <= value <= greatest:
        raise ValueError(f"{name} is {value}; expected {least:g} to {greatest:g}.")


@dataclasses.dataclass(frozen=True)
class Engine:
    """How fast and how finely the player runs.

    None takes what the build.toml says, or else a time scale of 20, as many frames a second as
    there can be and 60 frames a second of the game's own time.

    Attributes:
      width: of the window, in pixels.
      height: of the window, in pixels.
      quality_level: index of one of the project's quality levels.
      time_scale: how much faster than real time the game's own time passes, at most; the
        player goes on as soon as it has its actions.
      target_frame_rate: frames a second; -1 for as many as it can.
      capture_frame_rate: how many frames make a second of the game's own time.
    """

    width: int | None = None
    height: int | None = None
    quality_level: int | None = None
    time_scale: float | None = None
    target_frame_rate: int | None = None
    capture_frame_rate: int | None = None

    def __post_init__(self) -> None:
        """Refuses what no engine takes.

        Raises:
          ValueError: names the setting.
        """
        _within(self, "width", 1, 16_384)
        _within(self, "height", 1, 16_384)
        _within(self, "quality_level", 0, 100)
        _within(self, "time_scale", 1.0, 1_000.0)
        _within(self, "target_frame_rate", -1, 100_000)
        _within(self, "capture_frame_rate", 0, 100_000)


@dataclasses.dataclass(frozen=True)
class Sampler:
    """An environment parameter that the player draws anew, usually at each reset.

    Attributes:
      kind: "uniform": values are least and greatest; "gaussian": mean and standard deviation;
        "multi_range": least and greatest of each range.
      values: what the kind takes.
      seed: of the player's random numbers; None takes one that differs from player to player.
    """

    kind: Literal["uniform", "gaussian", "multi_range"] = "uniform"
    values: tuple[float, ...] = (0.0, 1.0)
    seed: int | None = None

    def __post_init__(self) -> None:
        """Refuses ranges that are none.

        Raises:
          ValueError: names what is wrong.
        """
        count = len(self.values)
        if count < 2 or count % 2 or (count > 2 and self.kind != "multi_range"):
            raise ValueError(
                f"values has {count} numbers; expected 2 for '{self.kind}', or pairs of them for "
                "'multi_range'."
            )
        pairs = zip(self.values[::2], self.values[1::2], strict=True)
        if self.kind != "gaussian" and any(low > high for low, high in pairs):
            raise ValueError(f"values is {self.values}; expected least before greatest.")
        _within(self, "seed", -_INT32, _INT32 - 1)


@dataclasses.dataclass(frozen=True)
class UnitySettings:
    """Settings of every Unity game, in the table [game].

    Attributes:
      players: how many processes of the build are run; each plays an equal share of the slots.
      args: arguments for the build, after those of its build.toml.
      behavior: which behaviour learns, such as "Car" or "Car?team=0", where the scene has
        several; "" for that of the build.toml, or the only one.
      others: how agents are driven that do not learn, which are those of other behaviours and
        those for whom there is no slot: "random", "zero" (or, where that is forbidden, the
        first action that is allowed), or the values of a fixed action, first the continuous
        ones, then one for each branch. "run:PATH" lets agents of other behaviours do what the
        trained run in that folder would (its best checkpoint, greedily): see
        docs/unity-builds.md.
      graphics: "none" starts the build without graphics; "virtual" on a display of its own
        that exists in memory alone, for pixels on a server; "display" on the one that $DISPLAY
        names.
      view: what `render` shows: "window" for the player's window, or the name of a frame
        observation; "" for that of the build.toml, or the first frame observation, or else
        the window.
      engine: how fast and how finely the player runs.
      parameters: environment parameters by name. Points [[steps, value], ...] instead of a
        number make a curriculum: between two points the value lies on a straight line, beyond
        them it stays; two points at the same steps make a jump. Counted are the valid steps
        of all slots. An evaluation plays with the last value.
      samplers: environment parameters that the player draws itself.
      seed: what players are seeded with before they are given seeds of slots; each has another.
      num_areas: how many copies of its training area the player is asked for; most build none.
      group_reward: whether the reward of an agent's group is added to its own.
      action_mask: whether the observation becomes {"observation": ..., "action_mask": ...}, for
        agents that can use it: bool, one for each action of a branch, True where allowed; a
        tuple of such arrays where there are several branches. Without it an action that the
        game forbids is sent as it is, and counted in the telemetry as `forbidden_action`.
      vanish_after: an agent that neither decides nor ends while others decide so many times is
        taken for gone; its episode is truncated.
      agents_timeout_s: how long a new game waits until the scene has an agent for each slot,
        and how long a scene may show no agent at all.
      late_agents: whether play begins although some slots have no agent yet; else that is an
        error, since such a slot would be waited for in vain.
      frozen_after: a picture that stays the same for so many steps in all slots is warned of.
      port: of the first player, the others following; 0 lets the system choose free ones.
      max_message_mib: a message of the player that is larger is refused.
      log_folder: where players write their logs; "" for a folder that is made for the game.
    """

    players: int = 1
    args: tuple[str, ...] = ()
    behavior: str = ""
    others: Others = "random"
    graphics: Graphics = "none"
    view: str = ""
    engine: Engine = Engine()
    parameters: dict[str, Parameter] = dataclasses.field(default_factory=dict)
    samplers: dict[str, Sampler] = dataclasses.field(default_factory=dict)
    seed: int = 0
    num_areas: int = 1
    group_reward: Literal["add", "ignore"] = "add"
    action_mask: bool = False
    vanish_after: int = 100
    agents_timeout_s: float = 10.0
    late_agents: bool = False
    frozen_after: int = 50
    port: int = 0
    max_message_mib: int = 256
    log_folder: str = ""

    def __post_init__(self) -> None:
        """Refuses what cannot be, and makes the paths of log folder and run absolute.

        Raises:
          ValueError: names the setting.
        """
        _within(self, "players", 1, _MOST_PLAYERS)
        _within(self, "seed", 0, _INT32 - 1 - _MOST_PLAYERS)
        _within(self, "num_areas", 1, 100_000)
        _within(self, "vanish_after", 1, 1_000_000)
        _within(self, "agents_timeout_s", 0.1, 86_400.0)
        _within(self, "frozen_after", 2, 1_000_000)
        _within(self, "port", 0, 65_535)
        _within(self, "max_message_mib", 1, 2_047)
        if isinstance(self.others, str) and self.others not in ("random", "zero"):
            path = self.others[len(RUN) :] if self.others.startswith(RUN) else ""
            if not path or not path.isprintable():
                raise ValueError(
                    f"others is {self.others!r}; expected 'random', 'zero', 'run:PATH' with the "
                    "folder of a trained run, or the values of an action."
                )
            absolute = pathlib.Path(path).expanduser().absolute()
            object.__setattr__(self, "others", f"{RUN}{absolute}")
        for name, value in self.parameters.items():
            check_parameter(name, value)
        both = sorted(set(self.parameters) & set(self.samplers))
        if both:
            raise ValueError(f"samplers has {both}, and so has parameters; expected one of them.")
        if self.log_folder:
            absolute = pathlib.Path(self.log_folder).expanduser().absolute()
            object.__setattr__(self, "log_folder", str(absolute))


@dataclasses.dataclass(frozen=True)
class BuildSettings(UnitySettings):
    """Settings of `unity/build`: those of every Unity game, and which build it is.

    Attributes:
      path: the executable, or a folder with a build.toml. Kept as an absolute path, so that a
        run can be resumed from any folder.
      num_agents: how many agents the scene has, which is how many slots training takes of each
        player; None leaves it to the command line.
    """

    path: str = ""
    num_agents: int | None = None

    def __post_init__(self) -> None:
        """Makes the path absolute.

        Raises:
          ValueError: names the setting.
        """
        super().__post_init__()
        _within(self, "num_agents", 1, 100_000)
        if not self.path.isprintable():
            raise ValueError(f"path is {self.path!r}; expected the name of a file.")
        if self.path:
            absolute = pathlib.Path(self.path).expanduser().absolute()
            object.__setattr__(self, "path", str(absolute))


@dataclasses.dataclass(frozen=True)
class EditorSettings(UnitySettings):
    """Settings of `unity/editor`: those of every Unity game.

    Attributes:
      port: where the editor looks for us.
      editor_timeout_s: how long it is waited for Play to be pressed.
    """

    port: int = 5004
    editor_timeout_s: float = 600.0

    def __post_init__(self) -> None:
        """Refuses a second player, and waiting for nothing.

        Raises:
          ValueError: names the setting.
        """
        super().__post_init__()
        _within(self, "players", 1, 1)
        _within(self, "editor_timeout_s", 1.0, 86_400.0)


def check_parameter(name: str, value: Parameter) -> None:
    """Refuses a curriculum that is none.

    Raises:
      ValueError: names the parameter.
    """
    points = ((0.0, value),) if isinstance(value, (int, float)) else value
    steps = [point[0] for point in points]
    if not points or steps != sorted(steps) or steps[0] < 0:
        raise ValueError(
            f"parameters.{name} is {value}; expected a number, or [[steps, value], ...] with "
            "steps that rise from 0 or more."
        )
    if not all(math.isfinite(number) for point in points for number in point):
        raise ValueError(f"parameters.{name} is {value}; expected finite numbers.")
