"""The compiled kernels: a batch of cars on the road, its walls, and what the cars observe.

The car is a dynamic single-track model: Althoff, Koschi and Manzinger (2017), "Vehicle
Models", section 6; Rajamani, "Vehicle Dynamics and Control" (2012), section 2.3.

* Tyres: Pacejka's magic formula for the lateral force (2012, section 4.3) and his friction
  circle for the combined one; the load moves between the axles with the acceleration.
* Engine and brakes: what power, gears and tyres allow. Traction control and anti-lock brakes
  leave to cornering what it needs (`TRACTION` 1), take all for themselves (0), or share.
* Walls: at eight points of the outline, an impulse along the wall's normal with Newton's
  restitution, then one along the wall, held by Coulomb's friction and by what brings the
  point to rest. One after the other, so that neither can add energy.

All kernels are in this one module on purpose: numba's cache on disk looks at the age of
the module that a function is in, and not at those of the functions that it calls.
"""

from __future__ import annotations

import math

import numpy as np

from gamebridge.contract import LAST, MID
from gamebridge.contract.specs import Array
from gamebridge_racing import car as cars
from gamebridge_racing import columns as c
from gamebridge_racing import kernels

# The constants of a car's build, in the order of `build`.
(
    FRONT, REAR, HEIGHT, HALF_LENGTH, HALF_WIDTH, STIFFNESS, SHAPE, POWER_W, DRIVE, BRAKE, DRAG,
    ROLLING, MAX_STEER, STEER_RATE, TRACTION, RESTITUTION, WALL_FRICTION, BASE_GRIP,
) = range(18)  # fmt: skip

# What a start is drawn from, in the order of `game._start`.
(
    GRIP_LOW, GRIP_HIGH, POWER_LOW, POWER_HIGH, MASS_LOW, MASS_HIGH, DELAY_LOW, DELAY_HIGH,
    SPEED_HIGH, MASS_KG, INERTIA_KG_M2, CAR_WIDTH,
) = range(12)  # fmt: skip

# The rules of a control step, in the order of `game._rules`.
(
    STEP_S, SUBSTEPS, PROGRESS_WEIGHT, CONTACT_WEIGHT, IMPULSE_WEIGHT, TIME_WEIGHT, CRASH_SPEED,
    STUCK_S, STUCK_WEIGHT, EPISODE_S, MAX_LAPS,
) = range(11)  # fmt: skip

# Units of the observations, which keep them to about -1 to 1, and what they are held to.
SPEED_UNIT, YAW_RATE_UNIT, DISTANCE_UNIT = 50.0, 2.0, 50.0
OBSERVATION_BOUND = 10.0

GRAVITY = cars.GRAVITY_M_S2
# Below this speed slip angles mean nothing: they are taken as at this speed.
SLOW_M_S = 3.0
# Brakes and rolling resistance fade to nothing below this speed, so that a car can stand.
_STANDING_M_S = 0.5
# The time in which springs and dampers move the load from axle to axle.
_LOAD_LAG_S = 0.08
# A wall's restitution does not act below this speed, so that a car can lean on it.
_LEANING_M_S = 0.5
# Contacts less than this apart are one.
_APART_S = 0.25
# Of a random start: share of the free width to either side, and angle to either side.
_SIDEWARD = 0.5
_ASKEW_RAD = 0.15
# A gate's wall may come this much closer within a car's length.
_BEND_M = 0.6


# Without NaN and infinity to care for, a third of the time is saved: no value of a car can
# become either, and the game refuses an action that is.
_kernel = kernels.kernel(fastmath=True)


def build(car: cars.Car) -> Array:
    """Returns what the kernels need of a car: float64 [18]."""
    return np.asarray([
        car.front_m, car.rear_m, car.height_m, car.length_m / 2, car.width_m / 2,
        car.stiffness / car.shape, car.shape, car.power_w, car.drive_force_n, car.brake_force_n,
        car.drag_kg_m, car.rolling * GRAVITY, car.steer_rad, car.steer_rate_rad_s,
        car.traction_control, car.wall_restitution, car.wall_friction, car.grip,
    ])  # fmt: skip


