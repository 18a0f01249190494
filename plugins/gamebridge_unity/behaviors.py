"""`Behavior`: what the agents of one name observe and do, as the player announced it.

A player announces its behaviours' actions by name, and what they observe by the first
agent that it tells of. Both are frozen then. What cannot be meant (a thousand million
actions, axes below 1) is refused before anything is allocated for it.

Pictures. The protocol calls every observation of three axes visual, and sends it as a PNG
or as floats. Here it is a frame, uint8, if it came as a PNG, or if all that the first
message says of it lies in 0 to 1, which is how Unity's cameras send a picture
uncompressed; a frame keeps 256 levels of what is sent as float then. Otherwise (grids with
values of any kind) it is an array, float32. Frames and such arrays are always
[height, width, channels] here, whatever the build sends: packages before 3.0 have the
channels last on the wire, later ones first, and a PNG's own size tells which.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from gamebridge import errors
from gamebridge_unity import pngs, wire

Layout = Literal["hwc", "chw", ""]
Compression = Literal["png", "none"]

# What is beyond these is no spec but an error or an attack.
MAX_NAME_CHARACTERS = 512
MAX_OBSERVATIONS = 64
MAX_RANK = 3
MAX_OBSERVATION_VALUES = 1 << 24
MAX_BRANCHES = 1024
MAX_ACTIONS = 1 << 16
_SHOWN_CHARACTERS = 40
_HWC = [wire.TRANSLATIONAL, wire.TRANSLATIONAL, wire.NO_PROPERTY]
_CHW = [wire.NO_PROPERTY, wire.TRANSLATIONAL, wire.TRANSLATIONAL]


@dataclasses.dataclass(frozen=True)
class Observation:
    """One thing that an agent observes.

    Attributes:
      name: of the sensor.
      shape: [values], [rows, values] or always [height, width, channels].
      is_frame: whether it is a picture, uint8; else it is float32.
      is_goal: whether it says what is to be done (a goal signal).
      is_variable: whether rows may be unused, zeros (a buffer sensor).
      layout: of the wire, where there are three axes.
      compression: how it came at first.
    """

    name: str
    shape: tuple[int, ...]
    is_frame: bool = False
    is_goal: bool = False
    is_variable: bool = False
    layout: Layout = ""
    compression: Compression = "none"

    @property
    def wire_shape(self) -> tuple[int, ...]:
        """The shape as the player sends it."""
        if self.layout != "chw":
            return self.shape
        height, width, channels = self.shape
        return channels, height, width

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or float32."""
        return np.dtype(np.uint8 if self.is_frame else np.float32)

    @property
    def num_values(self) -> int:
        """How many numbers one agent's observation has."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Behavior:
    """What the agents of one name observe and do.

    Attributes:
      name: "Car?team=0".
      observations: in the order of the wire.
      num_continuous: how many continuous actions.
      branches: of each discrete action how many choices it has.
    """

    name: str
    observations: tuple[Observation, ...]
    num_continuous: int
    branches: tuple[int, ...]

    @property
    def num_choices(self) -> int:
        """The choices of all branches, the width of an action mask."""
        return sum(self.branches)

    def differs_from(self, other: Behavior) -> bool:
        """Whether agents of the one could not be played as agents of the other."""

        def form(behavior: Behavior) -> object:
            parts = [(part.shape, part.is_frame) for part in behavior.observations]
            return parts, behavior.num_continuous, behavior.branches

        return form(self) != form(other)

    def __str__(self) -> str:
        parts = ", ".join(f"{part.name} {list(part.shape)}" for part in self.observations)
        actions = f"{self.num_continuous} continuous, branches {list(self.branches)}"
        return f"{shown(self.name)}: observations {parts or 'none'}; actions {actions}"


@dataclasses.dataclass(frozen=True)
class Announcement:
    """The actions of a behaviour, which is the first that a player says of it.

    Attributes:
      name: the behaviour's.
      num_continuous: how many continuous actions.
      branches: of each discrete action how many choices it has.
    """

    name: str
    num_continuous: int
    branches: tuple[int, ...]


def read_announcement(parameters: Any) -> Announcement:
    """Reads a BrainParametersProto.

    Raises:
      errors.GameError: the actions cannot be meant.
    """
    name = parameters.brain_name
    if not 0 < len(name) <= MAX_NAME_CHARACTERS:
        raise errors.GameError(
            f"A behaviour's name {shown(name)} has {len(name):,} characters: expected 1 to "
            f"{MAX_NAME_CHARACTERS}. Rename it in the build."
        )
    spec = parameters.action_spec
    num_continuous, branches = spec.num_continuous_actions, tuple(spec.discrete_branch_sizes)
    if num_continuous == 0 and spec.num_discrete_actions == 0 and not branches:
        # Packages before 2.0 say it in the older fields.
        sizes = tuple(parameters.vector_action_size_deprecated)
        if parameters.vector_action_space_type_deprecated == 1:
            num_continuous, branches = (sizes[0] if sizes else 0), ()
        else:
            branches = sizes
    elif spec.num_discrete_actions != len(branches):
        raise errors.GameError(
            f"{shown(name)} announces {spec.num_discrete_actions:,} discrete actions and the "
            f"sizes of {len(branches):,}: the two must agree. Correct it in the build."
        )
    if (
        num_continuous < 0
        or len(branches) > MAX_BRANCHES
        or min(branches, default=1) < 1
        or num_continuous + sum(branches) > MAX_ACTIONS
    ):
        listed = f"{list(branches[:8])}{' and more' if len(branches) > 8 else ''}"
        raise errors.GameError(
            f"{shown(name)} announces {num_continuous:,} continuous actions and {len(branches):,} "
            f"branches of {listed} choices: expected at most {MAX_BRANCHES:,} branches of 1 "
            f"choice or more, and at most {MAX_ACTIONS:,} of all together. Correct it in the "
            "build."
        )
    return Announcement(name, num_continuous, branches)


def read_observations(
    name: str, infos: Sequence[Any], *, channels_first: bool
) -> tuple[Observation, ...]:
    """Reads what the agents of a behaviour observe from the first message about them.

    Args:
      name: the behaviour's.
      infos: the AgentInfoProtos of that message, at least one.
      channels_first: where nothing else tells, whether pictures are [channels, height,
        width] on the wire.

    Raises:
      errors.GameError: an observation cannot be meant.
    """
    first = infos[0]
    if len(first.observations) > MAX_OBSERVATIONS:
        raise errors.GameError(
            f"{shown(name)} has {len(first.observations):,} observations: expected at most "
            f"{MAX_OBSERVATIONS}. Join them in the build."
        )
    found = []
    for place, part in enumerate(first.observations):
        label = f"{shown(name)}, observation {shown(part.name) if part.name else place}"
        shape = _checked_shape(label, part.shape)
        kinds = list(part.dimension_properties)
        layout: Layout = ""
        is_frame = False
        if len(shape) == 3:
            layout = _layout(label, part, kinds, channels_first=channels_first)
            same_parts = (info.observations[place : place + 1] for info in infos)
            is_frame = _is_picture(one for parts in same_parts for one in parts)
        elif part.compression_type != wire.UNCOMPRESSED:
            raise errors.GameError(
                f"{label} is a compressed observation of shape {list(shape)}: only pictures, "
                "of three axes, can be compressed. Send it uncompressed."
            )
        if layout == "chw":
            shape = (shape[1], shape[2], shape[0])
        found.append(
            Observation(
                name=part.name or f"observation {place}",
                shape=shape,
                is_frame=is_frame,
                is_goal=part.observation_type == wire.GOAL_SIGNAL,
                is_variable=len(shape) == 2
                and bool(kinds[:1])
                and bool(kinds[0] & wire.VARIABLE_SIZE),
                layout=layout,
                compression="png" if part.compression_type == wire.PNG else "none",
            )
        )
    return tuple(found)


def shown(text: str) -> str:
    """Returns a player's text for a message: quoted, and never long."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
    return repr(cut)


