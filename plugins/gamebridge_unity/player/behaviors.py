"""What agents of one kind see and do: `Behavior` and the kinds of observations."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

import numpy as np


@dataclasses.dataclass(frozen=True)
class Vector:
    """Numbers: float32 [size].

    Attributes:
      name: of the sensor; observations travel in the order of their names.
      size: how many numbers.
      is_goal: whether it tells what the agent is to do, rather than what is there.
    """

    name: str
    size: int
    is_goal: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Without the axis of agents."""
        return (self.size,)

    @property
    def dtype(self) -> Any:
        """Of the array that a scene writes."""
        return np.float32


@dataclasses.dataclass(frozen=True)
class Buffer:
    """A number of entities that varies: float32 [max_entities, entity_size], unused rows zero.

    Attributes:
      name: of the sensor.
      max_entities: rows.
      entity_size: numbers a row.
    """

    name: str
    max_entities: int
    entity_size: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Without the axis of agents."""
        return (self.max_entities, self.entity_size)

    @property
    def dtype(self) -> Any:
        """Of the array that a scene writes."""
        return np.float32


@dataclasses.dataclass(frozen=True)
class Frame:
    """A picture, row 0 on top: [height, width, channels * stack].

    Attributes:
      name: of the camera.
      height: rows.
      width: columns.
      channels: 3 for RGB, 1 for grey, or any number.
      stack: how many pictures, the oldest first, lie behind each other in the last axis.
      is_compressed: whether it travels as PNG; a scene writes uint8 then, and float32 from
        0 to 1 otherwise.
    """

    name: str
    height: int
    width: int
    channels: int = 3
    stack: int = 1
    is_compressed: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Without the axis of agents."""
        return (self.height, self.width, self.channels * self.stack)

    @property
    def dtype(self) -> Any:
        """Of the array that a scene writes."""
        return np.uint8 if self.is_compressed else np.float32


Observation: TypeAlias = Vector | Buffer | Frame


@dataclasses.dataclass(frozen=True)
class Behavior:
    """Agents that see and do the same kinds of things.

    Attributes:
      name: as Unity qualifies it, such as "Car?team=0".
      observations: what they see.
      num_continuous: how many continuous actions, by convention from -1 to 1.
      branches: how many choices each discrete action has.
    """

    name: str
    observations: tuple[Observation, ...]
    num_continuous: int = 0
    branches: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Checks what a trainer would stumble over.

        Raises:
          ValueError: no observation, two of one name, or a size below 1.
        """
        names = [seen.name for seen in self.observations]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f"Behaviour '{self.name}' has the observations {names}: expected at least one, "
                "each of another name."
            )
        sizes = [size for seen in self.observations for size in seen.shape]
        if min([*sizes, *self.branches, 1]) < 1 or self.num_continuous < 0:
            raise ValueError(
                f"Behaviour '{self.name}' has observations of {sizes}, {self.num_continuous} "
                f"continuous actions and branches of {self.branches}: expected sizes above 0."
            )