@_kernel
def ahead(lane: Array, index: int, x: float, y: float) -> float:
    """How far (x, y) is in front of a cross line, in metres; negative behind it."""
    row = lane[index]
    across_x, across_y = row[c.LEFT_X] - row[c.RIGHT_X], row[c.LEFT_Y] - row[c.RIGHT_Y]
    cross = across_y * (x - row[c.RIGHT_X]) - across_x * (y - row[c.RIGHT_Y])
    return cross * row[c.PER_WIDTH]


@_kernel
def follow(lane: Array, gate: int, x: float, y: float) -> int:
    """Walks from a gate to the one that (x, y) is in."""
    count = lane.shape[0] - 1
    for _ in range(count):
        if ahead(lane, gate, x, y) < 0.0:
            gate = gate - 1 if gate > 0 else count - 1
        elif ahead(lane, gate + 1, x, y) >= 0.0:
            gate = gate + 1 if gate + 1 < count else 0
        else:
            break
    return gate


@_kernel
def depth(lane: Array, gate: int, side: int, x: float, y: float) -> float:
    """How deep (x, y) is in a gate's left wall (side 0) or right one (1); negative before it."""
    row = lane[gate]
    dx, dy = x - row[2 * side], y - row[2 * side + 1]
    return -dx * row[c.LEFT_NORMAL_X + 2 * side] - dy * row[c.LEFT_NORMAL_Y + 2 * side]


@_kernel
def ray(lane: Array, gate: int, x: float, y: float, dx: float, dy: float, reach: float) -> float:
    """Exact distance from (x, y), inside a gate, to the first wall along (dx, dy), a unit vector.

    A ray that leaves a gate by a cross line goes on into the next one, and never turns
    back: so each gate takes two cross products, and only the last one a division.
    """
    count = lane.shape[0] - 1
    # Positive where a corner is to the left of the ray.
    near_left = dx * (lane[gate, c.LEFT_Y] - y) - dy * (lane[gate, c.LEFT_X] - x)
    near_right = dx * (lane[gate, c.RIGHT_Y] - y) - dy * (lane[gate, c.RIGHT_X] - x)
    far_left = dx * (lane[gate + 1, c.LEFT_Y] - y) - dy * (lane[gate + 1, c.LEFT_X] - x)
    far_right = dx * (lane[gate + 1, c.RIGHT_Y] - y) - dy * (lane[gate + 1, c.RIGHT_X] - x)
    forwards = far_right <= 0.0 and far_left > 0.0
    hits_left = far_left <= 0.0 and near_left > 0.0
    if forwards or (near_left <= 0.0 and near_right > 0.0):
        for _ in range(count):
            if forwards:
                gate = gate + 1 if gate + 1 < count else 0
                way_out = lane[gate + 1]
            else:
                gate = gate - 1 if gate > 0 else count - 1
                way_out = lane[gate]
            left_x, left_y = way_out[c.LEFT_X] - x, way_out[c.LEFT_Y] - y
            right_x, right_y = way_out[c.RIGHT_X] - x, way_out[c.RIGHT_Y] - y
            hits_left = (dx * left_y - dy * left_x > 0.0) != forwards
            if hits_left or (dx * right_y - dy * right_x > 0.0) == forwards:
                break
            if left_x * dx + left_y * dy > reach and right_x * dx + right_y * dy > reach:
                return reach
    column = c.LEFT_X if hits_left else c.RIGHT_X
    from_x, from_y = lane[gate, column], lane[gate, column + 1]
    edge_x, edge_y = lane[gate + 1, column] - from_x, lane[gate + 1, column + 1] - from_y
    across = dx * edge_y - dy * edge_x
    if across == 0.0:
        return 0.0
    distance = ((from_x - x) * edge_y - (from_y - y) * edge_x) / across
    return min(max(distance, 0.0), reach)


@_kernel
def arctan(x: float) -> float:
    """Inverse tangent within 2e-8, at a third of the time (Abramowitz and Stegun, 4.4.49)."""
    size = abs(x)
    inner = size if size <= 1.0 else 1.0 / size
    square = inner * inner
    angle = inner * (1.0 + square * (-0.3333314528 + square * (0.1999355085 + square * (
        -0.1420889944 + square * (0.1065626393 + square * (-0.0752896400 + square * (
            0.0429096138 + square * (-0.0161657367 + square * 0.0028662257))))))))  # fmt: skip
    if size > 1.0:
        angle = math.pi / 2 - angle
    return angle if x >= 0.0 else -angle


