"""Fitting an agent to a game: what is adapted is said, and what cannot be is refused."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import FIRST, AgentNeeds, AgentRecord, specs
from gamebridge.testing import fakes
from gamebridge.training import fitting

DISCRETE = AgentRecord("disc", "One integer.", print, AgentNeeds(("discrete",)))
CONTINUOUS = AgentRecord("cont", "Floats.", print, AgentNeeds(("continuous",)))
ANY = AgentRecord("any", "Both.", print)


def game(action_spec):
    return fakes.Scripted([fakes.Moment(step_type=FIRST)], action_spec=action_spec)


@pytest.mark.parametrize(
    ("record", "spec"),
    [
        (DISCRETE, specs.discrete(3)),
        (CONTINUOUS, specs.box((2,), -1.0, 1.0)),
        (CONTINUOUS, specs.box((2,))),
        (ANY, specs.discrete(3)),
        (ANY, specs.box((1,), -1.0, 1.0)),
    ],
)
def test_what_fits_is_left_as_it_is(record, spec):
    plain = game(spec)
    fitted, notes = fitting.fit(record, plain)
    assert fitted is plain
    assert notes == []


@pytest.mark.parametrize(
    ("record", "spec", "offered"),
    [
        (DISCRETE, specs.discrete(3, start=2), specs.discrete(3)),
        (DISCRETE, specs.discrete(3, start=-1, dtype=np.int32), specs.discrete(3, dtype=np.int32)),
        (CONTINUOUS, specs.box((2, 2), 0.0, 5.0), specs.box((4,), -1.0, 1.0)),
        (CONTINUOUS, specs.box((), 0.0, 5.0, dtype=np.float64), specs.box((1,), -1.0, 1.0)),
    ],
)
def test_what_can_be_adapted_is_and_a_line_says_how(record, spec, offered):
    fitted, (note,) = fitting.fit(record, game(spec))
    assert fitted.action_spec() == offered
    assert note == f"action: {spec} is offered as {offered}"


@pytest.mark.parametrize(
    ("record", "spec", "wants"),
    [
        (DISCRETE, specs.box((2,), -1.0, 1.0), "it gives one integer, and the game takes"),
        (CONTINUOUS, specs.discrete(3), "it gives one array of floats, and the game takes"),
        (ANY, specs.box((2,), 0, [2, 3], dtype=np.int64), "one integer or one array of floats"),
        (ANY, {"a": specs.discrete(2), "b": specs.discrete(3)}, "a: int64 .* b: int64"),
        (ANY, (specs.discrete(2), specs.box((1,))), "0: int64 .* 1: float32"),
        (ANY, specs.box((0,)), "and the game takes"),
        (DISCRETE, specs.box((), dtype=np.int64), "and the game takes"),
    ],
)
def test_what_cannot_be_joined_is_refused_by_name(record, spec, wants):
    with pytest.raises(
        errors.FitError, match=rf"^{record.id} cannot play testing/scripted: .*{wants}"
    ) as caught:
        fitting.fit(record, game(spec))
    assert "`gamebridge agents`" in str(caught.value)
    assert caught.value.exit_code == 4
