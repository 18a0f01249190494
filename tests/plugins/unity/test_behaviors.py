"""What a player announces: read, and refused where it cannot be meant."""

from __future__ import annotations

import numpy as np
import pytest
import talkers

from gamebridge import errors
from gamebridge_unity import behaviors

GREY = np.full((6, 8, 3), 90, np.uint8)


def observe(*parts, channels_first=False):
    infos = [talkers.agent(0, *parts)]
    return behaviors.read_observations("Car", infos, channels_first=channels_first)


def test_actions_are_read():
    said = talkers.parameters("Car?team=0", continuous=2, branches=(3, 4))
    read = behaviors.read_announcement(said)
    assert read == behaviors.Announcement("Car?team=0", 2, (3, 4))


def test_actions_of_packages_before_2_are_read_from_the_older_fields():
    said = talkers.parameters()
    said.vector_action_size_deprecated.append(3)
    said.vector_action_space_type_deprecated = 1
    assert behaviors.read_announcement(said).num_continuous == 3
    said.vector_action_space_type_deprecated = 0
    assert behaviors.read_announcement(said).branches == (3,)


def test_observations_are_read():
    vector, buffer, goal = observe(
        talkers.floats(np.zeros(4), "vector", kinds=(1,)),
        talkers.floats(np.zeros((5, 2)), "buffer", kinds=(4, 1)),
        talkers.floats(np.zeros(2), "goal", observation_type=1),
    )
    assert (vector.shape, vector.is_frame, vector.dtype) == ((4,), False, np.float32)
    assert (buffer.shape, buffer.is_variable, vector.is_variable) == ((5, 2), True, False)
    assert (goal.is_goal, vector.is_goal) == (True, False)


def test_what_lies_between_0_and_1_with_three_axes_is_a_frame_and_other_values_are_not():
    camera, grid = observe(
        talkers.floats(np.full((6, 8, 3), 0.5), "camera", kinds=(2, 2, 1)),
        talkers.floats(np.full((6, 8, 3), 1.5), "grid", kinds=(2, 2, 1)),
    )
    assert (camera.is_frame, camera.dtype, camera.compression) == (True, np.uint8, "none")
    assert (grid.is_frame, grid.dtype, grid.shape) == (False, np.float32, (6, 8, 3))


@pytest.mark.parametrize(
    ("kinds", "first", "shape", "layout"),
    [
        ((2, 2, 1), False, (6, 8, 3), "hwc"),
        ((2, 2, 1), True, (6, 8, 3), "hwc"),
        ((1, 2, 2), False, (3, 6, 8), "chw"),
        ((), False, (6, 8, 3), "hwc"),
        ((), True, (3, 6, 8), "chw"),
    ],
)
@pytest.mark.parametrize("is_png", [False, True])
def test_a_picture_is_rows_columns_channels_whatever_the_build_sends(
    kinds, first, shape, layout, is_png
):
    part = talkers.floats(np.zeros(shape), kinds=kinds)
    if is_png:
        part = talkers.picture(talkers.png(GREY), shape, kinds=kinds)
    (read,) = observe(part, channels_first=first)
    assert (read.shape, read.layout, read.wire_shape) == ((6, 8, 3), layout, shape)


def test_the_size_of_a_png_tells_its_layout_where_the_build_says_the_wrong_one():
    (read,) = observe(talkers.picture(talkers.png(GREY), (3, 6, 8), kinds=(2, 2, 1)))
    assert (read.shape, read.layout) == ((6, 8, 3), "chw")


def test_a_png_of_another_size_than_announced_is_refused():
    with pytest.raises(errors.GameError, match=r"shape \[9, 8, 3\].*PNG of 8 x 6 pixels"):
        observe(talkers.picture(talkers.png(GREY), (9, 8, 3)))


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"continuous": 10**9}, "1,000,000,000 continuous actions"),
        ({"continuous": -1}, "-1 continuous"),
        ({"branches": (3, 10**9)}, r"\[3, 1000000000\] choices"),
        ({"branches": (3, 0)}, "1 choice or more"),
        ({"branches": (2,) * 5000}, "5,000 branches"),
        ({"name": "n" * 100_000}, r"'n+\.\.\.' has 100,000 characters"),
        ({"name": ""}, "has 0 characters"),
    ],
)
def test_actions_that_cannot_be_meant_are_refused(said, match):
    with pytest.raises(errors.GameError, match=match) as caught:
        behaviors.read_announcement(talkers.parameters(**said))
    assert len(str(caught.value)) < 500


def test_a_count_of_branches_that_is_not_that_of_their_sizes_is_refused():
    said = talkers.parameters(branches=(2, 3))
    said.action_spec.num_discrete_actions = 7
    with pytest.raises(errors.GameError, match="7 discrete actions and the sizes of 2"):
        behaviors.read_announcement(said)


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((2, 2, 2, 2, 2), r"\[2, 2, 2, 2\] and 1 axes more: expected 1 to 3 axes"),
        ((-4,), r"shape \[-4\]"),
        ((0, 3), r"shape \[0, 3\]"),
        ((100_000, 100_000), "at most 16,777,216 values"),
        ((), r"shape \[\]"),
    ],
)
def test_shapes_that_cannot_be_meant_are_refused_before_anything_is_allocated(shape, match):
    with pytest.raises(errors.GameError, match=match):
        observe(talkers.floats([0.0], "sensor", shape=shape))


def test_more_observations_than_anyone_has_are_refused():
    with pytest.raises(errors.GameError, match="has 65 observations"):
        observe(*[talkers.floats([0.0])] * 65)


def test_only_pictures_may_be_compressed():
    with pytest.raises(errors.GameError, match=r"compressed observation of shape \[4\]"):
        observe(talkers.picture(talkers.png(GREY), (4,), kinds=()))


def test_a_behaviour_is_shown_by_what_it_is():
    part = behaviors.Observation("rays", (4,))
    shown = str(behaviors.Behavior("Car", (part,), 2, (3,)))
    assert shown == "'Car': observations rays [4]; actions 2 continuous, branches [3]"
