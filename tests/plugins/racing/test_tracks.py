"""Tracks: what a strip of gates is, what is refused, and how a centre line becomes one."""

from __future__ import annotations

import time

import cv2  # noqa: TID253
import numpy as np
import pytest

from gamebridge import errors
from gamebridge_racing.roads import overlaps, tracks


def wave(num_points=400, size_m=100.0, lobes=3, depth=0.3):
    """A closed curve around the origin with so many lobes, counter-clockwise."""
    angle = np.linspace(0.0, 2 * np.pi, num_points, endpoint=False)
    radius = size_m * (1 + depth * np.cos(lobes * angle))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def build(centre, right=5.0, left=5.0):
    count = len(centre)
    return tracks.from_centre_line("test", centre, np.full(count, right), np.full(count, left))


def area(points):
    """Signed: more than 0 for a line that runs counter-clockwise."""
    x, y = points.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def test_the_gates_of_an_oval_are_convex_and_its_lap_is_as_long_as_the_formula_says():
    track = tracks.oval(straight_m=60.0, radius_m=25.0, width_m=10.0)
    assert len(tracks.folded_gates(track.left, track.right)) == 0
    assert track.length_m == pytest.approx(120 + 50 * np.pi, rel=1e-3)
    np.testing.assert_allclose(track.width_m, 10.0)
    assert track.s_m.shape == (track.num_gates + 1,)


def test_a_lap_is_as_long_as_its_centre_line():
    track = build(wave(depth=0.0), right=3.0, left=3.0)
    assert track.length_m == pytest.approx(2 * np.pi * 100, rel=1e-3)
    assert np.diff(track.s_m).max() == pytest.approx(tracks.SPACING_M, rel=0.02)
    assert np.diff(track.s_m).min() == pytest.approx(tracks.SPACING_M, rel=0.02)


def test_coarse_points_are_joined_by_a_smooth_curve():
    track = build(wave(num_points=24, depth=0.0))
    np.testing.assert_allclose(np.hypot(*track.centre.T), 100.0, atol=0.05)


@pytest.mark.parametrize("clockwise", [False, True])
def test_left_is_the_drivers_left_in_both_directions(clockwise):
    centre = wave(depth=0.0)[:: -1 if clockwise else 1]
    track = build(centre, right=4.0, left=7.0)
    # Driven counter-clockwise, the left wall is the inner one.
    left, right = (107.0, 96.0) if clockwise else (93.0, 104.0)
    np.testing.assert_allclose(np.hypot(*track.left.T), left, atol=0.05)
    np.testing.assert_allclose(np.hypot(*track.right.T), right, atol=0.05)
    assert (area(track.centre) < 0) == clockwise


def test_headings_point_where_the_lap_goes():
    track = build(wave(depth=0.0))
    ahead = np.stack([np.cos(track.heading_rad()), np.sin(track.heading_rad())], 1)
    steps = np.roll(track.centre, -1, 0) - track.centre
    assert ((ahead * steps).sum(1) > 0.99 * np.hypot(*steps.T)).all()


def test_a_closing_point_that_repeats_the_first_changes_nothing():
    centre = wave()
    closed = build(np.concatenate([centre, centre[:1]]))
    np.testing.assert_array_equal(closed.left, build(centre).left)


def test_a_corner_tighter_than_the_width_still_gives_convex_gates():
    centre = wave(num_points=60, size_m=30.0, lobes=3, depth=0.4)
    heading = np.unwrap(np.arctan2(*(np.roll(centre, -1, 0) - centre).T[::-1]))
    tightest = (np.hypot(*(np.roll(centre, -1, 0) - centre).T)[1:] / abs(np.diff(heading))).min()
    assert tightest < 5.0
    track = build(centre)
    assert len(tracks.folded_gates(track.left, track.right)) == 0
    np.testing.assert_allclose(track.width_m, 10.0)


def test_noise_on_the_points_still_gives_convex_gates():
    centre = wave(num_points=250, depth=0.0)
    track = build(centre + np.random.default_rng(5).normal(0.0, 0.5, centre.shape))
    assert len(tracks.folded_gates(track.left, track.right)) == 0


def test_a_corner_that_cannot_be_unfolded_is_refused_with_its_place():
    with pytest.raises(errors.GameError, match=r"folds at \(.*tighter than the track is wide"):
        build(wave(num_points=60, size_m=4.5, depth=0.0))