@_kernel
def sine_cosine(x: float) -> tuple[float, float]:
    """Sine and cosine by their series: within 1e-7 up to 2.1 rad, all that tyres ask for."""
    square = x * x
    sine = x * (1.0 - square / 6 * (1.0 - square / 20 * (1.0 - square / 42 * (
        1.0 - square / 72 * (1.0 - square / 110 * (1.0 - square / 156 * (
            1.0 - square / 210)))))))  # fmt: skip
    cosine = 1.0 - square / 2 * (1.0 - square / 12 * (1.0 - square / 30 * (
        1.0 - square / 56 * (1.0 - square / 90 * (1.0 - square / 132 * (
            1.0 - square / 182))))))  # fmt: skip
    return sine, cosine


@_kernel
def drive(car: Array, body: Array, dt: float) -> None:
    """Moves one car by `dt` seconds, as if there were no walls."""
    mass, grip = car[c.MASS], car[c.GRIP] * body[BASE_GRIP]
    front, rear = body[FRONT], body[REAR]
    along, across, yaw_rate = car[c.SPEED_ALONG], car[c.SPEED_ACROSS], car[c.YAW_RATE]
    turn = body[STEER_RATE] * dt
    wanted = car[c.WHEEL] * body[MAX_STEER]
    steer = car[c.STEER] + min(max(wanted - car[c.STEER], -turn), turn)
    car[c.STEER] = steer

    wheelbase = front + rear
    moved = car[c.ACCELERATION] * body[HEIGHT]
    least = 0.05 * GRAVITY * wheelbase
    load_front = mass * max(GRAVITY * rear - moved, least) / wheelbase
    load_rear = mass * max(GRAVITY * front + moved, least) / wheelbase
    held_front, held_rear = grip * load_front, grip * load_rear

    rolling_speed = max(abs(along), SLOW_M_S)
    slip_front = arctan((across + front * yaw_rate) / rolling_speed)
    slip_front -= steer if along >= 0.0 else -steer
    slip_rear = arctan((across - rear * yaw_rate) / rolling_speed)
    shape, stiffness = body[SHAPE], body[STIFFNESS]
    side_front = -held_front * sine_cosine(shape * arctan(stiffness * slip_front))[0]
    side_rear = -held_rear * sine_cosine(shape * arctan(stiffness * slip_rear))[0]

    pedal = car[c.PEDAL]
    fading = min(max(along / _STANDING_M_S, -1.0), 1.0)
    if pedal >= 0.0:
        push_front = 0.0
        power = car[c.POWER] * body[POWER_W]
        push_rear = pedal * min(power / max(along, 1.0), body[DRIVE])
    else:
        braking = pedal * body[BRAKE] * fading
        push_front = braking * load_front / (load_front + load_rear)
        push_rear = braking - push_front
    # Friction circle: what drive and brakes may take, then what is left for cornering.
    share = body[TRACTION]
    left_front = math.sqrt(max(held_front**2 - (share * side_front) ** 2, 0.0))
    left_rear = math.sqrt(max(held_rear**2 - (share * side_rear) ** 2, 0.0))
    push_front = min(max(push_front, -left_front), left_front)
    push_rear = min(max(push_rear, -left_rear), left_rear)
    left_front = math.sqrt(max(held_front**2 - push_front**2, 0.0))
    left_rear = math.sqrt(max(held_rear**2 - push_rear**2, 0.0))
    side_front = min(max(side_front, -left_front), left_front)
    side_rear = min(max(side_rear, -left_rear), left_rear)

    sine, cosine = sine_cosine(steer)
    tyres_along = push_front * cosine - side_front * sine + push_rear
    turning = side_front * cosine + push_front * sine
    resisting = body[DRAG] * along * abs(along) + body[ROLLING] * mass * fading
    car[c.ACCELERATION] += (tyres_along / mass - car[c.ACCELERATION]) * min(dt / _LOAD_LAG_S, 1.0)

    yaw_rate += dt * (front * turning - rear * side_rear) / car[c.INERTIA]
    # The frame turns below the velocity: exactly, so that turning alone changes no speed.
    angle = yaw_rate * dt
    sine, cosine = sine_cosine(angle)
    car[c.SPEED_ALONG] = along * cosine + across * sine + dt * (tyres_along - resisting) / mass
    car[c.SPEED_ACROSS] = across * cosine - along * sine + dt * (turning + side_rear) / mass
    car[c.YAW_RATE] = yaw_rate
    heading = car[c.HEADING] + angle
    if heading > math.pi:
        heading -= 2.0 * math.pi
    elif heading < -math.pi:
        heading += 2.0 * math.pi
    car[c.HEADING] = heading
    cosine, sine = math.cos(heading), math.sin(heading)
    car[c.X] += dt * (car[c.SPEED_ALONG] * cosine - car[c.SPEED_ACROSS] * sine)
    car[c.Y] += dt * (car[c.SPEED_ALONG] * sine + car[c.SPEED_ACROSS] * cosine)