def _checked_shape(label: str, shape: Sequence[int]) -> tuple[int, ...]:
    axes = tuple(shape[: MAX_RANK + 1])
    is_whole = 1 <= len(shape) <= MAX_RANK and min(axes) >= 1
    if not is_whole or math.prod(axes) > MAX_OBSERVATION_VALUES:
        more = "" if len(shape) <= len(axes) else f" and {len(shape) - len(axes)} axes more"
        raise errors.GameError(
            f"{label} has shape {list(axes)}{more}: expected 1 to {MAX_RANK} axes of 1 or more, "
            f"and at most {MAX_OBSERVATION_VALUES:,} values. Correct the sensor in the build."
        )
    return axes


def _layout(label: str, part: Any, kinds: list[int], *, channels_first: bool) -> Layout:
    layout: Layout = "chw" if channels_first else "hwc"
    if kinds in (_HWC, _CHW):
        layout = "chw" if kinds == _CHW else "hwc"
    if part.compression_type == wire.PNG:
        height, width = pngs.size(part.compressed_data, label)
        shape = tuple(part.shape)
        fitting: list[Layout] = []
        if (height, width) == shape[:2]:
            fitting.append("hwc")
        if (height, width) == shape[1:]:
            fitting.append("chw")
        if not fitting:
            raise errors.GameError(
                f"{label} has shape {list(shape)} and comes as a PNG of {width} x {height} "
                "pixels: the two must agree. Correct the sensor in the build."
            )
        if layout not in fitting:
            layout = fitting[0]
    return layout


def _is_picture(parts: Iterable[Any]) -> bool:
    for part in parts:
        if part.compression_type == wire.PNG:
            return True
        values = np.asarray(part.float_data.data, np.float32)
        # What is not finite is reported by whoever decodes it; it tells nothing here.
        values = values[np.isfinite(values)]
        if values.size and (values.min() < 0.0 or values.max() > 1.0):
            return False
    return True