def test_a_strip_that_crosses_itself_is_refused_with_both_places():
    angle = np.linspace(0.0, 2 * np.pi, 400, endpoint=False)
    eight = np.stack([np.sin(angle), np.sin(2 * angle) / 2], 1) * 150
    with pytest.raises(errors.GameError, match=r"overlaps itself: .*\(-?0\.\d, .*share ground"):
        build(eight)


def test_a_strip_that_lies_on_itself_is_refused():
    with pytest.raises(errors.GameError, match="overlaps itself"):
        build(np.tile(wave(num_points=100), (2, 1)) * np.repeat([1.0, 1.001], 100)[:, None])


def test_two_parts_whose_walls_touch_are_refused_and_apart_they_are_not():
    def hairpin(gap):
        straight = np.linspace(0.0, 150.0, 60)
        arc = np.linspace(-np.pi / 2, np.pi / 2, 12)[1:-1]
        radius = gap / 2
        out = np.stack([straight, np.zeros(60)], 1)
        turn = np.stack([150 + radius * np.cos(arc), radius + radius * np.sin(arc)], 1)
        back = np.stack([straight[::-1], np.full(60, gap)], 1)
        turn_back = np.stack([-radius * np.cos(arc), radius - radius * np.sin(arc)], 1)
        return np.concatenate([out, turn, back, turn_back])

    assert build(hairpin(11.0)).num_gates > 100
    with pytest.raises(errors.GameError, match=r"overlaps itself|folds"):
        build(hairpin(9.5))


def test_overlaps_are_those_that_the_areas_of_all_pairs_show():
    random = np.random.default_rng(1)
    angle = np.linspace(0.0, 2 * np.pi, 90, endpoint=False)
    waves = np.concatenate([np.cos(np.outer([1, 2, 3], angle)), np.sin(np.outer([1, 2, 3], angle))])
    found, seen = 0, 0
    while seen < 20:
        centre = (random.normal(0.0, 40.0, (2, 6)) / [1, 2, 3, 1, 2, 3] @ waves).T
        along = np.roll(centre, -1, 0) - np.roll(centre, 1, 0)
        across = 2 * np.stack([-along[:, 1], along[:, 0]], 1) / np.hypot(*along.T)[:, None]
        left, right = centre + across, centre - across
        if len(tracks.folded_gates(left, right)):
            continue
        gates = np.stack([right, np.roll(right, -1, 0), np.roll(left, -1, 0), left], 1)
        gates = gates.astype(np.float32)
        pairs = [
            (i, j)
            for i in range(90)
            for j in range(i + 2, 90 if i else 89)
            if cv2.intersectConvexConvex(gates[i], gates[j])[0] > 1e-3
        ]
        assert overlaps.first_overlap(left, right, 1e-3) == (pairs[0] if pairs else None)
        seen += 1
        found += bool(pairs)
    assert 5 < found < 20


def test_two_thousand_gates_are_checked_in_well_under_a_second():
    track = build(wave(num_points=1500, size_m=850.0, lobes=5))
    assert track.num_gates > 2000
    started = time.process_time()
    assert overlaps.first_overlap(track.left, track.right) is None
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("centre", "right", "says"),
    [
        (wave()[:2], 5.0, "2 points; expected at least 3"),
        (np.concatenate([wave()[:3], wave()[2:]]), 5.0, "no two in a row the same"),
        (wave() * np.where(np.arange(400) == 7, np.nan, 1.0)[:, None], 5.0, "all finite"),
        (wave() + np.where(np.arange(400) < 7, np.inf, 0.0)[:, None], 5.0, "all finite"),
        (wave(), 0.0, "width of 0.0; expected more than 0"),
        (wave(), float("nan"), "width of nan; expected more than 0"),
        (wave()[:, :1], 5.0, r"shape \(400, 1\)"),
    ],
)
def test_a_bad_centre_line_is_refused_in_one_line(centre, right, says):
    with pytest.raises(errors.GameError, match=says) as caught:
        build(centre, right=right)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda left, right: (left[:-1], right), "walls of shape"),
        (lambda left, right: (left[:7], right[:7]), "7 cross lines; expected at least 8"),
        (lambda left, right: (left * np.inf, right), "NaN or infinite"),
        (lambda left, right: (right, left), "folds at"),
    ],
)
def test_bad_walls_are_refused(change, says):
    oval = tracks.oval()
    with pytest.raises(errors.GameError, match=says):
        tracks.Track("test", *change(oval.left, oval.right))