@_kernel
def push(
    car: Array,
    arm_x: float,
    arm_y: float,
    normal_x: float,
    normal_y: float,
    restitution: float,
    friction: float,
) -> tuple[float, float]:
    """Impulses of a wall on the point at (arm_x, arm_y) from the centre, in the world's axes.

    Returns:
      The speed into the wall and the impulse along its normal; 0 where the point leaves.
    """
    cosine, sine = math.cos(car[c.HEADING]), math.sin(car[c.HEADING])
    speed_x = car[c.SPEED_ALONG] * cosine - car[c.SPEED_ACROSS] * sine
    speed_y = car[c.SPEED_ALONG] * sine + car[c.SPEED_ACROSS] * cosine
    yaw_rate = car[c.YAW_RATE]
    into = -((speed_x - yaw_rate * arm_y) * normal_x + (speed_y + yaw_rate * arm_x) * normal_y)
    if into <= 0.0:
        return 0.0, 0.0
    per_mass, per_inertia = 1.0 / car[c.MASS], 1.0 / car[c.INERTIA]
    lever = arm_x * normal_y - arm_y * normal_x
    bounce = restitution if into > _LEANING_M_S else 0.0
    impulse = (1.0 + bounce) * into / (per_mass + lever * lever * per_inertia)
    speed_x += impulse * normal_x * per_mass
    speed_y += impulse * normal_y * per_mass
    yaw_rate += impulse * lever * per_inertia

    wall_x, wall_y = -normal_y, normal_x
    lever = arm_x * wall_y - arm_y * wall_x
    sliding = (speed_x - yaw_rate * arm_y) * wall_x + (speed_y + yaw_rate * arm_x) * wall_y
    rub = -sliding / (per_mass + lever * lever * per_inertia)
    rub = min(max(rub, -friction * impulse), friction * impulse)
    speed_x += rub * wall_x * per_mass
    speed_y += rub * wall_y * per_mass
    car[c.YAW_RATE] = yaw_rate + rub * lever * per_inertia
    car[c.SPEED_ALONG] = speed_x * cosine + speed_y * sine
    car[c.SPEED_ACROSS] = speed_y * cosine - speed_x * sine
    return into, impulse


@_kernel
def touch(car: Array, lane: Array, gate: int, body: Array) -> bool:
    """Lets the walls act on the outline, and puts a car that is in a wall back on the road.

    Returns:
      Whether any point touches; adds to the car's IMPULSE and IMPACT.
    """
    half_length, half_width = body[HALF_LENGTH], body[HALF_WIDTH]
    reach = math.sqrt(half_length * half_length + half_width * half_width) + _BEND_M
    touched = False
    for side in range(2):
        if depth(lane, gate, side, car[c.X], car[c.Y]) < -reach:
            continue
        cosine, sine = math.cos(car[c.HEADING]), math.sin(car[c.HEADING])
        # Corners and middles of the sides: without the middles, the inner wall of a tight
        # corner would reach a quarter of a metre into the door.
        for forward in range(-1, 2):
            for sideward in range(-1, 2):
                if forward == 0 and sideward == 0:
                    continue
                ahead_m, beside_m = forward * half_length, sideward * half_width
                arm_x = ahead_m * cosine - beside_m * sine
                arm_y = ahead_m * sine + beside_m * cosine
                point = follow(lane, gate, car[c.X] + arm_x, car[c.Y] + arm_y)
                inside = depth(lane, point, side, car[c.X] + arm_x, car[c.Y] + arm_y)
                if inside <= 0.0:
                    continue
                touched = True
                normal_x = lane[point, c.LEFT_NORMAL_X + 2 * side]
                normal_y = lane[point, c.LEFT_NORMAL_Y + 2 * side]
                car[c.X] += inside * normal_x
                car[c.Y] += inside * normal_y
                into, impulse = push(
                    car, arm_x, arm_y, normal_x, normal_y, body[RESTITUTION], body[WALL_FRICTION]
                )
                car[c.IMPULSE] += impulse
                car[c.IMPACT] = max(car[c.IMPACT], into)
    return touched


