"""Procedural circuits: each number is a circuit, the same one everywhere."""

from __future__ import annotations

import hashlib
import statistics
import time

import numpy as np
import pytest

from gamebridge import errors
from gamebridge_racing.roads import overlaps, procedural, tracks

COUNT = 300


@pytest.fixture(scope="module")
def circuits():
    return [procedural.circuit(number) for number in range(COUNT)]


def bends(track):
    """float64 [N]: change of heading at each cross line."""
    heading = track.heading_rad()
    return np.remainder(np.roll(heading, -1) - heading + np.pi, 2 * np.pi) - np.pi


def radii(track):
    return np.diff(track.s_m) / np.maximum(np.abs(bends(track)), 1e-9)


def test_a_circuit_never_crosses_itself(circuits):
    for track in circuits:
        assert len(tracks.folded_gates(track.left, track.right)) == 0
        # Not even with walls one metre further out on both sides.
        out = (track.left - track.right) / track.width_m[:, None]
        assert overlaps.first_overlap(track.left + out, track.right - out) is None, track.name


def test_lengths_and_widths_stay_within_what_is_promised(circuits):
    low, high = procedural.LENGTH_M
    for track in circuits:
        assert low - 2 <= track.length_m <= high, track.name
        assert track.width_m.min() >= 9.0 - 0.01, track.name
        assert track.width_m.max() <= 14.0 + 0.01, track.name


def test_a_lap_turns_round_exactly_once(circuits):
    for track in circuits:
        assert abs(bends(track).sum()) == pytest.approx(2 * np.pi), track.name


def test_both_directions_are_driven(circuits):
    clockwise = sum(bends(track).sum() < 0 for track in circuits)
    assert 0.4 * COUNT < clockwise < 0.6 * COUNT


def test_corners_of_all_radii_and_straights_are_found(circuits):
    tightest = np.array([radii(track).min() for track in circuits])
    assert tightest.min() > 9.5
    assert (tightest < 12.5).mean() > 0.5
    road = np.concatenate([radii(track) for track in circuits])
    for low, high in [(10, 15), (15, 30), (30, 60), (60, 100), (100, 200), (400, np.inf)]:
        assert ((road >= low) & (road < high)).mean() > 0.03, (low, high)


def test_circuits_have_corners_to_both_sides(circuits):
    both = [(bends(t) > 0.05).any() and (bends(t) < -0.05).any() for t in circuits]
    assert np.mean(both) > 0.8


def test_the_lap_starts_on_a_straight(circuits):
    for track in circuits:
        assert radii(track)[0] > procedural.RADIUS_M[1] / 2, track.name


def test_two_numbers_are_two_circuits(circuits):
    assert len({track.left.tobytes() for track in circuits}) == COUNT


def test_a_number_is_the_same_circuit_again_and_everywhere():
    track = procedural.circuit(7)
    assert track.left.tobytes() == procedural.circuit(7).left.tobytes()
    # A change of this number changes every circuit that people know: say so in the changelog.
    walls = np.concatenate([track.left, track.right]) * procedural.ROUNDING
    digest = hashlib.sha256(walls.astype("<i8").tobytes()).hexdigest()
    assert (walls == np.round(walls)).all()
    assert digest[:16] == "2bdca9b1ca7d2fab"


@pytest.mark.parametrize("number", [2**31, 2**53 + 1, 2**62, np.int64(12)])
def test_large_numbers_are_circuits_too(number):
    assert procedural.circuit(number).num_gates > 100


@pytest.mark.parametrize("number", [-1, 2**62 + 1])
def test_a_number_out_of_range_is_refused(number):
    with pytest.raises(ValueError, match=r"expected a number from 0 to 2\*\*62"):
        procedural.circuit(number)


def test_a_number_without_a_circuit_says_so(monkeypatch):
    monkeypatch.setattr(procedural, "_has_room", lambda line, width: False)
    monkeypatch.setattr(procedural, "MAX_DRAFTS", 3)
    with pytest.raises(errors.GameError, match="circuit 5: none of 3 drafts"):
        procedural.circuit(5)


def test_a_circuit_is_made_in_a_few_milliseconds():
    def once(number):
        started = time.process_time()
        procedural.circuit(number)
        return time.process_time() - started

    # Four times what it takes: the machine may have other work.
    assert statistics.median(once(number) for number in range(40)) < 0.015
