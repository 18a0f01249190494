"""`PursuitLearner`: a scripted driver that learns nothing, as a baseline for those that do.

It follows the line that the games `racing/...-line` show, at its speeds times a pace. At 1 it
is a careful driver; well above 1 the tyres cannot hold the line, and the outer wall has to:
the wall-rider.

Steering is that of Kapania and Gerdes, "Design of a feedback-feedforward steering controller
for accurate path tracking and stability at the limits of handling" (Vehicle System Dynamics
53, 2015): feedforward for the line's bend; feedback of the error some way ahead, as if the car
slid at the angle that belongs to the bend. With the angle at which it does slide instead, the
feedback turns into every slide, and the car spins.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # noqa: TID253
from tf_agents.policies import tf_policy  # noqa: TID253
from tf_agents.trajectories import policy_step  # noqa: TID253
from tf_agents.trajectories import time_step as ts  # noqa: TID253

from gamebridge import errors
from gamebridge.contract import AgentRequest, specs
from gamebridge.training import learners
from gamebridge_racing import agents, game, physics, settings
from gamebridge_racing import car as cars

# It comes back to the line within a way of so many seconds and metres.
_REACH_S, _REACH_M = 0.35, 4.0
# It steers for the bend of so many seconds ahead: an action holds 0.05 s, wheels take a while.
_BEND_S = 0.10
# It catches the tail: so much steering, rad, for each rad/s of yaw rate that is missing. With
# less it spins where it brakes in a bend; with twice as much the wheels swing.
_CATCH_S = 0.60
# It asks for no more than this share of what the tyres hold: the front ones would only scrub.
_OVER = 1.2
# The tyres' slip angle is taken for that at this share of their hold, or less: at all of it
# there is none.
_HELD = 0.97
# It asks for the speed of so many seconds ahead, which is how fast it brakes in time, and
# presses the pedal so much for each m/s that is missing.
_PEDAL_S, _PEDAL_PER_M_S = 0.10, 2.0


class PursuitLearner(learners.OnPolicyLearner):
    """Acts by a script; training changes nothing."""

    metric_names = ("pace",)
    rollout_length = 64

    def __init__(self, request: AgentRequest) -> None:
        """Checks that the game shows the line.

        Raises:
          FitError: it does not.
        """
        observation, action = request.time_step_spec.observation, request.action_spec
        shown, driven = tf.nest.map_structure(
            lambda leaf: specs.ArraySpec(tuple(leaf.shape), leaf.dtype.as_numpy_dtype),
            (observation, action),
        )
        objection = agents.objection(shown, driven, request.settings)
        if objection:
            raise errors.FitError(objection)
        self._pace = tf.Variable(request.settings.pace, trainable=False, dtype=tf.float32)
        self.policy = _Script(request.time_step_spec, action, self._drive)

    def trackables(self) -> dict[str, Any]:
        """The pace: so that a checkpoint holds something."""
        return {"pace": self._pace}

    def act(self, time_step: ts.TimeStep, seed: tf.Tensor) -> tuple[Any, Any]:
        """Drives as the policy does: there is nothing to explore."""
        return self._drive(time_step.observation), ()

    def train(self, rollout: learners.Rollout, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Changes nothing."""
        return {"pace": self._pace.read_value()}

    def _drive(self, observation: tf.Tensor) -> tf.Tensor:
        return pursue(observation, self._pace)


class _Script(tf_policy.TFPolicy):
    """A function of the observation as a policy."""

    def __init__(self, time_step_spec: Any, action_spec: Any, drive: Any) -> None:
        super().__init__(time_step_spec, action_spec)
        self._drive = drive

    def _variables(self) -> tuple[()]:
        return ()

    def _action(self, time_step: ts.TimeStep, policy_state: Any, seed: Any) -> Any:
        return policy_step.PolicyStep(self._drive(time_step.observation), policy_state)

    def _distribution(self, time_step: ts.TimeStep, policy_state: Any) -> Any:
        raise TypeError("A scripted driver has no distribution; ask for its action.")