@_kernel
def place(car: Array, counts: Array, lane: Array) -> None:
    """Finds where on the lap a car is: GATE, ALONG and OFFSET."""
    gate = follow(lane, counts[c.GATE], car[c.X], car[c.Y])
    counts[c.GATE] = gate
    behind = max(ahead(lane, gate, car[c.X], car[c.Y]), 0.0)
    before = max(-ahead(lane, gate + 1, car[c.X], car[c.Y]), 0.0)
    share = behind / (behind + before) if behind + before > 0.0 else 0.0
    near, far = lane[gate], lane[gate + 1]
    car[c.ALONG] = near[c.DISTANCE] + share * (far[c.DISTANCE] - near[c.DISTANCE])
    left = depth(lane, gate, 0, car[c.X], car[c.Y])
    car[c.OFFSET] = (left - depth(lane, gate, 1, car[c.X], car[c.Y])) / 2.0


@_kernel
def count_progress(car: Array, counts: Array, lane: Array, step_s: float) -> float:
    """Adds what a control step brought along the lap; times a lap that it completed.

    Returns:
      Metres along the lap, negative backwards.
    """
    lap_m = lane[lane.shape[0] - 1, c.DISTANCE]
    before = car[c.ALONG]
    place(car, counts, lane)
    brought = car[c.ALONG] - before
    if brought > lap_m / 2:
        brought -= lap_m
    elif brought < -lap_m / 2:
        brought += lap_m
    car[c.PROGRESS] += brought
    car[c.IDLE] += step_s
    if car[c.PROGRESS] >= car[c.FARTHEST] + 1.0:
        car[c.FARTHEST] = car[c.PROGRESS]
        car[c.IDLE] = 0.0
    goal = lap_m * (counts[c.LAPS] + 1)
    if car[c.PROGRESS] >= goal:
        crossed = car[c.TIME] - step_s * (car[c.PROGRESS] - goal) / brought
        car[c.LAST_LAP] = crossed - car[c.LAP_BEGAN]
        if car[c.BEST_LAP] == 0.0 or car[c.LAST_LAP] < car[c.BEST_LAP]:
            car[c.BEST_LAP] = car[c.LAST_LAP]
        car[c.LAP_BEGAN] = crossed
        counts[c.LAPS] += 1
    return brought


