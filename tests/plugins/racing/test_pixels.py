import numpy as np
import pytest

from gamebridge_racing.car import Car
from gamebridge_racing.drawing import maps, outlines, pixels
from gamebridge_racing.roads import tracks

ROAD, WALL = maps.PALETTE[maps.ROAD], maps.PALETTE[maps.WALL]
MEADOW = maps.PALETTE[[maps.GRASS, maps.MOWN]]
# On the first straight of the oval, which runs along the x axis, 22 m below the middle.
STRAIGHT = {"x": 0.0, "y": -22.0, "heading": 0.0}


def draw(cars, slots=None, out=None, view=None, track=None):
    """Returns the pictures of cars, given as dicts of what is not 0."""
    count = len(cars)
    if view is None:
        view = pixels.PixelView(count, Car())
        for slot in range(count):
            view.set_track(slot, track or tracks.oval())
    if out is None:
        out = np.zeros((count, 96, 96, 3), np.uint8)
    names = ("x", "y", "heading", "speed", "steer", "yaw_rate", "contact")
    columns = [np.array([float(car.get(name, 0.0)) for car in cars]) for name in names]
    view.draw(out, np.ones(count, bool) if slots is None else slots, *columns)
    return out


def draw_one(**car):
    return draw([{**STRAIGHT, **car}])[0]


def is_colour(picture, colour):
    return (picture == colour).all(-1)


def long_track(name="long"):
    """An oval of more than four kilometres, 1.4 km high."""
    return tracks.oval(straight_m=2_000.0, radius_m=700.0)


def test_the_car_heads_up_in_its_own_view():
    picture = draw_one()
    column = picture[: pixels.GAUGE_ROW, pixels.CAR_COLUMN]
    assert is_colour(column[:60], ROAD).mean() > 0.9
    row = picture[pixels.CAR_ROW]
    assert is_colour(row, WALL).sum() >= 4
    assert (row[0] == MEADOW).all(-1).any()


def test_the_view_turns_with_the_car():
    heading = 0.7
    track = tracks.oval()
    turned = tracks.Track("turned", turn(track.left, heading), turn(track.right, heading))
    x, y = turn(np.array([[0.0, -22.0]]), heading)[0]
    car = {"x": x, "y": y, "heading": heading}
    first, second = draw([STRAIGHT], track=track)[0], draw([car], track=turned)[0]
    same = is_colour(first, WALL) == is_colour(second, WALL)
    assert same[: pixels.GAUGE_ROW].mean() > 0.97


