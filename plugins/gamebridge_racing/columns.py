"""Columns of the arrays that the compiled kernels work on: one row a car, one a cross line."""

from __future__ import annotations

# A car's row, float64. SI units; headings in radians; velocities in the car's own frame.
X, Y, HEADING, SPEED_ALONG, SPEED_ACROSS, YAW_RATE, STEER, ACCELERATION = range(8)
# What this episode's car is like: factors of grip and power, kg and kg m^2.
GRIP, POWER, MASS, INERTIA = range(8, 12)
# The action that drives it now (steering and pedal, each -1 to 1) and the one asked for.
WHEEL, PEDAL, ASKED_WHEEL, ASKED_PEDAL = range(12, 16)
# Along the lap, and along the episode: the sum so far and the greatest so far, in metres.
ALONG, PROGRESS, FARTHEST = range(16, 19)
# Seconds since the episode began; when the running lap began; since the last new metre.
TIME, LAP_BEGAN, IDLE = range(19, 22)
# Lap times in seconds, 0 where there is none, and the limit of the track.
LAST_LAP, BEST_LAP, LIMIT_LAP = range(22, 25)
# Of the last control step: impulse (N s) and greatest speed (m/s) into a wall; seconds since
# the last touch.
IMPULSE, IMPACT, UNTOUCHED = range(25, 28)
# Across the track, to the left of the middle, in metres.
OFFSET = 28
NUM_CAR = 29

# A car's whole numbers, int64: where its track begins in the road and how many gates it has,
# the same of its line, the gate it is in, the point of the line beside it, steps of the
# action's delay, steps taken, laps, and whether it touched a wall in the last control step.
FIRST, GATES, LINE_FIRST, LINE_POINTS, GATE, LINE_AT, DELAY, STEPS, LAPS, TOUCHED = range(10)
NUM_COUNTS = 10

# A cross line's row, float64; a track's first cross line is repeated behind its last. The
# normals are those of the pieces of wall from here to the next cross line, into the road.
LEFT_X, LEFT_Y, RIGHT_X, RIGHT_Y, DISTANCE, PER_WIDTH = range(6)
LEFT_NORMAL_X, LEFT_NORMAL_Y, RIGHT_NORMAL_X, RIGHT_NORMAL_Y = range(6, 10)
NUM_ROAD = 10

# A point of the line that drivers are shown: where, and how fast to go there; closed.
LINE_X, LINE_Y, LINE_SPEED = range(3)
NUM_LINE = 3