@_kernel
def advance(
    all_cars: Array,
    all_counts: Array,
    road: Array,
    body: Array,
    rules: Array,
    queue: Array,
    actions: Array,
    active: Array,
    step_type: Array,
    reward: Array,
    discount: Array,
    results: Array,
    over: Array,
) -> int:
    """One control step of the active cars whose episode is not over.

    Args:
      all_cars: float64 [B, NUM_CAR].
      all_counts: int64 [B, NUM_COUNTS].
      road: float64 [R, NUM_ROAD], all tracks one after the other.
      body: `build` of the car.
      rules: float64 [11].
      queue: float64 [B, D, 2], the last D actions, for those that act late.
      actions: float64 [B, 2], steering to the left and pedal, each held to [-1, 1].
      active: bool [B].
      step_type: int32 [B]; LAST where an episode ends.
      reward: float32 [B].
      discount: float32 [B].
      results: float64 [B, 2]; gets the metres along the lap, and 1 where a contact began.
      over: bool [B]; gets which are to begin an episode instead.

    Returns:
      How many are to begin an episode.
    """
    substeps = int(rules[SUBSTEPS])
    dt = rules[STEP_S] / substeps
    num_over = 0
    for slot in range(all_cars.shape[0]):
        over[slot] = active[slot] and step_type[slot] == LAST
        num_over += over[slot]
        if over[slot] or not active[slot]:
            continue
        car, counts = all_cars[slot], all_counts[slot]
        lane = road[counts[c.FIRST] : counts[c.FIRST] + counts[c.GATES] + 1]
        places = queue.shape[1]
        now = counts[c.STEPS] % places
        for part in range(2):
            queue[slot, now, part] = min(max(actions[slot, part], -1.0), 1.0)
        car[c.ASKED_WHEEL], car[c.ASKED_PEDAL] = queue[slot, now, 0], queue[slot, now, 1]
        acted = counts[c.STEPS] - counts[c.DELAY]
        car[c.WHEEL] = queue[slot, acted % places, 0] if acted >= 0 else 0.0
        car[c.PEDAL] = queue[slot, acted % places, 1] if acted >= 0 else 0.0
        car[c.IMPULSE] = car[c.IMPACT] = 0.0
        touched = False
        for _ in range(substeps):
            drive(car, body, dt)
            counts[c.GATE] = follow(lane, counts[c.GATE], car[c.X], car[c.Y])
            if touch(car, lane, counts[c.GATE], body):
                touched = True
        counts[c.STEPS] += 1
        counts[c.TOUCHED] = touched
        car[c.TIME] = counts[c.STEPS] * rules[STEP_S]
        results[slot, 1] = touched and car[c.UNTOUCHED] > _APART_S
        car[c.UNTOUCHED] = 0.0 if touched else car[c.UNTOUCHED] + rules[STEP_S]

        brought = count_progress(car, counts, lane, rules[STEP_S])
        results[slot, 0] = brought
        gained = rules[PROGRESS_WEIGHT] * brought - rules[TIME_WEIGHT] * rules[STEP_S]
        if touched:
            gained -= rules[CONTACT_WEIGHT]
            # Per N s and kg: the speed that the wall took, in m/s.
            gained -= rules[IMPULSE_WEIGHT] * car[c.IMPULSE] / car[c.MASS]
        step_type[slot], discount[slot] = MID, 1.0
        if rules[CRASH_SPEED] > 0.0 and car[c.IMPACT] > rules[CRASH_SPEED]:
            step_type[slot], discount[slot] = LAST, 0.0
        elif rules[STUCK_S] > 0.0 and car[c.IDLE] > rules[STUCK_S]:
            step_type[slot], discount[slot] = LAST, 0.0
            gained -= rules[STUCK_WEIGHT]
        elif rules[MAX_LAPS] > 0.0 and counts[c.LAPS] >= rules[MAX_LAPS]:
            step_type[slot], discount[slot] = LAST, 0.0
        elif car[c.TIME] >= rules[EPISODE_S] - 1e-9:
            step_type[slot] = LAST
        reward[slot] = gained
    return num_over


@_kernel
def begin(
    car: Array, counts: Array, lane: Array, line: Array, start: Array, state: Array, slot: int
) -> None:
    """Puts a car at the start of an episode, and draws what is random in it.

    Args:
      car: float64 [NUM_CAR], overwritten.
      counts: int64 [NUM_COUNTS]; FIRST, GATES, LINE_FIRST and LINE_POINTS are kept.
      lane: float64 [N + 1, NUM_ROAD], its track.
      line: float64 [M, NUM_LINE], the track's line.
      start: float64 [12].
      state: uint64 [B], of the random numbers, at the episode's seed.
      slot: of them.
    """
    car[:] = 0.0
    counts[c.GATE :] = 0
    car[c.GRIP] = between(start[GRIP_LOW], start[GRIP_HIGH], state, slot)
    car[c.POWER] = between(start[POWER_LOW], start[POWER_HIGH], state, slot)
    heavier = between(start[MASS_LOW], start[MASS_HIGH], state, slot)
    car[c.MASS], car[c.INERTIA] = start[MASS_KG] * heavier, start[INERTIA_KG_M2] * heavier
    # The greatest delay is one of the choices.
    delay = between(start[DELAY_LOW], start[DELAY_HIGH] + 1.0, state, slot)
    counts[c.DELAY] = math.floor(delay)
    car[c.UNTOUCHED] = 1e9

    gate, sideward, askew = 0, 0.0, 0.0
    if start[SPEED_HIGH] >= 0.0:
        gate = int(uniform(state, slot) * counts[c.GATES])
        free = max(1.0 / lane[gate, c.PER_WIDTH] - start[CAR_WIDTH], 0.0) / 2.0
        sideward = between(-_SIDEWARD, _SIDEWARD, state, slot) * free
        askew = between(-_ASKEW_RAD, _ASKEW_RAD, state, slot)
        car[c.SPEED_ALONG] = between(0.0, start[SPEED_HIGH], state, slot)
    here, there = lane[gate], lane[gate + 1]
    here_x, here_y = (here[0] + here[2]) / 2.0, (here[1] + here[3]) / 2.0
    there_x, there_y = (there[0] + there[2]) / 2.0, (there[1] + there[3]) / 2.0
    across = sideward * here[c.PER_WIDTH]
    # A little ahead of the cross line: exactly on it a car would be in either gate.
    car[c.X] = 0.9 * here_x + 0.1 * there_x + across * (here[c.LEFT_X] - here[c.RIGHT_X])
    car[c.Y] = 0.9 * here_y + 0.1 * there_y + across * (here[c.LEFT_Y] - here[c.RIGHT_Y])
    car[c.HEADING] = math.atan2(there_y - here_y, there_x - here_x) + askew
    counts[c.GATE] = gate
    place(car, counts, lane)
    best = np.inf
    for point in range(line.shape[0]):
        square = (line[point, c.LINE_X] - car[c.X]) ** 2 + (line[point, c.LINE_Y] - car[c.Y]) ** 2
        if square < best:
            best = square
            counts[c.LINE_AT] = point


