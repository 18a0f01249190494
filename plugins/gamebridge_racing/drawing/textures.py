"""Grass, asphalt and trees: what the ground of a picture is made of, always the same."""

from __future__ import annotations

import functools

import cv2  # noqa: TID253 - drawing is the point of this module
import numpy as np

from gamebridge.contract.specs import Array

_SIDE = 1024
_STRIPES = 8
_GRASS = (96, 140, 72)
_ASPHALT = (70, 72, 77)
_TREE_SIDE = 128
NUM_TREES = 8


def _noise(random: np.random.Generator, blur: float) -> Array:
    """Returns float32 [_SIDE, _SIDE], mean 0, deviation 1, and seamless at its edges."""
    # A wide blur is made small and enlarged: it has no fine detail.
    smaller = 8 if blur > 8 else 1
    side, blur = _SIDE // smaller, blur / smaller
    pad = int(3 * blur) + 2
    grain = random.standard_normal((side, side), np.float32)
    blurred = cv2.GaussianBlur(np.pad(grain, pad, mode="wrap"), (0, 0), blur)
    size = (blurred.shape[1] * smaller, blurred.shape[0] * smaller)
    large = cv2.resize(blurred, size, interpolation=cv2.INTER_CUBIC)
    edge = pad * smaller
    noise = large[edge:-edge, edge:-edge]
    return np.asarray((noise - noise.mean()) / noise.std())


@functools.lru_cache(maxsize=1)
def grass() -> Array:
    """Returns uint8 [1024, 1024, 3], a meadow mown in stripes; it can be laid side by side."""
    random = np.random.Generator(np.random.PCG64(1))
    at = np.arange(_SIDE) * (2 * np.pi * _STRIPES / 2 / _SIDE)
    # Stripes from corner to corner, with soft edges.
    stripes = np.tanh(4 * np.sin(at[:, None] + at[None, :])).astype(np.float32)
    level = 7.0 * stripes + 4.5 * _noise(random, 0.8) + 3.5 * _noise(random, 5)
    patches = 4.0 * _noise(random, 45)
    channels = [
        _GRASS[0] + 0.9 * level + 1.1 * patches,
        _GRASS[1] + 1.0 * level + 0.7 * patches,
        _GRASS[2] + 0.7 * level - 0.1 * patches,
    ]
    return np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=1)
def asphalt() -> Array:
    """Returns uint8 [1024, 1024, 3], a road's surface; it can be laid side by side."""
    random = np.random.Generator(np.random.PCG64(2))
    level = 3.0 * _noise(random, 0.7) + 1.6 * _noise(random, 3) + 2.2 * _noise(random, 40)
    return np.clip(np.array(_ASPHALT) + level[..., None], 0, 255).astype(np.uint8)


def laid(tile: Array, height: int, width: int, left: int, top: int) -> Array:
    """Returns uint8 [height, width, 3], tiles side by side, of which (left, top) is a corner."""
    left, top = left % _SIDE, top % _SIDE
    across, down = -(-(left + width) // _SIDE), -(-(top + height) // _SIDE)
    wide = np.concatenate([tile] * across, 1)[:, left : left + width]
    return np.ascontiguousarray(np.concatenate([wide] * down, 0)[top : top + height])


@functools.lru_cache(maxsize=1)
def trees() -> list[tuple[Array, Array]]:
    """Returns NUM_TREES trees from above: uint8 [128, 128, 3] colour, uint8 [128, 128] cover."""
    random = np.random.Generator(np.random.PCG64(3))
    return [_tree(random) for _ in range(NUM_TREES)]


def _tree(random: np.random.Generator) -> tuple[Array, Array]:
    """Draws one tree: tufts in a disc, the higher the lighter, lit from the upper left."""
    colour = np.zeros((_TREE_SIDE, _TREE_SIDE, 3), np.uint8)
    cover = np.zeros((_TREE_SIDE, _TREE_SIDE), np.uint8)
    middle = _TREE_SIDE / 2
    tone = np.array([46, 92, 40]) + random.uniform(-1, 1) * np.array([16, 8, 2])
    for height in np.linspace(0, 1, 46):
        reach = (1 - height) * 0.36 * _TREE_SIDE
        angle, away = random.uniform(0, 2 * np.pi), reach * np.sqrt(random.uniform(0.25, 1))
        # Tufts on the lit side are lighter.
        light = 0.72 + 0.55 * height - 0.22 * (away / middle) * np.cos(angle - np.pi / 4)
        lift = 0.05 * _TREE_SIDE * height
        centre = middle + np.array([np.cos(angle), np.sin(angle)]) * away - lift
        radius = int(_TREE_SIDE * random.uniform(0.075, 0.12) * 16)
        at = tuple(int(value * 16) for value in centre)
        shade = tuple(float(value) for value in np.clip(tone * light, 0, 255))
        cv2.circle(colour, at, radius, shade, -1, cv2.LINE_AA, 4)
        cv2.circle(cover, at, radius, 255, -1, cv2.LINE_AA, 4)
    return colour, cover
