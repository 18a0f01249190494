"""`Car`: what the physics, the lap-time limit and the closed formulas know of the car.

The default is a small saloon with a race engine. Masses, lengths, inertia and tyre
stiffness are those of vehicle 2 (BMW 320i) in Althoff, Koschi and Manzinger, "CommonRoad:
Composable Benchmarks for Motion Planning on Roads" (2017), and its document "Vehicle
Models". Where another source is used, the attribute says so.
"""

from __future__ import annotations

import dataclasses
import math

GRAVITY_M_S2 = 9.81
# Of each default: within these factors the physics was seen to stay finite, one by one.
_LEAST, _GREATEST = 1 / 2_000, 100.0
AIR_KG_M3 = 1.225  # dry air at sea level and 15 degrees Celsius (ISO 2533)


@dataclasses.dataclass(frozen=True)
class Car:
    """A car on four tyres of one kind, driven at the rear, braked at all wheels.

    Attributes:
      mass_kg: with driver.
      yaw_inertia_kg_m2: about the vertical axis.
      front_m: from the centre of gravity to the front axle.
      rear_m: from the centre of gravity to the rear axle.
      height_m: of the centre of gravity; moves load between the axles.
      length_m: of the outline, centred between the axles.
      width_m: of the outline.
      grip: friction coefficient of tyre on road.
      stiffness: cornering force per slip angle and per load times grip, 1/rad: B * C of
        the magic formula.
      shape: C of the magic formula; 1.3 for lateral force (Pacejka, "Tyre and Vehicle
        Dynamics", 2012, section 4.3).
      power_w: of the engine, at the wheels; that of a touring car.
      drive_force_n: greatest force of the engine in its lowest gear.
      brake_force_n: greatest force of the brakes, beyond what the tyres can hold.
      drag_area_m2: drag coefficient times frontal area.
      rolling: rolling resistance per load (Wong, "Theory of Ground Vehicles", 2008, 1.6).
      steer_rad: greatest steering angle at the wheels.
      steer_rate_rad_s: greatest speed of steering; a racing driver's hands.
      traction_control: 1 where drive and brakes take only what cornering leaves of the grip
        (traction control, anti-lock brakes), 0 where they take what they can get.
      wall_restitution: speed off a wall over speed into it, along its normal.
      wall_friction: of the body along a wall: steel on smooth concrete, wet with paint.
    """

    mass_kg: float = 1093.3
    yaw_inertia_kg_m2: float = 1791.6
    front_m: float = 1.156
    rear_m: float = 1.423
    height_m: float = 0.50
    length_m: float = 4.30
    width_m: float = 1.70
    grip: float = 1.05
    stiffness: float = 20.9
    shape: float = 1.3
    power_w: float = 150_000.0
    drive_force_n: float = 6_500.0
    brake_force_n: float = 14_000.0
    drag_area_m2: float = 0.70
    rolling: float = 0.012
    steer_rad: float = 0.60
    steer_rate_rad_s: float = 3.0
    traction_control: float = 1.0
    wall_restitution: float = 0.3
    wall_friction: float = 0.2

    def __post_init__(self) -> None:
        """Refuses what is no car.

        Raises:
          ValueError: a value is beyond `_LEAST` or `_GREATEST` times its default; or not
            within [0, 1], where it is a share.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            default: float = getattr(type(self), field.name)
            low, high = default * _LEAST, default * _GREATEST
            if field.name in ("traction_control", "wall_restitution", "wall_friction"):
                low, high = 0.0, 1.0
            if not low <= value <= high:
                raise ValueError(f"{field.name} is {value}; expected {low:g} to {high:g}.")

    @property
    def wheelbase_m(self) -> float:
        """From axle to axle."""
        return self.front_m + self.rear_m

    @property
    def drag_kg_m(self) -> float:
        """Drag force over speed squared."""
        return 0.5 * AIR_KG_M3 * self.drag_area_m2

    @property
    def rolling_force_n(self) -> float:
        """Rolling resistance of all four wheels."""
        return self.rolling * self.mass_kg * GRAVITY_M_S2

    def top_speed_m_s(self) -> float:
        """The speed v at which the engine just holds the air: P = v (k v^2 + R)."""
        low, high = 0.0, 1_000.0
        for _ in range(80):
            middle = (low + high) / 2
            force = self.drag_kg_m * middle**2 + self.rolling_force_n
            low, high = (low, middle) if middle * force > self.power_w else (middle, high)
        return low

    def stopping_distance_m(self, speed_m_s: float) -> float:
        """Distance of a full braking: m v dv/ds = -(F + k v^2), integrated from v to 0.

        F is what tyres or brakes can hold, whichever is less, and rolling resistance.
        """
        held = min(self.grip * self.mass_kg * GRAVITY_M_S2, self.brake_force_n)
        force = held + self.rolling_force_n
        drag = self.drag_kg_m
        return self.mass_kg / (2 * drag) * math.log1p(drag * speed_m_s**2 / force)

    def cornering_speed_m_s(self, radius_m: float) -> float:
        """Greatest steady speed on a circle.

        The tyres hold the centripetal force and the rear ones also the drag, in all grip * m * g:
        (m v^2 / R)^2 + (k v^2 + r)^2 = (grip m g)^2, solved for v.
        """
        across, along = self.mass_kg / radius_m, self.drag_kg_m
        total = self.grip * self.mass_kg * GRAVITY_M_S2
        # A quadratic in v^2.
        a = across**2 + along**2
        b = 2 * along * self.rolling_force_n
        c = self.rolling_force_n**2 - total**2
        return math.sqrt((-b + math.sqrt(b * b - 4 * a * c)) / (2 * a))