@_kernel
def uniform(state: Array, slot: int) -> float:
    """Draws from [0, 1) by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): uint64 [B] states."""
    state[slot] += np.uint64(0x9E3779B97F4A7C15)
    z = state[slot]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * 2.0**-53


@_kernel
def between(low: float, high: float, state: Array, slot: int) -> float:
    """Draws from [low, high)."""
    return low + (high - low) * uniform(state, slot)


@_kernel
def normal(state: Array, slot: int) -> float:
    """Draws from the standard normal distribution (Box and Muller, 1958)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(state, slot)))
    return radius * math.cos(2.0 * math.pi * uniform(state, slot))


@_kernel
def feel(car: Array, body: Array, row: Array, at: int) -> None:
    """Writes what the car feels of itself into six columns of a row, about -1 to 1 each."""
    row[at] = car[c.SPEED_ALONG] / SPEED_UNIT
    row[at + 1] = car[c.YAW_RATE] / YAW_RATE_UNIT
    row[at + 2] = slip(car)
    row[at + 3] = car[c.STEER] / body[MAX_STEER]
    row[at + 4] = car[c.ASKED_WHEEL]
    row[at + 5] = car[c.ASKED_PEDAL]


@_kernel
def slip(car: Array) -> float:
    """Angle between where the car points and where it goes, in radians."""
    return math.atan2(car[c.SPEED_ACROSS], max(abs(car[c.SPEED_ALONG]), SLOW_M_S))


@_kernel
def blur(row: Array, noise: float, state: Array, slot: int) -> None:
    """Adds a normal error of `noise` to each value and holds all to what the spec allows."""
    for column in range(row.shape[0]):
        if noise > 0.0:
            row[column] += noise * normal(state, slot)
        row[column] = min(max(row[column], -OBSERVATION_BOUND), OBSERVATION_BOUND)


@_kernel
def see_walls(
    all_cars: Array,
    all_counts: Array,
    road: Array,
    body: Array,
    angles: Array,
    reach: float,
    noise: float,
    state: Array,
    wanted: Array,
    rows: Array,
) -> None:
    """Writes the lidar view: rays over their reach, then what the car feels.

    Args:
      all_cars: float64 [B, NUM_CAR].
      all_counts: int64 [B, NUM_COUNTS].
      road: float64 [R, NUM_ROAD].
      body: `build` of the car.
      angles: float64 [K, 2], cosine and sine of each ray from the car's nose.
      reach: of the rays, in metres.
      noise: standard deviation of an error.
      state: uint64 [B], of the random numbers.
      wanted: bool [B], rows to write.
      rows: float32 [B, K + 6].
    """
    count = angles.shape[0]
    for slot in range(all_cars.shape[0]):
        if not wanted[slot]:
            continue
        car, counts, row = all_cars[slot], all_counts[slot], rows[slot]
        lane = road[counts[c.FIRST] : counts[c.FIRST] + counts[c.GATES] + 1]
        cosine, sine = math.cos(car[c.HEADING]), math.sin(car[c.HEADING])
        for index in range(count):
            dx = cosine * angles[index, 0] - sine * angles[index, 1]
            dy = sine * angles[index, 0] + cosine * angles[index, 1]
            row[index] = ray(lane, counts[c.GATE], car[c.X], car[c.Y], dx, dy, reach) / reach
        feel(car, body, row, count)
        blur(row, noise, state, slot)


@_kernel
def see_line(
    all_cars: Array,
    all_counts: Array,
    lines: Array,
    body: Array,
    stride: int,
    noise: float,
    state: Array,
    wanted: Array,
    rows: Array,
) -> None:
    """Writes the line view: what the car feels, then its track's line from behind it on.

    Args:
      all_cars: float64 [B, NUM_CAR].
      all_counts: int64 [B, NUM_COUNTS].
      lines: float64 [L, NUM_LINE], the lines of all tracks one after the other.
      body: `build` of the car.
      stride: points of the line from one that is seen to the next.
      noise: standard deviation of an error.
      state: uint64 [B], of the random numbers.
      wanted: bool [B], rows to write.
      rows: float32 [B, 6 + 3 K]; of each point: ahead, to the left, the line's speed. The first
        is behind the car, the second beside it.
    """
    for slot in range(all_cars.shape[0]):
        if not wanted[slot]:
            continue
        car, counts, row = all_cars[slot], all_counts[slot], rows[slot]
        line = lines[counts[c.LINE_FIRST] : counts[c.LINE_FIRST] + counts[c.LINE_POINTS]]
        count = line.shape[0]
        at = counts[c.LINE_AT] = nearest(line, counts[c.LINE_AT], car[c.X], car[c.Y])
        feel(car, body, row, 0)
        # What is seen moves on with the car, and does not jump from point to point.
        share = beside(line, at, car[c.X], car[c.Y])
        if share < 0.0:
            at, share = at - 1, share + 1.0
        cosine, sine = math.cos(car[c.HEADING]), math.sin(car[c.HEADING])
        for index in range((row.shape[0] - 6) // 3):
            place = (at + (index - 1) * stride) % count
            near, far = line[place], line[place + 1 if place + 1 < count else 0]
            dx = near[c.LINE_X] + share * (far[c.LINE_X] - near[c.LINE_X]) - car[c.X]
            dy = near[c.LINE_Y] + share * (far[c.LINE_Y] - near[c.LINE_Y]) - car[c.Y]
            speed = near[c.LINE_SPEED] + share * (far[c.LINE_SPEED] - near[c.LINE_SPEED])
            row[6 + 3 * index] = (dx * cosine + dy * sine) / DISTANCE_UNIT
            row[7 + 3 * index] = (dy * cosine - dx * sine) / DISTANCE_UNIT
            row[8 + 3 * index] = speed / SPEED_UNIT
        blur(row, noise, state, slot)


@_kernel
def beside(line: Array, at: int, x: float, y: float) -> float:
    """How far (x, y) is from the nearest point towards the next one, as a share, -1 to 1."""
    count = line.shape[0]
    before, after = line[(at + count - 1) % count], line[(at + 1) % count]
    along_x, along_y = after[c.LINE_X] - before[c.LINE_X], after[c.LINE_Y] - before[c.LINE_Y]
    along = (x - line[at, c.LINE_X]) * along_x + (y - line[at, c.LINE_Y]) * along_y
    # From the point before to the one after are two steps.
    share = 2.0 * along / (along_x * along_x + along_y * along_y)
    return min(max(share, -1.0), 1.0)


@_kernel
def nearest(line: Array, at: int, x: float, y: float) -> int:
    """Walks along a closed line to the point that no neighbour is nearer than."""
    count = line.shape[0]
    best = (line[at, c.LINE_X] - x) ** 2 + (line[at, c.LINE_Y] - y) ** 2
    for way in (1, count - 1):
        for _ in range(count):
            other = (at + way) % count
            square = (line[other, c.LINE_X] - x) ** 2 + (line[other, c.LINE_Y] - y) ** 2
            if square >= best:
                break
            at, best = other, square
    return at
