from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from gamebridge.wrappers.settings import ImageSettings, WrapperSettings


def test_defaults_ask_for_the_guard_alone():
    assert WrapperSettings() == WrapperSettings(None, 1, None, "refuse")
    assert not ImageSettings().changes_frames


def test_a_stack_alone_changes_no_single_frame():
    assert not ImageSettings(stack=4).changes_frames
    assert ImageSettings(grey=True, stack=4).changes_frames


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        WrapperSettings().action_repeat = 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crop_top": -1}, "crop_top is -1: expected a whole number of at least 0."),
        ({"crop_left": 1.5}, "crop_left is 1.5: expected a whole number of at least 0."),
        ({"height": 0}, "height is 0: expected a whole number from 1 to 4096."),
        ({"width": 5000}, "width is 5000: expected a whole number from 1 to 4096."),
        ({"stack": 0}, "stack is 0: expected a whole number from 1 to 64."),
        ({"stack": True}, "stack is True: expected a whole number from 1 to 64."),
    ],
)
def test_image_settings_name_the_wrong_number(wrong, message):
    with pytest.raises(ValueError) as caught:
        ImageSettings(**wrong)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"action_repeat": 0}, "action_repeat is 0: expected a whole number of at least 1."),
        ({"episode_limit": 0}, "episode_limit is 0: expected a whole number of at least 1."),
        ({"action_bins": 1}, "action_bins is 1: expected a whole number from 2 to 1024."),
        ({"action_bins": (3, 1)}, "action_bins is 1: expected a whole number from 2 to 1024."),
        ({"action_bins": ()}, "action_bins is empty: give a number for each float of an action."),
        ({"guard": "maybe"}, "guard is 'maybe': expected 'refuse', 'clip' or 'off'."),
    ],
)
def test_wrapper_settings_name_the_wrong_value(wrong, message):
    with pytest.raises(ValueError) as caught:
        WrapperSettings(**wrong)
    assert str(caught.value) == message


def test_vector_wrappers_load_no_cv2():
    code = (
        "import sys; from gamebridge import assembly; from gamebridge.wrappers import actions, "
        "episodes, settings; sys.exit('cv2' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
