"""Typed settings of the racing games."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, Literal

from gamebridge_racing import car as cars

View = Literal["lidar", "pixels", "line"]
Actions = Literal["continuous", "discrete"]
Camera = Literal["follow", "track"]
# Of the line view: how many points of the line are seen, and the numbers of an observation.
NUM_POINTS = 12
LINE_WIDTH = 6 + 3 * NUM_POINTS


# Before the classes: their own defaults are checked as they are made.
def _within(settings: Any, name: str, least: float, greatest: float) -> None:
    value = getattr(settings, name)
    if not least <= value <= greatest:
        raise ValueError(f"{name} is {value}; expected {least:g} to {greatest:g}.")


@dataclasses.dataclass(frozen=True)
class Reward:
    """What a control step is worth: progress - contact - impulse - time.

    Attributes:
      progress: for each metre along the middle of the track; negative backwards.
      contact: taken for each control step in which the car touches a wall.
      impulse: taken for each m/s that walls took from the car or turned round: the sum of
        the impulses along their normals over the car's mass.
      time: taken for each second.
      stuck: taken once, when an episode ends because the car made no progress.
    """

    progress: float = 1.0
    contact: float = 10.0
    impulse: float = 5.0
    time: float = 1.0
    stuck: float = 20.0

    def __post_init__(self) -> None:
        """Refuses weights that no learner survives.

        Raises:
          ValueError: names the weight.
        """
        for field in dataclasses.fields(self):
            _within(self, field.name, -1e6, 1e6)


@dataclasses.dataclass(frozen=True)
class Randomisation:
    """What differs from episode to episode; by default nothing.

    Attributes:
      grip: least and greatest factor of the tyres' grip.
      mass: least and greatest factor of mass and yaw inertia.
      power: least and greatest factor of the engine's power.
      delay_steps: least and greatest number of control steps by which actions are late.
      sensor_noise: standard deviation of the error of each value of the lidar and the line
        view, which are about -1 to 1; pixels have none.
    """

    grip: tuple[float, float] = (1.0, 1.0)
    mass: tuple[float, float] = (1.0, 1.0)
    power: tuple[float, float] = (1.0, 1.0)
    delay_steps: tuple[int, int] = (0, 0)
    sensor_noise: float = 0.0

    def __post_init__(self) -> None:
        """Refuses ranges that are none.

        Raises:
          ValueError: a range that ends before it begins, a factor beyond ten times or a
            tenth, or a delay or noise that is negative or absurd.
        """
        for name in ("grip", "mass", "power"):
            low, high = getattr(self, name)
            if not 0.1 <= low <= high <= 10:
                raise ValueError(
                    f"{name} is [{low:g}, {high:g}]; expected 0.1 <= least <= greatest <= 10."
                )
        low, high = self.delay_steps
        if not 0 <= low <= high <= 100:
            raise ValueError(f"delay_steps is [{low}, {high}]; expected 0 <= least <= greatest.")
        _within(self, "sensor_noise", 0.0, 10.0)


@dataclasses.dataclass(frozen=True)
class Racing:
    """Settings of all racing games.

    Attributes:
      car: what is driven.
      reward: what it is worth.
      randomisation: what differs from episode to episode.
      start: "random" begins anywhere on the lap, a little off the middle, rolling; "line"
        begins on the start line, standing.
      start_speed_m_s: greatest speed at a random start.
      episode_s: an episode is truncated after so many seconds.
      laps: an episode ends after so many laps; 0 for no such end.
      crash_speed_m_s: hitting a wall faster than this, along its normal, ends the episode;
        0 lets the car bounce on whatever happens.
      stuck_s: an episode ends when the car got no farther for so long: it stands, spins or
        drives backwards. 0 for no such end.
      step_s: time between two actions, the control step.
      substeps: steps of the physics in a control step.
      num_rays: of the lidar view; denser towards the front.
      ray_field_deg: angle from the leftmost to the rightmost ray.
      ray_reach_m: farther walls are not seen.
      camera: of the picture: "follow" the car, or the whole "track".
    """

    car: cars.Car = dataclasses.field(default_factory=cars.Car)
    reward: Reward = Reward()
    randomisation: Randomisation = Randomisation()
    start: Literal["random", "line"] = "random"
    start_speed_m_s: float = 10.0
    episode_s: float = 60.0
    laps: int = 0
    crash_speed_m_s: float = 0.0
    stuck_s: float = 5.0
    step_s: float = 0.05
    substeps: int = 5
    num_rays: int = 19
    ray_field_deg: float = 200.0
    ray_reach_m: float = 100.0
    camera: Camera = "follow"

    def __post_init__(self) -> None:
        """Refuses values with which nobody could drive.

        Raises:
          ValueError: names the setting.
        """
        # Above what anybody drives, and below what overflows or takes for ever.
        _within(self, "step_s", 0.001, 1.0)
        _within(self, "episode_s", self.step_s, 1e6)
        _within(self, "substeps", 1, 1_000)
        _within(self, "start_speed_m_s", 0.0, 100.0)
        _within(self, "laps", 0, 1_000_000)
        _within(self, "crash_speed_m_s", 0.0, 1_000.0)
        _within(self, "stuck_s", 0.0, 1e6)
        _within(self, "num_rays", 1, 1_000)
        _within(self, "ray_field_deg", 1.0, 360.0)
        _within(self, "ray_reach_m", 1.0, 10_000.0)
        # Beyond this the tyres' forces overshoot within a step at walking pace.
        if self.step_s / self.substeps > 0.0125:
            raise ValueError(
                f"substeps is {self.substeps} for a step_s of {self.step_s}; expected at least "
                f"{max(1, round(self.step_s / 0.01))}, so that one is about 0.01 s."
            )


@dataclasses.dataclass(frozen=True)
class Oval(Racing):
    """Settings of `racing/oval`: those of all racing games, and its shape.

    Attributes:
      straight_m: length of each straight.
      radius_m: of the corners, at the middle of the track.
      track_width_m: from wall to wall.
    """

    episode_s: float = 40.0
    straight_m: float = 70.0
    radius_m: float = 22.0
    track_width_m: float = 12.0

    def __post_init__(self) -> None:
        """Refuses what is no oval.

        Raises:
          ValueError: names the setting.
        """
        super().__post_init__()
        _within(self, "straight_m", 0.0, 10_000.0)
        _within(self, "radius_m", 2.0, 2_000.0)
        _within(self, "track_width_m", 2.0, 100.0)
        if not self.track_width_m > self.car.width_m:
            raise ValueError(
                f"track_width_m is {self.track_width_m}; expected more than the car's "
                f"{self.car.width_m}."
            )
        if not self.radius_m > self.track_width_m / 2 + 1:
            raise ValueError(
                f"radius_m is {self.radius_m}; expected at least 1 m more than half of "
                f"track_width_m, {self.track_width_m}."
            )


@dataclasses.dataclass(frozen=True)
class Random(Racing):
    """Settings of `racing/random`: those of all racing games, and how many circuits.

    Attributes:
      num_circuits: how many circuits training meets. Validation and evaluation are driven
        on others, which training never meets.
    """

    episode_s: float = 90.0
    num_circuits: int = 500

    def __post_init__(self) -> None:
        """Refuses fewer than one circuit.

        Raises:
          ValueError: names the setting.
        """
        super().__post_init__()
        _within(self, "num_circuits", 1, 1_000_000)


@dataclasses.dataclass(frozen=True)
class Circuit(Racing):
    """Settings of `racing/circuit`: those of all racing games, and its file.

    Attributes:
      path: a CSV file of x_m, y_m, w_tr_right_m, w_tr_left_m: points of a closed line in
        the order in which they are driven, and how far the walls are to either side. By
        default a circuit of 594 m, as an example of the form. Kept as an absolute path, so
        that a run can be resumed from any folder.
    """

    episode_s: float = 300.0
    path: str = ""

    def __post_init__(self) -> None:
        """Makes the path absolute.

        Raises:
          ValueError: it is no path at all.
        """
        super().__post_init__()
        if not self.path.isprintable():
            raise ValueError(f"path is {self.path!r}; expected the name of a file.")
        if self.path:
            absolute = pathlib.Path(self.path).expanduser().absolute()
            object.__setattr__(self, "path", str(absolute))
