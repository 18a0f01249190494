"""Where settings are looked for: as a record says, or derived from their names."""

from __future__ import annotations

import dataclasses

import pytest

import gamebridge_agents
from gamebridge import errors
from gamebridge.contract import AgentRecord, Range
from gamebridge.tuning import searches


@dataclasses.dataclass(frozen=True)
class Settings:
    learning_rate: float = 3e-4
    gamma: float = 0.97
    depth: int = 2
    name: str = "a"


STANDARD = dataclasses.asdict(Settings())


def record(**more):
    return AgentRecord("an-agent", "Tries.", make=print, settings=Settings, **more)


def test_a_record_says_itself_what_is_looked_for():
    search = {"depth": Range(1, 4), "name": ("a", "b"), "gamma": Range(0.9, 0.99)}
    assert searches.space(record(search=search), (), STANDARD) == search
    assert [*searches.space(record(search=search), {"depth"}, STANDARD)] == ["name", "gamma"]
    found = searches.distributions(search)
    kinds = [type(one).__name__ for one in found.values()]
    assert kinds == ["IntDistribution", "CategoricalDistribution", "FloatDistribution"]


def test_else_it_is_derived_and_holds_the_defaults():
    found = searches.space(record(), (), STANDARD)
    assert found["learning_rate"] == Range(1e-5, 2e-3, is_log=True)
    assert found["gamma"] == (0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
    assert [*found] == ["learning_rate", "gamma"]
    assert searches.first(STANDARD, found) == {"learning_rate": 3e-4, "gamma": 0.97}


def test_a_default_out_of_range_is_not_tried_first():
    search = {"depth": Range(3, 4), "name": ("b", "c"), "gamma": Range(0.9, 0.99)}
    assert searches.first(STANDARD, search) == {"gamma": 0.97}


@pytest.mark.parametrize(
    "record",
    [one for one in gamebridge_agents.gamebridge_agents() if hasattr(one.settings, "gamma")],
    ids=lambda one: one.id,
)
def test_all_of_a_bundled_agents_first_choices_are_its_defaults(record):
    standard = dataclasses.asdict(record.settings())
    found = searches.space(record, (), standard)
    assert {*searches.first(standard, found)} == {*found}
    assert searches.distributions(found)


def test_nothing_to_look_for_is_refused():
    with pytest.raises(errors.ConfigError, match=r"nothing to tune of the agent 'an-agent': .* is"):
        searches.space(record(), {"learning_rate", "gamma"}, STANDARD)
    with pytest.raises(ValueError, match=r"names \['gama'\] in search; expected its settings"):
        record(search={"gama": (0.9,)})
    with pytest.raises(ValueError, match=r"range from 0 to 1: .* low > 0 if is_log"):
        Range(0, 1, is_log=True)
