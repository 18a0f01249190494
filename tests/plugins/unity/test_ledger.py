"""What a game delivers is what its player said, transition by transition.

The reference player logs every transition as it sees it. Each episode that a slot was told is
one of that log, with the same observations, actions, rewards and end; and none is missing.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import unity_games as games
import unity_ledgers as ledgers

from gamebridge.contract import seeding
from gamebridge.testing import playing


@dataclasses.dataclass(frozen=True)
class Case:
    scene: str
    num_slots: int = 8
    args: tuple = ()
    behavior: str = ""
    float_frames: tuple = ()
    num_transitions: int = 10_000
    settings: dict = dataclasses.field(default_factory=dict)


_CASES = [
    Case("numbered"),
    Case("comers", settings={"late_agents": True}),
    Case("basic"),
    Case("period5"),
    Case("two-behaviors", 4, behavior="Walker"),
    Case("two-behaviors", 4, behavior="Runner", settings={"others": "zero"}),
    Case("groups"),
    Case("groups", settings={"group_reward": "ignore"}),
    Case("hybrid"),
    Case("masks", settings={"action_mask": True}),
    Case("buffer"),
    Case("grey", 4, (), "", ("plain",), 4_000),
    Case("stacked", 4, ("--layout", "chw"), "", ("f_floats",), 2_000),
    Case("racing", 8, ("--agents", 8, "--camera", "rgb", "--set", "episode_s=4"), "", (), 4_000),
]


def _play(case, num_steps, path):
    generator = np.random.default_rng(0)
    with games.make(
        case.scene, case.num_slots, *case.args, "--ledger", path, behavior=case.behavior,
        **case.settings,
    ) as game:  # fmt: skip
        heard = ledgers.Heard(game, case.float_frames)
        heard.note(None, game.reset(seeding.slot_seeds(1, case.num_slots)))
        for _ in range(num_steps):
            action = playing.random_action(game.action_spec(), case.num_slots, generator)
            heard.note(action, game.step(action))
    ended, running, num_infos = ledgers.logged(
        path,
        case.behavior,
        adds_group_reward=case.settings.get("group_reward") != "ignore",
        masks="action_mask" in case.settings,
    )
    ledgers.compare(heard, ended, running)
    return heard, ended, num_infos


@pytest.mark.parametrize("case", _CASES, ids=lambda case: f"{case.scene}-{case.behavior}")
def test_nothing_is_lost_doubled_or_joined(case, tmp_path):
    """In 10,000 transitions of each scene, fewer of those whose pictures take time."""
    heard, ended, num_infos = _play(
        case, case.num_transitions // case.num_slots, tmp_path / "ledger"
    )
    assert len(ended) > 10
    # All that was said, but for what had not begun and what was not told yet.
    assert heard.num_rows > 0.97 * num_infos


@pytest.mark.slow
@pytest.mark.parametrize("case", _CASES[:2], ids=lambda case: case.scene)
def test_nothing_is_in_ten_thousand_steps_of_agents_that_end_come_and_go(case, tmp_path):
    heard, ended, num_infos = _play(case, 10_000, tmp_path / "ledger")
    assert len(ended) > 3_000 and heard.num_rows > 0.97 * num_infos
