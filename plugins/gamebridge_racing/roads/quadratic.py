"""Quadratic problems of a closed lap: one unknown for each cross line, within bounds.

Every unknown meets only its two neighbours on both sides. A lap numbered from its start to
both sides at once (0, N - 1, 1, N - 2 ...) has a matrix of nine diagonals, whose Cholesky
factors cost well under a microsecond an unknown. Bounds are kept by a primal-dual
interior-point method (Nocedal and Wright, "Numerical Optimization", 2006, section 16.6).

Like all compiled kernels these stand in one module: numba's cache on disk looks at the age
of the module that a function is in, and not at those of the functions that it calls.
"""

from __future__ import annotations

import math

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_racing import kernels

_kernel = kernels.kernel()
MAX_STEPS = 60
# Diagonals of the matrix below the main one, once it is numbered to both sides.
BAND = 4


@_kernel
def minimise(matrix: Array, gradient: Array, low: Array, high: Array, tolerance: float) -> Array:
    """Returns the float64 [N] that minimises x' M x / 2 + gradient' x within bounds.

    Args:
      matrix: float64 [3, N]: M[i, i], M[i, i + 1] and M[i, i + 2], counted round the lap;
        M is symmetric, and no eigenvalue is below 0.
      gradient: float64 [N].
      low: float64 [N], the least x.
      high: float64 [N], the greatest, above `low`.
      tolerance: of the conditions of the minimum, in units of the mean gradient.
    """
    count = len(gradient)
    scale = 1.0 / matrix[0].max()
    force = max(np.abs(gradient).mean() * scale, 1e-9)
    x = (low + high) / 2
    push_low, push_high = np.full(count, force), np.full(count, force)
    slope, step = np.empty(count), np.empty(count)
    more_low, more_high = np.empty(count), np.empty(count)
    factor = np.empty((count, BAND + 1))
    for _ in range(MAX_STEPS):
        gap, worst = 0.0, 0.0
        for i in range(count):
            a, b, c, d = (i - 2) % count, (i - 1) % count, (i + 1) % count, (i + 2) % count
            slope[i] = scale * (
                matrix[0, i] * x[i] + matrix[1, i] * x[c] + matrix[2, i] * x[d]
                + matrix[1, b] * x[b] + matrix[2, a] * x[a] + gradient[i]
            )  # fmt: skip
            gap += push_low[i] * (x[i] - low[i]) + push_high[i] * (high[i] - x[i])
            worst = max(worst, abs(slope[i] - push_low[i] + push_high[i]))
        gap /= 2 * count
        if gap < tolerance * force and worst < tolerance * force:
            break
        target = 0.1 * gap
        factor[:] = 0.0
        for i in range(count):
            place = _place(i, count)
            stiffness = push_low[i] / (x[i] - low[i]) + push_high[i] / (high[i] - x[i])
            factor[place, 0] = scale * matrix[0, i] + stiffness + 1e-12
            for band in (1, 2):
                other = _place((i + band) % count, count)
                factor[max(place, other), abs(place - other)] = scale * matrix[band, i]
            step[place] = target / (x[i] - low[i]) - target / (high[i] - x[i]) - slope[i]
        _solve(factor, step)
        reach = 1.0 / 0.99
        for i in range(count):
            change = step[_place(i, count)]
            above, below = x[i] - low[i], high[i] - x[i]
            more_low[i] = (target - push_low[i] * change) / above - push_low[i]
            more_high[i] = (target + push_high[i] * change) / below - push_high[i]
            slope[i] = change
            if change < 0.0:
                reach = min(reach, -above / change)
            elif change > 0.0:
                reach = min(reach, below / change)
            if more_low[i] < 0.0:
                reach = min(reach, -push_low[i] / more_low[i])
            if more_high[i] < 0.0:
                reach = min(reach, -push_high[i] / more_high[i])
        x += 0.99 * reach * slope
        push_low += 0.99 * reach * more_low
        push_high += 0.99 * reach * more_high
    return x


@_kernel
def _place(i: int, count: int) -> int:
    """Where cross line i comes when the lap is numbered to both sides at once."""
    return 2 * i if i <= (count - 1) // 2 else 2 * (count - 1 - i) + 1


@_kernel
def _solve(factor: Array, vector: Array) -> None:
    """Solves for `vector`, in place; `factor` [N, 5] holds row i's entries left of column i."""
    count = len(vector)
    for i in range(count):
        for k in range(min(BAND, i), -1, -1):
            j = i - k
            total = factor[i, k]
            for m in range(max(0, i - BAND, j - BAND), j):
                total -= factor[i, i - m] * factor[j, j - m]
            factor[i, k] = math.sqrt(max(total, 1e-14)) if k == 0 else total / factor[j, 0]
        total = vector[i]
        for k in range(1, min(BAND, i) + 1):
            total -= factor[i, k] * vector[i - k]
        vector[i] = total / factor[i, 0]
    for i in range(count - 1, -1, -1):
        vector[i] /= factor[i, 0]
        for k in range(1, min(BAND, i) + 1):
            vector[i - k] -= factor[i, k] * vector[i]