def turn(points, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def test_a_left_corner_bends_to_the_left():
    # 15 m before the end of the straight; the oval goes round counter-clockwise.
    road = is_colour(draw_one(x=20.0)[:20], ROAD)
    assert road[:, :48].sum() > 5 * road[:, 49:].sum()


def test_a_wall_ahead_is_in_the_upper_half():
    # Square to the right wall, which is 4 m ahead; the left one is 8 m behind.
    picture = draw_one(y=-24.0, heading=-np.pi / 2)
    wall = np.flatnonzero(is_colour(picture[: pixels.GAUGE_ROW, pixels.CAR_COLUMN], WALL))
    ahead, behind = wall[wall < pixels.CAR_ROW], wall[wall > pixels.CAR_ROW]
    assert ahead.max() == pytest.approx(pixels.CAR_ROW - 4 / pixels.METRES_A_PIXEL, abs=1)
    assert behind.min() == pytest.approx(pixels.CAR_ROW + 8 / pixels.METRES_A_PIXEL, abs=1)


@pytest.mark.parametrize("heading", np.linspace(0, np.pi, 9))
def test_walls_are_two_pixels_thick_at_least(heading):
    picture = draw_one(heading=heading)
    wall = is_colour(picture[: pixels.GAUGE_ROW], WALL)
    # A wall seen along a row or a column is no shorter than its thickness.
    assert not (wall & ~beside(wall) & ~beside(wall.T).T)[1:-1, 1:-1].any()
    assert wall.sum() > 100


def beside(mask):
    found = np.zeros_like(mask)
    found[1:] |= mask[:-1]
    found[:-1] |= mask[1:]
    return found


def test_the_road_is_as_wide_as_it_is():
    row = draw_one()[pixels.CAR_ROW]
    walls = np.flatnonzero(is_colour(row, WALL))
    inner = walls[walls > pixels.CAR_COLUMN].min() - walls[walls < pixels.CAR_COLUMN].max()
    assert inner * pixels.METRES_A_PIXEL == pytest.approx(12.0, abs=1.5)


def lit(picture, columns, row):
    strip = picture[row, columns[0] : columns[1] + 1]
    return np.flatnonzero(strip.max(-1) > 100)


def test_speed_is_a_bar_that_grows():
    top = Car().top_speed_m_s()
    lengths = [
        len(lit(draw_one(speed=share * top), pixels.SPEED_COLUMNS, 91))
        for share in (0, 0.25, 0.5, 1)
    ]
    assert lengths == [0, 16, 32, 64]


@pytest.mark.parametrize(
    ("name", "columns", "full"),
    [
        ("steer", pixels.STEER_COLUMNS, Car().steer_rad),
        ("yaw_rate", pixels.YAW_COLUMNS, pixels.FULL_YAW_RATE_RAD_S),
    ],
)
def test_angles_to_the_left_are_bars_to_the_left(name, columns, full):
    middle = (columns[1] - columns[0]) // 2
    left = lit(draw_one(**{name: full}), columns, 94)
    right = lit(draw_one(**{name: -full / 2}), columns, 94)
    assert left.tolist() == list(range(middle + 1))
    assert right[0] == middle
    assert right[-1] in (middle + 7, middle + 8)


def test_what_cannot_be_seen_of_the_road_changes_only_the_gauges():
    plain = draw_one()
    for name in ("speed", "steer", "yaw_rate", "contact"):
        picture = draw_one(**{name: 0.3})
        assert (picture[: pixels.GAUGE_ROW] == plain[: pixels.GAUGE_ROW]).all()
        assert (picture[pixels.GAUGE_ROW :] != plain[pixels.GAUGE_ROW :]).any(), name


def test_wall_contact_is_a_red_bar():
    first, last = pixels.CONTACT_COLUMNS
    bar = draw_one(contact=1.0)[91:93, first : last + 1]
    assert is_colour(bar, (255, 28, 28)).all()
    assert draw_one(contact=0.0)[91:93, first : last + 1].max() < 40


@pytest.mark.parametrize("far", [500.0, 1e5, 1e12])
def test_outside_the_map_is_plain_grass(far):
    picture = draw_one(x=far, y=-far)[: pixels.GAUGE_ROW]
    grass = is_colour(picture, maps.PALETTE[maps.GRASS])
    assert grass.sum() > 0.99 * grass.size


def test_only_the_rows_asked_for_are_drawn():
    out = np.full((3, 96, 96, 3), 7, np.uint8)
    draw([STRAIGHT] * 3, np.array([True, False, True]), out)
    assert (out[1] == 7).all()
    assert (out[0] == out[2]).all()
    assert not (out[0] == 7).all()


def test_each_slot_sees_its_own_track():
    view = pixels.PixelView(2, Car())
    view.set_track(0, tracks.oval())
    view.set_track(1, tracks.oval(radius_m=30.0))
    out = draw([STRAIGHT, {**STRAIGHT, "y": -30.0, "x": 30.0}], view=view)
    assert (out[0] != out[1]).any()
    view.set_track(1, tracks.oval())
    out = draw([STRAIGHT] * 2, view=view)
    assert (out[0] == out[1]).all()


def test_a_slot_without_a_track_is_refused():
    view = pixels.PixelView(2, Car())
    view.set_track(0, tracks.oval())
    with pytest.raises(ValueError, match=r"Slots \[1\] have no track"):
        draw([STRAIGHT] * 2, view=view)


def test_a_long_circuit_fits_the_bound_of_a_map():
    track = long_track()
    track_map = maps.draw_map(track)
    assert 1e6 < track_map.cells.nbytes <= maps.MAX_CELLS
    view = pixels.PixelView(1, Car())
    view.set_track(0, track)
    picture = draw([{"x": 0.0, "y": -700.0}], view=view)[0]
    assert is_colour(picture, ROAD).sum() > 1_000


def test_the_map_unused_for_longest_is_dropped():
    first, second, third = tracks.oval(), tracks.oval(), tracks.oval()
    size = maps.draw_map(first).cells.nbytes
    store = maps.MapStore(2 * size)
    held = store.get(first)
    dropped = store.get(second)
    assert store.get(first) is held
    store.get(third)
    assert store.num_bytes == 2 * size
    assert store.get(first) is held
    assert store.get(second) is not dropped


def test_kerbs_are_inside_a_corner_and_where_it_ends():
    track = tracks.oval()
    left, right = outlines.kerbs(track)
    middle_of_corner = np.argmax(track.centre[:, 0])
    assert left[middle_of_corner]
    assert not right[middle_of_corner]
    end_of_corner = np.argmin(np.hypot(track.centre[:, 0] - 35.0, track.centre[:, 1] - 22.0))
    assert right[end_of_corner + 2]
    middle_of_straight = np.argmin(np.hypot(track.centre[:, 0], track.centre[:, 1] - 22.0))
    assert not left[middle_of_straight]
    assert not right[middle_of_straight]


@pytest.mark.parametrize("clockwise", [False, True])
def test_curvature_is_one_over_the_radius(clockwise):
    track = tracks.oval()
    if clockwise:
        track = tracks.Track("back", track.right[::-1], track.left[::-1])
    bend = outlines.curvature(track)
    assert bend[np.argmax(track.centre[:, 0])] == pytest.approx((-1 if clockwise else 1) / 22, 0.02)
    assert bend[np.argmin(np.abs(track.centre[:, 0]))] == pytest.approx(0, abs=1e-3)