def pursue(observation: tf.Tensor, pace: Any) -> tf.Tensor:
    """Returns steering and pedal, float32 [B, 2], for the line view's float32 [B, 42].

    It takes the car for the default `Car`.

    Args:
      observation: see `game.RacingGame`.
      pace: factor of the line's speeds.
    """
    car = cars.Car()
    hold = car.grip * cars.GRAVITY_M_S2
    speed = observation[:, 0] * physics.SPEED_UNIT
    yaw_rate = observation[:, 1] * physics.YAW_RATE_UNIT
    points = tf.reshape(observation[:, 6:], [-1, settings.NUM_POINTS, 3])
    places = points[:, :, :2] * physics.DISTANCE_UNIT
    # The line beside the car: its direction, and how far to the left it is.
    along = places[:, 2] - places[:, 0]
    course = tf.atan2(along[:, 1], along[:, 0])
    offset = places[:, 1, 1] * tf.cos(course) - places[:, 1, 0] * tf.sin(course)
    # The points around the place where the car will be.
    ahead = [speed * _BEND_S + index * game.POINT_SPACING_M for index in range(3)]
    bend = _curvature(*(_at(places, distance) for distance in ahead))
    slip = car.rear_m * bend - _slip_angle(tf.square(speed) * bend / hold, car)
    reach = _REACH_S * speed + _REACH_M
    # A circle through a point so far ahead: Coulter's pure pursuit, for small angles.
    curvature = bend + 2.0 * (course - slip) / reach + 2.0 * offset / tf.square(reach)
    tightest = _OVER * hold / tf.square(tf.maximum(speed, physics.SLOW_M_S))
    curvature = tf.clip_by_value(curvature, -tightest, tightest)
    steer = tf.atan(car.wheelbase_m * curvature) + _CATCH_S * (speed * curvature - yaw_rate)
    ahead_m = game.POINT_SPACING_M + speed * _PEDAL_S
    wanted = _at(points[:, :, 2:], ahead_m)[:, 0] * physics.SPEED_UNIT * pace
    pedal = (wanted - speed) * _PEDAL_PER_M_S
    return tf.clip_by_value(tf.stack([steer / car.steer_rad, pedal], 1), -1.0, 1.0)


def _slip_angle(used: tf.Tensor, car: cars.Car) -> tf.Tensor:
    """Returns float32 [B], rad: the angle at which tyres give a share of their hold [B].

    The magic formula of `physics.drive`, sin(C atan(B angle)), the other way round.
    """
    used = tf.clip_by_value(used, -_HELD, _HELD)
    return tf.tan(tf.asin(used) / car.shape) * car.shape / car.stiffness


def _curvature(first: tf.Tensor, second: tf.Tensor, third: tf.Tensor) -> tf.Tensor:
    """Returns float32 [B], 1/m, to the left: of the circle through three points [B, 2]."""
    one, two, whole = second - first, third - second, third - first
    cross = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    lengths = tf.norm(one, axis=1) * tf.norm(two, axis=1) * tf.norm(whole, axis=1)
    return 2.0 * cross / tf.maximum(lengths, 1e-3)


def _at(values: tf.Tensor, distance: tf.Tensor) -> tf.Tensor:
    """Returns float32 [B, K]: values [B, NUM_POINTS, K] so many metres, [B], past the first."""
    place = distance / game.POINT_SPACING_M
    place = tf.clip_by_value(place, 0.0, settings.NUM_POINTS - 1 - 1e-3)
    before = tf.cast(tf.floor(place), tf.int32)
    share = (place - tf.floor(place))[:, None]
    return (1.0 - share) * tf.gather(values, before, batch_dims=1) + share * tf.gather(
        values, before + 1, batch_dims=1
    )
