import dataclasses

import numpy as np

from gamebridge_racing.car import Car
from gamebridge_racing.drawing import picture, sprites, traces, views
from gamebridge_racing.roads import tracks

TOUCHING = picture.Frame(x=0.0, y=-27.0, heading_rad=0.0, speed_m_s=20.0, wall_contact=True)


def test_wheels_steered_to_the_left_point_to_the_left():
    view = views.north_up(-4.0, 3.0, 40.0)
    pictures = []
    for steer in (0.0, 0.5, -0.5):
        canvas = np.full((240, 320, 3), 120, np.uint8)
        frame = picture.Frame(x=0, y=0, heading_rad=0, speed_m_s=0, steer_rad=steer)
        sprites.CarSprite(Car()).draw(canvas, view, frame)
        pictures.append(canvas.max(-1).astype(int))
    straight, left, right = pictures
    # Of the wheel on the left, ahead of its hub, beyond where it stands when straight.
    hub = view.points(np.array([[Car().front_m, Car().width_m / 2 - 0.17]]))[0].astype(int)
    outside = slice(hub[1] - 20, hub[1] - 7), slice(hub[0], hub[0] + 20)
    assert left[outside].mean() < straight[outside].mean() - 5
    assert right[outside].mean() > left[outside].mean() + 5


def test_one_touch_is_one_contact_however_long():
    noted = traces.Traces(Car())
    track = tracks.oval()
    for touching in (True, True, True, False, True):
        noted.add(dataclasses.replace(TOUCHING, wall_contact=touching), track)
    assert noted.contacts == 2
    assert noted.num_marks == 2


def test_a_long_scrape_leaves_marks_all_along():
    noted = traces.Traces(Car())
    for metre in range(40):
        noted.add(dataclasses.replace(TOUCHING, x=float(metre)), tracks.oval())
    assert noted.contacts == 1
    assert 8 <= noted.num_marks <= 20
