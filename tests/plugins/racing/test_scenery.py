import cv2  # noqa: TID253
import numpy as np
import pytest

from gamebridge_racing.drawing import ground, scenery, textures, trees, views
from gamebridge_racing.roads import tracks


def test_a_tall_track_lies_on_its_side():
    low = tracks.oval()
    quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
    tall = tracks.Track("tall", low.left @ quarter, low.right @ quarter)
    box = (100, 50, 1100, 500)
    for track in (low, tall):
        view = views.fitted(np.concatenate([track.left, track.right]), box)
        at = view.points(np.concatenate([track.left, track.right]))
        assert (at.min(0) >= np.array(box[:2]) - 1e-6).all()
        assert (at.max(0) <= np.array(box[2:]) + 1e-6).all()
        assert np.ptp(at[:, 0]) > np.ptp(at[:, 1])


def test_a_cropped_view_names_the_same_places():
    view = views.north_up(-10.0, 10.0, 20.0)
    canvas = np.zeros((400, 400, 3), np.uint8)
    column, row = view.points(np.array([[3.0, 2.0]]))[0].astype(int)
    canvas[row - 2 : row + 3, column - 2 : column + 3] = 255
    part = cv2.resize(canvas[50:350, 100:380], (140, 150), interpolation=cv2.INTER_LINEAR)
    at = view.cropped(100, 50, 2.0, 2.0).points(np.array([[3.0, 2.0]]))[0]
    rows, columns = np.nonzero(part[..., 0] > 100)
    assert columns.mean() == pytest.approx(at[0], abs=0.6)
    assert rows.mean() == pytest.approx(at[1], abs=0.6)


def test_tiles_have_no_seams():
    surroundings = scenery.Scenery(tracks.oval())
    tiled = ground.Ground(surroundings, 16.0, 64_000_000).window(300, 100, 700, 900)
    view = views.north_up(300 / 16.0, -100 / 16.0, 16.0)
    whole = surroundings.draw(view, 700, 900)
    apart = np.abs(tiled.astype(int) - whole).max(-1)
    assert (apart > 12).mean() < 0.002


def test_the_ground_keeps_no_more_tiles_than_it_may():
    few = ground.Ground(scenery.Scenery(tracks.oval()), 16.0, 2 * 512 * 512 * 3)
    first = few.window(0, 0, 600, 600).copy()
    few.window(3_000, 3_000, 600, 600)
    assert few.num_tiles == 2
    assert (few.window(0, 0, 600, 600) == first).all()


def test_no_tree_stands_on_the_road():
    track = tracks.oval()
    view = views.north_up(-100.0, 60.0, 6.0)
    grove = trees.grown(track, view, 720, 1200)
    assert len(grove.places) > 20
    away = np.hypot(*(grove.places[:, None] - track.centre[None]).transpose(2, 0, 1)).min(1)
    assert (away - grove.radius_m > 6.0).all()


@pytest.mark.parametrize("texture", [textures.grass, textures.asphalt])
def test_textures_can_be_laid_side_by_side(texture):
    tile = texture().astype(int)
    for axis in (0, 1):
        inside = np.abs(np.diff(tile, axis=axis)).mean()
        seam = np.abs(np.take(tile, 0, axis) - np.take(tile, -1, axis)).mean()
        assert seam < 1.3 * inside
