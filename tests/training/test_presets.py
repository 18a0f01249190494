"""Presets: they go by what the agent gives, what it sees, and what it plays."""

from __future__ import annotations

import dataclasses

import pytest

from gamebridge import errors
from gamebridge.contract import AgentRecord, GameRecord
from gamebridge.testing import fakes
from gamebridge.training import tables
from gamebridge.wrappers import preferences
from gamebridge.wrappers.settings import WrapperSettings

AGENT = AgentRecord(
    "one",
    "An agent.",
    make=list,
    presets={
        "discrete": {"gamma": 0.1, "units": (1,)},
        "continuous": {"gamma": 0.2},
        "preferences": {"gamma": 0.25},
        "image": {"gamma": 0.3},
    },
)


def presets_for(game, given=None, **more):
    said = []
    record = GameRecord("toys/one", "A game.", make=list, **more)
    return tables.presets(record, AGENT, game, given or {}, said.append), said


@pytest.mark.parametrize(
    ("game", "chosen", "told"),
    [
        (fakes.Corridor(), {"gamma": 0.1, "units": (1,)}, ["actions of form 'discrete'"]),
        (fakes.Target(), {"gamma": 0.2}, ["actions of form 'continuous'"]),
        (
            preferences.Preferences(fakes.Corridor()),
            {"gamma": 0.25},
            ["actions of form 'preferences'"],
        ),
        (
            fakes.Catch(size=12),
            {"gamma": 0.3, "units": (1,)},
            ["actions of form 'discrete'", "image observations"],
        ),
    ],
    ids=["discrete", "continuous", "preferences", "discrete image"],
)
def test_what_is_seen_overrules_what_is_given(game, chosen, told):
    found, said = presets_for(game)
    assert found == chosen
    assert [line.split(":")[0] for line in said] == [f"Preset one for {kind}" for kind in told]


def test_the_games_own_preset_overrules_both_and_all_are_told():
    found, said = presets_for(fakes.Corridor(), presets={"one": {"gamma": 0.5}})
    assert found == {"gamma": 0.5, "units": (1,)}
    assert said == [
        "Preset one for actions of form 'discrete': gamma=0.1, units=(1,)",
        "Preset one for toys/one: gamma=0.5",
    ]


SUITED = GameRecord(
    "toys/one",
    "A game.",
    make=list,
    wrappers={"action_repeat": 4, "episode_limit": 50},
    agent_wrappers={"one": {"action_repeat": 2, "action_bins": (5, 3)}},
)


def test_the_wrappers_of_an_agent_go_over_the_games_and_under_the_users():
    def settings(agent, **asked):
        return tables.wrapper_settings(SUITED, asked, None, agent)

    assert settings("two") == WrapperSettings(action_repeat=4, episode_limit=50)
    suited = WrapperSettings(action_repeat=2, action_bins=(5, 3), episode_limit=50)
    assert settings("one") == suited
    assert settings("one", action_repeat=1).action_repeat == 1
    _, said = presets_for(fakes.Corridor(), agent_wrappers=SUITED.agent_wrappers)
    assert said[1:] == ["Wrappers for one and toys/one: action_repeat=2, action_bins=(5, 3)"]


def test_what_is_overruled_is_not_told():
    given = {"agent": {"units": (2,)}, "wrappers": {"action_repeat": 1, "action_bins": 7}}
    found, said = presets_for(fakes.Corridor(), given, agent_wrappers=SUITED.agent_wrappers)
    assert found["units"] == (1,)  # what is given goes over it later
    assert said == ["Preset one for actions of form 'discrete': gamma=0.1"]


def test_wrappers_of_an_agent_that_nothing_takes_are_named():
    record = dataclasses.replace(SUITED, agent_wrappers={"one": {"action_repeat": 0}})
    with pytest.raises(errors.ConfigError, match=r"'agent_wrappers\.one\.action_repeat'.* is 0"):
        tables.check_defaults(record, AGENT)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"agent_wrappers": None}, "agent_wrappers is None; expected a mapping"),
        ({"agent_wrappers": {"dqn": 3}}, r"agent_wrappers\['dqn'\] is 3; expected a mapping"),
        ({"presets": {"dqn": "fast"}}, r"presets\['dqn'\] is 'fast'; expected a mapping"),
        ({"wrappers": 4}, "wrappers is 4; expected a mapping"),
    ],
)
def test_defaults_that_are_no_mappings_are_refused_where_the_record_is_made(wrong, said):
    with pytest.raises(TypeError, match=f"'toys/one': {said}"):
        GameRecord("toys/one", "A game.", make=list, **wrong)
