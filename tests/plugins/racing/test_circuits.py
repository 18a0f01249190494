"""Circuits in files: what a file says becomes a track, and what is wrong names its line."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gamebridge import errors
from gamebridge_racing.roads import circuits

HEADER = "# x_m,y_m,w_tr_right_m,w_tr_left_m"


def points(count=120, lobes=3):
    """float64 [count, 4], of a circuit with three bays, counter-clockwise."""
    angle = np.linspace(0.0, 2 * np.pi, count, endpoint=False)
    radius = 80.0 * (1 + 0.25 * np.cos(lobes * angle))
    widths = np.broadcast_to([4.0, 6.0], (count, 2))
    line = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return np.concatenate([line, widths], 1)


def as_lines(rows):
    return [HEADER, *(",".join(f"{value:.6f}" for value in row) for row in rows)]


@pytest.fixture
def write(tmp_path):
    def _write(lines, name="bays.csv"):
        path = tmp_path / name
        path.write_bytes(lines if isinstance(lines, bytes) else "\n".join(lines).encode())
        return path

    return _write


def refusal(path):
    """The one line that a file is refused with, without the folder."""
    with pytest.raises(errors.ConfigError) as caught:
        circuits.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message[len(str(path)) :]


def test_a_file_becomes_a_track_with_its_name_and_shape(write):
    rows = points()
    track = circuits.read(write(as_lines(rows)))
    assert track.name == "bays"
    np.testing.assert_allclose(track.width_m, 10.0)
    # Every point of the file is on the line that is two fifths of the width from the right.
    line = track.right + 0.4 * (track.left - track.right)
    nearest = np.hypot(*(rows[:, None, :2] - line).transpose(2, 0, 1)).min(1)
    assert nearest.max() < 1.6


@pytest.mark.parametrize("clockwise", [False, True])
def test_right_is_the_drivers_right_in_the_order_of_the_file(write, clockwise):
    angle = np.linspace(0.0, 2 * np.pi, 100, endpoint=False)[:: -1 if clockwise else 1]
    rows = [(50 * np.cos(a), 50 * np.sin(a), 3.0, 7.0) for a in angle]
    track = circuits.read(write(as_lines(rows)))
    np.testing.assert_allclose(np.hypot(*track.left.T), 57.0 if clockwise else 43.0, atol=0.01)
    np.testing.assert_allclose(np.hypot(*track.right.T), 47.0 if clockwise else 53.0, atol=0.01)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [*lines, lines[1]],
        lambda lines: [lines[0][2:], *lines[1:]],
        lambda lines: lines[1:],
        lambda lines: [*lines[:5], "", "# the first corner", *lines[5:], ""],
        lambda lines: [line.replace(",", " , ") for line in lines],
        lambda lines: b"\xef\xbb\xbf" + "\r\n".join(lines).encode(),
    ],
    ids=["closing point", "bare header", "no header", "comments", "spaces", "BOM and CRLF"],
)
def test_what_changes_nothing_is_read_alike(write, change):
    lines = as_lines(points())
    track = circuits.read(write(change(lines), "other.csv"))
    np.testing.assert_array_equal(track.left, circuits.read(write(lines)).left)


def test_uneven_spacing_is_read(write):
    rows = points(600)
    kept = [i for i in range(600) if i % 9 == 0 or i > 300]
    track = circuits.read(write(as_lines(rows[kept])))
    assert track.length_m == pytest.approx(circuits.read(write(as_lines(rows))).length_m, rel=1e-3)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1,2,3", ":7: 3 columns; expected x_m, y_m, w_tr_right_m, w_tr_left_m"),
        ("1;2;3;4", ":7: 1 columns; expected .* separated by commas"),
        ("1,2,3,4,5", ":7: 5 columns"),
        ("1,abc,3,4", ":7: y_m is 'abc'; expected a number"),
        ("1,,3,4", ":7: y_m is ''; expected a number"),
        (f"{'x' * 500},2,3,4", r":7: x_m is 'x{27}\.\.\.'; expected"),
        ("nan,2,3,4", ":7: x_m is nan; expected a finite number"),
        ("1,-inf,3,4", ":7: y_m is -inf; expected a finite number"),
        ("1e300,2,3,4", r":7: x_m is 1e\+300; expected at most 10,000,000"),
        ("1,2,-3,4", ":7: w_tr_right_m is -3; expected more than 0"),
        ("1,2,3,0", ":7: w_tr_left_m is 0; expected more than 0"),
        ("1,2,3,4000", ":7: w_tr_left_m is 4000; expected more than 0 and at most 100"),
    ],
)
def test_a_wrong_line_is_named(write, line, says):
    lines = as_lines(points())
    assert re.match(says, refusal(write([*lines[:6], line, *lines[7:]])))


def test_a_point_that_is_there_twice_is_named_with_both_lines(write):
    lines = as_lines(points())
    message = refusal(write([*lines[:6], "", lines[5], *lines[6:]]))
    assert message.startswith(":8: the same point as in line 6; expected points that differ")


def test_an_open_loop_is_refused(write):
    message = refusal(write(as_lines(points()[:100])))
    assert message.startswith(":101: the last point is ")
    assert "expected a closed lap" in message


def test_a_coarse_line_is_refused_where_it_is_coarse(write):
    lines = as_lines(points())
    message = refusal(write([*lines[:11], *lines[22:]]))
    assert message.startswith(":11: the next point is ")
    assert "expected at most 30 m. Add points" in message


def test_a_stray_point_is_refused(write):
    rows = points()
    rows[9, :2] *= 0.8
    message = refusal(write(as_lines(rows)))
    assert message.startswith((":10: the road turns by", ":11: the road turns by"))
    assert "expected at most 60" in message


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (points(40) * [1e-3, 1e-3, 1, 1], "a lap of 0.6 m; expected 50 to 100,000 m"),
        (
            points(30_000) * [200, 200, 1, 1],
            "; expected 50 to 100,000 m. Are the numbers in metres",
        ),
    ],
)
def test_a_lap_in_other_units_than_metres_is_refused(write, rows, says):
    assert says in refusal(write(as_lines(rows)))


def test_a_circuit_that_crosses_itself_is_refused_at_a_line_near_the_crossing(write):
    angle = np.linspace(0.0, 2 * np.pi, 200, endpoint=False) + 0.7
    rows = [(120 * np.sin(a), 60 * np.sin(2 * a), 5.0, 5.0) for a in angle]
    message = refusal(write(as_lines(rows)))
    _, line, rest = message.split(":", 2)
    assert np.hypot(*rows[int(line) - 2][:2]) < 15.0
    assert "track 'bays' overlaps itself" in rest


def test_a_corner_tighter_than_the_road_is_wide_is_refused_at_its_line(write):
    rows = points(lobes=0)
    rows[:, :2] *= 0.11
    rows[:, 2:] = 13.0
    assert ": track 'bays' folds at " in refusal(write(as_lines(rows)))


@pytest.mark.parametrize("lines", [[], [HEADER], as_lines(points()[:3])])
def test_a_file_without_a_lap_is_refused(write, lines):
    assert "points; expected at least 10" in refusal(write(lines))


def test_what_is_not_text_is_refused(write):
    assert "is not text in UTF-8" in refusal(write(b"\x89PNG\r\n\xff\x00\x00"))
    assert ":1: 1 columns" in refusal(write(b"\x00\x01\x02"))


def test_a_missing_file_a_folder_and_a_wrong_path_are_refused(tmp_path):
    assert "cannot be read: No such file" in refusal(tmp_path / "none.csv")
    assert "is not a file; expected a CSV file" in refusal(tmp_path)
    with pytest.raises(errors.ConfigError, match=r"cannot be read: .*null"):
        circuits.read("a\0b")


def test_files_of_absurd_size_are_refused(write):
    assert "10,000,001 bytes; expected at most 10,000,000" in refusal(write(b"#" * 10_000_001))
    many = ["1,2,3,4"] * (circuits.MAX_POINTS + 1)
    assert ":100001: more than 100,000 points" in refusal(write(many))
